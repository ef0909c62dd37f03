"""Stage: the example district -> a folder from which every process of it can be started.

Copies the configuration, gives every bus a free port and the demo's pace, and writes the settings
of the simulator, the gateways and the collector beside it.
"""

import json
import shutil
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec
import yaml

from nenghao.commands.fleet import to_text
from nenghao.district import cuts_of


class Pace(msgspec.Struct, frozen=True, kw_only=True):
    """How fast the demo lives.

    Attributes:
        cycle_s: poll period of every bus, in wall time.
        start: wall time at `anchor`; None for the machine's own time.
        speed: wall seconds per real second.
    """

    cycle_s: int = 1
    start: datetime | None = None
    anchor: datetime | None = None
    speed: float = 1.0

    def settings(self) -> dict[str, Any] | None:
        if self.start is None or self.anchor is None:
            return None
        return {
            "start": self.start.isoformat(),
            "anchor": self.anchor.isoformat(),
            "speed": self.speed,
        }


class Stage:
    """The files of one small district under `folder`."""

    def __init__(self, folder: Path, config: Path, *, pace: Pace, broker_url: str) -> None:
        self.folder = folder
        self.served_log = folder / "served.jsonl"
        self.collector_file = folder / "collector.yaml"
        self.simulator_file = folder / "simulate.yaml"
        self.ready_file = folder / "simulator-ready.json"
        self._source = config
        self._pace = pace
        self._broker_url = broker_url
        self.gateway_files: dict[str, Path] = {}

    def write(
        self,
        *,
        store: dict[str, Any] | None = None,
        rules: tuple[dict[str, Any], ...] = (),
        faults: tuple[dict[str, Any], ...] = (),
        replay: dict[str, Any] | None = None,
        notify: dict[str, Any] | None = None,
    ) -> None:
        """Write everything.

        Args:
            store: the collector's `store`; left out, DuckDB in the folder.
            notify: who is told of alerts; left out, nobody.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        config = self.folder / "config"
        shutil.copytree(self._source, config, dirs_exist_ok=True)
        shutil.rmtree(config / "rules", ignore_errors=True)  # what may fire is what is asked for
        (config / "notify.yaml").unlink(missing_ok=True)
        if notify is not None:
            self._dump(config / "notify.yaml", notify)
        for file in sorted((config / "fleet").glob("*.yaml")):
            self._repace(file)
        cuts = cuts_of(config)
        for gateway, cut in cuts.items():
            self._write_gateway(gateway, cut)
        self._dump(
            self.simulator_file,
            {
                "fleet": "config",
                "log": self.served_log.name,
                "faults": list(faults),
                **_given(clock=self._pace.settings(), replay=replay),
            },
        )
        self._dump(
            self.collector_file,
            {
                "config": "config",
                "folder": "collector",
                "broker": {"url": self._broker_url},
                "store": store or {"kind": "duckdb", "path": "collector/readings.duckdb"},
                "api": {"port": free_ports(1)[0]},
                "rules": list(rules),
                "notify": notify is not None,
                **_given(clock=self._pace.settings()),
            },
        )

    @property
    def api_url(self) -> str:
        port = yaml.safe_load(self.collector_file.read_text(encoding="utf-8"))["api"]["port"]
        return f"http://127.0.0.1:{port}"

    def _write_gateway(self, gateway: str, cut: dict[str, Any]) -> None:
        (self.folder / f"{gateway}.json").write_text(to_text(cut), encoding="utf-8")
        file = self.folder / f"{gateway}.yaml"
        self._dump(
            file,
            {
                "fleet": f"{gateway}.json",
                "broker": {"url": self._broker_url, "keepalive_s": 5},
                "spool": {"folder": str(self.folder / "spool" / gateway)},
                "trust_rtc": True,
                "drain_s": 10.0,
                **_given(clock=self._pace.settings()),
            },
        )
        self.gateway_files[gateway] = file

    def _repace(self, file: Path) -> None:
        # JSON is YAML, and it keeps every code quoted.
        fleet = yaml.safe_load(file.read_text(encoding="utf-8"))
        buses = list(_buses(fleet))
        for bus, port in zip(buses, free_ports(len(buses)), strict=True):
            bus["cycle_s"] = self._pace.cycle_s
            bus["start_offset_s"] = 0
            # The query stays: a timeout is the fleet's own.
            bus["url"] = urlsplit(bus["url"])._replace(netloc=f"127.0.0.1:{port}").geturl()
        self._dump(file, fleet)

    @staticmethod
    def _dump(file: Path, content: dict[str, Any]) -> None:
        text = json.dumps(content, ensure_ascii=False, indent=1, default=str)
        file.write_text(text + "\n", encoding="utf-8")


def _given(**values: Any) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


def _buses(fleet: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for institution in fleet["institutions"]:
        for building in institution["buildings"]:
            for gateway in building["gateways"]:
                yield from gateway["buses"]


def free_ports(count: int) -> list[int]:
    """Ports of loopback that nobody listens on now, all different."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
