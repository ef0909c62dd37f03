"""Places: a fleet document -> every meter entry, what stands around it, how long it holds."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from itertools import pairwise

from collector.fleet.codes import midnight_ms
from collector.fleet.document import (
    BuildingSpec,
    BusSpec,
    FleetDocument,
    GatewaySpec,
    InstitutionSpec,
    MeterSpec,
)
from documents.finding import KeyPath


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """One entry of one meter; it holds in the half-open span `from_ms` to `to_ms` (`None`: open).

    A later entry of the same meter ends it, wherever in the district that one stands.
    """

    path: KeyPath
    institution: InstitutionSpec
    building: BuildingSpec
    gateway: GatewaySpec
    bus: BusSpec
    meter: MeterSpec
    from_ms: int
    to_ms: int | None

    def holds_at(self, at_ms: int) -> bool:
        return self.from_ms <= at_ms and (self.to_ms is None or at_ms < self.to_ms)

    def overlaps(self, other: "Place") -> bool:
        return self.holds_at(other.from_ms) or other.holds_at(self.from_ms)


def gateways(
    document: FleetDocument,
) -> Iterator[tuple[KeyPath, InstitutionSpec, BuildingSpec, GatewaySpec]]:
    """Every gateway with its key path, its institution and its building, in document order."""
    for i, institution in enumerate(document.institutions):
        for b, building in enumerate(institution.buildings):
            for g, gateway in enumerate(building.gateways):
                path = ("institutions", i, "buildings", b, "gateways", g)
                yield path, institution, building, gateway


def places(document: FleetDocument) -> tuple[Place, ...]:
    """Every meter entry, in document order."""
    ends = _ends(document)
    return tuple(
        Place(
            path=(*path, "buses", u, "meters", m),
            institution=institution,
            building=building,
            gateway=gateway,
            bus=bus,
            meter=meter,
            from_ms=midnight_ms(meter.valid_from),
            to_ms=ends[meter.id, midnight_ms(meter.valid_from)],
        )
        for path, institution, building, gateway in gateways(document)
        for u, bus in enumerate(gateway.buses)
        for m, meter in enumerate(bus.meters)
    )


def in_force(document: FleetDocument, day: date | None) -> list[Place]:
    """The entry of each meter that holds on `day`, in document order.

    Without a day: each meter's newest entry, unless that one has an end.
    """
    everything = places(document)
    if day is None:
        return [place for place in everything if place.to_ms is None]
    return [place for place in everything if place.holds_at(midnight_ms(day))]


def _ends(document: FleetDocument) -> dict[tuple[str, int], int | None]:
    """When each (meter, from_ms) ends: at its `valid_to` or the next entry, the sooner of both."""
    ends: dict[tuple[str, int], int | None] = {}
    begins: dict[str, set[int]] = {}
    for *_, gateway in gateways(document):
        for meter in (meter for bus in gateway.buses for meter in bus.meters):
            from_ms = midnight_ms(meter.valid_from)
            begins.setdefault(meter.id, set()).add(from_ms)
            ends[meter.id, from_ms] = midnight_ms(meter.valid_to) if meter.valid_to else None
    for meter_id, instants in begins.items():
        for this, following in pairwise(sorted(instants)):
            end = ends[meter_id, this]
            ends[meter_id, this] = following if end is None else min(end, following)
    return ends
