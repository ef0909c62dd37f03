"""Readings: rows as they come -> observations, in time; and which came too late for that. HOT PATH.

Gateways send a backlog newest first. What came too late to wake anybody is only noted here: it is
judged from the store, in order of time, once the backlog is in.
"""

from collections.abc import Iterable, Iterator, Mapping
from threading import Lock

from msgspec import Struct

from collector.alerting.evaluate.look import Looker, OpenAt, Watching
from collector.alerting.evaluate.plan import Plan
from collector.alerting.lifecycle.damping import LATE_MS
from collector.alerting.log import Judged
from collector.alerting.observation import Observation
from collector.alerting.rule import Rule
from collector.fleet.index import Fleet
from collector.store import Row
from metering.reading import Reading

Span = tuple[int, int]


class Late(Struct, frozen=True, kw_only=True):
    """What of a gateway came too late: times of the first and the last reading by meter.

    Attributes:
        back_ms: the clock, when it last reached further back.
    """

    gateway: str
    spans: Mapping[str, Span]
    back_ms: int


class Readings:
    """The rules on readings of one fleet. One thread looks; another may judge what came late."""

    def __init__(
        self, rules: Iterable[Rule], fleet: Fleet, open_at: OpenAt, judged: Iterable[Judged] = ()
    ) -> None:
        """Go on from how far was judged.

        Args:
            rules: all of them; others than those on readings are left aside.
            fleet: who is where.
            open_at: whether a rule with hours of its own looks at an instant.
            judged: as it was kept.
        """
        self._looker = Looker(rules, fleet, open_at)
        self._newest: dict[str, int] = {}
        self._meters: dict[str, dict[str, None]] = {}  # of each gateway, in order
        self._lock = Lock()
        self._late: dict[str, dict[str, Span]] = {}
        self._back_ms: dict[str, int] = {}
        for one in judged:
            for meter, newest_ms in one.newest.items():
                self._newest[meter] = max(newest_ms, self._newest.get(meter, 0))
            self._meters[one.gateway] = dict.fromkeys(one.newest)
            self._late[one.gateway] = dict(one.late)

    def look(self, rows: Iterable[Row], watching: Watching, now_ms: int) -> Iterator[Observation]:
        """Look at rows in order of time, one by one as what is seen is taken.

        Clear readings are left out where no rule watches the meter: `watching` must tell what the
        observations given so far have led to.
        """
        looker, newest, live_ms = self._looker, self._newest, now_ms - LATE_MS
        for row in rows:
            values, meter, at_ms = row.values, row.meter, row.at_ms
            plan = looker.plan(meter, at_ms)
            if plan is None or not values:
                continue
            newest_ms = newest.get(meter)
            if at_ms < live_ms or (newest_ms is not None and at_ms < newest_ms):
                self._note_late(plan, at_ms, now_ms)
                continue
            if newest_ms is None:
                self._meters.setdefault(plan.entry.gateway, {})[meter] = None
            newest[meter] = at_ms
            yield from looker.observe(plan, values, at_ms, watching)

    @property
    def within_ms(self) -> int:
        """How much of what was read before the start rates want to see again."""
        return self._looker.within_ms

    def warm(self, readings: Iterable[Reading]) -> None:
        """Readings of that time, each meter's in order; what was not judged yet is left out."""
        for reading in readings:
            if reading.at_ms <= self._newest.get(reading.meter, -1):
                self._looker.warm(reading.meter, reading.at_ms, reading.values)

    def judged(self, gateways: Iterable[str]) -> list[Judged]:
        """How far these gateways' meters are judged now, for the record of their group."""
        found = []
        for gateway in gateways:
            late = self._late.get(gateway, {})
            meters = self._meters.get(gateway, {})
            if meters or late:
                newest = {meter: self._newest[meter] for meter in meters}
                found.append(Judged(gateway=gateway, newest=newest, late=dict(late)))
        return found

    # ---- what came late

    def late(self) -> list[Late]:
        """What is still to be judged for the record, by gateway."""
        with self._lock:
            return [
                Late(gateway=gateway, spans=dict(spans), back_ms=self._back_ms.get(gateway, 0))
                for gateway, spans in self._late.items()
                if spans
            ]

    def is_judged(self, gateway: str, meter: str, span: Span) -> None:
        """It is in the record; if more came meanwhile, all of it is judged once more."""
        with self._lock:
            if self._late.get(gateway, {}).get(meter) == span:
                del self._late[gateway][meter]

    def _note_late(self, plan: Plan, at_ms: int, now_ms: int) -> None:
        meter, gateway = plan.entry.meter, plan.entry.gateway
        with self._lock:
            late = self._late.setdefault(gateway, {})
            first, last = late.get(meter, (at_ms + 1, at_ms))
            if at_ms < first:
                self._back_ms[gateway] = now_ms
            late[meter] = (min(first, at_ms), max(last, at_ms))
