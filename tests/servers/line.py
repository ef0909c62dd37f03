"""A serial line with real timing: pseudo-terminals joined by a relay that paces every byte.

A pseudo-terminal has neither baud nor parity. The relay, a process of its own, takes what one end
writes and hands each byte to all other ends when its last bit would be through, at the baud rate
and format it was given; all ends share the wire, as on RS-485, so slaves hear each other.

`python line.py BAUDRATE BITS ENDS` prints the devices, the first for the master, and runs until
its standard input closes. BITS is the length of a character: 10 for 8N1, 11 with parity or a second
stop bit.
"""

import heapq
import itertools
import os
import select
import subprocess
import sys
import time
import tty
from collections.abc import Iterator
from contextlib import contextmanager


class Line:
    """A running relay.

    Attributes:
        devices: the ends; the first is the master's.
    """

    def __init__(self, process: subprocess.Popen, devices: list[str]) -> None:
        self.process = process
        self.devices = devices


@contextmanager
def line(baudrate: int, *, parity: str = "N", stopbits: int = 1, slaves: int = 1) -> Iterator[Line]:
    bits = 9 + (parity != "N") + stopbits
    arguments = [sys.executable, __file__, str(baudrate), str(bits), str(slaves + 1)]
    process = subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        yield Line(process, process.stdout.readline().split())
    finally:
        process.stdin.close()
        process.wait(10)
        process.stdout.close()


class _Wire:
    """Bytes under way, each until its last bit is through."""

    def __init__(self, character_s: float) -> None:
        self._character_s = character_s
        self._due: list[tuple[float, int, int, bytes]] = []
        self._number = itertools.count()
        self._free_s = 0.0

    @property
    def wait_s(self) -> float | None:
        return max(0.0, self._due[0][0] - time.monotonic()) if self._due else None

    def take(self, sender: int, came: bytes) -> None:
        self._free_s = max(self._free_s, time.monotonic())
        for byte in came:
            self._free_s += self._character_s
            heapq.heappush(self._due, (self._free_s, next(self._number), sender, bytes([byte])))

    def through(self) -> Iterator[tuple[int, bytes]]:
        while self._due and self._due[0][0] <= time.monotonic():
            _, _, sender, byte = heapq.heappop(self._due)
            yield sender, byte


def _open(ends: int) -> list[int]:
    ports = []
    for _ in range(ends):
        port, device = os.openpty()
        tty.setraw(device)
        ports.append(port)
        print(os.ttyname(device), end=" ")  # the device stays open: ends come and go
    print(flush=True)
    return ports


def _relay(baudrate: int, bits: int, ends: int) -> None:
    ports = _open(ends)
    wire = _Wire(bits / baudrate)
    while True:
        ready, _, _ = select.select([0, *ports], [], [], wire.wait_s)
        if 0 in ready:
            return
        for port in ready:
            wire.take(port, os.read(port, 4096))
        for sender, byte in wire.through():
            for port in ports:
                if port != sender:
                    os.write(port, byte)


if __name__ == "__main__":
    _relay(*(int(argument) for argument in sys.argv[1:]))
