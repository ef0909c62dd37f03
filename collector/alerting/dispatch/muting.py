"""Muting: an alert, silences and what else is open -> what hides it."""

from collections.abc import Iterable, Sequence

from msgspec import Struct

from collector.alerting.alert import Alert, AlertState
from collector.alerting.dispatch.facts import Facts, Key
from collector.alerting.notice import Silence
from collector.alerting.notify.match import matches
from collector.alerting.notify.settings import Inhibition


class Hidden(Struct, frozen=True, kw_only=True):
    """Why an alert says nothing.

    Attributes:
        until_ms: the end of the silences; None: no silence matches.
        inhibited: something open hides it.
        covered: what hides it is a higher colour.
    """

    until_ms: int | None = None
    inhibited: bool = False
    covered: bool = False


_IN_SIGHT = Hidden()


class Muting:
    """What hides alerts at one instant.

    Attributes:
        inhibited: of the alerts that were asked about, those that something open hides.
    """

    def __init__(
        self, inhibitions: Sequence[Inhibition], silences: Sequence[Silence], now_ms: int
    ) -> None:
        self._inhibitions = inhibitions
        self._silences = [
            silence
            for silence in silences
            if silence.start_ms <= now_ms < silence.end_ms
            and (silence.ended_ms is None or now_ms < silence.ended_ms)
        ]
        self._sources: dict[tuple[int, Key], list[Alert]] = {}
        self.inhibited: set[int] = set()

    def expose(self, facts: Iterable[Facts], *, over: bool = False) -> None:
        """Look at what may hide others.

        Args:
            facts: of whatever is open, or of what is over and lingers.
            over: which of the two.
        """
        for one in facts:
            if one.alert.replayed:
                continue
            for place, key in one.hides:
                if _may_still_hide(self._inhibitions[place], one.alert, over=over):
                    self._sources.setdefault((place, key), []).append(one.alert)

    def hidden(self, facts: Facts) -> Hidden:
        alert = facts.alert
        ends = [one.end_ms for one in self._silences if matches(alert, one.matcher)]
        hiding = [
            self._inhibitions[place]
            for place, key in facts.hidden_by
            if self._has_source(place, key, alert)
        ]
        if not ends and not hiding:
            return _IN_SIGHT
        if hiding:
            self.inhibited.add(alert.number)
        return Hidden(
            until_ms=max(ends, default=None),
            inhibited=bool(hiding),
            covered=any(inhibition.worse for inhibition in hiding),
        )

    def _has_source(self, place: int, key: Key, alert: Alert) -> bool:
        sources = self._sources.get((place, key))
        if not sources:
            return False
        return any(_may_hide(self._inhibitions[place], source, alert) for source in sources)


def _may_still_hide(inhibition: Inhibition, alert: Alert, *, over: bool) -> bool:
    if over:
        return inhibition.linger_ms > 0
    return inhibition.while_pending or alert.state is not AlertState.PENDING


def _may_hide(inhibition: Inhibition, source: Alert, target: Alert) -> bool:
    """Two that each may hide the other hide neither, or both would be lost."""
    if source.number == target.number:
        return False
    if inhibition.worse:
        return source.severity.rank > target.severity.rank
    if inhibition.upstream:
        return True
    return not (inhibition.target.holds(source) and inhibition.source.holds(target))
