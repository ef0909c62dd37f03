"""Servers: the real broker and the real database, each a process that can be watched."""

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from benchmarks.process import cpu_s
from tests.torture.servers import Influxd, Mosquitto, Server

_SETTLED_S = 0.5
_SETTLES_WITHIN_S = 10.0


class Broker(Mosquitto):
    """Debian's Mosquitto, with room for what a full speed test has under way."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, settings="max_queued_messages 10000")

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid


class Influx(Influxd):
    """Debian's InfluxDB 1.6.7; the proxy that it needs has a process of its own."""

    proxy: subprocess.Popen[bytes] | None = None
    proxy_port = 0

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def direct_url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        Server.start(self)
        query = {"q": "create database readings"}
        httpx.post(f"{self.direct_url}/query", params=query, trust_env=False).raise_for_status()
        self.proxy = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.rewrite_proxy", str(self.port)],
            stdout=subprocess.PIPE,
        )
        assert self.proxy.stdout is not None
        self.proxy_port = int(self.proxy.stdout.readline())

    def stop(self) -> None:
        if self.proxy is not None:
            self.proxy.terminate()
            self.proxy.wait(10)
        Server.stop(self)

    @property
    def settings(self) -> dict[str, object]:
        return {
            "kind": "influxdb",
            "url": f"http://127.0.0.1:{self.proxy_port}",
            "org": "nenghao",
            "bucket": "readings",
        }

    def settle(self) -> None:
        """Wait until it has nothing more to do: compaction is part of what a value costs."""
        until = time.monotonic() + _SETTLES_WITHIN_S
        before = cpu_s(self.pid)
        while time.monotonic() < until:
            time.sleep(_SETTLED_S)
            now = cpu_s(self.pid)
            if now - before < 0.02 * _SETTLED_S:
                return
            before = now


@contextmanager
def running_broker(folder: Path) -> Iterator[Broker]:
    broker = Broker(folder)
    try:
        broker.start()
        yield broker
    finally:
        broker.stop()


@contextmanager
def running_influx(folder: Path) -> Iterator[Influx]:
    influx = Influx(folder)
    try:
        influx.start()
        yield influx
    finally:
        influx.stop()
