"""Serve: a Simulation -> Modbus TCP servers, one per bus, on pymodbus."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

import structlog
from pymodbus.constants import ExcCodes  # noqa: TID251 - the simulator's one server
from pymodbus.exceptions import NoSuchIdException  # noqa: TID251 - the same
from pymodbus.pdu import ModbusPDU  # noqa: TID251 - the same
from pymodbus.server import ModbusTcpServer  # noqa: TID251 - the same
from pymodbus.simulator import DataType, SimData, SimDevice  # noqa: TID251 - the same

from gateways.bus_url import Transport, parse_bus_url
from gateways.model import LAST_ADDRESS, Table
from gateways.simulator.district import SimulatedBus, Simulation
from gateways.simulator.fault import FaultKind
from gateways.simulator.meter import SimulatedMeter
from gateways.simulator.served_log import ServedLog
from metering.clock import Clock
from metering.errors import PermanentError, TransientError

log = structlog.get_logger()
# pymodbus would log every exception that a simulated meter is told to answer.
logging.getLogger("pymodbus").setLevel(logging.CRITICAL)

_TABLES = {3: Table.HOLDING, 4: Table.INPUT}
_ANY_UNIT = 0  # pymodbus asks the device of this id for every unit that it does not know
_HIGHEST_UNIT = 247


class BusUnavailable(TransientError):
    """A bus's address cannot be listened on."""


class NotServed(PermanentError):
    """The simulator does not serve that kind of bus."""


async def serve(
    simulation: Simulation,
    ports: Mapping[str, int] | None = None,
    ready: Callable[[Mapping[str, str]], None] | None = None,
) -> None:
    """Serve until cancelled.

    Args:
        simulation: what to serve.
        ports: another port for a bus URL, 0 for any that is free.
        ready: called with the URL that each bus URL is really served on.
    """
    async with serving(simulation, ports) as urls:
        log.info("simulation.serving", buses=len(urls))
        if ready is not None:
            ready(urls)
        await asyncio.get_running_loop().create_future()


@asynccontextmanager
async def serving(
    simulation: Simulation, ports: Mapping[str, int] | None = None
) -> AsyncIterator[dict[str, str]]:
    """The same while the context is open; gives the URL that each bus URL is really served on.

    Raises:
        BusUnavailable: an address is taken or not ours.
        NotServed: a bus is not `tcp://`.
    """
    async with AsyncExitStack() as stack:
        served_log = None
        if simulation.log is not None:
            served_log = ServedLog(simulation.log)
            stack.callback(served_log.close)
        urls: dict[str, str] = {}
        for bus in simulation.buses:
            line = _Line(bus, simulation.clock, served_log)
            urls[bus.url] = await line.listen((ports or {}).get(bus.url))
            stack.push_async_callback(line.close)
        yield urls


class _Line:
    """One bus's server."""

    def __init__(self, bus: SimulatedBus, clock: Clock, served_log: ServedLog | None) -> None:
        self._bus = bus
        self._clock = clock
        self._log = served_log
        self._meters = {meter.unit: meter for meter in bus.meters}
        self._server: ModbusTcpServer | None = None

    async def listen(self, port: int | None) -> str:
        url = parse_bus_url(self._bus.url)
        if url.transport is not Transport.TCP:
            raise NotServed(f"{self._bus.url}: only tcp:// buses are simulated by this version")
        devices = [
            SimDevice(meter.unit, _registers(meter), action=_Unit(self, meter).act)
            for meter in self._bus.meters
        ]
        if _ANY_UNIT not in self._meters:
            devices.append(SimDevice(_ANY_UNIT, _everything(), action=_nobody))
        address = (url.host, url.port if port is None else port)
        self._server = ModbusTcpServer(
            devices, address=address, ignore_missing_devices=True, trace_pdu=self._bend
        )
        try:
            await self._server.serve_forever(background=True)
        except RuntimeError as error:
            raise BusUnavailable(f"{address[0]}:{address[1]} cannot be served") from error
        listener = self._server.transport
        assert isinstance(listener, asyncio.Server)
        return f"tcp://{url.host}:{listener.sockets[0].getsockname()[1]}"

    async def close(self) -> None:
        if self._server is not None:
            await self._server.shutdown()  # type: ignore[no-untyped-call]  # pymodbus

    def now_ms(self) -> int:
        return self._clock.now_ms()

    def record(self, at_ms: int, meter: str, values: Mapping[str, float]) -> None:
        if self._log is not None:
            self._log.record(at_ms, meter, values)

    def _bend(self, sending: bool, pdu: ModbusPDU) -> ModbusPDU:  # noqa: FBT001 - pymodbus's call
        """Make an answer wrong where a fault says so."""
        meter = self._meters.get(pdu.dev_id)
        if not sending or meter is None or pdu.isError():
            return pdu
        faults = meter.faults(self.now_ms())
        if FaultKind.SHORT in faults:
            pdu.registers = pdu.registers[:-1]
        if FaultKind.WRONG_UNIT in faults:
            pdu.dev_id = pdu.dev_id % _HIGHEST_UNIT + 1
        return pdu


class _Unit:
    """Fills in a meter's registers each time that they are asked for."""

    def __init__(self, line: _Line, meter: SimulatedMeter) -> None:
        self._line = line
        self._meter = meter

    async def act(
        self,
        function: int,
        start: int,
        address: int,
        count: int,
        registers: list[int],
        written: Sequence[int] | Sequence[bool] | None,
    ) -> ExcCodes | None:
        """Refuse, stay silent, or put what the meter shows now into `registers`."""
        table = _TABLES.get(function)
        if table is None or written is not None:
            return ExcCodes.ILLEGAL_FUNCTION
        refused = await self._misbehave()
        if refused is not None:
            return refused
        if not self._has(table, address, count):
            return ExcCodes.ILLEGAL_ADDRESS
        at_ms = self._line.now_ms()
        answer = self._meter.answer(table, address, count, at_ms)
        registers[address - start : address - start + count] = answer.words
        self._line.record(at_ms, self._meter.id, answer.values)
        return None

    async def _misbehave(self) -> ExcCodes | None:
        at_ms = self._line.now_ms()
        faults = self._meter.faults(at_ms)
        if FaultKind.SILENCE in faults or self._meter.is_silent(at_ms):
            raise NoSuchIdException
        for kind in (FaultKind.DELAY, FaultKind.LATE):
            if kind in faults:
                # Real seconds: what is late for a poller is, at any speed of the clock.
                await asyncio.sleep(faults[kind].seconds)
        if FaultKind.EXCEPTION in faults:
            return _exception(faults[FaultKind.EXCEPTION].code)
        return None

    def _has(self, table: Table, address: int, count: int) -> bool:
        return any(
            table == own and first <= address and address + count <= first + length
            for own, first, length in self._meter.ranges
        )


async def _nobody(*_: object) -> ExcCodes | None:
    """Nobody has this unit id: silence, as on a real line."""
    raise NoSuchIdException


def _exception(code: int) -> ExcCodes:
    try:
        return ExcCodes(code)
    except ValueError:
        return ExcCodes.DEVICE_FAILURE


def _registers(meter: SimulatedMeter) -> list[SimData]:
    """The meter's ranges of both tables together: which table it is, `act` decides."""
    spans: list[list[int]] = []
    for first, behind in sorted((f, f + length) for _, f, length in meter.ranges):
        if spans and first <= spans[-1][1]:
            spans[-1][1] = max(behind, spans[-1][1])
        else:
            spans.append([first, behind])
    return [
        SimData(first, count=behind - first, datatype=DataType.REGISTERS) for first, behind in spans
    ]


def _everything() -> list[SimData]:
    return [SimData(0, count=LAST_ADDRESS + 1, datatype=DataType.REGISTERS)]
