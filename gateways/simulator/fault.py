"""Fault: what a simulated meter does wrong, from when to when, by configuration.

`docs/simulator.md` is the long form.
"""

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from enum import StrEnum
from math import isfinite
from typing import Any

from msgspec import UNSET, Struct, UnsetType, field, structs

from gateways.library.model import LAST_ADDRESS, LONGEST_READ, Table
from gateways.strict import ContentInvalid, Path, convert, nearest
from metering.quantity import QUANTITIES

_ALWAYS_FROM = -(2**62)
_ALWAYS_TO = 2**62


class FaultKind(StrEnum):
    """What goes wrong."""

    # The answer.
    SILENCE = "silence"  # there is none
    DELAY = "delay"  # it comes after `seconds`, with what the meter shows then
    LATE = "late"  # it comes after `seconds`, or when the next request does: too late
    TWICE = "twice"  # it comes, and `seconds` later it comes again
    EXCEPTION = "exception"  # Modbus exception `code`
    HOLE = "hole"  # a request that touches `ranges`, or is longer than `longest`, is refused
    WRONG_UNIT = "wrong_unit"  # it carries another unit id
    SHORT = "short"  # it lacks its last register, or its last `bytes`
    BAD_CRC = "bad_crc"  # its checksum is wrong
    NOISE = "noise"  # bytes that nobody sent, `where`: before, inside or after it
    # What the meter shows.
    FROZEN = "frozen"  # every value stays as it was at `from`
    NAN = "nan"  # no value in the registers, of `quantities` or all that can say so
    SPIKE = "spike"  # `quantities`, or all, are `factor` times what they are
    RESET = "reset"  # counters begin anew at `from`
    REPLACEMENT = "replacement"  # another device from `from` on: its serial number, its counters
    ROLLOVER = "rollover"  # counters return to zero at `at`, in their quantity's unit
    SURGE = "surge"  # the load really is `extra` higher (kW, m³/h); its mains and counters know


class Where(StrEnum):
    """On which side of an answer there is noise."""

    BEFORE = "before"
    INSIDE = "inside"
    AFTER = "after"
    ANY = "any"


class MeterFault(Struct, frozen=True, kw_only=True):
    """One fault of one meter, in wall time; without from or to it has no beginning or end.

    Attributes:
        share: the part of the answers that it hits.
        seconds: real ones; none for "when the next request comes".
        code: of an exception; none for the one that fits.
        ranges: first and last address of each hole, of `table` or of both.
        octets: how many bytes, at most; of a short answer, exactly; none for a register.
    """

    meter: str
    kind: FaultKind
    from_ms: int = _ALWAYS_FROM
    to_ms: int = _ALWAYS_TO
    share: float = 1.0
    seconds: float | None = None
    code: int | None = None
    ranges: tuple[tuple[int, int], ...] = ()
    table: Table | None = None
    longest: int = LONGEST_READ
    unit: int | None = None
    octets: int | None = None
    where: Where = Where.ANY
    quantities: tuple[str, ...] = ()
    factor: float = 1.0
    at: float = 0.0
    serial: str | None = None
    extra: float = 0.0

    def is_active(self, at_ms: int) -> bool:
        return self.from_ms <= at_ms < self.to_ms


class _Kind(Struct, frozen=True, kw_only=True):
    """What a kind takes beside meter, kind, from and to.

    Attributes:
        keys: each with its default.
        begins: without its `from` it means nothing.
        rtu: only what travels as RTU frames can have it.
    """

    keys: Mapping[str, object]
    begins: bool = False
    rtu: bool = False


_SHARE = {"share": 1.0}
_KINDS: dict[FaultKind, _Kind] = {
    FaultKind.SILENCE: _Kind(keys=_SHARE),
    FaultKind.DELAY: _Kind(keys={"seconds": 5.0, **_SHARE}),
    FaultKind.LATE: _Kind(keys={"seconds": None, **_SHARE}),
    FaultKind.TWICE: _Kind(keys={"seconds": 0.05, **_SHARE}),
    FaultKind.EXCEPTION: _Kind(keys={"code": 4, **_SHARE}),
    FaultKind.HOLE: _Kind(
        keys={"ranges": (), "table": None, "longest": LONGEST_READ, "code": None}
    ),
    FaultKind.WRONG_UNIT: _Kind(keys={"unit": None, **_SHARE}),
    FaultKind.SHORT: _Kind(keys={"bytes": None, **_SHARE}),
    FaultKind.BAD_CRC: _Kind(keys=_SHARE, rtu=True),
    FaultKind.NOISE: _Kind(keys={"where": Where.ANY, "bytes": 8, **_SHARE}, rtu=True),
    FaultKind.FROZEN: _Kind(keys={}, begins=True),
    FaultKind.NAN: _Kind(keys={"quantities": (), **_SHARE}),
    FaultKind.SPIKE: _Kind(keys={"factor": 10.0, "quantities": (), **_SHARE}),
    FaultKind.RESET: _Kind(keys={}, begins=True),
    FaultKind.REPLACEMENT: _Kind(keys={"at": 0.0, "serial": None}, begins=True),
    FaultKind.ROLLOVER: _Kind(keys={"at": 1000.0}),
    FaultKind.SURGE: _Kind(keys={"extra": 0.0}),
}
_OF_ALL = frozenset(("meter", "kind", "begin", "end"))


def keys_of(kind: FaultKind) -> Mapping[str, object]:
    """What an entry of that kind may say beside meter, kind, from and to, with the defaults."""
    return _KINDS[kind].keys


def is_of_rtu(kind: FaultKind) -> bool:
    """Whether only RTU frames can have it."""
    return _KINDS[kind].rtu


class _Entry(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    meter: str
    kind: str  # a FaultKind, whose words the error names
    begin: str | None = field(default=None, name="from")
    end: str | None = field(default=None, name="to")
    share: float | UnsetType = UNSET
    seconds: float | UnsetType = UNSET
    code: int | UnsetType = UNSET
    ranges: tuple[tuple[int, int], ...] | UnsetType = UNSET
    table: Table | UnsetType = UNSET
    longest: int | UnsetType = UNSET
    unit: int | UnsetType = UNSET
    octets: int | UnsetType = field(default=UNSET, name="bytes")
    where: Where | UnsetType = UNSET
    quantities: tuple[str, ...] | UnsetType = UNSET
    factor: float | UnsetType = UNSET
    at: float | UnsetType = UNSET
    serial: str | UnsetType = UNSET
    extra: float | UnsetType = UNSET


def read_fault(content: Any, path: Path = ()) -> MeterFault:
    """A fault as a simulation file writes it: `from` and `to` in ISO 8601 with offset.

    Raises:
        ContentInvalid: a key is unknown, not of that kind or wrong, or one is missing.
    """
    entry = convert("simulation", content, _Entry, path)
    if entry.kind not in tuple(FaultKind):
        message = f"unknown kind '{entry.kind}'{nearest(entry.kind, tuple(FaultKind))}"
        raise ContentInvalid("simulation", (*path, "kind"), message)
    kind = FaultKind(entry.kind)
    said = _said(kind, entry, path)
    fault = MeterFault(
        meter=entry.meter,
        kind=kind,
        from_ms=_ALWAYS_FROM if entry.begin is None else read_instant(entry.begin, path),
        to_ms=_ALWAYS_TO if entry.end is None else read_instant(entry.end, path),
        **said,
    )
    _check_instants(fault, path)
    if kind is FaultKind.HOLE and not {"ranges", "longest"} & content.keys():
        raise ContentInvalid("simulation", path, "a hole needs its ranges, or a longest request")
    return fault


def _said(kind: FaultKind, entry: _Entry, path: Path) -> dict[str, Any]:
    """The kind's keys as the fault calls them, defaults included."""
    known = _KINDS[kind].keys
    said: dict[str, Any] = {}
    for info in structs.fields(_Entry):
        key, name = info.encode_name, info.name
        value = getattr(entry, name)
        if name in _OF_ALL:
            continue
        if value is UNSET:
            if key in known:
                said[name] = known[key]
        elif key not in known:
            takes = ", ".join(("from", "to", *known))
            message = f"a {kind} has no '{key}', it has: {takes}"
            raise ContentInvalid("simulation", (*path, key), message)
        else:
            _check(kind, key, value, path)
            said[name] = value
    return said


_HIGHEST_CODE = 255
_Rule = tuple[Callable[[Any], bool], str]
_RULES: dict[str, _Rule] = {
    "share": (lambda v: 0 < v <= 1, "a share is above 0 and at most 1"),
    "seconds": (lambda v: 0 <= v < _ALWAYS_TO, "seconds are not negative"),
    "code": (lambda v: 1 <= v <= _HIGHEST_CODE, f"a code is 1 to {_HIGHEST_CODE}"),
    "ranges": (
        lambda v: v and all(0 <= first <= last <= LAST_ADDRESS for first, last in v),
        f"a hole is [first, last], 0 to {LAST_ADDRESS}",
    ),
    "longest": (lambda v: 1 <= v <= LONGEST_READ, f"a longest request is 1 to {LONGEST_READ}"),
    "unit": (lambda v: 0 <= v <= 255, "a unit is 0 to 255"),  # noqa: PLR2004 - as it says
    "bytes": (lambda v: 1 <= v <= 256, "1 to 256 bytes are possible"),  # noqa: PLR2004 - as it says
    "factor": (isfinite, "a factor is a number"),
    "at": (lambda v: 0 <= v < _ALWAYS_TO, "a counter is not below 0"),
    "extra": (lambda v: 0 <= v < _ALWAYS_TO, "a surge only adds"),
    "serial": (bool, "a serial number is not empty"),
}


def _check(kind: FaultKind, key: str, value: Any, path: Path) -> None:
    fits, message = _RULES.get(key, (lambda _: True, ""))
    if not fits(value):
        raise ContentInvalid("simulation", (*path, key), f"{message}, {value} came")
    if kind is FaultKind.ROLLOVER and key == "at" and not value:
        raise ContentInvalid("simulation", (*path, key), "a rollover is above 0")
    if key == "quantities":
        for name in value:
            if name not in QUANTITIES:
                message = f"unknown quantity '{name}', see metering/quantity.py"
                raise ContentInvalid("simulation", (*path, key), message)


def _check_instants(fault: MeterFault, path: Path) -> None:
    begins, ends = fault.from_ms != _ALWAYS_FROM, fault.to_ms != _ALWAYS_TO
    if fault.kind is FaultKind.SURGE and not (begins and ends):
        raise ContentInvalid("simulation", path, "a surge needs its from and its to")
    if _KINDS[fault.kind].begins and not begins:
        raise ContentInvalid("simulation", (*path, "from"), f"{fault.kind} needs its instant")
    if fault.to_ms <= fault.from_ms:
        raise ContentInvalid("simulation", (*path, "to"), "a fault ends after it begins")


def read_instant(text: str, path: Path = ()) -> int:
    """ISO 8601 with offset -> epoch milliseconds."""
    try:
        instant = datetime.fromisoformat(text)
    except ValueError as error:
        raise ContentInvalid("simulation", path, f"{text} is no ISO 8601 time") from error
    if instant.tzinfo is None:
        raise ContentInvalid("simulation", path, f"{text} needs an offset, as in +08:00")
    return round(instant.timestamp() * 1000)


Faults = Mapping[FaultKind, MeterFault]


def by_kind(faults: Iterable[MeterFault]) -> Faults:
    """Of two of one kind the later entry."""
    return {fault.kind: fault for fault in faults}
