"""District: buildings -> a fleet, its readings in DuckDB, settled and verified; as the centre does.

Each building is an institution with one main meter that answers on the hour. Its register is the
sum of what was measured: where nothing was read, nothing is stored, and the register stands.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

import numpy as np
from msgspec import Struct

from benchmarks.back.measured import Building
from collector.adapters.duckdb import DuckDbReadingStore
from collector.adapters.duckdb_intervals import DuckDbIntervalStore
from collector.adapters.sql import SqlSmallState
from collector.alerting.backtest import Parts as BacktestParts
from collector.alerting.budgets.budget import Budget, period_days
from collector.alerting.hours import Hours
from collector.alerting.rule import Rule
from collector.alerting.settled import SettledRules
from collector.arrivals import Arrivals
from collector.fleet.codes import local_day
from collector.fleet.index import (
    BuildingEntry,
    Direction,
    Fleet,
    GatewayEntry,
    InstitutionEntry,
    MeterEntry,
)
from collector.fleet.seasons import HEATING_FILE, TERMS_FILE, load_season
from collector.intervals import IntervalStore
from collector.marks import DirtyMarks
from collector.playback import BelievedRows
from collector.settle.cells import DAY_MS, HOUR_MS, Width
from collector.settle.day_class import Calendar
from collector.settle.series import PER_UNIT
from collector.settlement.service import Parts, Settlement
from collector.store import ReadingStore, Row
from collector.validate import tags_of
from collector.verification import Parts as VerificationParts
from collector.verification import Verification

COUNTER = "energy_import_kwh"
_ROWS = 20_000
_DISTRICT = "120101"
_KNOWN_DAYS = 330  # of a year, before the next year's budget is what was used in it
_DIGITS = 3  # of a register
_WEEKDAYS = Calendar(years=frozenset(), days={})  # whose holidays these are nobody says

Tell = Callable[[str, int, int], None]


class Then:
    """A clock that stands."""

    def __init__(self, now_ms: int) -> None:
        self._now_ms = now_ms

    def now_ms(self) -> int:
        return self._now_ms

    def monotonic_ms(self) -> int:
        return 0

    def real_s(self, wall_ms: int) -> float:
        return wall_ms / 1000


class District(Struct, frozen=True, kw_only=True):
    """Settled and verified."""

    fleet: Fleet
    store: ReadingStore
    intervals: IntervalStore
    hours: Hours
    clock: Then

    def parts(self, budgets: Sequence[Budget]) -> BacktestParts:
        def settled(rules: tuple[Rule, ...]) -> SettledRules:
            return SettledRules(rules, self.intervals, self.fleet, self.hours, budgets)

        return BacktestParts(
            fleet=self.fleet,
            hours=self.hours,
            settled=settled,
            rows=lambda: BelievedRows(self.store, self.fleet, self.clock.now_ms()),
        )

    def budgets(self) -> list[Budget]:
        """What each institution used in a year is its budget for the next one."""
        found = []
        for institution in sorted(self.fleet.institutions):
            for rows in self.intervals.intervals([institution], Width.DAY, 0, 1 << 60, [COUNTER]):
                by_year: dict[int, list[int]] = {}
                cells = rows.cells
                known = cells.start_ms[cells.known], cells.value[cells.known]
                for at, value in zip(*(column.tolist() for column in known), strict=True):
                    by_year.setdefault(local_day(at).year, []).append(value)
                for year, values in by_year.items():
                    if len(values) >= _KNOWN_DAYS and sum(values) > 0:
                        found.append(_budget(institution, str(year + 1), sum(values) / PER_UNIT))
        return found


def _budget(institution: str, period: str, amount: float) -> Budget:
    first, last = period_days(period)
    return Budget(
        institution=institution,
        energy="01",
        period=period,
        first=first,
        last=last,
        amount=amount,
        unit="kWh",
        source="what was used in the year before",
    )


@contextmanager
def district(
    buildings: Sequence[Building], config: Path, folder: Path, tell: Tell
) -> Iterator[District]:
    """Play buildings through the store, settlement and the daily verification."""
    fleet = _fleet(buildings)
    clock = Then(max(one.last_ms for one in buildings) + DAY_MS)
    with (
        closing(DuckDbReadingStore(folder / "readings.duckdb")) as store,
        closing(SqlSmallState(f"sqlite:///{folder / 'state.sqlite'}")) as state,
    ):
        intervals = DuckDbIntervalStore(store.file)
        for place, building in enumerate(buildings):
            tell("readings", place, len(buildings))
            _write(store, fleet, building)
            days = range(building.first_ms, building.last_ms, DAY_MS)
            state.dirty_book.mark_dirty([(building.name, day) for day in days])
        settlement = Settlement(
            Parts(
                store=store,
                intervals=intervals,
                dirty=state.dirty_book,
                marks=DirtyMarks(),
                entries=state.entry_book,
                epochs=state.epoch_book,
                fleet=fleet,
                clock=clock,
                classify=_WEEKDAYS.classify,
            )
        )
        for place, building in enumerate(buildings):
            tell("settlement", place, len(buildings))
            settlement.settle_dirty(meters=[building.name])
        verification = Verification(
            VerificationParts(
                store=store,
                intervals=intervals,
                entries=state.entry_book,
                epochs=state.epoch_book,
                findings=state.finding_book,
                fleet=fleet,
                arrivals=Arrivals(),
                clock=clock,
            )
        )
        days = {day for one in buildings for day in range(one.first_ms, one.last_ms, DAY_MS)}
        for place, day_ms in enumerate(sorted(days)):
            tell("verification", place, len(days))
            verification.verify_day(day_ms)
        hours = Hours(
            _WEEKDAYS.classify,
            heating=load_season(config / HEATING_FILE),
            terms=load_season(config / TERMS_FILE),
        )
        yield District(fleet=fleet, store=store, intervals=intervals, hours=hours, clock=clock)


def _write(store: ReadingStore, fleet: Fleet, building: Building) -> None:
    """A register read on the hour: what an hour took is in it at the hour's end."""
    tags = tags_of(fleet.meters[building.name][0])
    known = np.flatnonzero(~np.isnan(building.energy))
    register = np.round(np.cumsum(np.nan_to_num(building.energy)), _DIGITS)
    rows = [
        Row(
            meter=building.name,
            at_ms=building.first_ms + (hour + 1) * HOUR_MS,
            values={COUNTER: 10_000.0 + float(register[hour])},
            tags=tags,
        )
        for hour in known.tolist()
    ]
    for first in range(0, len(rows), _ROWS):
        store.write(rows[first : first + _ROWS])


def _fleet(buildings: Sequence[Building]) -> Fleet:
    return Fleet(
        stores={_DISTRICT: "back-1"},
        institutions={
            one.name: InstitutionEntry(
                id=one.name,
                name=one.name,
                sector=one.sector,
                district=_DISTRICT,
                buildings=(one.name,),
            )
            for one in buildings
        },
        buildings={
            one.name: BuildingEntry(
                id=one.name, institution=one.name, code="", area_m2=1.0, built=None
            )
            for one in buildings
        },
        gateways={
            one.name: GatewayEntry(
                id=one.name,
                district=_DISTRICT,
                building=one.name,
                institution=one.name,
                meters=(one.name,),
                digest="",
            )
            for one in buildings
        },
        meters={one.name: (_entry(one),) for one in buildings},
        virtual_meters={},
    )


def _entry(building: Building) -> MeterEntry:
    return MeterEntry(
        meter=building.name,
        gateway=building.name,
        district=_DISTRICT,
        institution=building.name,
        sector=building.sector,
        building=building.name,
        circuit="总进线",
        energy="01000",
        parent=None,
        model="back",
        direction=Direction.IMPORT,
        limits={},
        rated={},
        cycle_s=3600,
        valid_from_ms=building.first_ms,
        valid_to_ms=building.last_ms,
        quantities=frozenset({COUNTER}),
    )
