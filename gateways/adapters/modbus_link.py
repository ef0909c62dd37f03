"""Modbus link: a pymodbus client -> a connection that is opened when needed and dropped at once.

pymodbus connects, frames and sends. It does not reconnect in the background: the next read opens
the bus, with a growing pause between attempts, in which reads fail at once. So a dead bus costs its
meters nothing.
"""

import asyncio
import errno
import logging
import termios
from collections.abc import Callable
from contextlib import suppress
from typing import Any, NoReturn

import structlog
from pymodbus.client.base import ModbusBaseClient  # noqa: TID251 - the transports' shared part
from pymodbus.exceptions import ModbusException  # noqa: TID251 - the same

from gateways.reading.poll import BusDisconnected
from metering.clock import Clock

log = structlog.get_logger()
# What pymodbus would log at each lost answer is an error of ours, told once by who counts them.
logging.getLogger("pymodbus").setLevel(logging.CRITICAL)

_FIRST_PAUSE_MS = 250
_LONGEST_PAUSE_MS = 5_000
_BUFFER = 4096  # pymodbus keeps 264 bytes, which two long answers in one segment overflow
_HELD = (errno.EAGAIN, errno.EBUSY)


class Link:
    """One connection, used by one request at a time.

    Attributes:
        place: where it leads, for messages.
        client: None while it is not connected.
        connect_pause_ms: how long the other end wants to be left alone after connecting.
        listen_ms: how long to listen after the first connect before anything is asked.
    """

    def __init__(
        self, place: str, make: Callable[[], ModbusBaseClient], timeout_s: float, clock: Clock
    ) -> None:
        self.place = place
        self.client: ModbusBaseClient | None = None
        self.connect_pause_ms = 0
        self.listen_ms = 0
        self._make = make
        self._timeout_s = timeout_s
        self._clock = clock
        self._pause_ms = 0
        self._closed_until_ms = 0

    async def open(self) -> bool:
        """Connect if need be; says whether it was.

        Raises:
            BusDisconnected: it could not be, or the next attempt is not due yet.
        """
        if self.client is not None and self.client.connected:
            return False
        self.drop()
        if self._clock.monotonic_ms() < self._closed_until_ms:
            raise BusDisconnected(f"{self.place} is not connected, next attempt is due later")
        client = self._make()
        client.ctx.max_buffer_size = _BUFFER
        reasons = _told(client)
        try:
            async with asyncio.timeout(self._timeout_s):
                connected = await client.connect()
        except TimeoutError:
            connected = False
        if not connected:
            client.close()
            self._not_opened(reasons)
        self.client = client
        if self._pause_ms:
            log.info("bus.connected", bus=self.place)
        self._pause_ms = self._closed_until_ms = 0
        await asyncio.sleep(max(self.connect_pause_ms, self.listen_ms) / 1000)
        self.listen_ms = 0
        return True

    def _not_opened(self, reasons: list[Exception]) -> NoReturn:
        reason = _reason(reasons[-1]) if reasons else "no answer"
        if not self._pause_ms:
            log.warning("bus.unreachable", bus=self.place, reason=reason)
        self._pause_ms = min(max(_FIRST_PAUSE_MS, 2 * self._pause_ms), _LONGEST_PAUSE_MS)
        self._closed_until_ms = self._clock.monotonic_ms() + self._pause_ms
        raise BusDisconnected(f"{self.place} cannot be connected: {reason}")

    def fail(self, error: Exception) -> None:
        """End the request in flight with `error`."""
        if self.client is not None:
            future = self.client.ctx.response_future
            if not future.done():
                future.set_exception(error)

    def drop(self) -> None:
        """Let go of it, whatever is under way."""
        client, self.client = self.client, None
        if client is None:
            return
        transport = client.ctx.transport
        # Abort, not close: close waits for a half-open peer to take what is still to be sent.
        if isinstance(transport, asyncio.Transport):
            transport.abort()
        with suppress(ModbusException):
            client.close()


def _told(client: ModbusBaseClient) -> list[Exception]:
    """Where the reason of a connect that fails will be; pymodbus would only log it."""
    reasons: list[Exception] = []
    create = client.ctx.call_create

    async def note() -> Any:
        try:
            return await create()
        except (OSError, termios.error, ValueError) as error:
            reasons.append(error)
            raise OSError(str(error)) from error

    client.ctx.call_create = note
    return reasons


def _reason(error: Exception) -> str:
    if isinstance(error, OSError) and error.errno in _HELD:
        return "it is held by another process"
    return str(error)
