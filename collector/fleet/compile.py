"""Compile: checked fleet documents -> the frozen index that the hot path looks into."""

from collections.abc import Sequence
from datetime import date

from collector.fleet.cut import Models, digest, part
from collector.fleet.document import BuildingSpec, FleetDocument, InstitutionSpec
from collector.fleet.index import (
    BuildingEntry,
    Fleet,
    GatewayEntry,
    InstitutionEntry,
    MeterEntry,
    VirtualMeter,
)
from collector.fleet.places import Place, gateways, in_force, places


def compile_fleet(
    documents: Sequence[FleetDocument], models: Models, *, day: date | None = None
) -> Fleet:
    """Index districts whose ids are known not to clash (`collector.fleet.check`).

    Args:
        documents: one a district.
        models: the content of every model's file that an entry names, by model id.
        day: whose entries the gateways' digests are of; see `collector.fleet.cut.cut`.
    """
    institutions = [
        (document, institution) for document in documents for institution in document.institutions
    ]
    return Fleet(
        stores={document.district.id: document.district.store for document in documents},
        institutions={
            spec.id: _institution(document.district.id, spec) for document, spec in institutions
        },
        buildings={
            building.id: _building(spec.id, building)
            for _, spec in institutions
            for building in spec.buildings
        },
        gateways={
            gateway.id: gateway
            for document in documents
            for gateway in _gateways(document, models, day)
        },
        meters=_meters(documents),
        virtual_meters={
            spec.id: VirtualMeter(
                id=spec.id, energy=spec.energy, circuit=spec.circuit, parts=spec.sum
            )
            for document in documents
            for spec in document.virtual_meters
        },
    )


def _institution(district: str, spec: InstitutionSpec) -> InstitutionEntry:
    return InstitutionEntry(
        id=spec.id,
        name=spec.name,
        sector=spec.sector,
        district=district,
        buildings=tuple(building.id for building in spec.buildings),
    )


def _building(institution: str, spec: BuildingSpec) -> BuildingEntry:
    return BuildingEntry(
        id=spec.id,
        institution=institution,
        code=spec.code,
        area_m2=spec.area_m2,
        built=spec.built,
    )


def _gateways(document: FleetDocument, models: Models, day: date | None) -> list[GatewayEntry]:
    mine: dict[str, list[Place]] = {}
    for place in in_force(document, day):
        mine.setdefault(place.gateway.id, []).append(place)
    return [
        GatewayEntry(
            id=gateway.id,
            district=document.district.id,
            building=building.id,
            institution=institution.id,
            meters=tuple(place.meter.id for place in mine.get(gateway.id, ())),
            digest=digest(part(document.district, gateway.id, mine.get(gateway.id, []), models)),
        )
        for _, institution, building, gateway in gateways(document)
    ]


def _meters(documents: Sequence[FleetDocument]) -> dict[str, tuple[MeterEntry, ...]]:
    entries: dict[str, list[MeterEntry]] = {}
    for document in documents:
        for place in places(document):
            entries.setdefault(place.meter.id, []).append(_entry(document.district.id, place))
    return {
        meter: tuple(sorted(mine, key=lambda entry: entry.valid_from_ms))
        for meter, mine in entries.items()
    }


def _entry(district: str, place: Place) -> MeterEntry:
    meter = place.meter
    return MeterEntry(
        meter=meter.id,
        gateway=place.gateway.id,
        district=district,
        institution=place.institution.id,
        sector=place.institution.sector,
        building=place.building.id,
        circuit=meter.circuit,
        energy=meter.energy,
        parent=meter.parent,
        model=meter.model,
        direction=meter.direction,
        limits=meter.limits,
        rated=meter.rated,
        cycle_s=max(place.bus.cycle_s, meter.cycle_s or 0),
        valid_from_ms=place.from_ms,
        valid_to_ms=place.to_ms,
    )
