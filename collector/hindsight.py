"""Hindsight: readings that came too late to wake anybody -> alerts for the record.

Looks at the store, where they are in order of time however they came, and at no value that live
alerts would not have seen. What is in the record already is not told again.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence

from msgspec import Struct

from collector.alerting.alert import Alert
from collector.alerting.evaluate.look import Looker, Watching
from collector.alerting.evaluate.readings import Late, Readings, Span
from collector.alerting.log import AlertLog
from collector.alerting.observation import Observation
from collector.alerting.service import Alerting
from collector.alerting.subject import Subject, SubjectKind
from collector.fleet.index import Fleet
from collector.settlement.service import Progress
from collector.store import Level, ReadingStore, Rejection, Row
from collector.suspect import Suspects
from collector.validate import tags_of
from metering.clock import Clock

QUIET_MS = 120_000  # by the clock: a backlog that reaches back no further is in
_BEFORE_MS = 3_600_000  # what came before tells whether something held already
_SLICE_MS = 21_600_000  # of one meter: nobody else judges meanwhile
_COUNTED = frozenset({"energy_import_kwh", "energy_export_kwh"})  # tell a power that stands still


class Parts(Struct, frozen=True, kw_only=True):
    """What it works with.

    Attributes:
        looker: a new one, without a course, for each backlog.
    """

    readings: Readings
    looker: Callable[[], Looker]
    alerting: Alerting
    alert_log: AlertLog
    store: ReadingStore
    fleet: Fleet
    clock: Clock


class Hindsight:
    """One thread at a time."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def judge(self, progress: Progress) -> int:
        """Judge every backlog that is in; returns how many meters had one."""
        doubts = _Doubts(self._parts.store)
        found = [
            (late.gateway, meter, span)
            for late in self._parts.readings.late()
            if self._is_in(late)
            for meter, span in sorted(late.spans.items())
        ]
        for done, (gateway, meter, span) in enumerate(found):
            progress.step(done, len(found), meter)
            if progress.stopping or not self._judge(meter, span, doubts, progress):
                return done
            self._parts.readings.is_judged(gateway, meter, span)
        return len(found)

    def _is_in(self, late: Late) -> bool:
        return not 0 <= self._parts.clock.now_ms() - late.back_ms < QUIET_MS

    def _judge(self, meter: str, span: Span, doubts: "_Doubts", progress: Progress) -> bool:
        """Until nothing of it holds any more, or the present is reached; False if stopped."""
        parts, (first_ms, last_ms) = self._parts, span
        subject = Subject(SubjectKind.METER, meter)
        told = [
            alert
            for alert in parts.alert_log.fired_of(subject, first_ms - _BEFORE_MS)
            if alert.resolved_ms is not None or not alert.replayed
        ]
        looker, suspects = parts.looker(), Suspects(parts.fleet)
        names = tuple(sorted(looker.quantities(meter) | _COUNTED))
        start_ms, now_ms = first_ms - _BEFORE_MS, parts.clock.now_ms()
        start_ms -= start_ms % _SLICE_MS
        while start_ms <= last_ms or (start_ms <= now_ms and self._is_open(subject)):
            if progress.stopping:
                return False
            end_ms = start_ms + _SLICE_MS
            rows = self._rows(meter, names, start_ms, end_ms)
            looked = suspects.look(rows, now_ms=now_ms, beside=doubts.of(meter, start_ms))
            with parts.alerting.turn() as book:
                seen = _late(looker, looked.rows, book.watching)
                parts.alerting.observe(one for one in seen if not _is_told(one, told, looker))
            start_ms = end_ms
        return True

    def _is_open(self, subject: Subject) -> bool:
        with self._parts.alerting.turn() as book:
            return any(a.replayed and a.subject == subject for a in book.open_alerts)

    def _rows(self, meter: str, names: Sequence[str], start_ms: int, end_ms: int) -> list[Row]:
        return [
            Row(
                meter=meter,
                at_ms=reading.at_ms,
                values=reading.values,
                fault=reading.fault,
                tags=tags_of(entry),
            )
            for reading in self._parts.store.readings([meter], names, start_ms, end_ms)
            if (entry := self._parts.fleet.entry(meter, reading.at_ms)) is not None
        ]


class _Doubts:
    """What is suspect beside readings, slice by slice, asked for once for all meters."""

    def __init__(self, store: ReadingStore) -> None:
        self._store = store
        self._slices: dict[int, dict[str, list[Rejection]]] = {}

    def of(self, meter: str, start_ms: int) -> list[Rejection]:
        if start_ms not in self._slices:
            found: dict[str, list[Rejection]] = {}
            for one in self._store.rejections(start_ms, start_ms + _SLICE_MS):
                if one.level is Level.SUSPECT:
                    found.setdefault(one.meter, []).append(one)
            self._slices[start_ms] = found
        return self._slices[start_ms].get(meter, [])


def _late(looker: Looker, rows: Iterable[Row], watching: Watching) -> Iterator[Observation]:
    for row in rows:
        plan = looker.plan(row.meter, row.at_ms)
        if plan is not None and row.values:
            yield from looker.observe(plan, row.values, row.at_ms, watching, late=True)


def _is_told(seen: Observation, told: Iterable[Alert], looker: Looker) -> bool:
    """That time of the matter is in the record already."""
    matter = looker.matter(seen.rule)
    return any(
        (alert.group or alert.rule) == matter
        and alert.since_ms <= seen.at_ms
        and (alert.resolved_ms is None or seen.at_ms < alert.resolved_ms)
        for alert in told
    )
