"""A real InfluxDB for tests: Debian's 1.6.7, on loopback, in a folder of its own."""

import os
import shutil
import socket
import subprocess
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import httpx
import pytest

from collector.adapters.influx import InfluxReadingStore
from tests.servers.influx_proxy import InfluxProxy

_CONFIG = """
reporting-disabled = true
bind-address = "127.0.0.1:{rpc}"
[meta]
  dir = "{folder}/meta"
[data]
  dir = "{folder}/data"
  wal-dir = "{folder}/wal"
  query-log-enabled = false
[monitor]
  store-enabled = false
[http]
  bind-address = "127.0.0.1:{http}"
  log-enabled = false
[logging]
  level = "error"
"""
_STARTS_WITHIN_S = 30.0


class InfluxServer(NamedTuple):
    """A running server behind its proxy."""

    direct_url: str
    proxy: InfluxProxy

    def new_bucket(self) -> str:
        """Make an empty database; returns its name."""
        name = f"b{uuid.uuid4().hex}"
        query = {"q": f'create database "{name}"'}
        httpx.post(f"{self.direct_url}/query", params=query, trust_env=False).raise_for_status()
        return name

    def new_store(self, bucket: str | None = None, **settings: object) -> InfluxReadingStore:
        """Open a store on a bucket of its own."""
        return InfluxReadingStore(
            url=self.proxy.url,
            token="unused",
            org="nenghao",
            bucket=bucket or self.new_bucket(),
            **settings,  # type: ignore[arg-type]
        )


def required_program(name: str, package: str) -> str:
    """Return the program's path; skip without it, but never in CI."""
    path = shutil.which(name, path=os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin")))
    if path:
        return path
    message = f"{name} is missing: apt-get install {package}"
    if os.environ.get("CI"):
        pytest.fail(message)
    pytest.skip(message)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def running_influx() -> Iterator[str]:
    """Start influxd; yields its address."""
    program = required_program("influxd", "influxdb")
    with tempfile.TemporaryDirectory(prefix="influx-") as folder:
        port = free_port()
        config = Path(folder) / "influxdb.conf"
        config.write_text(_CONFIG.format(folder=folder, rpc=free_port(), http=port))
        log = Path(folder) / "log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                [program, "run", "-config", str(config)],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )
        try:
            _wait_for(f"http://127.0.0.1:{port}", process, log)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(10)


def _wait_for(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    give_up = time.monotonic() + _STARTS_WITHIN_S
    while time.monotonic() < give_up and process.poll() is None:
        try:
            if httpx.get(f"{url}/ping", timeout=1, trust_env=False).status_code == 204:
                return
        except httpx.TransportError:
            time.sleep(0.05)
    pytest.fail(f"influxd did not start: {log.read_text(errors='replace')[-2000:]}")


@pytest.fixture(scope="session")
def influx_server() -> Iterator[InfluxServer]:
    with running_influx() as url:
        host, _, port = url.removeprefix("http://").partition(":")
        proxy = InfluxProxy((host, int(port)))
        yield InfluxServer(url, proxy)
        proxy.down()
