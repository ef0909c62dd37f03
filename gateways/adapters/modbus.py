"""Modbus: a bus URL -> a Bus that speaks its transport."""

from gateways.adapters.modbus_rtu import RtuBus
from gateways.adapters.modbus_tcp import TcpBus
from gateways.bus_url import Transport, parse_bus_url
from gateways.poll import Bus
from metering.clock import Clock


def open_bus(url: str, clock: Clock) -> Bus:
    """A bus for `url`; nothing is connected before the first read.

    Raises:
        BusUrlInvalid: the URL cannot be used.
    """
    parsed = parse_bus_url(url)
    if parsed.transport is Transport.TCP:
        return TcpBus(parsed, clock)
    return RtuBus(parsed, clock)
