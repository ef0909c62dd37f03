"""Compile: checked fleet documents -> the frozen index that the hot path looks into."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import date

from msgspec import Struct

from collector.fleet.cut import Models, digest, part
from collector.fleet.document import BuildingSpec, FleetDocument, InstitutionSpec, MeterSpec
from collector.fleet.index import (
    BuildingEntry,
    Fleet,
    GatewayEntry,
    InstitutionEntry,
    MeterEntry,
    Sector,
    VirtualMeter,
)
from collector.fleet.limits import LimitsDocument, Ranges, ranges_of, tolerances_of
from collector.fleet.places import Place, gateways, in_force, places
from collector.fleet.registers import Span, multiplier_of, spans_of
from metering.quantity import QUANTITIES, Kind


def compile_fleet(
    documents: Sequence[FleetDocument],
    models: Models,
    *,
    day: date | None = None,
    limits: LimitsDocument | None = None,
) -> Fleet:
    """Index districts whose ids are known not to clash (`collector.fleet.check`).

    Args:
        documents: one a district.
        models: the content of every model's file that an entry names, by model id.
        day: whose entries the gateways' digests are of; see `collector.fleet.cut.cut`.
        limits: the sectors' defaults; left out, only each quantity's own range holds.
    """
    limits = limits or LimitsDocument()
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
        meters=_meters(documents, _Registers(models, ranges_of(limits))),
        virtual_meters={
            spec.id: VirtualMeter(
                id=spec.id, energy=spec.energy, circuit=spec.circuit, parts=spec.sum
            )
            for document in documents
            for spec in document.virtual_meters
        },
        tolerances=tolerances_of(limits),
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


def _meters(
    documents: Sequence[FleetDocument], registers: "_Registers"
) -> dict[str, tuple[MeterEntry, ...]]:
    entries: dict[str, list[MeterEntry]] = {}
    for document in documents:
        for place in places(document):
            entry = _entry(document.district.id, place, registers)
            entries.setdefault(place.meter.id, []).append(entry)
    return {
        meter: tuple(sorted(mine, key=lambda entry: entry.valid_from_ms))
        for meter, mine in entries.items()
    }


def _entry(district: str, place: Place, registers: "_Registers") -> MeterEntry:
    meter, sector = place.meter, place.institution.sector
    known = registers.of(meter, sector)
    return MeterEntry(
        meter=meter.id,
        gateway=place.gateway.id,
        district=district,
        institution=place.institution.id,
        sector=sector,
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
        multiplier=known.multiplier,
        rolls_over_at=known.rolls_over_at,
        steps=known.steps,
        ranges=known.ranges,
        quantities=known.quantities,
    )


class _Known(Struct, frozen=True, kw_only=True):
    """What model, ratio, sector and fleet say of a meter's values."""

    multiplier: float
    rolls_over_at: dict[str, float]
    steps: dict[str, float]
    ranges: dict[str, tuple[float, float]]
    quantities: frozenset[str]


class _Registers:
    """What meters' registers can hold; those that are alike share one answer."""

    def __init__(self, models: Models, sectors: Ranges) -> None:
        self._models = models
        self._sectors = sectors
        self._seen: dict[object, _Known] = {}

    def of(self, meter: MeterSpec, sector: Sector) -> _Known:
        key = (
            (meter.model, meter.ratio, meter.direction, sector),
            tuple(sorted(meter.options.items())),
            tuple(sorted(meter.limits.items())),
            tuple(sorted(meter.rolls_over_at.items())),
        )
        if key not in self._seen:
            self._seen[key] = self._find(meter, self._sectors[sector])
        return self._seen[key]

    def _find(self, meter: MeterSpec, sector: Mapping[str, tuple[float, float]]) -> _Known:
        content = self._models.get(meter.model, {})
        spans = spans_of(content, meter)
        rolls = {
            name: span.rolls_over_at
            for name, span in spans.items()
            if span.rolls_over_at is not None
        } | meter.rolls_over_at
        return _Known(
            multiplier=multiplier_of(content, meter),
            rolls_over_at=rolls,
            steps={name: span.step for name, span in spans.items() if span.step is not None},
            ranges=dict(_ranges(spans, rolls, {**sector, **meter.limits})),
            quantities=frozenset(spans.keys() & QUANTITIES.keys()),
        )


def _ranges(
    spans: Mapping[str, Span],
    rolls: Mapping[str, float],
    said: Mapping[str, tuple[float, float]],
) -> Iterator[tuple[str, tuple[float, float]]]:
    """Each quantity's range that is narrower than its own: registers, then sector or fleet."""
    for name, quantity in QUANTITIES.items():
        low, high = said.get(name, (quantity.lowest, quantity.highest))
        span = spans.get(name, Span())
        lows = [quantity.lowest, low, span.lowest]
        highs = [quantity.highest, high, span.highest]
        if quantity.kind is Kind.COUNTER:
            highs.append(rolls.get(name))
        narrow = (
            max(end for end in lows if end is not None),
            min(end for end in highs if end is not None),
        )
        if narrow != (quantity.lowest, quantity.highest):
            yield name, narrow
