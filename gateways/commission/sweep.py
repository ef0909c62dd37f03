"""Sweep: a line's settings and unit ids -> who answers there. Any sound answer counts."""

import asyncio
from collections.abc import Callable, Sequence
from urllib.parse import parse_qsl, urlencode, urlsplit

from msgspec import Struct

from gateways.bus_url import Transport, parse_bus_url
from gateways.library.model import Table
from gateways.reading.plan import Block
from gateways.reading.poll import (
    AnswerCorrupt,
    AnswerForeign,
    AnswerShort,
    AnswerSuspect,
    Bus,
    BusDisconnected,
    MeterRefused,
    MeterSilent,
)
from metering.errors import TransientError

OpenBus = Callable[[str], Bus]
Step = Callable[[int], None]

# By how often they are met in plant rooms. A bus has one speed: the first that is answered ends it.
BAUDRATES = (9600, 19200, 4800, 2400, 38400, 115200)
PARITIES = ("N", "E")
HIGHEST_UNIT = 247  # Modbus over Serial Line V1.02, 2.2
PING = Block(Table.HOLDING, 0, 1)

# What meters take at most to begin an answer, but for the slowest. On a serial line the bus adds
# what the wire takes; behind a network a converter or a second line may stand.
_TURNAROUND_MS = 120
_NETWORK_MS = 300
_NO_PATH = 0x0A  # a TCP gateway says that nothing is connected there
_OPENINGS = 3  # attempts to open a bus at first
_REOPENINGS = 2  # and for each further unit
_HANG_UPS = 2  # so many units without any connection, and there is no bus
_FIRST_PAUSE_S = 0.3


class LineClosed(TransientError):
    """The bus cannot be opened at all."""


class SweepLine(Struct, frozen=True, kw_only=True):
    """A way to speak on a bus: `url` as to be written down, `hasty` with a short timeout."""

    url: str
    hasty: str


class Heard(Struct, frozen=True, kw_only=True):
    """Somebody on a line.

    Attributes:
        url: the bus with the settings under which it was heard.
        unit: who.
        how: `answer`, `exception N` or `short`; `noise` where bytes came that made no sense.
    """

    url: str
    unit: int
    how: str

    @property
    def is_sound(self) -> bool:
        return self.how != "noise"


def lines(
    url: str, baudrates: Sequence[int], parities: Sequence[str], timeout_ms: int | None = None
) -> tuple[SweepLine, ...]:
    """What to try: each speed and parity of a serial port, else the URL that is given.

    Args:
        timeout_ms: none for the shortest that is sensible.
    """
    parsed = parse_bus_url(url)
    if timeout_ms is None and "timeout_ms" in dict(parse_qsl(urlsplit(url).query)):
        timeout_ms = parsed.timeout_ms
    if parsed.transport is not Transport.SERIAL:
        hasty = varied(url, timeout_ms=timeout_ms or _NETWORK_MS)
        return (SweepLine(url=varied(url), hasty=hasty),)
    return tuple(
        SweepLine(
            url=(line := varied(url, baudrate=baudrate, parity=parity)),
            hasty=varied(line, timeout_ms=timeout_ms or _TURNAROUND_MS),
        )
        for baudrate in baudrates
        for parity in parities
    )


def varied(url: str, **settings: object) -> str:
    """The URL with other values for some keys of its query, and without a unit."""
    bare, _, asked = url.partition("?")
    query = {**dict(parse_qsl(asked)), **{key: str(each) for key, each in settings.items()}}
    query.pop("unit", None)
    return f"{bare}?{urlencode(query, safe='/:')}" if query else bare


async def sweep(
    open_bus: OpenBus,
    ways: Sequence[SweepLine],
    units: Sequence[int],
    step: Step,
    pings: Sequence[Block] = (PING,),
) -> list[Heard]:
    """Ask every unit on every line, until a whole line was swept on which somebody answered.

    Args:
        open_bus: opens a URL.
        ways: in the order to try.
        units: whom to ask.
        step: told each question; what an early end saves, at once.
        pings: what to ask; each further one only of who was silent before.

    Raises:
        LineClosed: no connection, or no such port.
    """
    heard: list[Heard] = []
    for number, line in enumerate(ways, start=1):
        bus = open_bus(line.hasty)
        try:
            heard += await _sweep_line(bus, line.url, units, step, pings)
        finally:
            await bus.close()
        if any(each.is_sound for each in heard):
            step((len(ways) - number) * len(units))
            break
    return heard


async def _sweep_line(
    bus: Bus, url: str, units: Sequence[int], step: Step, pings: Sequence[Block]
) -> list[Heard]:
    heard = []
    opened = False
    for number, unit in enumerate(units, start=1):
        try:
            how = await _ping(bus, unit, pings, _OPENINGS if number == 1 else _REOPENINGS)
            opened = True
        except BusDisconnected as error:
            # Some gateways hang up on a unit that they do not know. Where even a second one brings
            # no connection, there is no bus.
            if not opened and number >= min(_HANG_UPS, len(units)):
                raise LineClosed(str(error)) from error
            how = None
        if how:
            heard.append(Heard(url=url, unit=unit, how=how))
        step(1)
    return heard


async def _ping(bus: Bus, unit: int, pings: Sequence[Block], openings: int) -> str | None:
    """How `unit` answered; none if it did not.

    Raises:
        BusDisconnected: so many attempts brought no connection, or it fell each time.
    """
    pause_s = _FIRST_PAUSE_S
    for _ in range(openings - 1):
        try:
            return await _ask_all(bus, unit, pings)
        except BusDisconnected:
            await asyncio.sleep(pause_s)
            pause_s *= 2
    return await _ask_all(bus, unit, pings)


async def _ask_all(bus: Bus, unit: int, pings: Sequence[Block]) -> str | None:
    how = None
    for ping in pings:
        how = how or await _ask(bus, unit, ping)
    return how


async def _ask(bus: Bus, unit: int, ping: Block) -> str | None:
    try:
        await bus.read(unit, ping.table, ping.address, ping.count)
    except MeterSilent:
        return None
    except MeterRefused as error:
        return None if error.code == _NO_PATH else f"exception {error.code}"
    except AnswerShort:
        return "short"
    except (AnswerForeign, AnswerCorrupt):
        return "noise"
    except AnswerSuspect:
        return "answer"
    return "answer"
