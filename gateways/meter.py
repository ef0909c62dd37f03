"""Meter: a bus entry of a gateway's cut and the models -> meters, compiled and ready to be read."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from msgspec import Struct

from gateways.decode import Decoder
from gateways.model import MeterModel
from gateways.model_file import read_model
from gateways.plan import Block, plan_blocks
from gateways.strict import ContentInvalid, Path, convert, nearest
from gateways.wiring import Direction, Ratio, Wiring

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
        describe: what the fleet says about it beyond reading it; the simulator lives on that.
    """

    id: str
    model: str
    unit: int
    ratio: Ratio = Ratio()
    direction: Direction = Direction.IMPORT
    options: dict[str, str] = {}
    describe: dict[str, Any] = {}  # the fleet's own shape, not read here


class BusEntry(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A bus in a gateway's cut.

    Attributes:
        url: see `gateways.bus_url`.
        cycle_s: how often its meters are read.
        start_offset_s: how long after the full cycle they are.
    """

    url: str
    meters: tuple[MeterEntry, ...]
    cycle_s: int = 60
    start_offset_s: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Meter:
    """One physical device with one unit id on one bus, with the plan to read it.

    Attributes:
        blocks: the reads of one poll, in order.
        decoder: turns their words into values.
        wiring: its ratio and direction.
    """

    id: str
    unit: int
    model: MeterModel
    wiring: Wiring
    blocks: tuple[Block, ...]
    decoder: Decoder


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
    return tuple(build_meter(entry, models[entry.model]) for entry in bus.meters)


def build_meter(entry: MeterEntry, content: Mapping[str, Any]) -> Meter:
    """One meter from its entry and the content of its model."""
    model = read_model(entry.model, content, entry.options)
    # A device that counts what it gives is no meter turned round: its model already says so.
    direction = Direction.IMPORT if model.generator else entry.direction
    wiring = Wiring(ratio=entry.ratio, direction=direction)
    blocks = plan_blocks(model.registers, model.limits, model.fill)
    return Meter(
        id=entry.id,
        unit=entry.unit,
        model=model,
        wiring=wiring,
        blocks=blocks,
        decoder=Decoder(model.registers, blocks, wiring),
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
