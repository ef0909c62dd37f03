"""Brokers and databases that can be killed and come back on the same port with what they had."""

import os
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

import httpx

from nenghao.demo.stage import free_ports
from tests.servers.influx_proxy import InfluxProxy

_START_S = 30.0


class Server:
    """A process on a port. Killed, it loses what it did not write; restarted, it finds the rest."""

    def __init__(self, command: list[str], log: Path, port: int) -> None:
        self._command = command
        self._log = log
        self.port = port
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        until = time.monotonic() + _START_S
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > until:
                text = self._log.read_text(errors="replace")[-2000:]
                raise AssertionError(f"{self._command[0]} did not start: {text}")
            time.sleep(0.05)

    def _answers(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1):
                return True
        except OSError:
            return False

    def kill(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait()

    def stop(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(10)
            except subprocess.TimeoutExpired:
                self.kill()


def program(name: str) -> str:
    path = shutil.which(name, path=os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin")))
    assert path, f"{name} is missing: run tests/servers/install"
    return path


class Mosquitto(Server):
    """Debian's Mosquitto with its defaults, which drop and forget: the protocol must not care."""

    def __init__(self, folder: Path, settings: str = "") -> None:
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o777)  # started by root, it drops to its own user
        (port,) = free_ports(1)
        config = folder / "mosquitto.conf"
        config.write_text(
            f"listener {port} 127.0.0.1\nallow_anonymous true\n"
            f"persistence true\npersistence_location {folder}/\n{settings}\n"
        )
        super().__init__([program("mosquitto"), "-c", str(config)], folder / "log", port)
        self.url = f"mqtt://127.0.0.1:{port}"


class Influxd(Server):
    """Debian's InfluxDB 1.6.7 behind the proxy that speaks 2.x's write path."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        port, rpc = free_ports(2)
        config = folder / "influxdb.conf"
        config.write_text(
            f'reporting-disabled = true\nbind-address = "127.0.0.1:{rpc}"\n'
            f'[meta]\ndir = "{folder}/meta"\n'
            f'[data]\ndir = "{folder}/data"\nwal-dir = "{folder}/wal"\nquery-log-enabled = false\n'
            "[monitor]\nstore-enabled = false\n"
            f'[http]\nbind-address = "127.0.0.1:{port}"\nlog-enabled = false\n'
            '[logging]\nlevel = "error"\n'
        )
        super().__init__([program("influxd"), "run", "-config", str(config)], folder / "log", port)
        self._proxy: InfluxProxy | None = None

    def start(self) -> None:
        super().start()
        if self._proxy is None:
            self._proxy = InfluxProxy(("127.0.0.1", self.port))
            query = {"q": "create database readings"}
            httpx.post(
                f"http://127.0.0.1:{self.port}/query", params=query, trust_env=False
            ).raise_for_status()

    def stop(self) -> None:
        super().stop()
        if self._proxy is not None:
            self._proxy.down()
            self._proxy = None

    @property
    def settings(self) -> dict[str, object]:
        """What a collector's file says of it."""
        assert self._proxy is not None
        return {
            "kind": "influxdb",
            "url": self._proxy.url,
            "org": "nenghao",
            "bucket": "readings",
            "timeout_s": 5.0,
        }
