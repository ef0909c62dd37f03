"""Network: a listening socket -> Modbus TCP, or RTU frames through a serial server.

A serial server (串口服务器) is a line that several hosts may hold on to: what one of them sends
everybody on the line hears, and what the line says goes to all of them.
"""

import asyncio
from collections.abc import Callable

from gateways.simulator.bus.frame import FrameBroken, TcpFraming
from gateways.simulator.bus.line import Line
from gateways.simulator.bus.rtu import RtuWire
from metering.errors import TransientError


class BusUnavailable(TransientError):
    """A bus's address cannot be listened on, or its device not opened."""


class NetworkPort:
    """A listening socket; `url` says where."""

    def __init__(self, scheme: str, server: asyncio.Server, connections: set["Connection"]) -> None:
        host, port, *_ = server.sockets[0].getsockname()
        self.url = f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}"
        self._server = server
        self._connections = connections

    async def close(self) -> None:
        self._server.close()
        for connection in tuple(self._connections):
            connection.drop()
        await self._server.wait_closed()


async def listen_tcp(line: Line, host: str, port: int) -> NetworkPort:
    """Serve Modbus TCP.

    Raises:
        BusUnavailable: the address is taken or not ours.
    """
    return await _listen("tcp", host, port, lambda connections: TcpWire(connections, line))


async def listen_rtu(line: Line, host: str, port: int) -> NetworkPort:
    """Serve RTU frames on a socket.

    Raises:
        BusUnavailable: the address is taken or not ours.
    """
    everybody: set[Connection] = set()
    wire = RtuWire(line, lambda octets: _tell(everybody, octets))
    return await _listen(
        "rtu+tcp", host, port, lambda _: SerialServerConnection(everybody, wire), everybody
    )


def _tell(connections: set["Connection"], octets: bytes) -> None:
    for connection in connections:
        connection.send(octets)


async def _listen(
    scheme: str,
    host: str,
    port: int,
    connect: Callable[[set["Connection"]], "Connection"],
    connections: set["Connection"] | None = None,
) -> NetworkPort:
    known: set[Connection] = set() if connections is None else connections
    try:
        server = await asyncio.get_running_loop().create_server(lambda: connect(known), host, port)
    except OSError as error:
        raise BusUnavailable(f"{host}:{port} cannot be served: {error.strerror}") from error
    return NetworkPort(scheme, server, known)


class Connection(asyncio.Protocol):
    """One client."""

    def __init__(self, connections: set["Connection"]) -> None:
        self._connections = connections
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        self._connections.discard(self)

    def send(self, octets: bytes) -> None:
        """See `Wire.send`."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(octets)

    def drop(self) -> None:
        if self._transport is not None:
            self._transport.abort()


class TcpWire(Connection):
    """One client of Modbus TCP: its answers are its own."""

    def __init__(self, connections: set[Connection], line: Line) -> None:
        super().__init__(connections)
        self.framing = TcpFraming()
        self.held: list[bytes] = []
        self._line = line

    def data_received(self, data: bytes) -> None:
        try:
            requests = self.framing.feed(data)
        except FrameBroken:
            self.drop()  # as a device does that has lost the beginning of a frame
            return
        for request in requests:
            self._line.hear(self, request)


class SerialServerConnection(Connection):
    """One client of a serial server."""

    def __init__(self, connections: set[Connection], wire: RtuWire) -> None:
        super().__init__(connections)
        self._wire = wire

    def data_received(self, data: bytes) -> None:
        self._wire.take(data)
