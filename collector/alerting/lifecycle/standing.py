"""Standing: which alerts are open, by matter and track; which rules watch a subject."""

from collections.abc import Iterable

from msgspec import structs

from collector.alerting.alert import Alert
from collector.alerting.subject import Subject
from metering.errors import PermanentError

Matter = tuple[str, Subject]
Track = tuple[Matter, bool]  # True: the record of what came too late


class AlertUnknown(PermanentError):
    """There is no open alert of that number."""


def track_of(alert: Alert) -> Track:
    return (alert.group or alert.rule, alert.subject), alert.replayed


class Standing:
    """The open alerts of a book.

    Attributes:
        watching: rules that are open by their subject's id.
    """

    def __init__(self, rules: Iterable[str], alerts: Iterable[Alert]) -> None:
        self._rules = frozenset(rules)
        self._open: dict[Track, Alert] = {}
        self._tracks: dict[int, Track] = {}
        self._levels: dict[str, dict[Track, frozenset[str]]] = {}
        self._touched: dict[int, Alert] = {}
        self.watching: dict[str, frozenset[str]] = {}
        for alert in alerts:
            self.put(alert)

    def of(self, matter: Matter, *, replayed: bool) -> Alert | None:
        return self._open.get((matter, replayed))

    def numbered(self, number: int) -> Alert:
        """Raise AlertUnknown if it is not open."""
        track = self._tracks.get(number)
        if track is None:
            raise AlertUnknown(f"没有编号为 {number} 的未解除报警")
        return self._open[track]

    @property
    def alerts(self) -> tuple[Alert, ...]:
        """By number."""
        return tuple(sorted(self._open.values(), key=lambda alert: alert.number))

    def put(self, alert: Alert) -> None:
        """Begin, or go on. Levels of rules that are no longer there are left out."""
        if any(level.rule not in self._rules for level in alert.levels):
            known = tuple(level for level in alert.levels if level.rule in self._rules)
            alert = structs.replace(alert, levels=known)
        track = track_of(alert)
        self._touched.pop(alert.number, None)
        self._open[track] = alert
        self._tracks[alert.number] = track
        self._watch(track, frozenset(level.rule for level in alert.levels))

    def touch(self, alert: Alert) -> None:
        """It took no step and remembers something new."""
        self.put(alert)
        self._touched[alert.number] = alert

    def drop(self, alert: Alert) -> None:
        """It is resolved."""
        self._touched.pop(alert.number, None)
        track = self._tracks.pop(alert.number)
        if self._open[track].number == alert.number:
            del self._open[track]
            self._watch(track, frozenset())

    def take_touched(self) -> list[Alert]:
        """Those that were touched, and took no step since; each once."""
        touched = list(self._touched.values())
        self._touched.clear()
        return touched

    def _watch(self, track: Track, rules: frozenset[str]) -> None:
        subject = track[0][1].id
        levels = self._levels.setdefault(subject, {})
        if levels.get(track, frozenset()) == rules:
            return
        if rules:
            levels[track] = rules
        else:
            del levels[track]
        if levels:
            self.watching[subject] = frozenset().union(*levels.values())
        else:
            del self._levels[subject]
            self.watching.pop(subject, None)
