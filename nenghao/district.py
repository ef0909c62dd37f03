"""District: the fleet's documents -> each gateway's cut, described for the simulator."""

from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any

from collector.fleet.check import load_documents, load_models
from collector.fleet.codes import local_day
from collector.fleet.cut import cut
from collector.fleet.document import FleetDocument
from collector.fleet.places import gateways, in_force
from metering.clock import SystemClock


def today() -> date:
    """The day in Tianjin."""
    return local_day(SystemClock().now_ms())


def cuts_of(config: Path) -> dict[str, dict[str, Any]]:
    """Every gateway's cut, as `nenghao fleet cut` writes it, by gateway id."""
    documents = load_documents(config)
    models = load_models(config, documents)
    return {
        entry.id: dict(cut(document, entry.id, models, day=today()))
        for document in documents
        for *_, entry in gateways(document)
    }


def described_cuts(config: Path) -> list[dict[str, Any]]:
    """The cuts with what the simulator wants to know of each meter."""
    documents = load_documents(config)
    described: dict[str, Mapping[str, Any]] = {}
    for document in documents:
        described |= _descriptions(document)
    cuts = list(cuts_of(config).values())
    for content in cuts:
        for bus in content["buses"]:
            for meter in bus["meters"]:
                meter["describe"] = described[meter["id"]]
    return cuts


def _descriptions(document: FleetDocument) -> dict[str, Mapping[str, Any]]:
    return {
        place.meter.id: {
            "energy": place.meter.energy,
            "parent": place.meter.parent,
            "rated": dict(place.meter.rated),
            "sector": place.institution.sector.value,
            "area_m2": place.building.area_m2,
            "serial": place.meter.serial,
        }
        for place in in_force(document, today())
    }
