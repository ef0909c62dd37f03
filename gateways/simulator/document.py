"""Simulation file: the content of a `simulate.yaml` -> what to simulate, in which time."""

from typing import Any

from msgspec import Struct

from gateways.simulator.fault import MeterFault, read_fault, read_instant
from gateways.strict import ContentInvalid, convert
from metering.clock import Clock, Replay, ReplayClock, SystemClock


class ClockEntry(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A replayed time: `start` is the wall time at the real instant `anchor` (absent: now)."""

    start: str
    speed: float = 1.0
    anchor: str | None = None


class ReplayEntry(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Measured series: a CSV file, unless the command names it, and the column of each meter."""

    file: str | None = None
    series: dict[str, str]


class _Document(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    fleet: str | None = None
    cuts: tuple[str | dict[str, Any], ...] = ()  # the door: a cut checks itself
    clock: ClockEntry | None = None
    seed: int = 0
    log: str | None = None
    faults: tuple[dict[str, Any], ...] = ()  # the door: each becomes a MeterFault
    replay: ReplayEntry | None = None
    ports: dict[str, int] = {}


class SimulationDocument(Struct, frozen=True, kw_only=True):
    """A simulation as its file asks for it; paths are as written there.

    Attributes:
        fleet: the fleet to cut, or
        cuts: gateways' cuts, each a path or written out.
        clock: none for the system's own time.
        seed: the same seed is the same district.
        log: the served log.
        faults: checked.
        replay: measured series instead of curves.
        ports: another port for a bus URL; 0 for any that is free.
    """

    fleet: str | None
    cuts: tuple[str | dict[str, Any], ...]
    clock: ClockEntry | None
    seed: int
    log: str | None
    faults: tuple[MeterFault, ...]
    replay: ReplayEntry | None
    ports: dict[str, int]


def read_document(content: object) -> SimulationDocument:
    """Check a simulation file's content.

    Raises:
        ContentInvalid: a key is unknown or a value wrong, or there is no fleet and no cut.
    """
    document = convert("simulation", content, _Document)
    if (document.fleet is None) == (not document.cuts):
        raise ContentInvalid("simulation", (), "either a fleet or cuts are needed")
    faults = tuple(
        read_fault(fault, ("faults", index)) for index, fault in enumerate(document.faults)
    )
    return SimulationDocument(
        fleet=document.fleet,
        cuts=document.cuts,
        clock=document.clock,
        seed=document.seed,
        log=document.log,
        faults=faults,
        replay=document.replay,
        ports=document.ports,
    )


def make_clock(entry: ClockEntry | None, now: SystemClock) -> Clock:
    """The simulation's clock; without an anchor its time starts now."""
    if entry is None:
        return now
    if entry.speed <= 0:
        raise ContentInvalid("simulation", ("clock", "speed"), "a speed is above 0")
    anchor_ms = (
        now.now_ms() if entry.anchor is None else read_instant(entry.anchor, ("clock", "anchor"))
    )
    start_ms = read_instant(entry.start, ("clock", "start"))
    return ReplayClock(Replay(start_ms=start_ms, anchor_ms=anchor_ms, speed=entry.speed))
