"""Meter: a bus entry of a gateway's cut and the models -> meters, compiled and ready to be read."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from msgspec import Struct, structs

from gateways.library.file import read_model
from gateways.library.model import MeterModel, Priority, Register
from gateways.reading.decode import Decoder
from gateways.reading.plan import Block, plan_blocks
from gateways.reading.terrain import Terrain
from gateways.reading.wiring import Direction, Ratio, Wiring
from gateways.strict import ContentInvalid, Path, convert, nearest

HIGHEST_UNIT = 255  # Modbus TCP; a serial line ends at 247


class MeterEntry(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A meter in a gateway's cut.

    Attributes:
        id: the meter's id in the fleet.
        model: the id of its model.
        unit: its Modbus unit id.
        ratio: its transformers, and who applies them.
        direction: whether it is turned.
        options: the model's options that somebody has checked on site.
        serial: the device's serial number, where the fleet knows it.
        cycle_s: it is asked no oftener than this; left out, as often as its bus.
        every_s: how often a quantity is read, instead of what the model says.
        priority: what waits where time is short, by quantity, instead of what the model says.
        fill: holes of up to this many registers are read over, instead of what the model says.
        describe: what the fleet says about it beyond reading it; the simulator lives on that.
    """

    id: str
    model: str
    unit: int
    ratio: Ratio = Ratio()
    direction: Direction = Direction.IMPORT
    options: dict[str, str] = {}
    serial: str | None = None
    cycle_s: int = 0
    every_s: dict[str, int] = {}
    priority: dict[str, Priority] = {}
    fill: int | None = None
    describe: dict[str, Any] = {}  # the fleet's own shape, not read here


class BusEntry(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A bus in a gateway's cut.

    Attributes:
        url: see `gateways.bus_url`.
        cycle_s: how often its meters are read.
        start_offset_s: how long after the full cycle they are; left out, the buses of a gateway
            start one after the other.
    """

    url: str
    meters: tuple[MeterEntry, ...]
    cycle_s: int = 60
    start_offset_s: int | None = None


class Group(Struct, frozen=True, kw_only=True):
    """Registers of a meter that are read equally often and wait equally long.

    Attributes:
        every_ms: how often, in wall time; 0 for every cycle of the bus.
    """

    every_ms: int
    priority: Priority
    registers: tuple[Register, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The reads of one poll, in order, and what turns their words into values.

    Attributes:
        wanted: what is read for; a register that is known to be refused is not.
        groups: what is read: beside what was asked for also what lies between it.
    """

    wanted: tuple[Register, ...]
    blocks: tuple[Block, ...]
    groups: frozenset[int]
    decoder: Decoder


@dataclass(frozen=True, slots=True, kw_only=True)
class Meter:
    """One physical device with one unit id on one bus, with the plans to read it.

    Attributes:
        wiring: its ratio and direction.
        serial: the device's serial number, where the fleet knows it.
        fill: holes of up to this many registers are read over.
        groups: its registers by how often they are read, the most urgent first.
        terrain: what reading its like has taught.
    """

    id: str
    unit: int
    model: MeterModel
    wiring: Wiring
    serial: str | None = None
    fill: int = 0
    groups: tuple[Group, ...] = ()
    terrain: Terrain = field(default_factory=Terrain)
    _plans: dict[frozenset[int], Plan] = field(default_factory=dict, repr=False, compare=False)

    def plan(self, groups: frozenset[int]) -> Plan:
        """How to read some of its groups, by their place, in the fewest requests."""
        if groups not in self._plans:
            wanted = tuple(r for place in sorted(groups) for r in self._readable(place))
            blocks = plan_blocks(wanted, self.model.limits, self.fill, self.terrain)
            # What a meter said is kept, whether it was due or only lay on the way.
            everything = [r for place in self.everything for r in self._readable(place)]
            self._plans[groups] = Plan(
                wanted=wanted,
                blocks=blocks,
                groups=frozenset(p for p in self.everything if self._is_read(p, blocks)),
                decoder=Decoder(everything, blocks, self.wiring),
            )
        return self._plans[groups]

    def _readable(self, place: int) -> list[Register]:
        return [r for r in self.groups[place].registers if not self.terrain.refuses(r)]

    def _is_read(self, place: int, blocks: Iterable[Block]) -> bool:
        return all(any(block.covers(r) for block in blocks) for r in self._readable(place))

    @property
    def identity_blocks(self) -> tuple[Block, ...]:
        """The reads of what it says about itself, in the order of its model's fields."""
        return tuple(
            Block(field.table, field.address, field.registers) for field in self.model.identity
        )

    @property
    def everything(self) -> frozenset[int]:
        """All of its groups."""
        return frozenset(range(len(self.groups)))

    @property
    def blocks(self) -> tuple[Block, ...]:
        """The reads of a poll of everything."""
        return self.plan(self.everything).blocks

    @property
    def decoder(self) -> Decoder:
        """What turns those into values."""
        return self.plan(self.everything).decoder

    def over(self, terrain: Terrain) -> "Meter":
        """The same meter, planned by what was learnt."""
        return replace(self, terrain=terrain, _plans={})


def read_bus(content: object, path: Path = ()) -> BusEntry:
    """A bus entry of a cut, checked; `path` says where it stands, for the error."""
    entry = convert("cut", content, BusEntry, path)
    if entry.cycle_s < 1:
        raise ContentInvalid("cut", (*path, "cycle_s"), f"at least 1 s, {entry.cycle_s} came")
    return entry


def build_meters(
    bus_entry: object, models: Mapping[str, Mapping[str, Any]], path: Path = ()
) -> tuple[Meter, ...]:
    """The meters of one bus, in the order of the cut.

    Args:
        bus_entry: one of the cut's `buses`, as parsed.
        models: content of the meter models by id.
        path: where the entry stands, for the error.

    Raises:
        ContentInvalid: an entry or a model is wrong, or two meters share a unit.
    """
    bus = read_bus(bus_entry, path)
    units: dict[int, str] = {}
    for index, entry in enumerate(bus.meters):
        here: Path = (*path, "meters", index)
        other = units.setdefault(entry.unit, entry.id)
        if other != entry.id:
            message = f"unit {entry.unit} is already {other}'s"
            raise ContentInvalid("cut", (*here, "unit"), message)
        _check_entry(entry, models, here)
    meters = tuple(build_meter(entry, models[entry.model]) for entry in bus.meters)
    for index, (entry, meter) in enumerate(zip(bus.meters, meters, strict=True)):
        _check_quantities(entry, meter, (*path, "meters", index))
    return meters


def build_meter(entry: MeterEntry, content: Mapping[str, Any]) -> Meter:
    """One meter from its entry and the content of its model."""
    model = read_model(entry.model, content, entry.options)
    # A device that counts what it gives is no meter turned round: its model already says so.
    direction = Direction.IMPORT if model.generator else entry.direction
    wiring = Wiring(ratio=entry.ratio, direction=direction)
    meter = Meter(
        id=entry.id,
        unit=entry.unit,
        model=model,
        wiring=wiring,
        serial=entry.serial,
        fill=model.fill if entry.fill is None else entry.fill,
        groups=_groups(model, entry),
    )
    meter.plan(meter.everything)  # what cannot be planned is said now
    return meter


_URGENCY = tuple(Priority)


def _groups(model: MeterModel, entry: MeterEntry) -> tuple[Group, ...]:
    sorted_out: dict[tuple[int, int], list[Register]] = {}
    for register in model.registers:
        every_s = max(entry.every_s.get(register.quantity, register.every_s), entry.cycle_s)
        priority = entry.priority.get(register.quantity, register.priority)
        own = structs.replace(register, every_s=every_s, priority=priority)
        sorted_out.setdefault((_URGENCY.index(priority), every_s), []).append(own)
    return tuple(
        Group(every_ms=every_s * 1000, priority=_URGENCY[urgency], registers=tuple(registers))
        for (urgency, every_s), registers in sorted(sorted_out.items())
    )


def _check_entry(entry: MeterEntry, models: Mapping[str, Mapping[str, Any]], path: Path) -> None:
    if not 0 <= entry.unit <= HIGHEST_UNIT:
        message = f"0 to {HIGHEST_UNIT} are possible, {entry.unit} came"
        raise ContentInvalid("cut", (*path, "unit"), message)
    if entry.model not in models:
        message = f"unknown model '{entry.model}'{nearest(entry.model, models)}"
        raise ContentInvalid("cut", (*path, "model"), message)
    if entry.ratio.ct <= 0 or entry.ratio.pt <= 0:
        raise ContentInvalid("cut", (*path, "ratio"), "ct and pt must be above 0")
    for quantity, every_s in entry.every_s.items():
        if every_s < 0:
            message = f"0 (every cycle) or seconds are needed, {every_s} came"
            raise ContentInvalid("cut", (*path, "every_s", quantity), message)


def _check_quantities(entry: MeterEntry, meter: Meter, path: Path) -> None:
    known = [register.quantity for register in meter.model.registers]
    for key in ("every_s", "priority"):
        for quantity in getattr(entry, key):
            if quantity not in known:
                message = f"{entry.model} has no '{quantity}'{nearest(quantity, known)}"
                raise ContentInvalid("cut", (*path, key), message)
