"""ServiceManager: what the process is doing -> systemd, or nobody.

Source: sd_notify(3), sd_watchdog_enabled(3). Where no manager listens, all of it does nothing.
"""

import asyncio
import os
import socket
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from time import CLOCK_MONOTONIC, clock_gettime_ns

import structlog

log = structlog.get_logger()

_STATUS_MOST = 200  # characters of the line that `systemctl status` shows


class ServiceManager:
    """Tells the manager that started this process; a datagram that gets lost is no trouble."""

    def __init__(self, environ: Mapping[str, str] = os.environ) -> None:
        """Read who listens from the environment."""
        self._address = _address(environ.get("NOTIFY_SOCKET", ""))
        self.watchdog_s = _watchdog_s(environ) if self._address else None

    def ready(self) -> None:
        self._tell("READY=1")

    def reloading(self) -> None:
        """`ready` follows, whether the new configuration was taken over or refused."""
        self._tell("RELOADING=1", f"MONOTONIC_USEC={clock_gettime_ns(CLOCK_MONOTONIC) // 1000}")

    @contextmanager
    def reload(self) -> Iterator[None]:
        """A new configuration is being looked at."""
        self.reloading()
        try:
            yield
        finally:
            self.ready()

    def stopping(self) -> None:
        self._tell("STOPPING=1")

    def status(self, text: str) -> None:
        """One line for whoever asks `systemctl status`."""
        self._tell(f"STATUS={' '.join(text.split())[:_STATUS_MOST]}")

    async def watch(self, is_alive: Callable[[], Awaitable[bool]]) -> None:
        """Say twice in each period that the process lives, for ever; return at once if none asks.

        A loop that hangs says nothing, and a probe that hangs or answers no keeps it from saying
        so; then the manager ends the process and starts it again.

        Args:
            is_alive: whether every part does its work; may wait for one that does not.
        """
        if self.watchdog_s is None:
            return
        was_alive = True
        while True:
            alive = await is_alive()
            if alive:
                self._tell("WATCHDOG=1")
            elif was_alive:
                log.error("gateway.hangs")
            was_alive = alive
            await asyncio.sleep(self.watchdog_s / 2)

    def _tell(self, *lines: str) -> None:
        if self._address is None:
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as manager:
                manager.setblocking(False)  # a manager that is stuck must not stop the loop
                manager.sendto("\n".join(lines).encode(), self._address)
        except OSError as error:
            log.warning("service_manager.away", error=str(error), lines=lines)


def _address(name: str) -> str | bytes | None:
    if name.startswith("@"):
        return b"\0" + os.fsencode(name[1:])
    return name if Path(name).is_absolute() else None


def _watchdog_s(environ: Mapping[str, str]) -> float | None:
    """The manager's patience, if it is meant for this process."""
    period, pid = environ.get("WATCHDOG_USEC", ""), environ.get("WATCHDOG_PID", "")
    if not period.isdecimal() or int(period) == 0 or (pid and pid != str(os.getpid())):
        return None
    return int(period) / 1e6
