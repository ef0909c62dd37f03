"""A Modbus TCP server made of bytes: each register holds its own address, and it can misbehave.

Independent of pymodbus, so that both ends cannot share a mistake.
"""

import asyncio
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from msgspec import Struct


class Question(Struct, frozen=True):
    """A request as it came."""

    transaction: int
    unit: int
    function: int
    address: int
    count: int
    connection: int  # 1 for the first connection, 2 for the next …

    def frame(self, pdu: bytes, *, transaction=None, unit=None, length=None) -> bytes:
        header = struct.pack(
            ">HHHB",
            self.transaction if transaction is None else transaction,
            0,
            len(pdu) + 1 if length is None else length,
            self.unit if unit is None else unit,
        )
        return header + pdu

    def pdu(self, *, function=None, count=None, offset=0) -> bytes:
        words = [self.address + offset + i for i in range(self.count if count is None else count)]
        head = bytes([self.function if function is None else function, 2 * len(words) & 0xFF])
        return head + struct.pack(f">{len(words)}H", *words)

    def right(self) -> bytes:
        return self.frame(self.pdu())


Behave = Callable[[Question, asyncio.StreamWriter], Awaitable[None]]


async def answer(question: Question, writer: asyncio.StreamWriter) -> None:
    writer.write(question.right())


class ModbusServer:
    """A server on a free loopback port.

    Attributes:
        asked: every question, in order.
        connections: how many were ever opened.
        behave: what is done with each question.
    """

    def __init__(self) -> None:
        self.asked: list[Question] = []
        self.connections = 0
        self.behave: Behave = answer
        self.port = 0
        self._writers: set[asyncio.StreamWriter] = set()
        self._server: asyncio.Server | None = None

    @property
    def open(self) -> int:
        """How many connections are open now."""
        return len(self._writers)

    @property
    def url(self) -> str:
        return f"tcp://127.0.0.1:{self.port}"

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        self._server.close()
        await self.drop()

    async def drop(self) -> None:
        """Close every connection, as a restarted gateway does."""
        writers = tuple(self._writers)
        for writer in writers:
            writer.close()
        await asyncio.gather(*(w.wait_closed() for w in writers), return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        number = self.connections
        self._writers.add(writer)
        try:
            while request := await reader.readexactly(12):
                transaction, _, _, unit, function, address, count = struct.unpack(
                    ">HHHBBHH", request
                )
                question = Question(transaction, unit, function, address, count, number)
                self.asked.append(question)
                await self.behave(question, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self._writers.discard(writer)
            writer.close()


@asynccontextmanager
async def modbus_server() -> AsyncIterator[ModbusServer]:
    server = ModbusServer()
    await server.start()
    try:
        yield server
    finally:
        await server.stop()
