"""Fleet: what we expect to measure, compiled -> the entry of a meter at an instant.

Everything here is frozen and checked when it was made (`collector.fleet.compile`); the hot path
looks up, it does not judge.
"""

from enum import StrEnum

from msgspec import Struct


class Sector(StrEnum):
    """Which authority an institution answers to."""

    HOSPITAL = "hospital"  # 卫健委
    SCHOOL = "school"  # 教育局
    GOVERNMENT = "government"  # 机关事务局


class Direction(StrEnum):
    """Which way a meter's energy normally flows, seen from the building."""

    IMPORT = "import"
    EXPORT = "export"  # generation, e.g. PV


class MeterEntry(Struct, frozen=True, kw_only=True):
    """What holds for one meter from `valid_from_ms` on, until `valid_to_ms` or for good.

    Attributes:
        energy: the five-character energy data code; the class is its first two digits.
        parent: the meter upstream of this one, if any.
        limits: lowest and highest plausible value by quantity, inclusive, in its unit; only what
            the fleet says, not the model's or the quantity's own range.
        rated: the largest value the circuit can carry by quantity, in its unit.
        cycle_s: how often the meter is polled.
        multiplier: the transformer ratio that the gateway multiplied into the readings; 1 if the
            meter does it itself.
        rolls_over_at: where a counter returns to zero by quantity, in its unit with the ratio in
            it, as far as it is known.
        valid_from_ms: epoch ms, the first instant that counts; `valid_to_ms` is the first that no
            longer does.
    """

    meter: str
    gateway: str
    district: str
    institution: str
    sector: Sector
    building: str
    circuit: str
    energy: str
    parent: str | None
    model: str
    direction: Direction
    limits: dict[str, tuple[float, float]]
    rated: dict[str, float]
    cycle_s: int
    valid_from_ms: int
    valid_to_ms: int | None
    multiplier: float = 1.0
    rolls_over_at: dict[str, float] = {}


class GatewayEntry(Struct, frozen=True, kw_only=True):
    """One gateway; `digest` is that of the cut it should be running on."""

    id: str
    district: str
    building: str
    institution: str
    meters: tuple[str, ...]
    digest: str


class BuildingEntry(Struct, frozen=True, kw_only=True):
    """One building; `built` is the year, if known, `code` the ten-character building code."""

    id: str
    institution: str
    code: str
    area_m2: float
    built: int | None


class InstitutionEntry(Struct, frozen=True, kw_only=True):
    """One 用能单位 and its buildings, in the order of the document."""

    id: str
    name: str
    sector: Sector
    district: str
    buildings: tuple[str, ...]


class VirtualMeter(Struct, frozen=True, kw_only=True):
    """A signed sum of meters, none of them virtual: `parts` are (meter, factor)."""

    id: str
    energy: str
    circuit: str
    parts: tuple[tuple[str, float], ...]


class Fleet(Struct, frozen=True, kw_only=True):
    """All institutions, buildings, gateways and meters that one collector expects, by id.

    Attributes:
        stores: the store id by district id.
        meters: at least one entry each, ordered by `valid_from_ms`.
    """

    stores: dict[str, str]
    institutions: dict[str, InstitutionEntry]
    buildings: dict[str, BuildingEntry]
    gateways: dict[str, GatewayEntry]
    meters: dict[str, tuple[MeterEntry, ...]]
    virtual_meters: dict[str, VirtualMeter]

    def entry(self, meter: str, at_ms: int) -> MeterEntry | None:
        """The entry in force at `at_ms`; `None` if the meter is unknown, not yet or no longer."""
        for entry in reversed(self.meters.get(meter, ())):
            if entry.valid_from_ms <= at_ms:
                ended = entry.valid_to_ms is not None and entry.valid_to_ms <= at_ms
                return None if ended else entry
        return None
