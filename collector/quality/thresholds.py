"""Thresholds: `config/verification.yaml` -> from where on the daily verification says something.

Each number carries where it comes from: a source, or that it is a default of ours.
"""

from pathlib import Path
from typing import Annotated

from pydantic import Field

from documents.load import load
from documents.strict import Strict

FILE = "verification.yaml"

Share = Annotated[float, Field(ge=0, le=1)]


class Threshold(Strict):
    """A number and its mark: `source: …` or `default: why`."""

    value: Share
    source: Annotated[str, Field(min_length=1)]


class CountThreshold(Strict):
    """The same for a count."""

    value: Annotated[int, Field(ge=0)]
    source: Annotated[str, Field(min_length=1)]


class SecondsThreshold(Strict):
    """The same for seconds."""

    value: Annotated[float, Field(gt=0)]
    source: Annotated[str, Field(min_length=1)]


def _default(value: float) -> Threshold:
    return Threshold(value=value, source="engineering default")


class Thresholds(Strict):
    """What a clean day must keep.

    Attributes:
        completeness: least share of the cycles that brought a reading.
        estimated: most of a day's time that may be estimated or missing.
        late: most of a day's readings that may come late.
        rejected: most values of a meter and day that may be refused.
        month: most by which the days may differ from the month.
        sub_meters: share of a main by which the meters below it may exceed it.
        comparable: share of a main's intervals that must be comparable before it is judged.
        clock_s: most that a gateway's clock may be off.
        gain: by how much a meter may count otherwise than before, held against its family.
        gain_power: by how much energy against power times hours may differ from before.
        power_off: by how much it may differ from 1.
    """

    completeness: Threshold = Threshold(
        value=0.9, source="NECC key-user system, second-hand: completeness >= 90 %"
    )
    estimated: Threshold = _default(0.1)
    late: Threshold = _default(0.1)
    rejected: CountThreshold = CountThreshold(value=10, source="engineering default")
    month: Threshold = Threshold(
        value=0.05, source="NECC key-user system, second-hand: daily against monthly <= 5 %"
    )
    sub_meters: Threshold = _default(0.05)
    comparable: Threshold = _default(0.8)
    clock_s: SecondsThreshold = SecondsThreshold(
        value=60.0, source="NECC key-user system, second-hand: daily data <= 1 min around 00:00"
    )
    gain: Threshold = _default(0.1)
    gain_power: Threshold = _default(0.05)
    power_off: Threshold = _default(0.1)


def load_thresholds(folder: Path) -> Thresholds:
    """Read `verification.yaml` of a configuration folder; without one the defaults hold.

    Raises:
        DocumentInvalid: every mistake in it, with file, line and key.
    """
    path = folder / FILE
    return load(path, Thresholds) if path.exists() else Thresholds()
