"""Modbus: a bus URL -> a Bus that speaks its transport."""

from gateways.adapters.modbus_rtu import RtuBus
from gateways.adapters.modbus_tcp import TcpBus
from gateways.bus_url import BusUrlInvalid, Transport, parse_bus_url
from gateways.line.owed import Lines
from gateways.reading.poll import Bus
from metering.clock import Clock

_RTU_BITS = 8


def open_bus(url: str, clock: Clock, connect_pause_ms: int = 0, lines: Lines | None = None) -> Bus:
    """A bus for `url`; nothing is connected before the first read.

    Args:
        url: see `gateways.bus_url`.
        clock: for pauses between attempts, and what is owed.
        connect_pause_ms: how long its meters want to be left alone after connecting.
        lines: what is owed on serial lines, for a bus that takes another one's place.

    Raises:
        BusUrlInvalid: the URL cannot be used.

    **Source:** of eight bits for RTU: Modbus over Serial Line V1.02, section 2.5.1.
    """
    parsed = parse_bus_url(url)
    if parsed.transport is Transport.TCP:
        return TcpBus(parsed, clock, connect_pause_ms)
    if parsed.serial is not None and parsed.serial.bytesize != _RTU_BITS:
        raise BusUrlInvalid(f"{url}: bytesize cannot be {parsed.serial.bytesize}, RTU needs 8")
    return RtuBus(parsed, clock, connect_pause_ms, lines)
