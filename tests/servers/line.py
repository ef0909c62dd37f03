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
    process = subprocess.Popen(
        arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        yield Line(process, process.stdout.readline().split())
    finally:
        process.stdin.close()
        process.wait(10)
        process.stdout.close()


def _relay(baudrate: int, bits: int, ends: int) -> None:
    character_s = bits / baudrate
    ports = []
    for _ in range(ends):
        port, device = os.openpty()
        tty.setraw(device)
        ports.append(port)
        print(os.ttyname(device), end=" ")  # the device stays open: ends come and go
    print(flush=True)
    due: list[tuple[float, int, int, bytes]] = []
    number = itertools.count()
    free_s = 0.0
    while True:
        wait_s = max(0.0, due[0][0] - time.monotonic()) if due else None
        ready, _, _ = select.select([0, *ports], [], [], wait_s)
        if 0 in ready:
            return
        for port in ready:
            free_s = max(free_s, time.monotonic())
            for byte in os.read(port, 4096):
                free_s += character_s
                heapq.heappush(due, (free_s, next(number), port, bytes([byte])))
        while due and due[0][0] <= time.monotonic():
            _, _, sender, byte = heapq.heappop(due)
            for port in ports:
                if port != sender:
                    os.write(port, byte)


if __name__ == "__main__":
    _relay(*(int(argument) for argument in sys.argv[1:]))
