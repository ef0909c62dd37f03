"""Line: the requests on one bus -> the meters' answers, each in its time.

Seconds are real ones, at any speed of the clock: what is late for a poller is.
"""

import asyncio
from collections.abc import Callable, Iterable
from functools import partial
from typing import Protocol

from gateways.simulator.bus.bend import bend
from gateways.simulator.bus.frame import Framing, Request
from gateways.simulator.bus.reply import reply_to
from gateways.simulator.fault import FaultKind
from gateways.simulator.meter import SimulatedMeter, Strike
from gateways.simulator.served_log import ServedLog
from metering.clock import Clock


class Wire(Protocol):
    """Where requests come from and answers go: a connection, or a line of its own."""

    @property
    def framing(self) -> Framing:
        """How it wraps."""
        ...

    @property
    def held(self) -> list[bytes]:
        """Answers that wait for the next request."""
        ...

    def send(self, octets: bytes) -> None:
        """Let them go; what nobody takes is lost, as on a real line."""
        ...


class Line:
    """One bus's meters."""

    def __init__(
        self, meters: Iterable[SimulatedMeter], clock: Clock, served_log: ServedLog | None
    ) -> None:
        self._meters = {meter.unit: meter for meter in meters}
        self._clock = clock
        self._log = served_log
        self._closed = False

    def hear(self, wire: Wire, request: Request) -> None:
        """A request came; a unit that nobody has is silent."""
        if self._closed:
            return
        held = tuple(wire.held)
        wire.held.clear()
        for frame in held:
            wire.send(frame)
        meter = self._meters.get(request.unit)
        if meter is None:
            return
        at_ms = self._clock.now_ms()
        strike = meter.strike(at_ms)
        if FaultKind.SILENCE in strike.faults or meter.is_silent(at_ms):
            return
        if delay := strike.faults.get(FaultKind.DELAY):
            self._later(delay.seconds or 0, partial(self._answer, wire, request, meter, strike))
        else:
            self._answer(wire, request, meter, strike)

    def close(self) -> None:
        """Nothing that is still to come comes any more."""
        self._closed = True

    def _answer(self, wire: Wire, request: Request, meter: SimulatedMeter, strike: Strike) -> None:
        at_ms = self._clock.now_ms()
        reply = reply_to(meter, request.pdu, at_ms, strike.faults)
        bent = bend(request, reply.pdu, wire.framing, strike)
        usable = bent.usable and FaultKind.LATE not in strike.faults
        if self._log is not None and usable and reply.values is not None:
            self._log.record(at_ms, meter.id, reply.values)
        self._let_go(wire, bent.frame, strike)

    def _let_go(self, wire: Wire, frame: bytes, strike: Strike) -> None:
        late, twice = (strike.faults.get(kind) for kind in (FaultKind.LATE, FaultKind.TWICE))
        times = 2 if twice else 1
        if late and late.seconds is None:
            wire.held.extend([frame] * times)
            return
        after_s = late.seconds or 0 if late else 0
        if late:
            self._later(after_s, partial(wire.send, frame))
        else:
            wire.send(frame)
        if twice:
            self._later(after_s + (twice.seconds or 0), partial(wire.send, frame))

    def _later(self, seconds: float, call: Callable[[], None]) -> None:
        def unless_closed() -> None:
            if not self._closed:
                call()

        asyncio.get_running_loop().call_later(seconds, unless_closed)
