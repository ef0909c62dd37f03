"""Names: what a rule may watch -> its unit, what a person calls it, and which meters can have it.

Evaluators give values under these names and no others; rules are checked against them. Quantities
that a meter reads by itself stand in `metering.quantity`.
"""

from collections.abc import Iterable

from msgspec import Struct

from metering.quantity import QUANTITIES

ELECTRICITY = ("01", "13")
_FLOWING = ("02", "03", "08", "09")


class Name(Struct, frozen=True, kw_only=True):
    """One name.

    Attributes:
        unit: as people write it; "1" for shares and ratios; empty where it is that of the meter's
            energy (kWh, m³, GJ).
        title: Chinese.
    """

    name: str
    unit: str
    title: str


class Derived(Name, frozen=True, kw_only=True):
    """A value made of a meter's own gauges at one instant.

    Attributes:
        needs: one of these sets of quantities has to be read, the first that is there is used.
        rated: one of the quantities read has to have a rated value in the fleet.
    """

    needs: tuple[frozenset[str], ...]
    rated: bool = False


class Measure(Name, frozen=True, kw_only=True):
    """A settled figure of a meter.

    Attributes:
        classes: the energy classes it is made for; None: all.
        mains: only of meters that others stand below.
        changes: it compares with another time: 0 is "as before", and a fall is below 0.
    """

    classes: tuple[str, ...] | None = None
    mains: bool = False
    changes: bool = False


class FigureName(Name, frozen=True, kw_only=True):
    """A figure of data quality by day; `of`: whose it is."""

    of: tuple[str, ...]


class Sign(Name, frozen=True, kw_only=True):
    """A sign of the centre ("system") or of a gateway's own state ("gateway")."""

    of: str


def _each(*names: str) -> tuple[frozenset[str], ...]:
    return tuple(frozenset({name}) for name in names)


_PHASE_VOLTAGES = frozenset({"voltage_l1_v", "voltage_l2_v", "voltage_l3_v"})
_LINE_VOLTAGES = frozenset({"voltage_l12_v", "voltage_l23_v", "voltage_l31_v"})
_CURRENTS = frozenset({"current_l1_a", "current_l2_a", "current_l3_a"})

DERIVED: dict[str, Derived] = {
    one.name: one
    for one in (
        Derived(
            name="voltage_deviation_pct",
            unit="%",
            title="电压偏差",  # of the phase or line that is furthest off its nominal voltage
            needs=(
                *(_LINE_VOLTAGES, _PHASE_VOLTAGES),
                *_each("voltage_l1_v", "voltage_l12_v", "voltage_avg_v"),
            ),
        ),
        Derived(
            name="voltage_unbalance_pct",
            unit="%",
            title="三相电压不平衡度",
            needs=(_LINE_VOLTAGES, _PHASE_VOLTAGES),
        ),
        Derived(
            name="current_unbalance_pct", unit="%", title="三相电流不平衡度", needs=(_CURRENTS,)
        ),
        Derived(
            name="load_share",
            unit="1",
            title="负载率",  # the greatest share of whatever of these has a rated value
            needs=_each(
                *("apparent_power_kva", "active_power_kw"),
                *("current_l1_a", "current_l2_a", "current_l3_a", "current_avg_a"),
            ),
            rated=True,
        ),
    )
}

# What most meters say themselves, and what is made of other gauges where one does not.
MADE: dict[str, tuple[frozenset[str], ...]] = {
    "apparent_power_kva": (frozenset({"active_power_kw", "reactive_power_kvar"}),),
    "power_factor": (
        frozenset({"active_power_kw", "apparent_power_kva"}),
        frozenset({"active_power_kw", "reactive_power_kvar"}),
    ),
}

MEASURES: dict[str, Measure] = {
    one.name: one
    for one in (
        Measure(name="demand_kw", unit="kW", title="15 分钟需量", classes=ELECTRICITY),
        Measure(name="day", unit="", title="日用量"),
        Measure(name="month", unit="", title="月用量"),
        # Mean power of 01:00-05:00.
        Measure(name="night_base", unit="kW", title="夜间基础负荷", classes=ELECTRICITY),
        # Mean of the night against mean of the day.
        Measure(name="night_to_day", unit="1", title="夜间与白天用能之比"),
        # A holiday against the mean of the workdays before it.
        Measure(name="holiday_to_workday", unit="1", title="节假日与工作日用能之比"),
        # The least hour's flow of 02:00-04:00.
        Measure(name="night_flow", unit="m³/h", title="夜间最小流量", classes=_FLOWING),
        # The same month of last year, day classes made equal: 0.15 is 15 % more.
        Measure(name="year_on_year", unit="1", title="同比", changes=True),
        # The month before, workdays and season made equal; unknown where that cannot be done.
        Measure(name="month_on_month", unit="1", title="环比", changes=True),
        # By how much the meters right below a main say more than it does, as a share of the main;
        # below 0 something is not measured below it, which is no error by itself.
        Measure(name="tree_deviation", unit="1", title="总分表偏差", mains=True),
    )
}

_ALL = ("meter", "building", "institution", "gateway")

FIGURES: dict[str, FigureName] = {
    one.name: one
    for one in (
        FigureName(name="completeness_share", unit="1", title="数据完整率", of=_ALL),
        FigureName(name="on_time_share", unit="1", title="数据及时率", of=_ALL),
        FigureName(name="measured_share", unit="1", title="实测占比", of=_ALL),
        FigureName(name="estimated_share", unit="1", title="估算占比", of=_ALL),
        FigureName(name="edited_share", unit="1", title="人工修正占比", of=_ALL),
        FigureName(name="missing_share", unit="1", title="缺失占比", of=_ALL),
        FigureName(
            name="daily_against_monthly_share", unit="1", title="日月累计偏差", of=("meter",)
        ),
        FigureName(name="main_against_sub_share", unit="1", title="总分表偏差", of=("meter",)),
    )
}

BUDGET_MEASURES: dict[str, Name] = {
    one.name: one
    for one in (
        Name(name="progress", unit="1", title="预算执行进度"),  # used / budget prorated to date
        Name(name="used", unit="1", title="预算已用比例"),  # used / the whole budget
        Name(name="forecast", unit="1", title="预计期末占预算"),  # forecast / the whole budget
    )
}

SIGNS: dict[str, Sign] = {
    one.name: one
    for one in (
        Sign(name="gateway_offline", unit="周期", title="网关离线", of="gateway"),
        Sign(name="spool_share", unit="1", title="网关缓存占用", of="gateway"),
        Sign(name="clock_offset_s", unit="s", title="网关时钟偏差", of="gateway"),
        Sign(name="store_away_s", unit="s", title="数据库不可用", of="system"),
        Sign(name="broker_away_s", unit="s", title="消息服务不可用", of="system"),
        Sign(name="delivery_failing_s", unit="s", title="告警发送失败", of="system"),
        Sign(name="jobs_failing", unit="个", title="后台任务失败", of="system"),
        Sign(name="dead_man_s", unit="s", title="监测中断", of="system"),
    )
}


def can_have(name: str, quantities: Iterable[str]) -> bool:
    """Whether a meter that reads `quantities` has this one, its own or derived."""
    read = frozenset(quantities)
    needs = DERIVED[name].needs if name in DERIVED else MADE.get(name, ())
    return name in read or any(needed <= read for needed in needs)


def unit_of(name: str) -> str:
    """The unit of a quantity, own or derived."""
    return DERIVED[name].unit if name in DERIVED else QUANTITIES[name].unit
