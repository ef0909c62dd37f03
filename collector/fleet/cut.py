"""Cut: a fleet document -> a gateway's own part of it, with the meter models that it needs.

The cut is all that a gateway knows of the fleet. Its digest goes out in the gateway's state, so
that the collector sees who is still running on an old one.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from datetime import date

from collector.fleet.document import BusSpec, DistrictSpec, FleetDocument, MeterSpec
from collector.fleet.places import Place, gateways, in_force
from documents.nearest import suggestion
from documents.tree import Value
from metering.errors import PermanentError

Models = Mapping[str, dict[str, Value]]


class UnknownGateway(PermanentError):
    """The fleet has no gateway of that id."""


def cut(
    document: FleetDocument, gateway: str, models: Models, *, day: date | None = None
) -> dict[str, Value]:
    """The gateway's own part of the fleet, version 1.

    Args:
        document: the whole district.
        gateway: the gateway's id.
        models: the content of each model's file by model id; what is not needed is left out.
        day: whose entries to take, a day in Shanghai. Without one, each meter's newest entry is
            taken, unless that one has an end.

    Returns:
        Plain values, ready for JSON or YAML. Buses and meters keep the document's order; a bus
        without meters is left out.

    Raises:
        UnknownGateway: the message names the nearest one.
    """
    known = [known.id for *_, known in gateways(document)]
    if gateway not in known:
        meant = suggestion(gateway, known)
        raise UnknownGateway("; ".join(filter(None, (f"no gateway '{gateway}'", meant))))
    mine = [place for place in in_force(document, day) if place.gateway.id == gateway]
    content = part(document.district, gateway, mine, models)
    return {**content, "digest": digest(content)}


def part(
    district: DistrictSpec, gateway: str, mine: Sequence[Place], models: Models
) -> dict[str, Value]:
    """The cut without its digest, made of the entries that are the gateway's own."""
    needed = sorted({place.meter.model for place in mine})
    return {
        "v": 1,
        "district": district.id,
        "store": district.store,
        "gateway": gateway,
        "buses": _buses(mine),
        "models": {model: models[model] for model in needed},
    }


def digest(content: Mapping[str, Value]) -> str:
    """The first 16 hex digits of SHA-256 over the canonical JSON of a cut without its digest."""
    signed = {key: value for key, value in content.items() if key != "digest"}
    canonical = json.dumps(signed, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(canonical.encode()).hexdigest()[:16]


def _buses(mine: Sequence[Place]) -> list[Value]:
    meters: dict[str, list[Value]] = {}
    buses: dict[str, BusSpec] = {}
    for place in mine:
        buses[place.bus.url] = place.bus
        meters.setdefault(place.bus.url, []).append(_meter(place.meter))
    return [
        {
            "url": url,
            "cycle_s": bus.cycle_s,
            **_given(start_offset_s=bus.start_offset_s),
            "meters": meters[url],
        }
        for url, bus in buses.items()
    ]


def _meter(meter: MeterSpec) -> Value:
    return {
        "id": meter.id,
        "model": meter.model,
        "unit": meter.unit,
        "ratio": {
            "ct": meter.ratio.ct,
            "pt": meter.ratio.pt,
            "applied_by": meter.ratio.applied_by.value,
        },
        "direction": meter.direction.value,
        "options": dict(meter.options),
        **_given(
            serial=meter.serial,
            cycle_s=meter.cycle_s,
            every_s=dict(meter.every_s) or None,
            priority={name: word.value for name, word in meter.priority.items()} or None,
            fill=meter.fill,
        ),
    }


def _given(**values: Value) -> dict[str, Value]:
    """What the fleet says; of what it leaves out the gateway knows better."""
    return {name: value for name, value in values.items() if value is not None}
