"""World: one gateway with 50 simulated meters, a broker, a collector, a database; all real."""

import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from benchmarks.fleet import METERS, TWO_REQUESTS, gateway_id, write_config
from benchmarks.observe import Observer
from benchmarks.process import Watch
from benchmarks.servers import Broker, Influx, running_broker, running_influx
from nenghao.demo.processes import District, Part
from nenghao.demo.stage import Pace, Stage

GATEWAY = gateway_id(1)


class World:
    """The parts, written but not started; the broker and the database run."""

    def __init__(  # noqa: PLR0913 - what makes a world
        self,
        folder: Path,
        broker: Broker,
        influx: Influx | None,
        *,
        model: str,
        compress: bool,
        meters: int,
        pace: Pace,
    ) -> None:
        self.folder = folder
        self.broker = broker
        self.influx = influx
        write_config(folder / "source", gateways=1, model=model, meters=meters)
        self.stage = Stage(folder / "stage", folder / "source", pace=pace, broker_url=broker.url)
        self.stage.write(store=influx.settings if influx else None)
        self.change(self.stage.simulator_file, log=None)
        self.change(self.stage.gateway_files[GATEWAY], compress=compress)
        self.district = District(self.stage)

    @staticmethod
    def change(file: Path, **settings: Any) -> None:
        """Set keys of one of the stage's files; None takes a key out."""
        content = json.loads(file.read_text(encoding="utf-8")) | settings
        kept = {name: value for name, value in content.items() if value is not None}
        file.write_text(json.dumps(kept), encoding="utf-8")

    @property
    def gateway(self) -> Part:
        return self.district.gateways[GATEWAY]

    @property
    def spool(self) -> Path:
        return self.stage.folder / "spool" / GATEWAY

    @property
    def cut_file(self) -> Path:
        return self.stage.folder / f"{GATEWAY}.json"

    def slow_down(self, cycle_s: int) -> None:
        """From its next start on the gateway polls that seldom."""
        cut = json.loads(self.cut_file.read_text(encoding="utf-8"))
        for bus in cut["buses"]:
            bus["cycle_s"] = cycle_s
        self.cut_file.write_text(json.dumps(cut), encoding="utf-8")

    def last_words(self) -> str:
        """The ends of the logs, for whoever has to find out what went wrong."""
        logs = sorted((self.stage.folder / "logs").glob("*.log"))
        return "\n".join(
            f"{log.name}: {log.read_text(encoding='utf-8', errors='replace')[-1500:]}"
            for log in logs
        )

    def gateway_log(self) -> str:
        log = self.stage.folder / "logs" / f"{GATEWAY}.log"
        return log.read_text(encoding="utf-8", errors="replace")

    def watch(self) -> Watch:
        pids = {
            "gateway": self.gateway.pid,
            "collector": self.district.collector.pid,
            "broker": self.broker.pid,
            "simulator": self.district.simulator.pid,
        }
        if self.influx is not None and self.influx.proxy is not None:
            pids |= {"database": self.influx.pid, "proxy": self.influx.proxy.pid}
        return Watch(pids)

    @contextmanager
    def observed(self, skipped: tuple[str, ...] = ()) -> Iterator[Observer]:
        observer = Observer(self.broker.url, skipped)
        observer.start()
        try:
            yield observer
        finally:
            observer.stop()


@contextmanager
def staged(
    folder: Path,
    *,
    store: str = "duckdb",
    model: str = TWO_REQUESTS,
    compress: bool = False,
    meters: int = METERS,
    pace: Pace | None = None,
) -> Iterator[World]:
    """A world in `folder`; everything that was started ends with it."""
    with ExitStack() as stack:
        broker = stack.enter_context(running_broker(folder / "broker"))
        influx = None
        if store == "influxdb":
            influx = stack.enter_context(running_influx(folder / "influx"))
        world = World(
            folder,
            broker,
            influx,
            model=model,
            compress=compress,
            meters=meters,
            pace=pace or Pace(cycle_s=1),
        )
        stack.callback(world.district.stop)
        yield world
