"""Terminal: a serial port of this machine, or a pseudo-terminal of our own -> an RTU line."""

import asyncio
import os
import termios
import tty
from collections.abc import Callable
from contextlib import suppress

import structlog
from serial import Serial as SerialDevice  # type: ignore[import-untyped]  # it has no stubs
from serial import SerialException

from gateways.bus_url import Serial
from gateways.simulator.bus.line import Line
from gateways.simulator.bus.network import BusUnavailable
from gateways.simulator.bus.pace import PacedIn, PacedOut, character_s, gap_s
from gateways.simulator.bus.rtu import RtuWire

log = structlog.get_logger()
_CHUNK = 4096
_SPEED_IN = 4  # where tcgetattr says how fast a terminal listens


class Terminal:
    """An open terminal with an RTU line on it; `url` is where a gateway finds it."""

    def __init__(self, url: str, descriptor: int, close: Callable[[], None]) -> None:
        self.url = url
        self._descriptor = descriptor
        self._close = close
        self._is_open = True
        self._take: Callable[[bytes], None] | None = None
        os.set_blocking(descriptor, False)

    def read_into(self, take: Callable[[bytes], None]) -> None:
        self._take = take
        asyncio.get_running_loop().add_reader(self._descriptor, self._readable)

    def send(self, octets: bytes) -> None:
        """See `Wire.send`: what finds no room was not read for seconds, and is lost."""
        if self._is_open:  # of a paced answer the rest comes later
            with suppress(BlockingIOError):
                os.write(self._descriptor, octets)

    async def close(self) -> None:
        self._rest()
        self._is_open = False
        self._close()

    def _readable(self) -> None:
        assert self._take is not None
        try:
            octets = os.read(self._descriptor, _CHUNK)
        except BlockingIOError:
            return
        except OSError as error:
            log.error("simulator.line_lost", url=self.url, error=error.strerror)
            self._rest()
            return
        self._take(octets)

    def _rest(self) -> None:
        asyncio.get_running_loop().remove_reader(self._descriptor)


def open_device(line: Line, url: str, serial: Serial) -> Terminal:
    """Serve on a port of this machine, with the settings of its URL.

    Raises:
        BusUnavailable: it is not there, not ours, or in use.
    """
    try:
        device = SerialDevice(
            serial.device,
            baudrate=serial.baudrate,
            bytesize=serial.bytesize,
            parity=serial.parity,
            stopbits=serial.stopbits,
            timeout=0,
            exclusive=True,
        )
    except (SerialException, ValueError) as error:
        raise BusUnavailable(f"{serial.device} cannot be opened: {error}") from error
    terminal = Terminal(url, device.fileno(), device.close)
    terminal.read_into(RtuWire(line, terminal.send).take)
    return terminal


def open_pty(line: Line, url: str, serial: Serial, *, paced: bool) -> Terminal:
    """Serve on a pseudo-terminal; its name stands in `Terminal.url`, with the settings of `url`.

    Args:
        line: whose meters they are.
        url: the serial bus that it stands for.
        serial: the settings of that.
        paced: take the time of a real line, and hear only who speaks at its speed.
    """
    ours, theirs = os.openpty()
    # Kept open: a gateway may come and go. Raw: what a meter says is no text to be edited.
    tty.setraw(theirs)

    def close() -> None:
        os.close(ours)
        os.close(theirs)

    _, mark, settings = url.partition("?")
    served = f"serial://{os.ttyname(theirs)}{mark}{settings}"
    terminal = Terminal(served, ours, close)
    if not paced:
        terminal.read_into(RtuWire(line, terminal.send).take)
        return terminal
    byte_s = character_s(serial)
    wire = RtuWire(line, PacedOut(terminal.send, byte_s).send)
    incoming = PacedIn(wire.take, byte_s, gap_s(serial))

    def take_at_our_speed(octets: bytes) -> None:
        if _speed(theirs) in (None, serial.baudrate):
            incoming.take(octets)

    terminal.read_into(take_at_our_speed)
    return terminal


_SPEEDS = {
    getattr(termios, name): int(name[1:])
    for name in dir(termios)
    if name[0] == "B" and name[1:].isdigit()
}


def _speed(descriptor: int) -> int | None:
    """The speed that whoever opened the terminal has set; none where it has no constant."""
    speed: int = termios.tcgetattr(descriptor)[_SPEED_IN]
    return _SPEEDS.get(speed)
