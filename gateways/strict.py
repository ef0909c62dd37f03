"""Strict: plain content of a file -> a checked struct, or an error that says where and what.

The gateway gets its part of the fleet as one JSON document, without lines: key paths stand for
them. Whoever read a file with lines finds the line by `ContentInvalid.path`.
"""

import re
from collections.abc import Collection, Iterator
from difflib import get_close_matches
from typing import TypeVar

import msgspec
from msgspec import inspect

from metering.errors import PermanentError

Path = tuple[str | int, ...]
T = TypeVar("T")

_UNKNOWN = re.compile(r"Object contains unknown field `(.*)`")
_STEP = re.compile(r"\[(\d+)\]|\.([^.\[\]`]+)")


class ContentInvalid(PermanentError):
    """A document is wrong.

    Attributes:
        path: the key path of the value at fault; empty for the document as a whole.
        message: what was asked and what came, without the path.
    """

    def __init__(self, name: str, path: Path, message: str) -> None:
        super().__init__(": ".join(part for part in (name, spell(path), message) if part))
        self.path = path
        self.message = message


def spell(path: Path) -> str:
    """`("registers", 3, "scale")` -> `registers[3].scale`."""
    steps = (f"[{step}]" if isinstance(step, int) else f".{step}" for step in path)
    return "".join(steps).removeprefix(".")


def nearest(word: str, known: Collection[str]) -> str:
    """`, did you mean 'address'?`, or the known words where none is near."""
    near = get_close_matches(word, sorted(known), n=1)
    return f", did you mean '{near[0]}'?" if near else f", known: {', '.join(sorted(known))}"


def convert(name: str, content: object, kind: type[T], path: Path = ()) -> T:
    """`content` as a `kind`, whose struct forbids unknown fields.

    Raises:
        ContentInvalid: a key is unknown, or a value is of the wrong type.
    """
    try:
        return msgspec.convert(content, kind, strict=True)
    except msgspec.ValidationError as error:
        message, _, place = str(error).partition(" - at `$")
        steps = _steps(place)
        if unknown := _UNKNOWN.fullmatch(message):
            key, known = unknown[1], _known_keys(inspect.type_info(kind), steps)
            message, steps = f"unknown key '{key}'{nearest(key, known)}", (*steps, key)
        raise ContentInvalid(name, (*path, *steps), message[:1].lower() + message[1:]) from error


def _steps(place: str) -> Path:
    return tuple(int(index) if index else key for index, key in _STEP.findall(place))


def _known_keys(kind: inspect.Type, steps: Path) -> frozenset[str]:
    """The keys of the struct that stands at `steps` below `kind`."""
    kinds = [kind]
    for step in steps:
        kinds = [inner for each in kinds for inner in _below(each, step)]
    structs = [each for kind in kinds for each in _branches(kind)]
    return frozenset(
        field.encode_name
        for each in structs
        if isinstance(each, inspect.StructType)
        for field in each.fields
    )


def _below(kind: inspect.Type, step: str | int) -> Iterator[inspect.Type]:
    for branch in _branches(kind):
        if isinstance(branch, inspect.StructType):
            yield from (field.type for field in branch.fields if field.encode_name == step)
        elif isinstance(branch, inspect.ListType | inspect.VarTupleType):
            yield branch.item_type


def _branches(kind: inspect.Type) -> tuple[inspect.Type, ...]:
    return kind.types if isinstance(kind, inspect.UnionType) else (kind,)
