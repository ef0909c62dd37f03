"""Collector: as fast as it goes, from the broker into a database; the whole budget, by process."""

import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import msgspec

from benchmarks.figure import Figure, Profile, Result
from benchmarks.fleet import write_config
from benchmarks.load import Done, Plan
from benchmarks.process import Usage, Watch, cpu_s, cpu_s_at_end
from benchmarks.profile import profile
from benchmarks.scale import Scale
from benchmarks.servers import Influx, running_broker, running_influx
from nenghao.demo.processes import District
from nenghao.demo.stage import Pace, Stage

GATEWAYS = 20
_AIMS = {"duckdb": 1.0, "influxdb": 1.5}
_NAMES = {"duckdb": "DuckDB", "influxdb": "InfluxDB"}
_PROFILED_ROUNDS = 60


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """One database's run: what was sent, what each process took for it."""

    done: Done
    usage: dict[str, Usage]
    close_s: float  # of the collector, from the last batch to its end: DuckDB's checkpoint
    profile: Profile | None


def measure(scale: Scale) -> Result:
    figures: list[Figure] = []
    profiles: list[Profile] = []
    for kind, rounds in (("duckdb", scale.rounds_duckdb), ("influxdb", scale.rounds_influx)):
        outcome = run(kind, rounds, scale.profile_s)
        figures += _figures(kind, outcome)
        profiles += [outcome.profile] if outcome.profile else []
    return Result(figures=tuple(figures), profiles=tuple(profiles))


def run(kind: str, rounds: int, profile_s: float = 0) -> Outcome:
    """Everything is started anew, so that no run inherits another's files."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
        broker = stack.enter_context(running_broker(folder / "broker"))
        influx = None
        if kind == "influxdb":
            influx = stack.enter_context(running_influx(folder / "influx"))
        write_config(folder / "source", gateways=GATEWAYS)
        stage = Stage(
            folder / "stage", folder / "source", pace=Pace(cycle_s=60), broker_url=broker.url
        )
        stage.write(store=influx.settings if influx else None)
        district = District(stage)
        stack.callback(district.collector.stop)
        district.collector.start()
        district.await_collector()
        batches = rounds + (_PROFILED_ROUNDS if profile_s else 0)
        plan = Plan(broker=broker.url, gateways=GATEWAYS, batches=batches)
        generator = stack.enter_context(_generator(folder, plan))
        pids = {"generator": generator.pid, "broker": broker.pid}
        pids["collector"] = district.collector.pid
        if influx is not None and influx.proxy is not None:
            pids |= {"database": influx.pid, "proxy": influx.proxy.pid}
        done, usage = _timed(generator, pids, rounds, influx)
        seen = _profiled(generator, kind, district.collector.pid, profile_s, folder)
        return Outcome(done=done, usage=usage, close_s=_close(district.collector.pid), profile=seen)


def _timed(
    generator: "Generator", pids: dict[str, int], rounds: int, influx: Influx | None
) -> tuple[Done, dict[str, Usage]]:
    watch = Watch(pids)
    done = generator.send(rounds)
    usage = watch.look()
    if influx is not None:
        influx.settle()
        usage["database"] = watch.look()["database"]
    return done, usage


def _profiled(
    generator: "Generator", kind: str, pid: int, seconds: float, folder: Path
) -> Profile | None:
    """A second helping under py-spy, which slows what it looks at."""
    if not seconds:
        return None
    sending = threading.Thread(target=generator.send, args=(_PROFILED_ROUNDS,))
    sending.start()
    seen = profile(f"collector → {_NAMES[kind]}", pid, seconds, folder)
    sending.join()
    return seen


def _close(pid: int) -> float:
    before = cpu_s(pid)
    os.kill(pid, signal.SIGTERM)
    return cpu_s_at_end(pid) - before


class Generator:
    """The load in a process of its own."""

    def __init__(self, process: subprocess.Popen[str], log: Path) -> None:
        self._process = process
        self._log = log
        self.pid = process.pid

    def await_ready(self) -> None:
        self._line()

    def send(self, rounds: int) -> Done:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{rounds}\n")
        self._process.stdin.flush()
        return msgspec.json.decode(self._line(), type=Done)

    def _line(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            code = self._process.wait()
            said = self._log.read_text(encoding="utf-8", errors="replace")[-1000:]
            raise RuntimeError(f"the load generator ended with code {code}: {said}")
        return line


@contextmanager
def _generator(folder: Path, plan: Plan) -> Iterator[Generator]:
    file = folder / "plan.json"
    file.write_bytes(msgspec.json.encode(plan))
    with (
        (folder / "generator.log").open("wb") as log,
        subprocess.Popen(
            [sys.executable, "-m", "benchmarks.load", str(file)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        ) as process,
    ):
        generator = Generator(process, folder / "generator.log")
        try:
            generator.await_ready()
            yield generator
        finally:
            process.terminate()


def _figures(kind: str, outcome: Outcome) -> Iterator[Figure]:
    done, name = outcome.done, _NAMES[kind]
    values = done.values

    def figure(what: str, value: float, unit: str, **more: Any) -> Figure:
        return Figure(section=f"collector → {name}", what=what, value=value, unit=unit, **more)

    yield figure(
        "持续入库 sustained from the broker",
        values / done.seconds,
        "values/s",
        digits=0,
        note=f"{values / 1e6:.1f} M values in {done.seconds:.1f} s wall, "
        f"{done.bytes / done.batches / 1000:.1f} kB a batch of 1,000",
    )
    collector = outcome.usage["collector"]
    yield figure("采集中心 collector", collector.per_million(values), "CPU-s/M", aim=_AIMS[kind])
    if kind == "duckdb":
        yield figure(
            "采集中心, 含关闭时写盘 collector with the checkpoint at its end",
            (collector.cpu_s + outcome.close_s) / values * 1e6,
            "CPU-s/M",
        )
    labels = {
        "database": "数据库 influxd",
        "broker": "消息代理 mosquitto",
        "generator": "发送方 load generator",
        "proxy": "转换代理 2.x→1.x proxy (test only)",
    }
    for part, label in labels.items():
        if part in outcome.usage:
            yield figure(label, outcome.usage[part].per_million(values), "CPU-s/M")
    for part, usage in outcome.usage.items():
        if part != "generator":
            yield figure(f"内存峰值 peak memory, {part}", usage.peak_mb, "MB", digits=0)
