"""Muting: an alert, silences and what else is open -> what hides it."""

from collections.abc import Iterable, Iterator, Sequence

from msgspec import Struct

from collector.alerting.alert import Alert, AlertState
from collector.alerting.notice import Silence
from collector.alerting.notify.match import matches, values_of
from collector.alerting.notify.settings import Inhibition

_Key = tuple[tuple[str, ...], ...]


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
        self._sources: list[dict[_Key, list[Alert]]] = [{} for _ in inhibitions]
        self.inhibited: set[int] = set()

    def expose(self, alerts: Iterable[Alert], over: Iterable[Alert]) -> None:
        """Look at everything that may hide others.

        Args:
            alerts: whatever is open.
            over: what is over and lingers.
        """
        for alert in alerts:
            pending = alert.state is AlertState.PENDING
            for place, inhibition in enumerate(self._inhibitions):
                if inhibition.while_pending or not pending:
                    self._add(place, alert)
        for alert in over:
            for place, inhibition in enumerate(self._inhibitions):
                if inhibition.linger_ms:
                    self._add(place, alert)

    def _add(self, place: int, alert: Alert) -> None:
        inhibition = self._inhibitions[place]
        if alert.replayed or not inhibition.source.holds(alert):
            return
        key = _shared(inhibition, alert)
        if key is not None:
            own = alert.place.meter or ""
            at = ((own,), *key) if inhibition.upstream else key
            self._sources[place].setdefault(at, []).append(alert)

    def hidden(self, alert: Alert) -> Hidden:
        ends = [s.end_ms for s in self._silences if matches(alert, s.matcher)]
        hiding = [
            inhibition
            for place, inhibition in enumerate(self._inhibitions)
            if inhibition.target.holds(alert) and self._has_source(place, alert)
        ]
        if hiding:
            self.inhibited.add(alert.number)
        return Hidden(
            until_ms=max(ends, default=None),
            inhibited=bool(hiding),
            covered=any(inhibition.worse for inhibition in hiding),
        )

    def _has_source(self, place: int, alert: Alert) -> bool:
        inhibition = self._inhibitions[place]
        return any(
            _may_hide(inhibition, source, alert)
            for key in _keys(inhibition, alert)
            for source in self._sources[place].get(key, ())
        )


def linger_of(inhibitions: Sequence[Inhibition], alert: Alert) -> int:
    """How long an alert hides others after its end."""
    return max(
        (one.linger_ms for one in inhibitions if one.linger_ms and one.source.holds(alert)),
        default=0,
    )


def _shared(inhibition: Inhibition, alert: Alert) -> _Key | None:
    """What source and target have to share; None where an attribute is lacking."""
    key = tuple(values_of(alert, name) for name in inhibition.equal)
    return None if any(not values for values in key) else key


def _keys(inhibition: Inhibition, target: Alert) -> Iterator[_Key]:
    key = _shared(inhibition, target)
    if key is None:
        return
    if not inhibition.upstream:
        yield key
        return
    for meter in target.place.upstream:
        yield ((meter,), *key)


def _may_hide(inhibition: Inhibition, source: Alert, target: Alert) -> bool:
    """Two that each may hide the other hide neither, or both would be lost."""
    if source.number == target.number:
        return False
    if inhibition.worse:
        return source.severity.rank > target.severity.rank
    if inhibition.upstream:
        return True
    return not (inhibition.target.holds(source) and inhibition.source.holds(target))
