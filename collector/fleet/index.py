"""Fleet: what we expect to measure, compiled -> the entry of a meter at an instant.

Everything here is frozen and checked when it was made (`collector.fleet.compile`); the hot path
looks up, it does not judge.
"""

from enum import StrEnum

from msgspec import Struct

_OF_ONE = frozenset({"voltage_l1_v", "voltage_avg_v"})
_OF_THREE = frozenset(
    {"voltage_l2_v", "voltage_l3_v", "voltage_l12_v", "voltage_l23_v", "voltage_l31_v"}
)


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
        steps: the smallest step of what the model's registers say by quantity, in its unit with
            the ratio in it, as far as it is known.
        ranges: what gate 1 takes by quantity, inclusive, where that is narrower than the
            quantity's own range: the model's registers and, where the fleet does not say
            otherwise, the sector's defaults (`config/limits.yaml`).
        quantities: what the model reads of this meter, its options and its direction applied; empty
            where the model is not known.
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
    steps: dict[str, float] = {}
    ranges: dict[str, tuple[float, float]] = {}
    quantities: frozenset[str] = frozenset()

    @property
    def phases(self) -> int | None:
        """1 or 3: of how many phases the meter tells; None where it tells of no voltage."""
        if not self.quantities.isdisjoint(_OF_THREE):
            return 3
        return None if self.quantities.isdisjoint(_OF_ONE) else 1


class Tolerances(Struct, frozen=True, kw_only=True):
    """How far values of one meter may disagree before they are suspect.

    What stands here holds where `config/limits.yaml` says nothing; all of it is a default of ours,
    but for the two limits of the increment.

    Attributes:
        hard_limit: of the rated power, what a counter's increment may come to (二次验证), and what
            a power may jump by.
        soft_limit: of the rated power, what an increment may come to before it is marked.
        refresh_electricity_s, refresh_other_s: how old a register may be when it is read: meters
            bring their totals up to date at intervals of their own.
        sum_share, sum_rated: what Σ phases and the total may differ by, as a share of the larger
            and, on top, of the rated power. They are not always read in one request.
        triangle_share, triangle_rated: the same for V·I·PF against P.
        ahead_s: how far ahead of the collector's clock a reading may be.
        frozen_s: how long power and counter may stand still, while that power had to be counted.
        readings: in a row that agree with each other, until they are believed against the last.
        jumps: the most by which a gauge may move between two readings, in its unit, by quantity,
            and within how many seconds.
    """

    hard_limit: float = 2.0
    soft_limit: float = 1.0
    refresh_electricity_s: float = 15.0
    refresh_other_s: float = 300.0
    sum_share: float = 0.1
    sum_rated: float = 0.02
    triangle_share: float = 0.1
    triangle_rated: float = 0.02
    ahead_s: float = 60.0
    frozen_s: float = 900.0
    readings: int = 3
    jumps: dict[str, tuple[float, float]] = {}


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
        tolerances: how far values may disagree before they are suspect.
    """

    stores: dict[str, str]
    institutions: dict[str, InstitutionEntry]
    buildings: dict[str, BuildingEntry]
    gateways: dict[str, GatewayEntry]
    meters: dict[str, tuple[MeterEntry, ...]]
    virtual_meters: dict[str, VirtualMeter]
    tolerances: Tolerances = Tolerances()

    def entry(self, meter: str, at_ms: int) -> MeterEntry | None:
        """The entry in force at `at_ms`; `None` if the meter is unknown, not yet or no longer."""
        for entry in reversed(self.meters.get(meter, ())):
            if entry.valid_from_ms <= at_ms:
                ended = entry.valid_to_ms is not None and entry.valid_to_ms <= at_ms
                return None if ended else entry
        return None
