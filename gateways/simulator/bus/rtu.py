"""RTU wire: bytes on a line that all its meters share, and its silences."""

import asyncio
from collections.abc import Callable

from gateways.simulator.bus.frame import RtuFraming
from gateways.simulator.bus.line import Line

# Longer than any pause inside a request, also where an operating system hands it over in pieces.
SILENCE_S = 0.05


class RtuWire:
    """A `Wire` of RTU frames; `send` puts bytes on it."""

    def __init__(self, line: Line, send: Callable[[bytes], None]) -> None:
        self.framing = RtuFraming()
        self.held: list[bytes] = []
        self.send = send
        self._line = line
        self._silence: asyncio.TimerHandle | None = None

    def take(self, octets: bytes) -> None:
        """Bytes came."""
        if self._silence is not None:
            self._silence.cancel()
            self._silence = None
        for request in self.framing.feed(octets):
            self._line.hear(self, request)
        if self.framing.is_waiting:
            loop = asyncio.get_running_loop()
            self._silence = loop.call_later(SILENCE_S, self._rest)

    def _rest(self) -> None:
        for request in self.framing.rest():
            self._line.hear(self, request)
