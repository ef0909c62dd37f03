"""Nearest: a word that nobody knows -> the known word that was probably meant."""

import types
from collections.abc import Collection, Iterable, Iterator, Mapping
from difflib import get_close_matches
from typing import Annotated, Union, get_args, get_origin

from pydantic import BaseModel

from documents.finding import KeyPath

_FEW = 12  # known words worth listing where none is near


def suggestion(word: str, known: Collection[str]) -> str:
    """`did you mean 'area_m2'?`, or the known words if none is near; empty if none is known."""
    near = get_close_matches(word, sorted(known), n=1)
    if near:
        return f"did you mean '{near[0]}'?"
    if not known or len(known) > _FEW:
        return ""
    return "known here: " + ", ".join(sorted(known))


def known_keys(model: type[BaseModel], path: KeyPath) -> frozenset[str]:
    """The keys that `model` knows at `path`; of every branch where a union leaves it open."""
    kinds: Iterable[object] = (model,)
    for step in path:
        kinds = [inner for kind in kinds for inner in _inside(kind, step)]
    return frozenset(
        name for kind in kinds for branch in _branches(kind) for name in _fields(branch)
    )


def _inside(kind: object, step: str | int) -> Iterator[object]:
    """What stands under `step` in each branch of `kind`."""
    for branch in _branches(kind):
        fields = _fields(branch)
        arguments = get_args(branch)
        if isinstance(step, str) and step in fields:
            yield fields[step]
        elif isinstance(step, int) and arguments and get_origin(branch) in (tuple, list):
            variadic = get_origin(branch) is list or arguments[-1] is Ellipsis
            yield from arguments[:1] if variadic else arguments[step : step + 1]
        elif isinstance(step, str) and get_origin(branch) in (dict, Mapping):
            yield arguments[1]


def _branches(kind: object) -> Iterator[object]:
    """`kind` without `Annotated`, and each member of it where it is a union."""
    if get_origin(kind) is Annotated:
        yield from _branches(get_args(kind)[0])
    elif get_origin(kind) in (Union, types.UnionType):
        for member in get_args(kind):
            yield from _branches(member)
    else:
        yield kind


def _fields(kind: object) -> dict[str, object]:
    if not (isinstance(kind, type) and issubclass(kind, BaseModel)):
        return {}
    return {field.alias or name: field.annotation for name, field in kind.model_fields.items()}
