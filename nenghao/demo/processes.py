"""Processes: the parts of a staged district, each a process of its own, as in the field."""

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import httpx

from metering.errors import TransientError
from nenghao.demo.stage import Stage

_START_S = 30.0
_STOP_S = 20.0


class PartDown(TransientError):
    """A process ended, or did not come up in time; the message names its log."""


class Part:
    """One process: `nenghao` with arguments, its log in a file."""

    def __init__(self, name: str, arguments: list[str], log: Path) -> None:
        self.name = name
        self._arguments = arguments
        self._log_file = log
        self._process: subprocess.Popen[bytes] | None = None
        self._asked = False  # to stop

    def start(self) -> None:
        with self._log_file.open("ab") as log:
            self._process = subprocess.Popen(  # noqa: S603 - our own command, our own arguments
                [sys.executable, "-m", "nenghao", *self._arguments],
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                start_new_session=True,  # Ctrl-C is for whoever started us, to stop us in order
            )
        self._asked = False

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def check(self) -> None:
        """Raise PartDown if it ended by itself."""
        if self._process is not None and self._process.poll() is not None:
            raise PartDown(
                f"{self.name} ended with code {self._process.returncode}: see {self._log_file}"
            )

    def kill(self) -> None:
        """As a power cut would: SIGKILL."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def ask_to_stop(self) -> None:
        """SIGTERM, once, and no waiting: several parts end at the same time."""
        if self._process is not None and not self._asked:
            self._process.terminate()
            self._asked = True

    def stop(self) -> int:
        """SIGTERM, then wait; returns the exit code."""
        if self._process is None:
            return 0
        self.ask_to_stop()
        try:
            self._process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            self.kill()
        return self._process.returncode


class District:
    """All parts of a staged district but the broker and the database."""

    def __init__(self, stage: Stage) -> None:
        logs = stage.folder / "logs"
        logs.mkdir(parents=True, exist_ok=True)
        self._stage = stage
        self.simulator = Part(
            "simulator",
            ["simulate", str(stage.simulator_file), "--ready", str(stage.ready_file)],
            logs / "simulator.log",
        )
        self.collector = Part(
            "collector", ["collector", "run", str(stage.collector_file)], logs / "collector.log"
        )
        self.gateways = {
            name: Part(name, ["gateway", "run", str(file)], logs / f"{name}.log")
            for name, file in stage.gateway_files.items()
        }

    @property
    def parts(self) -> tuple[Part, ...]:
        return (self.simulator, self.collector, *self.gateways.values())

    def start(self, *, gateways: bool = True) -> None:
        """Start everything, or all but the gateways, and wait until the collector answers."""
        self._stage.ready_file.unlink(missing_ok=True)
        self.simulator.start()
        self.collector.start()
        self.await_simulator()
        self.await_collector()  # a broker keeps nothing for a session that never was
        for gateway in self.gateways.values() if gateways else ():
            gateway.start()

    def await_simulator(self) -> None:
        self._await(self.simulator, self._stage.ready_file.exists)

    def await_collector(self) -> None:
        """Until its API says that it is linked and nothing is down."""

        def ready() -> bool:
            try:
                return httpx.get(f"{self._stage.api_url}/readyz", timeout=2).is_success
            except httpx.HTTPError:
                return False

        self._await(self.collector, ready)

    @staticmethod
    def _await(part: Part, ready: Callable[[], bool]) -> None:
        until = time.monotonic() + _START_S
        while not ready():
            part.check()
            if time.monotonic() > until:
                raise PartDown(f"{part.name} did not come up within {_START_S:.0f} s")
            time.sleep(0.1)

    def check(self) -> None:
        for part in self.parts:
            part.check()

    def stop_gateways(self) -> None:
        """All at once, and wait until each has drained."""
        for gateway in self.gateways.values():
            gateway.ask_to_stop()
        for gateway in self.gateways.values():
            gateway.stop()

    def stop(self) -> None:
        """Gateways first: they drain into a collector that still runs."""
        self.stop_gateways()
        for part in (self.collector, self.simulator):
            part.stop()
