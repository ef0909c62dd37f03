"""Measured: a folder of wide hourly CSV files -> electricity by building, gaps and faults left in.

Unlike `benchmarks.truth.measured` nothing is bridged and nothing is chosen: rules are to meet what
building operators meet. Clocks of walls are taken for Shanghai's.
"""

import csv
import gzip
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from collector.fleet.index import Sector
from collector.settle.cells import DAY_MS, HOUR_MS, SHANGHAI_MS, day_start_ms

FILES = ("bdg2_electricity_raw.csv.gz", "cambridge_elec_gas_2018_2019.csv.gz")
LABELS = "labels_weak.csv"
_ELECTRICITY = "__electricity"
_SECTORS = (("_health_", Sector.HOSPITAL), ("_education_", Sector.SCHOOL))


class Building(Struct, frozen=True, kw_only=True):
    """One building's electricity.

    Attributes:
        first_ms: start of the first hour, a midnight in Shanghai.
        energy: n hours, kWh; NaN where nothing was read.
    """

    name: str
    sector: Sector
    first_ms: int
    energy: NDArray[np.float64]

    @property
    def last_ms(self) -> int:
        """The end, a midnight."""
        return self.first_ms + len(self.energy) // 24 * DAY_MS


class Label(Struct, frozen=True, kw_only=True):
    """An anomaly that somebody, or a plain rule, found in the series; half-open.

    Attributes:
        trap: it looks like a real process: who alerts here alerts falsely.
    """

    building: str
    kind: str
    start_ms: int
    end_ms: int
    trap: bool


def buildings(folder: Path) -> list[Building]:
    return [one for file in FILES if (folder / file).is_file() for one in _read(folder / file)]


def labels(folder: Path) -> list[Label]:
    file = folder / LABELS
    if not file.is_file():
        return []
    with file.open(encoding="utf-8", newline="") as text:
        return [
            Label(
                building=row["building_id"],
                kind=row["kind"],
                start_ms=_ms(row["start"], row["building_id"]),
                end_ms=_ms(row["end"], row["building_id"]) + HOUR_MS,
                trap=(row["confidence"] or "").startswith("low"),
            )
            for row in csv.DictReader(text)
            if row["meter"] == "electricity"
        ]


def _read(file: Path) -> Iterator[Building]:
    with gzip.open(file, "rt", encoding="utf-8", newline="") as text:
        header, *rows = csv.reader(text)
    is_utc = header[0] == "timestamp_utc"
    at_ms = np.array([_stamp_ms(row[0], is_utc=is_utc) for row in rows])
    for column, name in enumerate(header[1:], start=1):
        building, _, meter = name.partition("__")
        if not meter or f"__{meter}" == _ELECTRICITY:
            values = np.array([float(row[column]) if row[column] else np.nan for row in rows])
            yield _building(building, at_ms, values)


def _building(name: str, at_ms: NDArray[np.int64], values: NDArray[np.float64]) -> Building:
    first_ms = day_start_ms(int(at_ms.min()))
    count = (day_start_ms(int(at_ms.max()) + HOUR_MS - 1) + DAY_MS - first_ms) // HOUR_MS
    energy = np.full(count, np.nan)
    energy[(at_ms - first_ms) // HOUR_MS] = np.where(values < 0, np.nan, values)
    sector = next((sector for part, sector in _SECTORS if part in name), None)
    if name.startswith("UCam"):
        sector = Sector.SCHOOL
    return Building(name=name, sector=sector or Sector.GOVERNMENT, first_ms=first_ms, energy=energy)


def _stamp_ms(text: str, *, is_utc: bool) -> int:
    stamp = datetime.fromisoformat(text).replace(tzinfo=UTC)
    return round(stamp.timestamp() * 1000) - (0 if is_utc else SHANGHAI_MS)


def _ms(text: str, building: str) -> int:
    return _stamp_ms(text, is_utc=building.startswith("UCam"))
