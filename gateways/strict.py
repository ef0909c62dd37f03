"""Strict: plain content of a file -> a checked struct, or an error that says where and what.

The gateway gets its part of the fleet as one JSON document, without lines: key paths stand for
them. Whoever read a file with lines finds the line by `ContentInvalid.path`.
"""

import re
from collections.abc import Collection, Mapping
from difflib import get_close_matches
from typing import Any, TypeVar

import msgspec

from metering.errors import PermanentError

Path = tuple[str | int, ...]
T = TypeVar("T")

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
    fields = getattr(kind, "__struct_encode_fields__", ())
    if isinstance(content, Mapping):
        check_keys(name, content, fields, path)
    try:
        return msgspec.convert(content, kind, strict=True)
    except msgspec.ValidationError as error:
        message, _, place = str(error).partition(" - at `$")
        raise ContentInvalid(name, (*path, *_steps(place)), _plain(message)) from error


def check_keys(name: str, content: Mapping[str, Any], known: Collection[str], path: Path) -> None:
    """Refuse the first key that nobody knows."""
    for key in content:
        if key not in known:
            raise ContentInvalid(
                name, (*path, str(key)), f"unknown key '{key}'{nearest(str(key), known)}"
            )


def _steps(place: str) -> Path:
    return tuple(int(index) if index else key for index, key in _STEP.findall(place))


def _plain(message: str) -> str:
    return (
        message[:1].lower() + message[1:] if message.startswith(("Expected", "Object")) else message
    )
