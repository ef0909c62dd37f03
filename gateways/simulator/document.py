"""Simulation file: the content of a `simulate.yaml` -> what to simulate, in which time."""

from typing import Any, Literal

from msgspec import Struct

from gateways.simulator.fault import MeterFault, read_fault, read_instant
from gateways.strict import ContentInvalid, Path, convert
from metering.clock import Clock, ClockStep, Replay, ReplayClock, SystemClock

PTY = "pty"
PACED_PTY = "paced_pty"
Place = int | Literal["pty", "paced_pty"]  # where a bus is served instead


class StepEntry(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A clock that is set: from `at` on, as the time runs without steps, it is `by_s` off."""

    at: str
    by_s: float


class ClockEntry(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A replayed time: `start` is the wall time at the real instant `anchor` (absent: now).

    `steps` are of gateways' and collectors' clocks. What meters measure does not step with them.
    """

    start: str
    speed: float = 1.0
    anchor: str | None = None
    steps: tuple[StepEntry, ...] = ()


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
    ports: dict[str, Place] = {}


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
        ports: another port for a bus URL, 0 for any that is free; of a serial one a
            pseudo-terminal.
    """

    fleet: str | None
    cuts: tuple[str | dict[str, Any], ...]
    clock: ClockEntry | None
    seed: int
    log: str | None
    faults: tuple[MeterFault, ...]
    replay: ReplayEntry | None
    ports: dict[str, Place]


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
    """The meters' time, which never steps; without an anchor it starts now."""
    return now if entry is None else ReplayClock(_replay(entry, now, ()))


def make_stamps(entry: ClockEntry | None, now: SystemClock) -> Clock | None:
    """The time by clocks that step, if they do."""
    if entry is None or not entry.steps:
        return None
    steps = tuple(_step(step, ("clock", "steps", n)) for n, step in enumerate(entry.steps))
    return ReplayClock(_replay(entry, now, steps))


def _replay(entry: ClockEntry, now: SystemClock, steps: tuple[ClockStep, ...]) -> Replay:
    if entry.speed <= 0:
        raise ContentInvalid("simulation", ("clock", "speed"), "a speed is above 0")
    anchor_ms = (
        now.now_ms() if entry.anchor is None else read_instant(entry.anchor, ("clock", "anchor"))
    )
    start_ms = read_instant(entry.start, ("clock", "start"))
    return Replay(start_ms=start_ms, anchor_ms=anchor_ms, speed=entry.speed, steps=steps)


def _step(entry: StepEntry, path: Path) -> ClockStep:
    return ClockStep(at_ms=read_instant(entry.at, (*path, "at")), by_ms=round(entry.by_s * 1000))
