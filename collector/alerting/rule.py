"""Rule: what is watched, where, when, from which value on, and how bad it is. Compiled and frozen.

`collector.alerting.rules` reads them from `config/rules/*.yaml`; evaluators look at the condition
alone, the life cycle at the rest.
"""

from msgspec import Struct

from collector.alerting.severity import Severity
from collector.fleet.index import MeterEntry, Sector
from collector.settle.day_class import DayClass


class Scope(Struct, frozen=True, kw_only=True):
    """Which meters, and what stands above them. None: all.

    Attributes:
        energies: beginnings of energy codes: "01" all electricity, "01B" air conditioning.
        exempt: sectors that the rule never concerns (hospitals, where a standard exempts them).
        mains_only: meters without a parent.
        phases: meters that tell of so many phases: 1 or 3.
    """

    districts: frozenset[str] | None = None
    sectors: frozenset[Sector] | None = None
    exempt: frozenset[Sector] = frozenset()
    institutions: frozenset[str] | None = None
    buildings: frozenset[str] | None = None
    gateways: frozenset[str] | None = None
    meters: frozenset[str] | None = None
    energies: tuple[str, ...] | None = None
    mains_only: bool = False
    phases: int | None = None

    def holds(self, entry: MeterEntry) -> bool:
        """Whether a meter lies within."""
        return (
            _in(self.districts, entry.district)
            and _in(self.sectors, entry.sector)
            and entry.sector not in self.exempt
            and _in(self.institutions, entry.institution)
            and _in(self.buildings, entry.building)
            and _in(self.gateways, entry.gateway)
            and _in(self.meters, entry.meter)
            and (self.energies is None or entry.energy.startswith(self.energies))
            and not (self.mains_only and entry.parent is not None)
            and (self.phases is None or entry.phases == self.phases)
        )


def _in(wanted: frozenset[str] | None, name: str) -> bool:
    return wanted is None or name in wanted


class When(Struct, frozen=True, kw_only=True):
    """In which hours of which days a rule looks; outside of them it is as if nothing was read.

    Attributes:
        days: classes of days; None: every day. 调休 workdays are workdays.
        from_min, to_min: minutes of the day in Shanghai, half-open; from above to: over midnight.
            The hours after midnight belong to the day on which the window opened.
        heating: only in (True) or out of (False) the heating season.
        term: only in (True) or out of (False) the school term; concerns schools alone.
    """

    days: frozenset[DayClass] | None = None
    from_min: int = 0
    to_min: int = 1440
    heating: bool | None = None
    term: bool | None = None


class Above(Struct, frozen=True, kw_only=True, tag="above"):
    """A reading above a limit, until it is at or below `resolves`.

    Attributes:
        quantity: a gauge of the meter, or one derived from its gauges
            (`collector.alerting.derived`).
        share_of_rated: limit and resolves are shares of the circuit's rated value.
    """

    quantity: str
    limit: float
    resolves: float
    share_of_rated: bool = False


class Below(Struct, frozen=True, kw_only=True, tag="below"):
    """A reading below a limit, until it is at or above `resolves`."""

    quantity: str
    limit: float
    resolves: float
    share_of_rated: bool = False


class Outside(Struct, frozen=True, kw_only=True, tag="outside"):
    """A reading outside of a band, until it is `margin` inside of it."""

    quantity: str
    low: float
    high: float
    margin: float = 0.0


class Rate(Struct, frozen=True, kw_only=True, tag="rate"):
    """A gauge that moves by more than `limit` (its unit) within `within_ms`, up or down."""

    quantity: str
    limit: float
    within_ms: int


class Silent(Struct, frozen=True, kw_only=True, tag="silent"):
    """A meter, or a gateway, of which nothing is heard for so many of its cycles, and so long."""

    of: str  # "meter" or "gateway"
    cycles: float
    at_least_ms: int


class Consumed(Struct, frozen=True, kw_only=True, tag="consumed"):
    """A settled figure of a meter above a limit, or above `times` its own baseline.

    Attributes:
        measure: a name of `collector.alerting.measures`: demand_kw, day, month, night_base,
            night_to_day, holiday_to_workday, night_flow, year_on_year, month_on_month,
            tree_deviation.
        limit: in the measure's unit; None: only the baseline decides.
        times: of the baseline (median of `baseline_days`); None: only the limit decides.
        least: below that, in the measure's unit, nothing is ever said.
        falls: the other way round: below the limit.
        in_a_row: days (nights, months) that it must hold before it counts.
    """

    measure: str
    limit: float | None = None
    times: float | None = None
    baseline_days: int = 28
    least: float = 0.0
    falls: bool = False
    in_a_row: int = 1


class Quality(Struct, frozen=True, kw_only=True, tag="quality"):
    """A figure of data quality (`completeness_share`, …) beyond a limit, by day.

    Attributes:
        of: "meter", "building", "institution" or "gateway".
    """

    of: str
    figure: str
    limit: float
    falls: bool = False
    in_a_row: int = 1


class Budget(Struct, frozen=True, kw_only=True, tag="budget"):
    """Share of an institution's budget: used against prorated, or forecast at completion.

    Attributes:
        measure: "progress" (used to date / budget prorated to date), "used" (used / whole budget)
            or "forecast" (expected at the period's end / whole budget).
    """

    measure: str
    limit: float


class System(Struct, frozen=True, kw_only=True, tag="system"):
    """A sign of the centre or of a gateway's own state beyond a limit.

    Attributes:
        sign: a name of `collector.alerting.signs`: gateway_offline, spool_share, clock_offset_s,
            store_away_s, broker_away_s, delivery_failing_s, jobs_failing, dead_man_s, …
    """

    sign: str
    limit: float


Condition = Above | Below | Outside | Rate | Silent | Consumed | Quality | Budget | System


class Rule(Struct, frozen=True, kw_only=True):
    """One rule.

    Attributes:
        id: small letters, digits and '-'; never given to another rule later.
        title: Chinese, what is wrong, without the subject: "三相电压不平衡".
        for_ms: how long the condition must hold, in time of readings, before the alert fires.
        keep_ms: how long it must be clear before the alert resolves (damps flapping).
        advice: Chinese, what to check first; may be several lines.
        source: where the numbers come from, or "engineering default".
        version: digest of what the rule says; an alert keeps the one it was judged by.
        page: whether it may wake somebody in quiet hours whatever its colour.
        group: levels of one matter share it: the id that the file gives; empty: the rule's own id.
    """

    id: str
    title: str
    severity: Severity
    condition: Condition
    scope: Scope = Scope()
    when: When = When()
    for_ms: int = 0
    keep_ms: int = 0
    advice: str = ""
    source: str = "engineering default"
    version: str = ""
    page: bool = False
    group: str = ""
