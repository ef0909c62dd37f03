"""Check: `config/notify.yaml` -> every mistake in it, or the settings.

Names of the fleet and of rules are looked up where they are handed in.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from urllib.parse import urlsplit

from msgspec import Struct

from collector.alerting.notify.compile import compile_notify
from collector.alerting.notify.document import (
    NO_CHAIN,
    ChannelSpec,
    InhibitionSpec,
    MatchSpec,
    NotifyDocument,
    RouteSpec,
)
from collector.alerting.notify.settings import ChannelKind, NotifySettings
from collector.fleet.index import Fleet
from documents.finding import DocumentInvalid, Finding, KeyPath, Problem
from documents.load import load
from documents.nearest import suggestion

FILE = "notify.yaml"


class Known(Struct, frozen=True, kw_only=True):
    """Names that the file may use; None: whatever it says.

    Attributes:
        places: the fleet's ids by attribute, as `places_of` gives them.
        rules: ids.
        groups: of rules, and ids.
    """

    places: Mapping[str, Collection[str]] = {}
    rules: Collection[str] | None = None
    groups: Collection[str] | None = None


def places_of(fleet: Fleet) -> dict[str, frozenset[str]]:
    """The names of places that a fleet knows; streets it does not name."""
    return {
        "district": frozenset(fleet.stores),
        "institution": frozenset(fleet.institutions),
        "building": frozenset(fleet.buildings),
        "gateway": frozenset(fleet.gateways),
        "meter": frozenset(fleet.meters),
    }


def load_notify(folder: Path, known: Known = Known()) -> NotifySettings | None:  # noqa: B008 - frozen
    """What `folder/notify.yaml` says; None without the file: alerts are kept, nobody is told.

    Raises:
        DocumentInvalid: with every mistake in it.
    """
    file = folder / FILE
    if not file.exists():
        return None
    return compile_notify(load(file, NotifyDocument, lambda document: problems(document, known)))


def check_notify(folder: Path, known: Known = Known()) -> tuple[Finding, ...]:  # noqa: B008 - frozen
    """Every mistake in the file; the folder may do without one."""
    try:
        load_notify(folder, known)
    except DocumentInvalid as error:
        return error.findings
    return ()


def problems(document: NotifyDocument, known: Known) -> Iterator[Problem]:
    """What the schema cannot say."""
    yield from _names(document)
    yield from _channels(document)
    yield from _receivers(document)
    yield from _targets(document)
    yield from _routes(document)
    yield from _inhibitions(document)
    yield from _mass(document)
    for path, spec in _matches(document):
        yield from _known(path, spec, known)
    for t, together in enumerate(document.mass.together):
        for g, group in enumerate(together.groups):
            path = ("mass", "together", t, "groups", g)
            yield from _look_up(path, "group", group, known.groups)


def _names(document: NotifyDocument) -> Iterator[Problem]:
    """What carries a name carries its own."""
    named: dict[str, Iterable[tuple[KeyPath, str]]] = {
        "channel": [(("channels", i), spec.name) for i, spec in enumerate(document.channels)],
        "receiver": [(("receivers", i), spec.name) for i, spec in enumerate(document.receivers)],
        "route": [(path, spec.name) for path, spec in _tree(document.route)],
        "chain": [(("escalations", i), spec.name) for i, spec in enumerate(document.escalations)],
        "inhibition": [(("inhibit", i), spec.name) for i, spec in enumerate(document.inhibit)],
        "limit": [(("overdue", i), spec.name) for i, spec in enumerate(document.overdue)],
        "family": [
            (("mass", "together", i), spec.name) for i, spec in enumerate(document.mass.together)
        ],
    }
    for kind, entries in named.items():
        first: dict[str, KeyPath] = {}
        for path, name in entries:
            at = (*path, "name")
            if first.setdefault(name, at) != at:
                yield Problem(at, f"'{name}' is a {kind} already", other=first[name])


def _channels(document: NotifyDocument) -> Iterator[Problem]:
    for c, spec in enumerate(document.channels):
        path: KeyPath = ("channels", c)
        if spec.url is not None and _is_secret(spec):
            message = "it holds a password or a key: write it into url_file or url_env"
            yield Problem((*path, "url"), message)
        signed = spec.password_file is not None or spec.password_env is not None
        if spec.kind is ChannelKind.WEBHOOK and not signed:
            message = "a webhook is signed: give password_file or password_env"
            yield Problem((*path, "kind"), message)


def _is_secret(spec: ChannelSpec) -> bool:
    """Most of apprise's URLs are keys; an address of a server without a password is none."""
    parts = urlsplit(spec.url or "")
    return bool(parts.password) or spec.kind is ChannelKind.APPRISE


def _receivers(document: NotifyDocument) -> Iterator[Problem]:
    channels = {spec.name for spec in document.channels}
    receivers = {spec.name: r for r, spec in enumerate(document.receivers)}
    for r, spec in enumerate(document.receivers):
        path: KeyPath = ("receivers", r)
        for c, way in enumerate(spec.channels):
            if way.by not in channels:
                message = _unknown("channel", way.by, channels)
                yield Problem((*path, "channels", c, "by"), message)
        if spec.role in receivers:
            other = ("receivers", receivers[spec.role], "name")
            message = f"'{spec.role}' is a receiver; a role needs a name of its own"
            yield Problem((*path, "role"), message, other=other)
        if spec.quiet is not None and spec.quiet.start == spec.quiet.end:
            yield Problem((*path, "quiet", "to"), "quiet hours that end where they begin")


def _targets(document: NotifyDocument) -> Iterator[Problem]:
    """Whoever is to be told is a receiver or a role, and every chain is there."""
    known = {spec.name for spec in document.receivers}
    known |= {spec.role for spec in document.receivers if spec.role}
    chains = {spec.name for spec in document.escalations}
    for path, to in _named_targets(document):
        for t, name in enumerate(to):
            if name not in known:
                yield Problem((*path, t), _unknown("receiver or role", name, known))
    for path, spec in _tree(document.route):
        if spec.escalation not in (None, NO_CHAIN, *chains):
            yield Problem((*path, "escalation"), _unknown("chain", str(spec.escalation), chains))


def _named_targets(document: NotifyDocument) -> Iterator[tuple[KeyPath, tuple[str, ...]]]:
    for path, spec in _tree(document.route):
        yield (*path, "to"), spec.to or ()
    for e, chain in enumerate(document.escalations):
        for s, stage in enumerate(chain.stages):
            yield ("escalations", e, "stages", s, "to"), stage.to
    for o, overdue in enumerate(document.overdue):
        yield ("overdue", o, "to"), overdue.to
    yield ("undelivered", "to"), document.undelivered.to


def _routes(document: NotifyDocument) -> Iterator[Problem]:
    """Whatever matches nothing else ends at the root, so somebody must always stand there."""
    root = document.route
    if root.match != MatchSpec():
        yield Problem(("route", "match"), "the first route takes every alert: leave it out")
    everywhere = {spec.name for spec in document.receivers if spec.covers == MatchSpec()}
    if not everywhere & set(root.to or ()):
        message = "a receiver that covers everything is needed, so that no alert is lost"
        yield Problem(("route", "to") if root.to else ("route", "name"), message)


def _inhibitions(document: NotifyDocument) -> Iterator[Problem]:
    for i, spec in enumerate(document.inhibit):
        if not (spec.equal or spec.upstream or spec.worse):
            message = "one source would hide every target: give equal, upstream or worse"
            yield Problem(("inhibit", i, "name"), message)
        if _hides_itself(spec):
            message = "source and target are the same: give upstream or worse"
            yield Problem(("inhibit", i, "target"), message)


def _hides_itself(spec: InhibitionSpec) -> bool:
    return spec.source == spec.target and not (spec.upstream or spec.worse)


def _mass(document: NotifyDocument) -> Iterator[Problem]:
    mass = document.mass
    if mass.wait_s > mass.window_s:
        message = f"at most window_s ({mass.window_s}) is needed, {mass.wait_s} came"
        yield Problem(("mass", "wait_s"), message)


def _tree(root: RouteSpec) -> Iterator[tuple[KeyPath, RouteSpec]]:
    waiting: list[tuple[KeyPath, RouteSpec]] = [(("route",), root)]
    while waiting:
        path, spec = waiting.pop(0)
        yield path, spec
        waiting += [((*path, "routes", r), child) for r, child in enumerate(spec.routes)]


def _matches(document: NotifyDocument) -> Iterator[tuple[KeyPath, MatchSpec]]:
    for path, spec in _tree(document.route):
        yield (*path, "match"), spec.match
    for r, receiver in enumerate(document.receivers):
        yield ("receivers", r, "covers"), receiver.covers
    for i, inhibition in enumerate(document.inhibit):
        yield ("inhibit", i, "source"), inhibition.source
        yield ("inhibit", i, "target"), inhibition.target
    for o, overdue in enumerate(document.overdue):
        yield ("overdue", o, "match"), overdue.match


def _known(path: KeyPath, spec: MatchSpec, known: Known) -> Iterator[Problem]:
    named = {**known.places, "rule": known.rules, "group": known.groups}
    for attribute, values in spec:
        for v, value in enumerate(values or ()):
            yield from _look_up((*path, attribute, v), attribute, value, named.get(attribute))


def _look_up(
    path: KeyPath, kind: str, value: str, names: Collection[str] | None
) -> Iterator[Problem]:
    if names is None:
        return
    found = (
        any(name.startswith(value[:-1]) for name in names)
        if value.endswith("*")
        else value in names
    )
    if not found:
        yield Problem(path, _unknown(kind, value, names))


def _unknown(kind: str, name: str, known: Collection[str]) -> str:
    return "; ".join(filter(None, (f"unknown {kind} '{name}'", suggestion(name, known))))
