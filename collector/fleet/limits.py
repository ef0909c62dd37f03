"""Limits: `config/limits.yaml` -> what each sector's values may be, and how far they may disagree.

What each key means is said once, in the file itself.
"""

from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import Annotated

from pydantic import Field

from collector.fleet.codes import Limits, QuantityName
from collector.fleet.document import Positive, Text
from collector.fleet.index import Sector, Tolerances
from documents.finding import Problem
from documents.load import load
from documents.strict import Strict
from metering.quantity import QUANTITIES, Kind

FILE = "limits.yaml"

Ranges = dict[Sector, dict[str, tuple[float, float]]]


class Mark(StrEnum):
    """How sure a number is."""

    SOURCE = "source"  # read in a text that `why` names
    UNVERIFIED = "unverified"  # told by `why`, not seen
    DEFAULT = "default"  # ours


class RangeSpec(Strict):
    """One range for some quantities, everywhere or in some sectors."""

    quantities: Annotated[tuple[QuantityName, ...], Field(min_length=1)]
    range: Limits
    sectors: Annotated[tuple[Sector, ...], Field(min_length=1)] | None = None
    mark: Mark
    why: Text


class JumpSpec(Strict):
    """The most by which some gauges may move between two readings."""

    quantities: Annotated[tuple[QuantityName, ...], Field(min_length=1)]
    most: Positive
    within_s: Positive
    mark: Mark
    why: Text


class NumberSpec(Strict):
    """One number."""

    value: Positive
    mark: Mark
    why: Text


class CountSpec(Strict):
    """One whole number."""

    value: Annotated[int, Field(ge=1)]
    mark: Mark
    why: Text


class TolerancesSpec(Strict):
    """The names are those of `collector.fleet.index.Tolerances`; what is left out keeps its own."""

    hard_limit: NumberSpec | None = None
    soft_limit: NumberSpec | None = None
    refresh_electricity_s: NumberSpec | None = None
    refresh_other_s: NumberSpec | None = None
    sum_share: NumberSpec | None = None
    sum_rated: NumberSpec | None = None
    triangle_share: NumberSpec | None = None
    triangle_rated: NumberSpec | None = None
    ahead_s: NumberSpec | None = None
    frozen_s: NumberSpec | None = None
    readings: CountSpec | None = None


class LimitsDocument(Strict):
    """All of the file."""

    ranges: tuple[RangeSpec, ...] = ()
    jumps: tuple[JumpSpec, ...] = ()
    tolerances: TolerancesSpec = TolerancesSpec()


def load_limits(folder: Path) -> LimitsDocument:
    """What `folder/limits.yaml` says; without the file, only each quantity's own range holds.

    Raises:
        DocumentInvalid: with every mistake in it.
    """
    file = folder / FILE
    return load(file, LimitsDocument, _problems) if file.exists() else LimitsDocument()


def ranges_of(document: LimitsDocument) -> Ranges:
    """The range by sector and quantity; what names a sector goes before what holds everywhere."""
    ordered = sorted(document.ranges, key=lambda spec: spec.sectors is not None)
    ranges: Ranges = {sector: {} for sector in Sector}
    for spec in ordered:
        for sector in spec.sectors or Sector:
            ranges[sector] |= dict.fromkeys(spec.quantities, spec.range)
    return ranges


def tolerances_of(document: LimitsDocument) -> Tolerances:
    given: dict[str, float] = {
        name: spec.value for name, spec in document.tolerances if spec is not None
    }
    readings = document.tolerances.readings
    return Tolerances(
        **{name: value for name, value in given.items() if name != "readings"},
        readings=readings.value if readings else Tolerances().readings,
        jumps={
            name: (spec.most, spec.within_s) for spec in document.jumps for name in spec.quantities
        },
    )


def _problems(document: LimitsDocument) -> Iterator[Problem]:
    """What the schema cannot say."""
    yield from _twice(document)
    for place, spec in enumerate(document.ranges):
        for name in spec.quantities:
            low, high = QUANTITIES[name].lowest, QUANTITIES[name].highest
            if spec.range[0] < low or spec.range[1] > high:
                wide = f"'{name}' is {low:g} to {high:g} at most, {list(spec.range)} came"
                yield Problem(("ranges", place, "range"), wide)
    for place, jump in enumerate(document.jumps):
        for at, name in enumerate(jump.quantities):
            if QUANTITIES[name].kind is Kind.COUNTER:
                path = ("jumps", place, "quantities", at)
                yield Problem(path, f"'{name}' counts; only a gauge can jump")
    soft, hard = (tolerances_of(document).soft_limit, tolerances_of(document).hard_limit)
    if soft > hard:
        path_of_soft = ("tolerances", "soft_limit", "value")
        yield Problem(path_of_soft, f"at most hard_limit ({hard:g}) is needed, {soft:g} came")


def _twice(document: LimitsDocument) -> Iterator[Problem]:
    first: dict[tuple[str, object], int] = {}
    for place, spec in enumerate(document.ranges):
        for at, name in enumerate(spec.quantities):
            for sector in spec.sectors or (None,):
                known = first.setdefault((name, sector), place)
                if known != place:
                    where = "everywhere" if sector is None else f"for '{sector}'"
                    yield Problem(
                        ("ranges", place, "quantities", at),
                        f"'{name}' has a range {where} already",
                        other=("ranges", known, "range"),
                    )
