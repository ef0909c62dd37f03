"""Hours: a rule's `When`, an instant, a sector -> whether the rule looks.

Everything is by the clock of Shanghai, UTC+8 without summer time. What a day is (workday, rest day,
holiday; heating or not; term or not) is asked once a day and kept.
"""

from collections.abc import Callable

from msgspec import Struct

from collector.alerting.rule import When
from collector.fleet.codes import local_day
from collector.fleet.index import Sector
from collector.fleet.seasons import Season
from collector.settle.day_class import DayClass

_DAY_MS = 86_400_000
_MINUTE_MS = 60_000
_SHANGHAI_MS = 8 * 3_600_000
_WHOLE = 1440  # minutes
_MOST_DAYS = 5_000  # kept; a back-test of ten years fits


class DayKind(Struct, frozen=True):
    """What a day is; days of one kind are compared with each other. None: nobody knows."""

    day_class: DayClass
    heating: bool | None = None
    term: bool | None = None


class Hours:
    """Answers for all rules. Threads may share it: what two find out twice is the same."""

    def __init__(
        self,
        classify: Callable[[int], DayClass],
        *,
        heating: Season | None = None,
        terms: Season | None = None,
    ) -> None:
        """Without a season nothing is known of it, and rules that ask for it do not look.

        Args:
            classify: the class of the day in Shanghai that an instant lies in.
            heating: the heating season.
            terms: the schools' terms.
        """
        self._classify = classify
        self._heating = heating or Season()
        self._terms = terms or Season()
        self._days: dict[int, DayKind] = {}

    def open_at(self, when: When, at_ms: int, sector: Sector | None) -> bool:
        """Whether a rule looks at an instant.

        Args:
            when: the rule's hours. In a window over midnight the hours after midnight belong to
                the day on which it opened: Friday's night lasts into Saturday.
            at_ms: time of the reading.
            sector: whose; a term concerns schools alone, others are as if it were not asked for.
        """
        asks_for_days = not (when.days is None and when.heating is None and when.term is None)
        if not asks_for_days and when.to_min - when.from_min == _WHOLE:
            return True
        day, minute = divmod((at_ms + _SHANGHAI_MS) // _MINUTE_MS, _WHOLE)
        if when.from_min <= when.to_min:
            if not when.from_min <= minute < when.to_min:
                return False
        elif minute < when.to_min:
            day -= 1
        elif minute < when.from_min:
            return False
        return not asks_for_days or self._is_its_day(when, day, sector)

    def kind(self, at_ms: int, sector: Sector | None) -> DayKind:
        """What the day in Shanghai is that an instant lies in; a term concerns schools alone."""
        day = (at_ms + _SHANGHAI_MS) // _DAY_MS
        found = self._days.get(day) or self._look(day)
        return found if sector is Sector.SCHOOL else DayKind(found.day_class, found.heating, None)

    def _is_its_day(self, when: When, day: int, sector: Sector | None) -> bool:
        facts = self._days.get(day) or self._look(day)
        if when.days is not None and facts.day_class not in when.days:
            return False
        if when.heating is not None and facts.heating is not when.heating:
            return False
        return when.term is None or sector is not Sector.SCHOOL or facts.term is when.term

    def _look(self, day: int) -> DayKind:
        noon_ms = day * _DAY_MS - _SHANGHAI_MS + _DAY_MS // 2
        date = local_day(noon_ms)
        facts = DayKind(self._classify(noon_ms), self._heating.holds(date), self._terms.holds(date))
        if len(self._days) >= _MOST_DAYS:
            self._days.clear()
        self._days[day] = facts
        return facts
