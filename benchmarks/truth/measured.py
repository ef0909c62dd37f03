"""Measured: a folder of wide CSV files -> hourly series, and stretches of them that are clean.

A file counts if a column's name begins with `timestamp`; every other column of numbers is energy in
the hour that begins there, unless its name says that it is something else. What is stamped more
often than hourly is added up. A column with both signs is read as the counter of the direction that
prevails, which stands still while the other does. Up to three hours without a value are bridged:
what is played is the truth, whatever was there. `timestamp_utc` is UTC; any other stamp is a wall
clock and taken for Shanghai's.
"""

import csv
import gzip
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from collector.settle.cells import HOUR_MS, SHANGHAI_MS

SHARED = Path(__file__).parents[3] / "shared" / "data"
LABELS = "labels_weak.csv"
DAY_HOURS = 24

_NOT_ENERGY = ("_c", "_pct", "_w_m2", "_m_s", "_mm", "temperature", "humidity")
_FORMATS = ("%Y-%m-%d %H:%M:%S", "%Y-%m-%d %H:%M", "%m/%d/%Y %H:%M", "%Y/%m/%d %H:%M")
# Weak labels that are not something which the building itself does.
_DEFECTS = frozenset({"stuck", "spike", "zero_run", "dropout_low", "catch_up", "level_shift"})
_METERS = ("electricity", "gas", "solar", "irrigation", "hotwater", "water")
_BRIDGED = 3  # hours without a value
_SAME_AT_MOST = 4  # hours of the same value that is not zero
_ZERO_AT_MOST = 3  # hours of zero, where zeros are not usual
_ZEROS_USUAL = 0.05  # share of hours at zero, of a series that has them anyway
_HIGHEST = 8.0  # times the 99th percentile of what is not zero
_ALIVE = 0.02  # share of hours that count something
_AWAKE = 0.5  # the same, of a series beside another
_SUMS = ("total_", "net_")  # columns that hold others of their file

Floats = NDArray[np.float64]


class Hourly(Struct, frozen=True, kw_only=True):
    """Energy by the hour.

    Attributes:
        kind: what is measured, as far as file or column say: electricity, gas, solar.
        first_ms: the start of the first hour.
        energy: n hours, in the counter's unit; NaN where nothing was measured.
        bad: n; whether a weak label says that something was wrong.
    """

    name: str
    kind: str
    first_ms: int
    energy: Floats
    bad: NDArray[np.bool_]


class Stretch(Struct, frozen=True, kw_only=True):
    """Some days of a series, without anything that looks wrong; from a midnight in Shanghai.

    Attributes:
        beside: other series of the same kind over the same days, as far as they are clean.
    """

    name: str
    start_ms: int
    energy: Floats
    beside: tuple["Stretch", ...] = ()


def load_folder(folder: Path) -> list[Hourly]:
    """Every series of every file that has some, by file and column."""
    labels = _labels(folder / LABELS)
    files = sorted([*folder.glob("*.csv"), *folder.glob("*.csv.gz")])
    return [series for file in files for series in _load(file, labels)]


def _load(file: Path, labels: dict[str, list[tuple[datetime, datetime]]]) -> Iterator[Hourly]:
    with (
        gzip.open(file, "rt", encoding="utf-8", newline="")
        if file.suffix == ".gz"
        else file.open(encoding="utf-8", newline="")
    ) as text:
        rows = list(csv.reader(text))
    header = rows[0] if rows else []
    clock = next((n for n, name in enumerate(header) if name.startswith("timestamp")), None)
    if clock is None or len(rows) < DAY_HOURS:
        return
    stamps = [_parse(row[clock]) for row in rows[1:]]
    offset_ms = 0 if header[clock] == "timestamp_utc" else SHANGHAI_MS
    at_ms = np.array([round(stamp.timestamp() * 1000) for stamp in stamps]) - offset_ms
    for column, name in enumerate(header):
        if column == clock or name.lower().endswith(_NOT_ENERGY):
            continue
        energy = _numbers(row[column] if column < len(row) else "" for row in rows[1:])
        if energy is not None:
            labelled = _labelled(name, file)
            spans = [
                (_ms(begin, offset_ms), _ms(end, offset_ms))
                for begin, end in labels.get(labelled, ())
            ]
            kind = labelled.partition("__")[2]
            yield _hourly((name, kind), at_ms, _one_way(energy), spans)


def _labelled(column: str, file: Path) -> str:
    """As the labels call it: building and meter, of which the second may be in the file's name."""
    building, _, meter = column.partition("__")
    of_file = next((word for word in _METERS if word in file.name), "electricity")
    return f"{building}__{meter or of_file}"


def _one_way(energy: Floats) -> Floats:
    """What an import counter takes, or an export counter gives, whichever there is more of."""
    sign = -1.0 if np.nansum(energy) < 0 else 1.0
    return np.where(np.isnan(energy), np.nan, np.maximum(sign * energy, 0.0) + 0.0)


def _parse(text: str) -> datetime:
    """As it is written, for UTC."""
    try:
        return datetime.fromisoformat(text).replace(tzinfo=UTC)
    except ValueError:
        pass
    # An hour 24 is the next day's 0.
    late = " 24:" in text
    for form in _FORMATS:
        try:
            stamp = datetime.strptime(text.replace(" 24:", " 00:"), form).replace(tzinfo=UTC)
        except ValueError:
            continue
        return stamp + timedelta(days=int(late))
    raise ValueError(f"{text!r} is no time that this knows: ISO 8601, or {', '.join(_FORMATS)}")


def _numbers(texts: Iterator[str]) -> Floats | None:
    """None if the column holds something else than numbers."""
    try:
        return np.array([float(text) if text else np.nan for text in texts])
    except ValueError:
        return None


def _ms(stamp: datetime, offset_ms: int) -> int:
    return round(stamp.timestamp() * 1000) - offset_ms


def _hourly(
    named: tuple[str, str], at_ms: NDArray[np.int64], energy: Floats, spans: list[tuple[int, int]]
) -> Hourly:
    hours = at_ms // HOUR_MS
    first = int(hours.min())
    place = hours - first
    total = np.zeros(int(place.max()) + 1)
    seen = np.zeros(len(total), np.bool_)
    np.add.at(total, place, energy)  # NaN in a part of an hour is NaN in all of it
    seen[place] = True
    starts = (first + np.arange(len(total))) * HOUR_MS
    bad = np.zeros(len(total), np.bool_)
    for start, end in spans:
        bad |= (starts >= start) & (starts <= end)
    energy = _bridged(np.where(seen, total, np.nan))
    name, kind = named
    return Hourly(name=name, kind=kind, first_ms=first * HOUR_MS, energy=energy, bad=bad)


def _bridged(energy: Floats) -> Floats:
    gone = ~np.isfinite(energy)
    short = gone & ~_in_long_runs(gone, _BRIDGED)
    known = np.flatnonzero(~gone)
    if not len(known):
        return energy
    between = np.interp(np.flatnonzero(short), known, energy[known])
    filled = energy.copy()
    filled[short] = between
    return filled


def _labels(file: Path) -> dict[str, list[tuple[datetime, datetime]]]:
    """Spans of defects by `building` and by `building__meter`; none if there is no such file."""
    found: dict[str, list[tuple[datetime, datetime]]] = {}
    if not file.is_file():
        return found
    with file.open(encoding="utf-8", newline="") as text:
        for row in csv.DictReader(text):
            if row["kind"] in _DEFECTS and not (row["confidence"] or "").startswith("low"):
                span = (_parse(row["start"]), _parse(row["end"]))
                found.setdefault(f"{row['building_id']}__{row['meter']}", []).append(span)
    return found


# ---- what is clean


def stretches(series: Hourly, days: int) -> list[Stretch]:
    """Every clean stretch that begins at a midnight in Shanghai, by time; they overlap."""
    length = days * DAY_HOURS
    suspect = _suspect(series)
    counted = np.concatenate(([0], np.cumsum(suspect)))
    alive = np.concatenate(([0], np.cumsum(series.energy > 0)))
    first = (-(series.first_ms + SHANGHAI_MS) // HOUR_MS) % DAY_HOURS
    return [
        Stretch(
            name=series.name,
            start_ms=series.first_ms + start * HOUR_MS,
            energy=series.energy[start : start + length],
        )
        for start in range(first, len(series.energy) - length + 1, DAY_HOURS)
        if counted[start] == counted[start + length]
        and alive[start + length] - alive[start] >= _ALIVE * length
    ]


def beside(stretch: Stretch, kind: str, everything: Sequence[Hourly]) -> tuple[Stretch, ...]:
    """Other series of a kind over the days of a stretch: a building's, or its neighbours'."""
    found = []
    for series in everything:
        first = (stretch.start_ms - series.first_ms) // HOUR_MS
        beyond = first + len(stretch.energy)
        if first < 0 or beyond > len(series.energy) or series.name == stretch.name:
            continue
        energy = series.energy[first:beyond]
        whole = series.kind == kind and not series.name.startswith(_SUMS)
        if whole and not _suspect(series)[first:beyond].any() and (energy > 0).mean() > _AWAKE:
            found.append(Stretch(name=series.name, start_ms=stretch.start_ms, energy=energy))
    return tuple(found)


def _suspect(series: Hourly) -> NDArray[np.bool_]:
    """Hours that no clean stretch may hold."""
    energy = series.energy
    moving = energy[energy > 0]
    wrong = ~np.isfinite(energy) | series.bad
    if len(moving):
        wrong |= energy > _HIGHEST * np.percentile(moving, 99)
    zero = energy == 0
    known = np.isfinite(energy)
    if zero.sum() < _ZEROS_USUAL * max(1, known.sum()):
        wrong |= _in_long_runs(zero, _ZERO_AT_MOST)
    same = np.concatenate(([False], (np.diff(energy) == 0) & (energy[1:] > 0)))
    if same.mean() < _ZEROS_USUAL:
        wrong |= _in_long_runs(same, _SAME_AT_MOST)
    return np.asarray(wrong)


def _in_long_runs(what: NDArray[np.bool_], at_most: int) -> NDArray[np.bool_]:
    edges = np.diff(np.concatenate(([0], what.astype(np.int8), [0])))
    found = np.zeros(len(what), np.bool_)
    for begin, end in zip(
        np.flatnonzero(edges == 1).tolist(), np.flatnonzero(edges == -1).tolist(), strict=True
    ):
        if end - begin > at_most:
            found[begin:end] = True
    return found
