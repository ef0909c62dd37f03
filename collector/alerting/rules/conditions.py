"""Conditions: what a rule watches, as a person writes it, and each level of it compiled.

The keys are those of `collector.alerting.rule`; the number that a level gives is put in here.
"""

from typing import ClassVar, Literal

from collector.alerting.names import FIGURES, MEASURES
from collector.alerting.rule import (
    Above,
    Below,
    Budget,
    Condition,
    Consumed,
    Outside,
    Quality,
    Rate,
    Silent,
    System,
)
from collector.alerting.rules.duration import Duration
from collector.alerting.rules.levels import Count, LevelSpec, NotNegative
from collector.alerting.rules.words import (
    BudgetMeasure,
    Figure,
    MeasureName,
    OwnGauge,
    SignName,
    WatchedQuantity,
)
from documents.strict import Strict

_DIGITS = 9  # behind the point: as a person reckons, 1.1 less 0.1 is 1


class ConditionSpec(Strict):
    """One of the nine.

    Attributes:
        forms: the numbers that a level may give; one of them it must.
        by_day: it is judged when a day is settled, so that minutes mean nothing to it.
    """

    forms: ClassVar[tuple[str, ...]] = ("limit",)
    by_day: ClassVar[bool] = False

    @property
    def is_below(self) -> bool:
        """Whether what is watched is met by small values."""
        return False

    @property
    def is_share(self) -> bool:
        """Whether limits are shares of 1."""
        return False

    @property
    def is_signed(self) -> bool:
        """Whether a limit may be below 0."""
        return False

    def row(self, level: LevelSpec) -> int | None:
        """How many days in a row a level must be met; None where days are not counted."""
        del level
        return None

    def compiled(self, level: LevelSpec) -> Condition:
        """The condition of one level, which gives a number of `forms`."""
        raise NotImplementedError


class AboveSpec(ConditionSpec):
    """A reading above a limit; clear again `hysteresis` further down."""

    back: ClassVar[int] = -1  # which way it is clear

    quantity: WatchedQuantity
    hysteresis: NotNegative | None = None
    share_of_rated: bool = False

    @property
    def is_share(self) -> bool:
        return self.share_of_rated or self.quantity == "load_share"

    @property
    def is_signed(self) -> bool:
        return True

    def resolves(self, level: LevelSpec) -> float:
        """Where a level is clear again."""
        if level.resolves is not None:
            return level.resolves
        return round(_limit(level) + self.back * (self.hysteresis or 0.0), _DIGITS)

    def compiled(self, level: LevelSpec) -> Condition:
        return Above(
            quantity=self.quantity,
            limit=_limit(level),
            resolves=self.resolves(level),
            share_of_rated=self.share_of_rated,
        )


class BelowSpec(AboveSpec):
    """A reading below a limit; clear again `hysteresis` further up."""

    back: ClassVar[int] = 1

    @property
    def is_below(self) -> bool:
        return True

    def compiled(self, level: LevelSpec) -> Condition:
        return Below(
            quantity=self.quantity,
            limit=_limit(level),
            resolves=self.resolves(level),
            share_of_rated=self.share_of_rated,
        )


class OutsideSpec(ConditionSpec):
    """A reading outside of a band; clear again `hysteresis` inside of it."""

    forms: ClassVar[tuple[str, ...]] = ("band",)

    quantity: WatchedQuantity
    hysteresis: NotNegative

    def compiled(self, level: LevelSpec) -> Condition:
        assert level.band is not None
        low, high = level.band
        return Outside(quantity=self.quantity, low=low, high=high, margin=self.hysteresis)


class RateSpec(ConditionSpec):
    """A gauge that moves by more than the limit within a time."""

    quantity: OwnGauge
    within: Duration

    def compiled(self, level: LevelSpec) -> Condition:
        return Rate(quantity=self.quantity, limit=_limit(level), within_ms=self.within)


class SilentSpec(ConditionSpec):
    """Nothing heard for so many cycles (the limit), and so long."""

    of: Literal["meter", "gateway"]
    at_least: Duration

    def compiled(self, level: LevelSpec) -> Condition:
        return Silent(of=self.of, cycles=_limit(level), at_least_ms=self.at_least)


class ConsumedSpec(ConditionSpec):
    """A settled figure above the limit, or above so many times its own baseline."""

    forms: ClassVar[tuple[str, ...]] = ("limit", "times")
    by_day: ClassVar[bool] = True

    measure: MeasureName
    baseline_days: Count = 28
    least: NotNegative = 0.0
    falls: bool = False
    in_a_row: Count = 1

    @property
    def is_below(self) -> bool:
        return self.falls

    @property
    def is_share(self) -> bool:
        return MEASURES[self.measure].unit == "1"

    @property
    def is_signed(self) -> bool:
        return MEASURES[self.measure].changes

    def row(self, level: LevelSpec) -> int:
        return level.in_a_row or self.in_a_row

    def compiled(self, level: LevelSpec) -> Condition:
        return Consumed(
            measure=self.measure,
            limit=level.limit,
            times=level.times,
            baseline_days=self.baseline_days,
            least=self.least,
            falls=self.falls,
            in_a_row=self.row(level),
        )


class QualitySpec(ConditionSpec):
    """A figure of data quality of a day."""

    by_day: ClassVar[bool] = True

    of: Literal["meter", "building", "institution", "gateway"]
    figure: Figure
    falls: bool = False
    in_a_row: Count = 1

    @property
    def is_below(self) -> bool:
        return self.falls

    @property
    def is_share(self) -> bool:
        return FIGURES[self.figure].unit == "1"

    def row(self, level: LevelSpec) -> int:
        return level.in_a_row or self.in_a_row

    def compiled(self, level: LevelSpec) -> Condition:
        return Quality(
            of=self.of,
            figure=self.figure,
            limit=_limit(level),
            falls=self.falls,
            in_a_row=self.row(level),
        )


class BudgetSpec(ConditionSpec):
    """A share of an institution's budget."""

    by_day: ClassVar[bool] = True

    measure: BudgetMeasure

    @property
    def is_share(self) -> bool:
        return True

    def compiled(self, level: LevelSpec) -> Condition:
        return Budget(measure=self.measure, limit=_limit(level))


class SystemSpec(ConditionSpec):
    """A sign of the centre, or of a gateway's own state."""

    sign: SignName

    def compiled(self, level: LevelSpec) -> Condition:
        return System(sign=self.sign, limit=_limit(level))


class ConditionKeys(Strict):
    """The nine keys, of which a rule has one."""

    above: AboveSpec | None = None
    below: BelowSpec | None = None
    outside: OutsideSpec | None = None
    rate: RateSpec | None = None
    silent: SilentSpec | None = None
    consumed: ConsumedSpec | None = None
    quality: QualitySpec | None = None
    budget: BudgetSpec | None = None
    system: SystemSpec | None = None

    def conditions(self) -> dict[str, ConditionSpec]:
        """Those that are given, by key."""
        given = {key: getattr(self, key) for key in CONDITIONS}
        return {key: spec for key, spec in given.items() if spec is not None}

    def condition(self) -> tuple[str, ConditionSpec]:
        """The one that is given, with its key."""
        return next(iter(self.conditions().items()))


CONDITIONS = tuple(ConditionKeys.model_fields)


def _limit(level: LevelSpec) -> float:
    assert level.limit is not None  # the file's checks have seen to it
    return level.limit
