"""A line of Modbus RTU slaves made of bytes, on a pseudo-terminal or behind a TCP serial server.

Independent of pymodbus, and of what the gateway makes of frames. Each register holds its own
address plus 1000 times the unit, plus 30000 in the input table, so that any mix-up shows. Every
unit answers in the order in which it was asked, however late; units do not wait for each other.
"""

import asyncio
import os
import struct
import tty
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial

from msgspec import Struct


def crc(frame: bytes) -> bytes:
    """CRC-16 bit by bit, as the specification draws it."""
    value = 0xFFFF
    for byte in frame:
        value ^= byte
        for _ in range(8):
            carry = value & 1
            value >>= 1
            if carry:
                value ^= 0xA001
    return struct.pack("<H", value)


def value_of(unit: int, function: int, address: int) -> int:
    return (address + 1000 * unit + (30_000 if function == 4 else 0)) & 0xFFFF


class RtuQuestion(Struct, frozen=True):
    """A request as it came; `followed` waits until another one has come after it."""

    unit: int
    function: int
    address: int
    count: int
    raw: bytes
    followed: Callable[[], Awaitable[None]] | None = None

    def frame(self, pdu: bytes, *, unit=None) -> bytes:
        frame = bytes([self.unit if unit is None else unit]) + pdu
        return frame + crc(frame)

    def words(self) -> list[int]:
        return [value_of(self.unit, self.function, self.address + i) for i in range(self.count)]

    def right(self, words=None) -> bytes:
        words = self.words() if words is None else words
        head = bytes([self.function, 2 * len(words)])
        return self.frame(head + struct.pack(f">{len(words)}H", *words))

    def refused(self, code: int, function_byte=None) -> bytes:
        function = self.function | 0x80 if function_byte is None else function_byte
        return self.frame(bytes([function, code]))


Write = Callable[[bytes], object]
Behave = Callable[[RtuQuestion, Write], Awaitable[None]]


async def answer(question: RtuQuestion, write: Write) -> None:
    write(question.right())


class RtuSlaves:
    """All units of a line.

    Attributes:
        asked: every question, in order.
        behave: what is done with each question; one at a time for each unit.
        url: where the line is, without a query.
        unplug: takes the port away, as pulling its plug does.
    """

    def __init__(self) -> None:
        self.asked: list[RtuQuestion] = []
        self.behave: Behave = answer
        self.url = ""
        self.write: Write = lambda _frame: None
        self.unplug: Callable[[], None] = lambda: None
        self._came = b""
        self._news = asyncio.Event()
        self._queues: dict[int, asyncio.Queue[RtuQuestion]] = {}
        self._tasks: list[asyncio.Task] = []

    def hear(self, came: bytes) -> None:
        self._came += came
        while len(self._came) >= 8:
            raw, self._came = self._came[:8], self._came[8:]
            assert raw[6:] == crc(raw[:6]), f"a request with a wrong checksum: {raw.hex()}"
            followed = partial(self.until_asked, len(self.asked) + 2)
            question = RtuQuestion(*struct.unpack(">BBHH", raw[:6]), raw, followed)
            self.asked.append(question)
            self._news.set()
            self._queue(question.unit).put_nowait(question)

    async def until_asked(self, times: int) -> None:
        while len(self.asked) < times:
            self._news.clear()
            await self._news.wait()

    def _queue(self, unit: int) -> asyncio.Queue[RtuQuestion]:
        if unit not in self._queues:
            self._queues[unit] = asyncio.Queue()
            self._tasks.append(asyncio.create_task(self._serve(self._queues[unit])))
        return self._queues[unit]

    async def _serve(self, queue: asyncio.Queue[RtuQuestion]) -> None:
        while True:
            question = await queue.get()
            await self.behave(question, self.write)

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        for result in await asyncio.gather(*self._tasks, return_exceptions=True):
            if isinstance(result, Exception) and not isinstance(result, asyncio.CancelledError):
                raise result


@asynccontextmanager
async def rtu_on_a_port() -> AsyncIterator[RtuSlaves]:
    """On a pseudo-terminal: bytes come as fast as they are written."""
    slaves = RtuSlaves()
    port, device = os.openpty()
    tty.setraw(device)
    os.set_blocking(port, False)
    slaves.url = f"serial://{os.ttyname(device)}"
    slaves.write = partial(os.write, port)
    loop = asyncio.get_running_loop()
    loop.add_reader(port, lambda: slaves.hear(os.read(port, 1024)))

    def unplug() -> None:
        if loop.remove_reader(port):
            os.close(port)
            os.close(device)

    slaves.unplug = unplug
    try:
        yield slaves
    finally:
        await slaves.stop()
        unplug()


class SerialServer:
    """A transparent serial server: what comes by TCP goes to the line, and back.

    What the line says while nobody is connected is lost.

    Attributes:
        slaves: the line behind it.
        connections: how many were ever opened.
        deaf: it takes bytes and does nothing with them, as a half-open link does.
    """

    def __init__(self) -> None:
        self.slaves = RtuSlaves()
        self.slaves.write = self._write
        self.connections = 0
        self.deaf = False
        self.port = 0
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]
        self.slaves.url = f"rtu+tcp://127.0.0.1:{self.port}"

    async def stop(self) -> None:
        self._server.close()
        await self.drop()

    async def drop(self) -> None:
        """Close every connection, as a restarted serial server does."""
        writers = tuple(self._writers)
        for writer in writers:
            writer.close()
        await asyncio.gather(*(w.wait_closed() for w in writers), return_exceptions=True)

    def _write(self, frame: bytes) -> None:
        for writer in self._writers:
            writer.write(frame)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        deaf = self.deaf
        if not deaf:
            self._writers.add(writer)
        try:
            while came := await reader.read(1024):
                if not (deaf or self.deaf):
                    self.slaves.hear(came)
        except ConnectionError:
            pass
        finally:
            self._writers.discard(writer)
            writer.close()


@asynccontextmanager
async def serial_server() -> AsyncIterator[SerialServer]:
    server = SerialServer()
    await server.start()
    try:
        yield server
    finally:
        await server.stop()
        await server.slaves.stop()


@asynccontextmanager
async def rtu_over_tcp() -> AsyncIterator[RtuSlaves]:
    async with serial_server() as server:
        yield server.slaves
