"""Consistency: a fleet document -> what its parts say against each other.

One function a rule, each the document in and problems out.
"""

from collections.abc import Callable, Collection, Hashable, Iterable, Iterator
from itertools import pairwise

from collector.fleet.bus_url import parse_bus_url
from collector.fleet.document import FleetDocument
from collector.fleet.places import Place, gateways, places
from documents.finding import KeyPath, Problem
from documents.nearest import suggestion
from metering.quantity import QUANTITIES, Kind


def problems(document: FleetDocument) -> Iterator[Problem]:
    """Everything that is wrong between the values of one district."""
    for rule in _RULES:
        yield from rule(document)


def unknown_models(document: FleetDocument, models: Collection[str]) -> Iterator[Problem]:
    """Entries whose model has no file; `models` are the names of the files there are."""
    for place in places(document):
        if place.meter.model not in models:
            message = _missing("meter model", place.meter.model, models)
            yield Problem((*place.path, "model"), message)


def ids(document: FleetDocument) -> dict[str, list[tuple[str, KeyPath]]]:
    """Every id once, by kind, with its key path; virtual meters share the meters' names."""
    named: dict[str, list[tuple[str, KeyPath]]] = {
        "institution": [],
        "building": [],
        "gateway": [(gateway.id, (*path, "id")) for path, *_, gateway in gateways(document)],
    }
    for i, institution in enumerate(document.institutions):
        path = ("institutions", i)
        named["institution"].append((institution.id, (*path, "id")))
        named["building"] += [
            (building.id, (*path, "buildings", b, "id"))
            for b, building in enumerate(institution.buildings)
        ]
    meters = {place.meter.id: (*place.path, "id") for place in reversed(places(document))}
    named["meter"] = [
        *reversed(meters.items()),
        *(
            (virtual.id, ("virtual_meters", v, "id"))
            for v, virtual in enumerate(document.virtual_meters)
        ),
    ]
    return named


def _missing(kind: str, name: str, known: Collection[str]) -> str:
    return "; ".join(filter(None, (f"there is no {kind} '{name}'", suggestion(name, known))))


def _twice(named: Iterable[tuple[Hashable, KeyPath]], message: str) -> Iterator[Problem]:
    """A problem for each name that an earlier entry has already; `{}` in `message` is the name."""
    first: dict[Hashable, KeyPath] = {}
    for name, path in named:
        if name in first:
            shown = name[-1] if isinstance(name, tuple) else name
            yield Problem(path, message.format(shown), other=first[name])
        first.setdefault(name, path)


def _ids_are_unique(document: FleetDocument) -> Iterator[Problem]:
    for kind, named in ids(document).items():
        yield from _twice(named, f"{kind} id '{{}}' is used twice; give each its own")


def _codes_are_unique(document: FleetDocument) -> Iterator[Problem]:
    buildings = [
        (building.code, ("institutions", i, "buildings", b, "code"))
        for i, institution in enumerate(document.institutions)
        for b, building in enumerate(institution.buildings)
    ]
    yield from _twice(buildings, "building code '{}' is used twice; give each its own")
    codes = [
        ((path[:-2], gateway.code), (*path, "code")) for path, *_, gateway in gateways(document)
    ]
    yield from _twice(codes, "gateway code '{}' is used twice in one building")
    points = {
        (place.path[:-4], place.meter.id, place.meter.code): (*place.path, "code")
        for place in reversed(places(document))
    }
    by_point = [((gateway, code), path) for (gateway, _, code), path in reversed(points.items())]
    yield from _twice(by_point, "meter code '{}' is used twice in one gateway")


def _buildings_stand_in_the_district(document: FleetDocument) -> Iterator[Problem]:
    district = document.district.id
    for i, institution in enumerate(document.institutions):
        for b, building in enumerate(institution.buildings):
            if not building.code.startswith(district):
                yield Problem(
                    ("institutions", i, "buildings", b, "code"),
                    f"the code must begin with the district's '{district}', '{building.code}' came",
                )


def _entries_have_their_own_day(document: FleetDocument) -> Iterator[Problem]:
    dated = [
        ((place.meter.id, place.meter.valid_from.isoformat()), (*place.path, "valid_from"))
        for place in places(document)
    ]
    yield from _twice(
        dated, "this meter has an entry from {} already; give one another day or another id"
    )


def _entries_end_after_they_begin(document: FleetDocument) -> Iterator[Problem]:
    for place in places(document):
        meter = place.meter
        if meter.valid_to and meter.valid_to <= meter.valid_from:
            yield Problem(
                (*place.path, "valid_to"),
                f"a day after valid_from ({meter.valid_from}) is needed, {meter.valid_to} came",
            )


def _entries_end_before_the_next(document: FleetDocument) -> Iterator[Problem]:
    dated = sorted(places(document), key=lambda place: (place.meter.id, place.from_ms))
    for early, late in pairwise(dated):
        end = early.meter.valid_to
        if early.meter.id == late.meter.id and end and end > late.meter.valid_from:
            yield Problem(
                (*early.path, "valid_to"),
                f"the next entry of '{early.meter.id}' begins before, on "
                f"{late.meter.valid_from}; leave valid_to out",
            )


def _parents_exist(document: FleetDocument) -> Iterator[Problem]:
    known = {place.meter.id for place in places(document)}
    for place in places(document):
        parent = place.meter.parent
        if parent is not None and parent not in known:
            yield Problem((*place.path, "parent"), _missing("meter", parent, known))


def _parents_make_a_tree(document: FleetDocument) -> Iterator[Problem]:
    # Parents may change in time: each day on which an entry begins is looked at by itself.
    everything = places(document)
    told: set[frozenset[str]] = set()
    for instant in sorted({place.from_ms for place in everything}):
        in_force = {place.meter.id: place for place in everything if place.holds_at(instant)}
        for place in in_force.values():
            circle = _circle(place.meter.id, in_force)
            if circle and frozenset(circle) not in told:
                told.add(frozenset(circle))
                way = " -> ".join((*circle, circle[0]))
                yield Problem((*place.path, "parent"), f"the parents go in a circle: {way}")


def _circle(start: str, in_force: dict[str, Place]) -> tuple[str, ...]:
    """The way from `start` over its parents back to itself; empty if it does not lead there."""
    way = [start]
    while place := in_force.get(way[-1]):
        parent = place.meter.parent
        if parent == start:
            return tuple(way)
        if parent is None or parent in way:
            return ()
        way.append(parent)
    return ()


def _buses_are_unambiguous(document: FleetDocument) -> Iterator[Problem]:
    urls = [
        ((gateway.id, parse_bus_url(bus.url).place), (*path, "buses", u, "url"))
        for path, *_, gateway in gateways(document)
        for u, bus in enumerate(gateway.buses)
    ]
    yield from _twice(urls, "this gateway has a bus at '{}' already; put the meters together")
    for path, *_, gateway in gateways(document):
        for u, bus in enumerate(gateway.buses):
            offset_s = bus.start_offset_s or 0
            if offset_s >= bus.cycle_s:
                yield Problem(
                    (*path, "buses", u, "start_offset_s"),
                    f"less than cycle_s ({bus.cycle_s}) is needed, {offset_s} came",
                )


def _meters_are_asked_with_their_bus(document: FleetDocument) -> Iterator[Problem]:
    for place in places(document):
        cycle_s = place.meter.cycle_s
        if cycle_s is not None and cycle_s % place.bus.cycle_s:
            yield Problem(
                (*place.path, "cycle_s"),
                f"a multiple of the bus's cycle_s ({place.bus.cycle_s}) is needed, {cycle_s} came",
            )


def _only_counters_roll_over(document: FleetDocument) -> Iterator[Problem]:
    for place in places(document):
        for name in place.meter.rolls_over_at:
            if QUANTITIES[name].kind is not Kind.COUNTER:
                yield Problem(
                    (*place.path, "rolls_over_at", name), f"'{name}' does not count; leave it out"
                )


def _units_are_unambiguous(document: FleetDocument) -> Iterator[Problem]:
    answering: dict[tuple[str, str, int], list[Place]] = {}
    for place in places(document):
        url = parse_bus_url(place.bus.url)
        unit = place.meter.unit
        path = (*place.path, "unit")
        if unit not in url.units:
            first, last = url.units[0], url.units[-1]
            yield Problem(path, f"an RTU unit of {first} to {last} is needed, {unit} came")
        others = answering.setdefault((place.gateway.id, url.place, unit), [])
        for other in others:
            if other.meter.id != place.meter.id and other.overlaps(place):
                yield Problem(
                    path,
                    f"unit {unit} on this bus is '{other.meter.id}' already",
                    other=(*other.path, "unit"),
                )
        others.append(place)


def _virtual_meters_have_parts(document: FleetDocument) -> Iterator[Problem]:
    known = {place.meter.id for place in places(document)}
    virtual_ids = {virtual.id for virtual in document.virtual_meters}
    for v, virtual in enumerate(document.virtual_meters):
        path = ("virtual_meters", v, "sum")
        parts = [(part, (*path, p, 0)) for p, (part, _) in enumerate(virtual.sum)]
        yield from _twice(parts, "'{}' is summed twice; add up its factors")
        for part, at in parts:
            if part in virtual_ids - known:
                yield Problem(at, f"'{part}' is virtual itself; write its parts instead")
            elif part not in known:
                yield Problem(at, _missing("meter", part, known))


_RULES: tuple[Callable[[FleetDocument], Iterator[Problem]], ...] = (
    _ids_are_unique,
    _codes_are_unique,
    _buildings_stand_in_the_district,
    _entries_have_their_own_day,
    _entries_end_after_they_begin,
    _entries_end_before_the_next,
    _parents_exist,
    _parents_make_a_tree,
    _buses_are_unambiguous,
    _meters_are_asked_with_their_bus,
    _only_counters_roll_over,
    _units_are_unambiguous,
    _virtual_meters_have_parts,
)
