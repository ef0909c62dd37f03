"""Facts: an alert -> what the settings say of it, worked out once for as long as it stands so."""

from collections.abc import Sequence
from functools import cached_property

from collector.alerting.alert import Alert
from collector.alerting.dispatch.calendar import Classify, deadline_ms
from collector.alerting.dispatch.routing import Routing, Target, labels, short
from collector.alerting.notify.match import group_of, values_of
from collector.alerting.notify.settings import Inhibition, NotifySettings

Key = tuple[tuple[str, ...], ...]

_ROOM = 1000  # alerts kept beyond those that are open


class Facts:
    """Of one alert as it stands."""

    def __init__(
        self, alert: Alert, settings: NotifySettings, routing: Routing, classify: Classify
    ) -> None:
        self.alert = alert
        self._settings, self._routing, self._classify = settings, routing, classify
        self._people: dict[tuple[str, ...], tuple[str, ...]] = {}

    @cached_property
    def targets(self) -> tuple[tuple[Target, str], ...]:
        """Who is told first, and in which chain."""
        return tuple(
            (target, _chain(target, self.alert)) for target in self._routing.targets(self.alert)
        )

    def people(self, names: tuple[str, ...]) -> tuple[str, ...]:
        """The receivers behind names and roles whom it concerns."""
        if names not in self._people:
            self._people[names] = self._routing.people(names, self.alert)
        return self._people[names]

    @cached_property
    def limits(self) -> tuple[tuple[str, int, tuple[str, ...]], ...]:
        """After how many working days it is overdue: the limit's name, the instant, who is told."""
        return tuple(
            (
                limit.name,
                deadline_ms(self.alert.since_ms, limit.working_days, self._classify),
                self.people(limit.to),
            )
            for limit in self._settings.overdue
            if limit.match.holds(self.alert)
        )

    @cached_property
    def hides(self) -> tuple[tuple[int, Key], ...]:
        """The inhibitions that it is a source of, and what it shares with their targets."""
        return tuple(
            (place, key)
            for place, inhibition in enumerate(self._settings.inhibitions)
            if inhibition.source.holds(self.alert)
            for key in _source_keys(inhibition, self.alert)
        )

    @cached_property
    def hidden_by(self) -> tuple[tuple[int, Key], ...]:
        """The inhibitions that it is a target of, and what it would share with a source."""
        return tuple(
            (place, key)
            for place, inhibition in enumerate(self._settings.inhibitions)
            if inhibition.target.holds(self.alert)
            for key in _target_keys(inhibition, self.alert)
        )

    @property
    def linger_ms(self) -> int:
        """How long it hides others after its end."""
        inhibitions = self._settings.inhibitions
        return max((inhibitions[place].linger_ms for place, _ in self.hides), default=0)

    @cached_property
    def group(self) -> str:
        return group_of(self.alert)


class FactBook:
    """Facts by alert; one that has moved is another. One thread."""

    def __init__(self, settings: NotifySettings, routing: Routing, classify: Classify) -> None:
        self._settings, self._routing, self._classify = settings, routing, classify
        self._facts: dict[int, Facts] = {}

    def of(self, alert: Alert) -> Facts:
        known = self._facts.get(alert.number)
        if known is None or known.alert is not alert:
            known = Facts(alert, self._settings, self._routing, self._classify)
            self._facts[alert.number] = known
        return known

    def keep(self, alerts: Sequence[Alert]) -> None:
        """Let go of what is not open any more."""
        if len(self._facts) > len(alerts) + _ROOM:
            open_now = {alert.number for alert in alerts}
            self._facts = {n: one for n, one in self._facts.items() if n in open_now}


def _chain(target: Target, alert: Alert) -> str:
    group = short("\n".join("=".join(pair) for pair in labels(target.route, alert)))
    return f"route/{target.route.name}/{target.receiver}/{group}"


def _source_keys(inhibition: Inhibition, alert: Alert) -> tuple[Key, ...]:
    key = _shared(inhibition, alert)
    if key is None:
        return ()
    return (((alert.place.meter or "",), *key),) if inhibition.upstream else (key,)


def _target_keys(inhibition: Inhibition, alert: Alert) -> tuple[Key, ...]:
    key = _shared(inhibition, alert)
    if key is None:
        return ()
    if not inhibition.upstream:
        return (key,)
    return tuple(((meter,), *key) for meter in alert.place.upstream)


def _shared(inhibition: Inhibition, alert: Alert) -> Key | None:
    """What source and target have to share; None where an attribute is lacking."""
    key = tuple(values_of(alert, name) for name in inhibition.equal)
    return None if any(not values for values in key) else key
