"""Interval lines: settled figures -> the lines that InfluxDB takes, and its answers -> figures.

What is not known has no `value`: a line cannot say null. The server would keep the field that stood
there before, so `known` says whether `value` counts.
"""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from collector.adapters.columns import Floats, Ints
from collector.adapters.influxql import Series
from collector.adapters.line_protocol import escaped, place_of
from collector.intervals import Figure, GaugeWindows, Intervals, Subject
from collector.settle.cells import Cells, Width
from collector.settle.rule import names_of
from collector.settle.series import PER_UNIT
from collector.store import Tags

INTERVAL, GAUGE, QUALITY = "interval", "gauge", "quality"
SHARES = ("measured", "estimated", "edited", "missing")
INTERVAL_FIELDS = ("known", "value_millionths", *SHARES, "rule_bits", "version")
GAUGE_FIELDS = ("count", "lowest", "mean", "highest")
Key = tuple[str, str]  # a meter and a quantity


def lines_of_intervals(tags: Tags, intervals: Intervals) -> Iterator[bytes]:
    """Yield one line per interval, times in ms."""
    head = f"{INTERVAL}{_place(tags, intervals.quantity, intervals.width)} "
    names = {bits: names_of(bits) for bits in np.unique(intervals.cells.rules).tolist()}
    cells = intervals.cells
    rows = zip(
        cells.start_ms.tolist(),
        cells.known.tolist(),
        cells.value.tolist(),
        zip(*(getattr(cells, name).tolist() for name in SHARES), strict=True),
        cells.rules.tolist(),
        intervals.version.tolist(),
        strict=True,
    )
    for start_ms, known, value, (measured, estimated, edited, missing), rules, version in rows:
        what = (
            f"known=true,value={value / PER_UNIT!r},value_millionths={value}i"
            if known
            else "known=false"
        )
        yield (
            f"{head}{what},measured={measured!r},estimated={estimated!r},edited={edited!r},"
            f'missing={missing!r},rules="{names[rules]}",rule_bits={rules}i,version={version}i'
            f" {start_ms}"
        ).encode()


def lines_of_gauge(tags: Tags, windows: GaugeWindows) -> Iterator[bytes]:
    """Yield one line per window, times in ms."""
    head = f"{GAUGE}{_place(tags, windows.quantity, windows.width)} "
    rows = zip(
        windows.start_ms.tolist(),
        *(getattr(windows, name).astype(np.float64).tolist() for name in GAUGE_FIELDS),
        strict=True,
    )
    for start_ms, count, lowest, mean, highest in rows:
        yield (
            f"{head}count={count!r},lowest={lowest!r},mean={mean!r},highest={highest!r} {start_ms}"
        ).encode()


def line_of_figure(figure: Figure) -> bytes:
    places = f"subject={figure.subject.value},id={escaped(figure.id)},name={escaped(figure.name)}"
    return f"{QUALITY},{places} value={float(figure.value)!r} {figure.day_ms}".encode()


def _place(tags: Tags, quantity: str, width: Width) -> str:
    return f"{place_of(tags)},width={width.value},quantity={escaped(quantity)}"


# -- answers -------------------------------------------------------------------------------------


def key_of(series: Series) -> Key:
    return series.tags["meter"], series.tags["quantity"]


def matrix_of_intervals(series: Series) -> Ints:
    """Turn a piece of an answer to `INTERVAL_FIELDS` into start, known, value, rules, version.

    Whole numbers stay whole: a double would lose the last digits of a large value.
    """
    columns = dict(zip(series.columns, zip(*series.values, strict=True), strict=True))
    known = np.array(columns["known"], np.bool_)
    values = [value or 0 for value in columns["value_millionths"]]
    return np.array(
        [
            columns["time"],
            known,
            np.where(known, np.array(values, np.int64), 0),
            columns["rule_bits"],
            columns["version"],
        ],
        np.int64,
    )


def matrix_of_floats(series: Series, names: Sequence[str]) -> Floats:
    """Turn a piece of an answer into one row per name."""
    cells = np.array(series.values, object)
    places = [series.columns.index(name) for name in names]
    return np.asarray(cells[:, places].T, np.float64)


def intervals_of(key: Key, width: Width, whole: Ints, shares: Floats) -> Intervals:
    """Put rows in order; of one interval in two series the newest version is it."""
    start_ms, known, value, rules, version = whole
    chosen = _last_of_each(start_ms, version)
    measured, estimated, edited, missing = shares[:, chosen]
    cells = Cells(
        start_ms=start_ms[chosen],
        value=value[chosen],
        known=known[chosen].astype(np.bool_),
        measured=measured,
        estimated=estimated,
        edited=edited,
        missing=missing,
        rules=rules[chosen],
    )
    meter, quantity = key
    return Intervals(
        meter=meter, quantity=quantity, width=width, cells=cells, version=version[chosen]
    )


def gauge_of(key: Key, width: Width, columns: Floats) -> GaugeWindows:
    """Put rows in order; of one window in two series the one with more readings is it."""
    start_ms = columns[0].astype(np.int64)
    chosen = _last_of_each(start_ms, columns[1])
    count, lowest, mean, highest = columns[1:, chosen]
    meter, quantity = key
    return GaugeWindows(
        meter=meter,
        quantity=quantity,
        width=width,
        start_ms=start_ms[chosen],
        count=count.astype(np.int64),
        lowest=lowest,
        mean=mean,
        highest=highest,
    )


def figures_in(series: Series, subject: Subject) -> Iterator[Figure]:
    for day_ms, value in series.values:
        yield Figure(
            subject=subject,
            id=series.tags["id"],
            day_ms=int(day_ms or 0),
            name=series.tags["name"],
            value=float(value or 0),
        )


def _last_of_each(start_ms: Ints, rank: NDArray[np.int64] | Floats) -> Ints:
    """Return the places of the highest rank of each start, in order of the starts."""
    order = np.lexsort((rank, start_ms))
    last = np.append(np.diff(start_ms[order]) != 0, True)
    return np.asarray(order[last])
