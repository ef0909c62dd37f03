"""Modbus RTU: a bus URL -> a Bus on a serial line, at this box or behind a TCP serial server.

pymodbus connects, frames and sends. Every answer is found and judged here, as bytes: a sound frame
at any offset, of the unit, function and length that were asked for, and by the unit's account of
what it still owes (`gateways.line.owed`), because an RTU answer does not say which question it is
for.

* A frame is judged when its last byte is in; the rest of the silence is kept before the next one.
* After a question without answer the line is kept for the longest that this unit was ever seen to
  need. What comes later finds its question in the account.
* What is owed outlives a connection: behind a serial server the line goes on when TCP falls.
"""

import asyncio
from collections.abc import Sequence
from contextlib import suppress

from pymodbus import FramerType  # noqa: TID251 - this is its adapter
from pymodbus.client import (  # noqa: TID251 - this is its adapter
    AsyncModbusSerialClient,
    AsyncModbusTcpClient,
)
from pymodbus.client.base import ModbusBaseClient  # noqa: TID251 - this is its adapter
from pymodbus.exceptions import ModbusException  # noqa: TID251 - this is its adapter

from gateways.adapters.modbus_link import Link
from gateways.adapters.rtu_ear import RtuEar
from gateways.bus_url import BusUrl, Serial, Transport
from gateways.library.model import Table
from gateways.line.owed import LONGEST_WAIT_MS, Lines
from gateways.line.rtu_frame import Question
from gateways.line.timing import answer_ms, question_ms, silence_ms
from gateways.reading.poll import AnswerCorrupt, BusDisconnected, MeterRefused
from metering.clock import Clock

_FUNCTIONS = {Table.HOLDING: 3, Table.INPUT: 4}
_MOST_REGISTERS = 125
_DEAF = 2  # questions in a row that nothing at all follows, until a TCP link is opened anew


class _Refused(Exception):
    """An exception answered the question in flight; pymodbus need not see it."""


class RtuBus:
    """One line, used by one request at a time."""

    def __init__(
        self,
        url: BusUrl,
        clock: Clock,
        connect_pause_ms: int = 0,
        lines: Lines | None = None,
    ) -> None:
        self._url = url
        self._local = url.transport is Transport.SERIAL
        # Of a serial server's line the URL need not tell the format; the commonest is assumed.
        self._line = url.serial or Serial()
        self._silence_s = silence_ms(self._line) / 1000
        place = self._line.device if self._local else f"{url.host}:{url.port}"
        self._link = Link(place, self._client, url.timeout_ms / 1000, clock)
        self._link.connect_pause_ms = connect_pause_ms
        if lines is not None and place not in lines:
            # What the process before this one asked may still be answered: that is let pass.
            self._link.listen_ms = url.timeout_ms
        self._ear = RtuEar(
            clock,
            self._refused,
            self._keep_waiting,
            self._close_in,
            {} if lines is None else lines.setdefault(place, {}),
        )
        self._timer: asyncio.Timeout | None = None
        self._asked_s = 0.0
        self._turn = asyncio.Lock()
        self._unheard = 0

    async def read(self, unit: int, table: Table, address: int, count: int) -> Sequence[int]:
        """See `Bus.read`."""
        question = Question(unit, _FUNCTIONS[table], address, count)
        async with self._turn:
            fresh = await self._link.open()
            try:
                return await self._ask(question)
            except BusDisconnected:
                # A serial server may have closed an idle connection.
                if fresh:
                    raise
            await self._link.open()
            return await self._ask(question)

    async def close(self) -> None:
        """See `Bus.close`."""
        self._link.drop()

    def _client(self) -> ModbusBaseClient:
        def packet(sending: bool, came: bytes) -> bytes:  # noqa: FBT001 - pymodbus calls it so
            if sending:
                return self._ear.sent(came)
            client.ctx.recv_buffer = b""  # the ear keeps what is not yet whole
            return self._ear.hear(came)

        # Ours is always the first timeout to end.
        timeout_s = 2 * (self._timeout_s(_MOST_REGISTERS) + LONGEST_WAIT_MS / 1000)
        client: ModbusBaseClient
        if self._local:
            client = AsyncModbusSerialClient(
                self._line.device,
                baudrate=self._line.baudrate,
                bytesize=self._line.bytesize,
                parity=self._line.parity,
                stopbits=self._line.stopbits,
                timeout=timeout_s,
                retries=0,
                reconnect_delay=0,
                trace_packet=packet,
                trace_connect=self._connection,
            )
        else:
            client = AsyncModbusTcpClient(
                self._url.host,
                port=self._url.port,
                framer=FramerType.RTU,
                timeout=timeout_s,
                retries=0,
                reconnect_delay=0,
                trace_packet=packet,
                trace_connect=self._connection,
            )
        return client

    def _timeout_s(self, count: int) -> float:
        """The slave's own time, and the wire's."""
        wire_ms = question_ms(self._line) + silence_ms(self._line) + answer_ms(self._line, count)
        return (self._url.timeout_ms + wire_ms) / 1000

    async def _ask(self, question: Question) -> Sequence[int]:
        marker = self._ear.account(question.unit).marker(question)
        if marker is not None:
            # A refusal that is surely the marker's own proves as much as its answer.
            with suppress(MeterRefused):
                await self._exchange(marker, marks=True)
        return await self._exchange(question)

    async def _exchange(self, question: Question, *, marks: bool = False) -> Sequence[int]:
        await self._silence(question)
        client = self._link.client
        if client is None:
            raise BusDisconnected(f"{self._link.place} is not connected")
        exchange = self._ear.ask(question, marks=marks)
        self._asked_s = asyncio.get_running_loop().time()
        until_s = self._asked_s + self._timeout_s(question.count)
        read = (
            client.read_holding_registers
            if question.function == _FUNCTIONS[Table.HOLDING]
            else client.read_input_registers
        )
        try:
            async with asyncio.timeout_at(until_s) as self._timer:
                self._keep_waiting(self._ear.account(question.unit).wait_ms())
                await read(question.address, count=question.count, device_id=question.unit)
        except TimeoutError:
            exchange.waited = True
        except _Refused:
            pass
        except BusDisconnected:
            self._link.drop()
            raise
        except ModbusException as error:
            self._link.drop()
            raise BusDisconnected(f"asked {question}, {error} came") from error
        finally:
            self._timer = None
            self._ear.rest()
            self._notice_deafness()
        return exchange.words()

    def _refused(self) -> None:
        self._link.fail(_Refused())

    def _keep_waiting(self, wait_ms: float) -> None:
        """Give the question in flight at least so long since it was asked."""
        until_s = self._asked_s + wait_ms / 1000
        timer = self._timer
        if timer is None or timer.expired():
            return
        if (timer.when() or 0) < until_s:
            timer.reschedule(until_s)

    def _close_in(self, wait_ms: float) -> None:
        """Give the question in flight only so long from now on."""
        until_s = asyncio.get_running_loop().time() + wait_ms / 1000
        timer = self._timer
        if timer is not None and not timer.expired() and (timer.when() or 0) > until_s:
            timer.reschedule(until_s)

    async def _silence(self, question: Question) -> None:
        """Wait until the line has been silent for as long as it must be between frames.

        Raises:
            AnswerCorrupt: it never is.
        """
        loop = asyncio.get_running_loop()
        until_s = loop.time() + self._timeout_s(_MOST_REGISTERS)
        while True:
            # Twice through the loop: what came unnoticed is heard before anything is asked.
            for _ in range(2):
                await asyncio.sleep(0)
            wait_s = self._ear.heard_s + self._silence_s - loop.time()
            if wait_s <= 0:
                return
            if loop.time() > until_s:
                raise AnswerCorrupt(f"{question} was not asked, the line is never silent")
            await asyncio.sleep(wait_s)

    def _connection(self, connected: bool) -> None:  # noqa: FBT001 - pymodbus calls it so
        if not connected and (question := self._ear.asking) is not None:
            self._link.fail(BusDisconnected(f"asked {question}, the connection fell"))

    def _notice_deafness(self) -> None:
        self._unheard = 0 if self._ear.heard_s >= self._asked_s else self._unheard + 1
        if self._unheard >= _DEAF and not self._local:
            # Half-open, or all meters are silent: a new connection tells, and costs little.
            self._unheard = 0
            self._link.drop()
