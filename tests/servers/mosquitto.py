"""A real Mosquitto for tests: Debian's, on loopback, in a folder of its own."""

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

_STARTS_WITHIN_S = 10.0
_PERSISTENT = """
persistence true
persistence_location {folder}/
autosave_on_changes true
autosave_interval 1
"""


class Mosquitto:
    """A broker that can be stopped, killed, frozen, and started again where it was.

    Attributes:
        folder: where its files are; configuration may name `{folder}` and `{port}`.
    """

    def __init__(self, folder: Path, config: str) -> None:
        self.folder = folder
        self.port = _free_port()
        self._config = folder / "mosquitto.conf"
        text = config.replace("{folder}", str(folder)).replace("{port}", str(self.port))
        self._config.write_text(text, encoding="utf-8")
        self._log = folder / "log"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"mqtt://127.0.0.1:{self.port}"

    @property
    def log(self) -> str:
        return self._log.read_text(encoding="utf-8", errors="replace")

    def start(self) -> None:
        program = required_program("mosquitto", "mosquitto")
        with self._log.open("ab") as output:
            self._process = subprocess.Popen(
                [program, "-v", "-c", str(self._config)],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )
        give_up = time.monotonic() + _STARTS_WITHIN_S
        while time.monotonic() < give_up and self._process.poll() is None:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            time.sleep(0.01)
        pytest.fail(f"mosquitto did not start: {self.log[-2000:]}")

    def stop(self) -> None:
        """End it as an operator would; it saves what it must keep."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        self._end(signal.SIGKILL)

    def freeze(self) -> None:
        """From now on it neither answers nor closes anything, like a cut cable."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._signal(signal.SIGCONT)

    def _end(self, sign: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        for one in (sign, signal.SIGCONT):  # frozen or not
            process.send_signal(one)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(10)

    def _signal(self, sign: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(sign)


def plain_config() -> str:
    """Anybody may speak; sessions and retained messages survive a stop."""
    return "listener {port} 127.0.0.1\nallow_anonymous true\n" + _PERSISTENT


def required_program(name: str, package: str) -> str:
    """Return the program's path; skip without it, but never in CI."""
    path = shutil.which(name, path=os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin")))
    if path:
        return path
    message = f"{name} is missing: apt-get install {package}"
    if os.environ.get("CI"):
        pytest.fail(message)
    pytest.skip(message)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.fixture(scope="session")
def start_mosquitto() -> Iterator[Callable[..., Mosquitto]]:
    """Start a broker with a configuration; `prepare` may put files into its folder before."""
    with ExitStack() as running:

        def start(
            config: str | None = None, prepare: Callable[[Path], None] | None = None
        ) -> Mosquitto:
            required_program("mosquitto", "mosquitto")
            folder = Path(running.enter_context(tempfile.TemporaryDirectory(prefix="mosquitto-")))
            folder.chmod(0o777)  # as root it becomes the user mosquitto
            if prepare:
                prepare(folder)
            broker = Mosquitto(folder, config or plain_config())
            running.callback(broker.kill)
            broker.start()
            return broker

        yield start
