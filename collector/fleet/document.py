"""Fleet document: the shape of one district's file, as a person writes it.

What each key means is said once, in the annotated example `config/fleet/heping.yaml`.
"""

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from collector.fleet.codes import (
    BuildingCode,
    BusUrl,
    Day,
    DistrictCode,
    EnergyCode,
    GatewayCode,
    Id,
    Limits,
    ModelId,
    PointCode,
    QuantityName,
)
from collector.fleet.index import Direction, Sector
from documents.strict import Strict

Text = Annotated[str, Field(min_length=1)]
Positive = Annotated[float, Field(gt=0)]


class AppliedBy(StrEnum):
    """Who multiplies the register by the transformer ratios."""

    GATEWAY = "gateway"
    METER = "meter"


class RatioSpec(Strict):
    """Transformer ratios: primary / secondary."""

    ct: Positive = 1
    pt: Positive = 1
    applied_by: AppliedBy


class Priority(StrEnum):
    """What is read first where a bus has no time for everything."""

    HIGH = "high"
    NORMAL = "normal"
    LOW = "low"


class MeterSpec(Strict):
    id: Id
    code: PointCode
    model: ModelId
    unit: Annotated[int, Field(ge=0, le=255)]
    energy: EnergyCode
    circuit: Text
    parent: Id | None = None
    ratio: RatioSpec = RatioSpec(applied_by=AppliedBy.METER)
    rated: dict[QuantityName, Positive] = Field(default_factory=dict)
    limits: dict[QuantityName, Limits] = Field(default_factory=dict)
    rolls_over_at: dict[QuantityName, Positive] = Field(default_factory=dict)
    direction: Direction = Direction.IMPORT
    options: dict[Text, Text] = Field(default_factory=dict)
    serial: Text | None = None
    cycle_s: Annotated[int, Field(ge=1, le=86_400)] | None = None
    every_s: dict[QuantityName, Annotated[int, Field(ge=0, le=86_400)]] = Field(
        default_factory=dict
    )
    priority: dict[QuantityName, Priority] = Field(default_factory=dict)
    fill: Annotated[int, Field(ge=0, le=124)] | None = None
    valid_from: Day
    valid_to: Day | None = None


class BusSpec(Strict):
    url: BusUrl
    cycle_s: Annotated[int, Field(ge=1, le=3600)] = 60
    start_offset_s: Annotated[int, Field(ge=0)] | None = None
    meters: Annotated[tuple[MeterSpec, ...], Field(min_length=1)]


class GatewaySpec(Strict):
    id: Id
    code: GatewayCode
    buses: Annotated[tuple[BusSpec, ...], Field(min_length=1)]


class BuildingSpec(Strict):
    id: Id
    code: BuildingCode
    area_m2: Positive
    built: Annotated[int, Field(ge=1800, le=2100)] | None = None
    gateways: tuple[GatewaySpec, ...] = ()


class InstitutionSpec(Strict):
    id: Id
    name: Text
    sector: Sector
    buildings: Annotated[tuple[BuildingSpec, ...], Field(min_length=1)]


class VirtualMeterSpec(Strict):
    id: Id
    energy: EnergyCode
    circuit: str = ""
    sum: Annotated[tuple[tuple[Id, float], ...], Field(min_length=1)]


class DistrictSpec(Strict):
    id: DistrictCode
    store: Id


class FleetDocument(Strict):
    """One district."""

    district: DistrictSpec
    institutions: tuple[InstitutionSpec, ...]
    virtual_meters: tuple[VirtualMeterSpec, ...] = ()
