"""Store: what a stored value costs with nothing in front of the database.

Twenty batches of 1,000 values a call, as the collector's groups are. *Bare* is the database alone:
columns that stand ready in numpy, lines that stand ready as bytes. *Through the adapter* are rows
as the gate hands them over.
"""

import http.client
import multiprocessing
import random
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import duckdb  # noqa: TID251 - the bare database is what is measured
import numpy as np
from msgspec import Struct

from benchmarks.figure import Figure, Result
from benchmarks.fleet import METERS, gateway_id, quantities
from benchmarks.load import minute_of_readings
from benchmarks.process import cpu_s, peak_mb
from benchmarks.scale import Scale
from benchmarks.servers import running_influx
from collector.adapters.duckdb import DuckDbReadingStore
from collector.adapters.line_protocol import Lines
from collector.store import Row, Tags

_GATEWAYS = 20  # batches in one call
_PER_CALL = _GATEWAYS * METERS * 20
_FIRST_MS = 1_780_272_000_000  # 2026-06-01: one month's table
_MINUTE_MS = 60_000

_Call = TypeVar("_Call")


class Cost(Struct, frozen=True, kw_only=True):
    """What so many values took.

    Attributes:
        cpu_s: of the database's process; for an embedded one, of the whole process.
        client_s: of whoever sent them, if that is another process.
    """

    values: int
    cpu_s: float
    wall_s: float
    peak_mb: float
    bytes_a_value: float
    client_s: float = 0.0

    @property
    def per_million(self) -> float:
        return self.cpu_s / self.values * 1e6


def measure(scale: Scale) -> Result:
    calls = max(2, scale.store_values // _PER_CALL)
    return Result(
        figures=(
            *_figures("DuckDB", "裸写 bare, numpy columns", _alone(duckdb_bare, calls)),
            *_figures("DuckDB", "经适配器 through the adapter", _alone(duckdb_rows, calls)),
            *_figures("InfluxDB", "裸写 bare, encoded lines", _alone(influx_bare, calls // 2)),
            *_figures("InfluxDB", "只编码 lines encoded only", _alone(lines_only, calls // 2)),
        )
    )


def _alone(work: Callable[[int], Cost], calls: int) -> Cost:
    """In a fresh process: its memory is then its own."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(max_workers=1, mp_context=context) as pool:
        return pool.submit(work, max(2, calls) + 1).result()


def duckdb_bare(calls: int) -> Cost:
    names = [name for name, _ in quantities()]
    made = [_columns(call, names) for call in range(calls)]
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        path = Path(folder) / "bare.duckdb"
        config = {"threads": 1, "checkpoint_threshold": "64MB"}
        connection = duckdb.connect(str(path), config=config)
        columns = ", ".join(f"{name} double" for name in names)
        connection.execute(
            f"create table reading (meter integer, at_ms bigint, tag integer, {columns})"
        )
        wanted = ", ".join(["meter", "at_ms", "tag", *names])

        def write(some: list[dict[str, np.ndarray[Any, Any]]]) -> None:
            for arrays in some:
                connection.register("incoming", arrays)
                connection.execute(
                    f"insert into reading ({wanted}) select {wanted} from incoming"  # noqa: S608
                )
                connection.unregister("incoming")

        cost = _timed(write, made)
        connection.close()
        return _sized(cost, path)


def duckdb_rows(calls: int) -> Cost:
    made = [_rows(call) for call in range(calls)]
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        path = Path(folder) / "rows.duckdb"
        store = DuckDbReadingStore(path)

        def write(some: list[list[Row]]) -> None:
            for rows in some:
                store.write(rows)

        cost = _timed(write, made)
        store.close()
        return _sized(cost, path)


def lines_only(calls: int) -> Cost:
    made = [_rows(call) for call in range(calls)]
    lines, size = Lines(), 0

    def write(some: list[list[Row]]) -> None:
        nonlocal size
        for rows in some:
            size += len(b"\n".join(lines.of_rows(rows)))

    cost = _timed(write, made)
    return Cost(
        values=cost.values,
        cpu_s=cost.cpu_s,
        wall_s=cost.wall_s,
        peak_mb=cost.peak_mb,
        bytes_a_value=size / cost.values,
    )


def influx_bare(calls: int) -> Cost:
    lines = Lines()
    bodies = [b"\n".join(lines.of_rows(_rows(call))) for call in range(calls)]
    values = (calls - 1) * _PER_CALL
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        folder = Path(name)
        with running_influx(folder) as influx:
            connection = http.client.HTTPConnection("127.0.0.1", influx.port)
            _post(connection, bodies[:1])
            before, began, own = cpu_s(influx.pid), time.monotonic(), time.process_time()
            _post(connection, bodies[1:])
            wall_s, client_s = time.monotonic() - began, time.process_time() - own
            influx.settle()
            connection.close()
            size = sum(f.stat().st_size for f in folder.rglob("*") if f.is_file())
            return Cost(
                values=values,
                cpu_s=cpu_s(influx.pid) - before,
                wall_s=wall_s,
                peak_mb=peak_mb(influx.pid),
                bytes_a_value=size / values,
                client_s=client_s,
            )


def _post(connection: http.client.HTTPConnection, bodies: list[bytes]) -> None:
    for body in bodies:
        connection.request("POST", "/write?db=readings&precision=ms", body)
        answer = connection.getresponse()
        answer.read()
        assert answer.status == 204, answer.status


def _timed(write: Callable[[list[_Call]], None], calls: list[_Call]) -> Cost:
    """The first call makes tables and tags, once in a meter's life: it is not counted."""
    write(calls[:1])
    cpu, wall = time.process_time(), time.monotonic()
    write(calls[1:])
    return Cost(
        values=(len(calls) - 1) * _PER_CALL,
        cpu_s=time.process_time() - cpu,
        wall_s=time.monotonic() - wall,
        peak_mb=peak_mb(multiprocessing.current_process().pid or 0),
        bytes_a_value=0,
    )


def _sized(cost: Cost, path: Path) -> Cost:
    return Cost(
        values=cost.values,
        cpu_s=cost.cpu_s,
        wall_s=cost.wall_s,
        peak_mb=cost.peak_mb,
        bytes_a_value=path.stat().st_size / cost.values,
    )


def _rows(call: int) -> list[Row]:
    """One minute of every gateway."""
    chance = random.Random(call)  # noqa: S311 - the same load in every run
    return [
        Row(
            meter=reading.meter,
            at_ms=reading.at_ms,
            values=reading.values,
            tags=_tags(reading.meter, gateway),
        )
        for gateway in range(1, _GATEWAYS + 1)
        for reading in minute_of_readings(gateway, _FIRST_MS + call * _MINUTE_MS, chance)
    ]


def _tags(meter: str, gateway: int) -> Tags:
    return Tags(
        district="120101",
        sector="hospital",
        institution=f"e{gateway:03}",
        building=f"e{gateway:03}-b1",
        circuit="支路",
        meter=meter,
        energy="01A10",
        gateway=gateway_id(gateway),
    )


def _columns(call: int, names: list[str]) -> dict[str, np.ndarray[Any, Any]]:
    rows = _rows(call)
    matrix = np.array([list(row.values.values()) for row in rows]).T
    count = np.arange(len(rows))
    ids = {"meter": count, "at_ms": np.array([row.at_ms for row in rows]), "tag": count}
    return ids | {name: np.ascontiguousarray(matrix[i]) for i, name in enumerate(names)}


def _figures(name: str, what: str, cost: Cost) -> Iterator[Figure]:
    section = f"store, {name}"
    yield Figure(
        section=section,
        what=what,
        value=cost.values / cost.wall_s,
        unit="values/s",
        digits=0,
        note=f"{cost.values / 1e6:.1f} M values in {cost.wall_s:.1f} s wall",
    )
    sent = f", the sender {cost.client_s / cost.values * 1e6:.2f}" if cost.client_s else ""
    yield Figure(
        section=section,
        what=what,
        value=cost.per_million,
        unit="CPU-s/M",
        note=f"{cost.bytes_a_value:.1f} bytes a value, peak {cost.peak_mb:.0f} MB{sent}",
    )
