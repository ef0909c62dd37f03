"""Fault: what a simulated meter does wrong, from when to when, by configuration."""

from collections.abc import Iterable
from datetime import datetime
from enum import StrEnum
from typing import Any

from msgspec import Struct, field

from gateways.strict import ContentInvalid, Path, convert

_ALWAYS_FROM = -(2**62)
_ALWAYS_TO = 2**62


class FaultKind(StrEnum):
    """What goes wrong."""

    SILENCE = "silence"  # no answer
    DELAY = "delay"  # an answer after `seconds`; longer than the client waits, it is a late one
    LATE = "late"  # the same word for the same thing, where lateness is meant
    EXCEPTION = "exception"  # Modbus exception `code`
    WRONG_UNIT = "wrong_unit"  # the answer carries another unit id
    SHORT = "short"  # the answer lacks its last register
    FROZEN = "frozen"  # every value stays as it was at `from`
    NAN = "nan"  # no value in the registers, of `quantities` or all that can say so
    RESET = "reset"  # counters begin anew at `from`
    ROLLOVER = "rollover"  # counters return to zero at `at`, in their quantity's unit
    SURGE = "surge"  # the load really is `extra` higher (kW, m³/h); its mains and counters know


class MeterFault(Struct, frozen=True, kw_only=True):
    """One fault of one meter, in wall time; without from or to it has no beginning or end."""

    meter: str
    kind: FaultKind
    from_ms: int = _ALWAYS_FROM
    to_ms: int = _ALWAYS_TO
    seconds: float = 5.0
    code: int = 4
    at: float = 1000.0
    extra: float = 0.0
    quantities: tuple[str, ...] = ()

    def is_active(self, at_ms: int) -> bool:
        return self.from_ms <= at_ms < self.to_ms


class _Entry(Struct, kw_only=True, forbid_unknown_fields=True):
    meter: str
    kind: FaultKind
    begin: str | None = field(default=None, name="from")
    end: str | None = field(default=None, name="to")
    seconds: float = 5.0
    code: int = 4
    at: float = 1000.0
    extra: float = 0.0
    quantities: tuple[str, ...] = ()


def read_fault(content: Any, path: Path = ()) -> MeterFault:
    """A fault as a simulation file writes it: `from` and `to` in ISO 8601 with offset."""
    entry = convert("simulation", content, _Entry, path)
    fault = MeterFault(
        meter=entry.meter,
        kind=entry.kind,
        from_ms=_ALWAYS_FROM if entry.begin is None else read_instant(entry.begin, path),
        to_ms=_ALWAYS_TO if entry.end is None else read_instant(entry.end, path),
        seconds=entry.seconds,
        code=entry.code,
        at=entry.at,
        extra=entry.extra,
        quantities=entry.quantities,
    )
    if fault.kind in (FaultKind.RESET, FaultKind.FROZEN) and entry.begin is None:
        raise ContentInvalid("simulation", (*path, "from"), f"{fault.kind} needs its instant")
    if fault.kind is FaultKind.SURGE and (entry.begin is None or entry.end is None):
        raise ContentInvalid("simulation", path, "a surge needs its from and its to")
    if fault.extra < 0:
        raise ContentInvalid("simulation", (*path, "extra"), "a surge only adds")
    if fault.at <= 0:
        raise ContentInvalid("simulation", (*path, "at"), "a rollover is above 0")
    return fault


def read_instant(text: str, path: Path = ()) -> int:
    """ISO 8601 with offset -> epoch milliseconds."""
    try:
        instant = datetime.fromisoformat(text)
    except ValueError as error:
        raise ContentInvalid("simulation", path, f"{text} is no ISO 8601 time") from error
    if instant.tzinfo is None:
        raise ContentInvalid("simulation", path, f"{text} needs an offset, as in +08:00")
    return round(instant.timestamp() * 1000)


def active(faults: Iterable[MeterFault], at_ms: int) -> dict[FaultKind, MeterFault]:
    """The faults at an instant by kind; of two of one kind the later entry."""
    return {fault.kind: fault for fault in faults if fault.is_active(at_ms)}
