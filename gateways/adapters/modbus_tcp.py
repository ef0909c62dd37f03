"""Modbus TCP: a bus URL -> a Bus that speaks it through pymodbus.

pymodbus connects, frames and sends. What this module does itself, because a meter's value must
never land under another one:

* Every answer is judged as bytes before pymodbus sees it: transaction, unit, function and length
  must be those of the one request in flight. (pymodbus 3.16 skips a foreign unit or transaction
  silently, accepts transaction 0, does not compare function codes, and turns a short answer into
  a closed connection with a traceback.)
* A fallen connection ends the request at once. (pymodbus waits for the timeout.)
* After a timeout the connection is aborted and opened anew, so a late answer has nowhere to arrive.
* A gateway may hand a late answer of its serial side to whatever is asked by then, under the new
  transaction. So after a silence a question of the same length is preceded by a marker, as on a
  serial line (`gateways.line.owed`).
* No retries.
"""

import asyncio
import struct
from collections.abc import Callable, Sequence
from contextlib import suppress

from pymodbus.client import AsyncModbusTcpClient  # noqa: TID251 - this is its adapter
from pymodbus.exceptions import ModbusException  # noqa: TID251 - this is its adapter

from gateways.adapters.modbus_link import Link
from gateways.bus_url import BusUrl
from gateways.library.model import Table
from gateways.line.owed import Account
from gateways.line.rtu_frame import Question
from gateways.reading.poll import (
    AnswerForeign,
    AnswerShort,
    BusDisconnected,
    MeterRefused,
    MeterSilent,
)
from metering.clock import Clock

_HEADER = struct.Struct(">HHHBB")  # transaction, protocol, length, unit, function
_LENGTH_END = 6  # bytes before what the header's length counts
_ERROR_BIT = 0x80
_TARGET_SILENT = 0x0B  # a TCP gateway says that the meter behind it did not answer
_FUNCTIONS = {Table.HOLDING: 3, Table.INPUT: 4}


class TcpBus:
    """One Modbus TCP connection, used by one request at a time."""

    def __init__(self, url: BusUrl, clock: Clock, connect_pause_ms: int = 0) -> None:
        self._url = url
        self._timeout_s = url.timeout_ms / 1000
        self._link = Link(f"{url.host}:{url.port}", self._client, self._timeout_s, clock)
        self._link.connect_pause_ms = connect_pause_ms
        self._inspector = _Inspector(self._link.fail)
        self._turn = asyncio.Lock()
        self._clock = clock
        self._owed: dict[int, Account] = {}  # of the units that did not answer last

    async def read(self, unit: int, table: Table, address: int, count: int) -> Sequence[int]:
        """See `Bus.read`."""
        async with self._turn:
            fresh = await self._link.open()
            try:
                return await self._in_step(unit, table, address, count)
            except BusDisconnected:
                # A gateway may have closed an idle connection; what was sent into it was not
                # answered and cannot be, so it may be asked again on a new one.
                if fresh:
                    raise
            await self._link.open()
            return await self._in_step(unit, table, address, count)

    async def close(self) -> None:
        """See `Bus.close`."""
        self._link.drop()

    def _client(self) -> AsyncModbusTcpClient:
        return AsyncModbusTcpClient(
            self._url.host,
            port=self._url.port,
            timeout=2 * self._timeout_s,  # ours is always the first to end
            retries=0,
            reconnect_delay=0,
            trace_packet=self._inspector.packet,
            trace_connect=self._inspector.connection,
        )

    async def _in_step(self, unit: int, table: Table, address: int, count: int) -> Sequence[int]:
        """Ask when nothing older can be taken for the answer."""
        owed = self._owed.get(unit)
        if owed is not None:
            question = Question(unit, _FUNCTIONS[table], address, count)
            marker = owed.at(self._clock.monotonic_ms()).marker(question)
            if marker is not None:
                with suppress(MeterRefused):
                    await self._answered(unit, table, marker.address, marker.count)
        return await self._answered(unit, table, address, count)

    async def _answered(self, unit: int, table: Table, address: int, count: int) -> Sequence[int]:
        """Ask, and remember who owes an answer."""
        asked_ms = self._clock.monotonic_ms()
        try:
            words = await self._ask(unit, table, address, count)
        except MeterRefused:
            self._owed.pop(unit, None)
            raise
        except BaseException:
            question = Question(unit, _FUNCTIONS[table], address, count)
            self._owed[unit] = (
                self._owed.get(unit, Account()).at(asked_ms).owing(question, asked_ms)
            )
            raise
        self._owed.pop(unit, None)
        return words

    async def _ask(self, unit: int, table: Table, address: int, count: int) -> Sequence[int]:
        client = self._link.client
        if client is None:
            raise BusDisconnected(f"{self._link.place} is not connected")
        asked = f"unit {unit}, {count} {table} registers from {address}"
        read = (
            client.read_holding_registers if table is Table.HOLDING else client.read_input_registers
        )
        self._inspector.expect(_FUNCTIONS[table], count, asked)
        try:
            async with asyncio.timeout(self._timeout_s):
                answer = await read(address, count=count, device_id=unit)
        except MeterRefused:
            raise
        except (AnswerShort, AnswerForeign, BusDisconnected, MeterSilent) as error:
            self._forget(error)
            raise
        except TimeoutError as error:
            self._link.drop()
            raise self._inspector.silence(asked) from error
        except ModbusException as error:
            self._link.drop()
            raise BusDisconnected(f"asked {asked}, {error} came") from error
        except asyncio.CancelledError:
            # Its answer may still come, and nobody waits for it any more.
            self._link.drop()
            raise
        finally:
            self._inspector.rest()
        return answer.registers

    def _forget(self, error: Exception) -> None:
        # Of a gateway that said "my meter is silent" the connection is as good as before.
        if not isinstance(error, MeterSilent):
            self._link.drop()


class _Inspector:
    """Judges what arrives while a request is in flight, before pymodbus sees it."""

    def __init__(self, fail: Callable[[Exception], None]) -> None:
        self._fail = fail
        self._asked: str | None = None
        self._function = 0
        self._count = 0
        self._sent = b""
        self._stranger = ""

    def expect(self, function: int, count: int, asked: str) -> None:
        self._function, self._count, self._asked = function, count, asked
        self._sent, self._stranger = b"", ""

    def rest(self) -> None:
        self._asked = None

    def silence(self, asked: str) -> MeterSilent | AnswerForeign:
        """What a timeout was: nothing at all, or only answers to something else."""
        if self._stranger:
            return AnswerForeign(f"asked {asked}, only {self._stranger} came")
        return MeterSilent(f"asked {asked}, nothing came")

    def connection(self, connected: bool) -> None:  # noqa: FBT001 - pymodbus calls it so
        if not connected and self._asked is not None:
            self._fail(BusDisconnected(f"asked {self._asked}, the connection fell"))

    def packet(self, sending: bool, data: bytes) -> bytes:  # noqa: FBT001 - pymodbus calls it so
        """Pass on what is ours and right; swallow the rest, ending the request if it is wrong."""
        if sending:
            self._sent = data
            return data
        if self._asked is None:
            return b""
        return self._judge(self._skip_strangers(data))

    def _skip_strangers(self, data: bytes) -> bytes:
        """`data` without whole frames of other transactions at its beginning."""
        while len(data) >= _HEADER.size and data[:2] != self._sent[:2]:
            _, _, length, unit, function = _HEADER.unpack_from(data)
            self._stranger = f"an answer of unit {unit}, function {function}, to an older request"
            data = data[_LENGTH_END + length :]
        return data

    def _judge(self, data: bytes) -> bytes:
        if len(data) <= _HEADER.size:
            return b""  # not yet a whole answer: pymodbus keeps what came
        _, protocol, length, unit, function = _HEADER.unpack_from(data)
        if protocol or unit != self._sent[_LENGTH_END]:
            return self._end(AnswerForeign, f"protocol {protocol}, unit {unit} came")
        if len(data) < _LENGTH_END + length:
            return b""
        if function & _ERROR_BIT:
            return self._refuse(function, data[_HEADER.size])
        if function != self._function:
            return self._end(AnswerForeign, f"function {function} came")
        return self._measure(data[: _LENGTH_END + length])

    def _measure(self, frame: bytes) -> bytes:
        payload = frame[_HEADER.size + 1 :]
        if len(payload) == frame[_HEADER.size] == 2 * self._count:
            return frame
        short = len(payload) < 2 * self._count or frame[_HEADER.size] < 2 * self._count
        came = f"{len(payload)} bytes came, {frame[_HEADER.size]} were announced"
        return self._end(AnswerShort if short else AnswerForeign, came)

    def _refuse(self, function: int, code: int) -> bytes:
        # Some meters leave the function out of the exception's function byte.
        of = function & ~_ERROR_BIT
        if of not in (0, self._function):
            return self._end(AnswerForeign, f"an exception to function {of} came")
        if code == _TARGET_SILENT:
            return self._end(MeterSilent, "the gateway got no answer from it")
        self._fail(MeterRefused(f"asked {self._asked}, exception {code} came", code))
        return b""

    def _end(self, error: type[AnswerForeign | AnswerShort | MeterSilent], came: str) -> bytes:
        self._fail(error(f"asked {self._asked}, {came}"))
        return b""
