"""Routing: an alert -> who is told first, by which route; and who stands behind a name."""

import hashlib
from collections.abc import Iterable

from msgspec import Struct

from collector.alerting.alert import Alert
from collector.alerting.notify.match import values_of
from collector.alerting.notify.settings import NotifySettings, Route


class Target(Struct, frozen=True):
    """One receiver, and the route that leads there."""

    receiver: str
    route: Route


class Routing:
    """The tree of routes and the receivers behind its names; it keeps nothing but them."""

    def __init__(self, settings: NotifySettings) -> None:
        self._settings = settings
        self._by_name: dict[str, tuple[str, ...]] = {}
        for receiver in settings.receivers.values():
            for name in {receiver.name, receiver.role} - {""}:
                self._by_name[name] = (*self._by_name.get(name, ()), receiver.name)
        self._routes = {route.name: route for route in _tree(settings.route)}

    def route(self, name: str) -> Route:
        """The route of that name, or the root where the configuration has it no longer."""
        return self._routes.get(name, self._settings.route)

    def targets(self, alert: Alert) -> tuple[Target, ...]:
        """Who is told first, each once, by the first route that names them; never nobody."""
        found: dict[str, Target] = {}
        for route in _leaves(self._settings.route, alert):
            for name in self._first(route, alert):
                found.setdefault(name, Target(name, route))
        return tuple(found.values())

    def everybody(self, names: Iterable[str]) -> tuple[str, ...]:
        """The receivers behind names and roles."""
        return tuple(dict.fromkeys(name for to in names for name in self._by_name.get(to, ())))

    def people(self, names: Iterable[str], alert: Alert) -> tuple[str, ...]:
        """The receivers behind names and roles whom an alert concerns."""
        receivers = self._settings.receivers
        return tuple(name for name in self.everybody(names) if receivers[name].covers.holds(alert))

    def _first(self, route: Route, alert: Alert) -> tuple[str, ...]:
        """A post that nobody holds is passed over, up the chain and at last to the root."""
        stages = self._settings.escalations.get(route.escalation, ())
        for to in (route.to, *(stage.to for stage in stages), self._settings.route.to):
            people = self.people(to, alert)
            if people:
                return people
        return ()


def labels(route: Route, alert: Alert) -> tuple[tuple[str, str], ...]:
    """By what a route groups an alert."""
    return tuple((name, ",".join(values_of(alert, name)[:1])) for name in route.group_by)


def _leaves(route: Route, alert: Alert) -> list[Route]:
    """The deepest routes that match, as Alertmanager walks its tree."""
    if not route.match.holds(alert):
        return []
    found: list[Route] = []
    for child in route.routes:
        inner = _leaves(child, alert)
        found += inner
        if inner and not child.continues:
            break
    return found or [route]


def _tree(route: Route) -> list[Route]:
    return [route, *(one for child in route.routes for one in _tree(child))]


def short(text: str) -> str:
    """Sixteen characters that stand for a text of any length in a key."""
    return hashlib.blake2s(text.encode(), digest_size=8).hexdigest()
