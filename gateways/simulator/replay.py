"""Replay: a file of hourly measurements -> loads that count exactly what was measured.

Columns: first `timestamp_local` (a wall clock, taken as +08:00 whatever it once was) or
`timestamp_utc`, the beginning of the hour; then kWh (m³) in the hour, one column per series. An
empty field means that the meter said nothing in that hour.
"""

import csv
import gzip
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta, timezone
from math import isfinite
from pathlib import Path
from typing import TextIO

from gateways.simulator.load import HOUR_MS, ReplayedLoad
from gateways.strict import ContentInvalid, nearest

_ZONES = {"timestamp_local": timezone(timedelta(hours=8)), "timestamp_utc": UTC}


def read_replay(file: Path, series: Mapping[str, str]) -> dict[str, ReplayedLoad]:
    """Loads by meter.

    Args:
        file: `.csv` or `.csv.gz`.
        series: the column of each meter.

    Raises:
        ContentInvalid: the file has no such column, or a line of it cannot be read.
    """
    with _opened(file) as text:
        lines = csv.reader(text)
        header = next(lines, [])
        zone = _ZONES.get(header[0] if header else "")
        if zone is None:
            expected = " or ".join(_ZONES)
            raise ContentInvalid(f"{file.name}:1", (), f"the first column must be {expected}")
        columns = {meter: _column(file, header, name) for meter, name in series.items()}
        hours: dict[int, list[str]] = {}
        for number, line in enumerate(lines, start=2):
            hours[_hour(file, number, line, zone)] = line
    return {meter: _load(file, hours, column) for meter, column in columns.items()}


@contextmanager
def _opened(file: Path) -> Iterator[TextIO]:
    opener = gzip.open if file.suffix == ".gz" else open
    with opener(file, "rt", encoding="utf-8", newline="") as text:
        yield text


def _column(file: Path, header: list[str], name: str) -> int:
    if name not in header[1:]:
        message = f"there is no column '{name}'{nearest(name, header[1:])}"
        raise ContentInvalid(f"{file.name}:1", (), message)
    return header.index(name)


def _hour(file: Path, number: int, line: list[str], zone: timezone) -> int:
    try:
        at = datetime.fromisoformat(line[0]).replace(tzinfo=zone)
    except (ValueError, IndexError) as error:
        raise ContentInvalid(f"{file.name}:{number}", (), "the line has no timestamp") from error
    return round(at.timestamp() * 1000) // HOUR_MS


def _load(file: Path, hours: Mapping[int, list[str]], column: int) -> ReplayedLoad:
    first, last = min(hours, default=0), max(hours, default=-1)
    values: list[float | None] = []
    for hour in range(first, last + 1):
        line = hours.get(hour)
        text = line[column] if line and column < len(line) else ""
        values.append(_number(file, text))
    return ReplayedLoad(first * HOUR_MS, values)


def _number(file: Path, text: str) -> float | None:
    if not text:
        return None
    try:
        number = float(text)
    except ValueError as error:
        raise ContentInvalid(file.name, (), f"'{text}' is not a number") from error
    return number if isfinite(number) else None
