"""How much processor time a stored value costs: the bare stores, without broker and gates.

    .venv/bin/python benchmarks/bench_store.py [--values 2000000]

A call carries 20 batches of 1,000 values (50 meters, 20 quantities each, one minute apart).
"""

import argparse
import random
import tempfile
import time
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

from rich.console import Console
from rich.table import Table

from collector.adapters.duckdb import DuckDbReadingStore
from collector.adapters.line_protocol import Lines
from collector.store import Row, Tags
from metering.quantity import QUANTITIES

FIRST_MS = 1_780_272_000_000  # 2026-06-01
MINUTE_MS = 60_000
METERS, BATCHES, QUANTITY_COUNT = 50, 20, 20
NAMES = tuple(QUANTITIES)[:QUANTITY_COUNT]
SPARSE = tuple(
    tuple(QUANTITIES)[first : first + count]
    for first, count in ((0, 28), (10, 20), (28, 26), (44, 6))
)  # four models of 20 values on average

Calls = list[list[Row]]


def tags(meter: int) -> Tags:
    return Tags(
        district="120101",
        sector="hospital",
        institution=f"e{meter // 10:03}",
        building=f"e{meter // 10:03}-b1",
        circuit="总进线",
        meter=f"e{meter // 10:03}-m{meter}",
        energy="01000",
        gateway=f"gw-e{meter // 10:03}",
    )


def calls(count: int, names: tuple[tuple[str, ...], ...]) -> Calls:
    chance = random.Random(1)  # noqa: S311  the same load in every run
    where = [tags(meter) for meter in range(METERS)]

    def row(meter: int, minute: int) -> Row:
        quantities = names[meter % len(names)]
        return Row(
            meter=where[meter].meter,
            at_ms=FIRST_MS + minute * MINUTE_MS + meter * 17,
            values={name: round(chance.gauss(230, 3), 2) for name in quantities},
            tags=where[meter],
        )

    def call(first: int) -> list[Row]:
        return [row(m, first + b) for b in range(BATCHES) for m in range(METERS)]

    return [call(number * BATCHES) for number in range(count)]


def value_count(load: Calls) -> int:
    return sum(len(row.values) for rows in load for row in rows)


def cost(work: Callable[[], None], values: int) -> tuple[float, float]:
    """Processor and wall seconds per million values."""
    cpu, wall = time.process_time(), time.perf_counter()
    work()
    return (
        (time.process_time() - cpu) / values * 1e6,
        (time.perf_counter() - wall) / values * 1e6,
    )


def in_duckdb(title: str, load: Calls, before: Calls | None = None) -> Iterator[tuple[str, ...]]:
    """Write `load`, after `before`; the file's size is that of both."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "readings.duckdb"
        store = DuckDbReadingStore(path)
        for rows in before or ():
            store.write(rows)

        def write() -> None:
            for rows in load:
                store.write(rows)

        cpu, wall = cost(write, value_count(load))
        held = store.count().values
        store.close()
        size = path.stat().st_size / held
        yield title, f"{cpu:.3f}", f"{wall:.3f}", f"{size:.2f}"


def reopened(load: Calls) -> Iterator[tuple[str, ...]]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "readings.duckdb"
        store = DuckDbReadingStore(path)
        for rows in load:
            store.write(rows)
        store.close()

        def reopen() -> None:
            DuckDbReadingStore(path).close()

        cpu, wall = cost(reopen, value_count(load))
        yield "DuckDB, open again", f"{cpu:.3f}", f"{wall:.3f}", "-"


def as_lines(title: str, load: Calls) -> Iterator[tuple[str, ...]]:
    lines = Lines()
    size = 0

    def build() -> None:
        nonlocal size
        for rows in load:
            size += sum(len(line) for line in lines.of_rows(rows))

    cpu, wall = cost(build, value_count(load))
    yield title, f"{cpu:.3f}", f"{wall:.3f}", f"{size / value_count(load):.1f}"


def results(values: int) -> Iterator[tuple[str, ...]]:
    count = max(values // (METERS * BATCHES * QUANTITY_COUNT), 2)
    one_model, four_models = calls(count, (NAMES,)), calls(count, SPARSE)
    small = [rows[first : first + METERS] for rows in one_model for first in range(0, 1000, METERS)]
    yield from in_duckdb("DuckDB, live, 20 batches a call", one_model)
    yield from in_duckdb("DuckDB, live, four models", four_models)
    yield from in_duckdb("DuckDB, live, 1 batch a call", list(islice(small, 500)))
    yield from in_duckdb("DuckDB, backlog, newest first", one_model[::-1])
    yield from in_duckdb("DuckDB, the same again", one_model, one_model)
    yield from reopened(one_model)
    yield from as_lines("line protocol, one model", one_model)
    yield from as_lines("line protocol, four models", four_models)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--values", type=int, default=2_000_000)
    table = Table(title="the store, per value")
    table.add_column("what")
    for column in ("CPU-s / million", "wall-s / million", "bytes"):
        table.add_column(column, justify="right")
    for row in results(parser.parse_args().values):
        table.add_row(*row)
    Console().print(table)


if __name__ == "__main__":
    main()
