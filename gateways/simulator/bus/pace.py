"""Pace: bytes -> the same bytes, as late as a line of a given speed brings them.

A pseudo-terminal has neither speed nor parity: what is written at one end is at the other at once.
"""

import asyncio
from collections.abc import Callable

from gateways.bus_url import Serial

_TICK_S = 0.001  # bytes that end within one are let go together
_GAP_CHARACTERS = 3.5  # of silence, after which a slave knows that a request is over
_SHORTEST_GAP_S = 0.00175  # above 19200 baud; Modbus over Serial Line V1.02, 2.5.1.1


def character_s(serial: Serial) -> float:
    """How long a byte takes, with its start, parity and stop bits."""
    bits = 1 + serial.bytesize + (serial.parity != "N") + serial.stopbits
    return bits / serial.baudrate


def gap_s(serial: Serial) -> float:
    """The silence between a request's last byte and the earliest possible answer."""
    return max(_GAP_CHARACTERS * character_s(serial), _SHORTEST_GAP_S)


class PacedOut:
    """Lets each byte go when its last bit would be through."""

    def __init__(self, send: Callable[[bytes], None], byte_s: float) -> None:
        self._send = send
        self._byte_s = byte_s
        self._waiting = bytearray()
        self._next_s = 0.0  # when the first waiting byte is through, by the loop's clock

    def send(self, octets: bytes) -> None:
        if not self._waiting:
            now_s = asyncio.get_running_loop().time()
            # Behind what went before, even if that is through the tick that it was sent in.
            self._next_s = max(now_s, self._next_s - self._byte_s) + self._byte_s
            self._waiting += octets
            self._wait()
        else:
            self._waiting += octets

    def _wait(self) -> None:
        loop = asyncio.get_running_loop()
        loop.call_at(max(self._next_s, loop.time() + _TICK_S), self._let_go)

    def _let_go(self) -> None:
        passed_s = asyncio.get_running_loop().time() - self._next_s
        through = min(len(self._waiting), 1 + int(max(0.0, passed_s) / self._byte_s))
        octets = bytes(self._waiting[:through])
        del self._waiting[:through]
        self._next_s += through * self._byte_s
        self._send(octets)
        if self._waiting:
            self._wait()


class PacedIn:
    """Hands bytes over when the last of them would be through, and the silence behind it."""

    def __init__(self, take: Callable[[bytes], None], byte_s: float, silence_s: float) -> None:
        self._take = take
        self._byte_s = byte_s
        self._silence_s = silence_s
        self._through_s = 0.0

    def take(self, octets: bytes) -> None:
        loop = asyncio.get_running_loop()
        self._through_s = max(loop.time(), self._through_s) + len(octets) * self._byte_s
        loop.call_at(self._through_s + self._silence_s, self._take, octets)
