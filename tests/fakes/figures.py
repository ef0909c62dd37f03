"""Settled figures without a settlement: meters whose days and hours a test writes as it likes."""

from collections.abc import Sequence
from datetime import date
from typing import Any

import numpy as np
from msgspec import structs

from collector.alerting.hours import Hours
from collector.alerting.observation import Observation, Verdict
from collector.alerting.rule import Consumed, Rule
from collector.alerting.settled import SettledRules
from collector.alerting.severity import Severity
from collector.fleet.codes import midnight_ms
from collector.fleet.index import Fleet, InstitutionEntry, MeterEntry, Sector
from collector.fleet.seasons import Season
from collector.intervals import Figure, Intervals, Subject
from collector.settle.cells import DAY_MS, HOUR_MS, Cells, Width
from collector.settle.day_class import Calendar, DayClass
from collector.settle.series import PER_UNIT
from collector.validate import tags_of
from tests.fakes.intervals import FakeIntervalStore
from tests.fakes.settling import meter

ENERGY = "energy_import_kwh"
NEVER = Season(outside=(((1, 1), (12, 31)),))


def day(text: str) -> int:
    """The start of a day in Shanghai."""
    return midnight_ms(date.fromisoformat(text))


def consumed(measure: str, *, rule: str = "r", **changed: Any) -> Rule:
    """A rule on a measure; what is no field of the condition is one of the rule."""
    names = Consumed.__struct_fields__
    condition = Consumed(measure=measure, **{k: v for k, v in changed.items() if k in names})
    plain = Rule(
        id=rule, title="用能异常", severity=Severity.YELLOW, condition=condition, group=rule
    )
    return structs.replace(plain, **{k: v for k, v in changed.items() if k not in names})


def calendar(**days: DayClass) -> Calendar:
    """Weekdays, but for these: `_2026_02_17=DayClass.HOLIDAY`."""
    return Calendar(
        years=frozenset(),
        days={date.fromisoformat(name[1:].replace("_", "-")): is_ for name, is_ in days.items()},
    )


class Town:
    """Meters of institutions, and what was settled of them."""

    def __init__(
        self,
        *entries: MeterEntry,
        days: Calendar | None = None,
        heating: Season = NEVER,
        terms: Season | None = None,
    ) -> None:
        meters = entries or (meter("m1", sector=Sector.GOVERNMENT),)
        self.fleet = Fleet(
            stores={"120101": "heping-1"},
            institutions={
                entry.institution: InstitutionEntry(
                    id=entry.institution,
                    name=entry.institution,
                    sector=entry.sector,
                    district=entry.district,
                    buildings=(),
                )
                for entry in meters
            },
            buildings={},
            gateways={},
            meters={entry.meter: (entry,) for entry in meters},
            virtual_meters={},
        )
        self.store = FakeIntervalStore()
        self.hours = Hours((days or calendar()).classify, heating=heating, terms=terms)

    def put_days(
        self,
        first: str,
        values: Sequence[float | None],
        name: str = "m1",
        *,
        quantity: str = ENERGY,
        measured: float = 1.0,
        missing: float = 0.0,
    ) -> None:
        """Days in a row; None: missing. What is neither measured nor missing is estimated."""
        self._put(name, quantity, Width.DAY, day(first), values, (measured - missing, missing))

    def put_hours(
        self,
        first: str,
        values: Sequence[float | None],
        name: str = "m1",
        *,
        quantity: str = ENERGY,
    ) -> None:
        """Hours in a row from midnight on."""
        self._put(name, quantity, Width.HOUR, day(first), values, (1.0, 0.0))

    def put_quarters(self, first: str, values: Sequence[float | None], name: str = "m1") -> None:
        self._put(name, ENERGY, Width.QUARTER, day(first), values, (1.0, 0.0))

    def put_nights(self, first: str, powers: Sequence[float | None], name: str = "m1") -> None:
        """Days of 24 hours: that power from 01:00 to 05:00, and 100 kWh in every other hour."""
        values: list[float | None] = []
        for power in powers:
            values += [power if 1 <= hour < 5 else 100.0 for hour in range(24)]
        self.put_hours(first, values, name)

    def put_figure(
        self, first: str, values: Sequence[float | None], figure: str, name: str = "m1"
    ) -> None:
        self.store.write_figures(
            [
                Figure(
                    subject=Subject.METER,
                    id=name,
                    day_ms=day(first) + place * DAY_MS,
                    name=figure,
                    value=value,
                )
                for place, value in enumerate(values)
                if value is not None
            ]
        )

    def _put(
        self,
        name: str,
        quantity: str,
        width: Width,
        first_ms: int,
        values: Sequence[float | None],
        shares: tuple[float, float],
    ) -> None:
        measured, missing = shares
        step = {Width.DAY: DAY_MS, Width.HOUR: HOUR_MS, Width.QUARTER: HOUR_MS // 4}[width]
        known = np.array([value is not None for value in values])
        count = len(values)
        cells = Cells(
            start_ms=first_ms + np.arange(count, dtype=np.int64) * step,
            value=np.array([round((value or 0.0) * PER_UNIT) for value in values], np.int64),
            known=known,
            measured=np.where(known, measured, 0.0),
            estimated=np.where(known, 1.0 - measured - missing, 0.0),
            edited=np.zeros(count),
            missing=np.where(known, missing, 1.0),
            rules=np.zeros(count, np.int64),
        )
        rows = Intervals(
            meter=name,
            quantity=quantity,
            width=width,
            cells=cells,
            version=np.ones(count, np.int64),
        )
        self.store.write_intervals(tags_of(self.fleet.meters[name][-1]), [rows])

    def rules(self, *rules: Rule, budgets: Sequence[Any] = ()) -> SettledRules:
        return SettledRules(rules, self.store, self.fleet, self.hours, budgets)


def verdicts(seen: Sequence[Observation]) -> list[str]:
    """M met, c clear, b between."""
    letters = {Verdict.MET: "M", Verdict.CLEAR: "c", Verdict.BETWEEN: "b"}
    return [letters[one.verdict] for one in seen]
