"""Load: many gateways in one process, as fast as the collector commits.

    python -m benchmarks.load PLAN.json

Real sealed batches (identity, digest, 50 meters by 20 quantities) of `gateways` gateways, which
take turns as they do in a district that polls on the minute. Everything is sealed beforehand, so
that sending is all that is measured; a gateway has at most 16 batches that no commit covers, as the
protocol has it, so that the broker's queue stays bounded. Prints `ready`; for each number that it
reads it sends so many batches of each gateway, waits for their commits and says in JSON what it
did.
"""

import random
import secrets
import sys
import threading
import time
from collections import deque
from pathlib import Path

from msgspec import Struct
from msgspec import json as msgspec_json

from benchmarks.fleet import METERS, gateway_id, meter_id, quantities
from gateways.spool.seal import Sealer
from link.mqtt import Broker, Delivery, Link, LinkDown, Message
from metering.batch import VERSION, BatchKey, ClockState, Sealed
from metering.delivery.sender import LIVE_WINDOW
from metering.reading import Reading
from metering.topic import GatewayTopic, Leaf, subscription
from metering.ulid import ulid
from metering.wire import EpochHeld, SpoolState, State, decode_commit, encode
from nenghao.logs import set_up_logs

DISTRICT = "120101"
_MINUTE_MS = 60_000
_WARM = 1  # batches a gateway sends before the clock starts: tables, columns and ledgers are made


class Plan(Struct, frozen=True, kw_only=True):
    """What to send, and where.

    Attributes:
        batches: of each gateway, one a minute, the last one now.
    """

    broker: str
    gateways: int
    batches: int


class Done(Struct, frozen=True, kw_only=True):
    """What was sent and committed."""

    values: int
    batches: int
    bytes: int
    seconds: float


class _Gateway:
    """One gateway's batches on their way."""

    def __init__(self, number: int, batches: int, now_ms: int) -> None:
        self.topic = GatewayTopic(DISTRICT, gateway_id(number))
        self.epoch = ulid(now_ms, secrets.token_bytes(10))
        self.waiting: deque[Sealed] = deque(_sealed(number, self.epoch, batches, now_ms))
        self.sent = 0
        self.committed = 0

    @property
    def may_send(self) -> bool:
        return bool(self.waiting) and self.sent - self.committed < LIVE_WINDOW

    @property
    def under_way(self) -> int:
        return self.sent - self.committed

    def state(self, now_ms: int) -> Message:
        state = State(
            v=VERSION,
            gateway=self.topic.gateway,
            version="bench",
            at_ms=now_ms,
            fleet="",
            clock=ClockState.SYNCED,
            epochs=(EpochHeld(epoch=self.epoch, oldest=1, next=1),),
            meters={},
            spool=SpoolState(size=0, backlog=0, unsealed=0),
        )
        return Message(topic=self.topic.leaf(Leaf.STATE), payload=encode(state), retain=True)

    def message(self) -> Message:
        sealed = self.waiting.popleft()
        self.sent += 1
        return Message(
            topic=self.topic.leaf(Leaf.BATCH),
            payload=sealed.payload,
            content_type=sealed.content_type,
            properties=(
                ("epoch", sealed.key.epoch),
                ("sequence", str(sealed.key.sequence)),
                ("digest", sealed.digest),
            ),
        )


def minute_of_readings(number: int, at_ms: int, chance: random.Random) -> tuple[Reading, ...]:
    """One cycle of a gateway's 50 meters; instants and decimals as meters have them."""
    minutes = at_ms // _MINUTE_MS
    return tuple(
        Reading(
            meter=meter_id(number, meter),
            at_ms=at_ms + meter * 21,
            values=_values((number * METERS + meter, minutes), chance),
        )
        for meter in range(1, METERS + 1)
    )


def _values(point: tuple[int, int], chance: random.Random) -> dict[str, float]:
    """Plausible values at a meter and a minute, in agreement with each other as a meter's are.

    Every counter has a past and a pace of its own, within the 12 kW that the circuit is rated for.
    """
    meter, minutes = point
    grown = meter * 731.7 + minutes % 1_000_000 * 0.01 * (1 + meter % 13)
    factor = min(1.0, chance.gauss(0.93, 0.02))
    phases = [abs(chance.gauss(2.6, 0.3)) for _ in range(3)]
    said = {
        "frequency_hz": chance.gauss(50, 0.02),
        "power_factor": factor,
        "active_power_kw": sum(phases),
        "reactive_power_kvar": sum(phases) * (1 / factor**2 - 1) ** 0.5,
        "apparent_power_kva": sum(phases) / factor,
    }
    for phase, kilowatts in enumerate(phases, 1):
        volts = chance.gauss(220, 3)
        said[f"active_power_l{phase}_kw"] = kilowatts
        said[f"voltage_l{phase}_v"] = volts
        said[f"current_l{phase}_a"] = kilowatts / factor / volts * 1000
    return {
        name: round(said.get(name, grown + chance.random() * 0.005), digits)
        for name, digits in quantities()
    }


def _sealed(number: int, epoch: str, batches: int, now_ms: int) -> list[Sealed]:
    sealer = Sealer(gateway_id(number))
    chance = random.Random(number)  # noqa: S311 - the same load in every run
    first_ms = now_ms - now_ms % _MINUTE_MS - batches * _MINUTE_MS
    sealed: list[Sealed] = []
    for minute in range(batches):
        at_ms = first_ms + minute * _MINUTE_MS
        readings = minute_of_readings(number, at_ms, chance)
        after = BatchKey(epoch, minute)
        ((one, _),) = sealer.seal(readings, after, at_ms=at_ms + 1500, clock=ClockState.SYNCED)
        sealed.append(one)
    return sealed


class Generator:
    """Sends; `Listener` of its link."""

    def __init__(self, plan: Plan, now_ms: int) -> None:
        self._gateways = {
            gateway_id(number): _Gateway(number, plan.batches + _WARM, now_ms)
            for number in range(1, plan.gateways + 1)
        }
        self._changed = threading.Condition()
        self._link = Link(
            Broker(url=plan.broker, client_id="bench-load", receive_maximum=1000),
            topics=(subscription(f"{DISTRICT}/+", Leaf.COMMIT),),
            listener=self,
        )
        self._is_up = threading.Event()

    def connect(self, now_ms: int) -> None:
        self._link.start()
        if not self._is_up.wait(20):
            raise TimeoutError("the broker does not answer")
        for gateway in self._gateways.values():
            self._link.publish(gateway.state(now_ms))

    def send(self, most: int) -> Done:
        """Send up to `most` batches of each gateway, in turns; return when all are committed."""
        left = {name: min(most, len(g.waiting)) for name, g in self._gateways.items()}
        batches = sum(left.values())
        size = 0
        began = time.monotonic()
        while any(left.values()):
            for name, gateway in self._gateways.items():
                if left[name] and gateway.may_send:
                    message = gateway.message()
                    self._link.publish(message)
                    size += len(message.payload)
                    left[name] -= 1
            with self._changed:
                self._changed.wait_for(lambda: self._may_go_on(left), 30)
        with self._changed:
            done = self._changed.wait_for(self._all_committed, 60)
        if not done:
            raise TimeoutError("batches were not committed within 60 s")
        seconds = time.monotonic() - began
        values = batches * METERS * len(quantities())
        return Done(values=values, batches=batches, bytes=size, seconds=seconds)

    def stop(self) -> None:
        self._link.stop()

    def _may_go_on(self, left: dict[str, int]) -> bool:
        wanting = [g for name, g in self._gateways.items() if left[name]]
        return not wanting or any(gateway.may_send for gateway in wanting)

    def _all_committed(self) -> bool:
        return not any(gateway.under_way for gateway in self._gateways.values())

    # ---- the link's listener, on paho's thread

    def up(self) -> None:
        self._is_up.set()

    def down(self, reason: str) -> None:
        raise LinkDown(reason)

    def delivered(self, delivery: Delivery) -> None:
        self._link.acknowledge(delivery)
        topic, _ = GatewayTopic.parse(delivery.topic)
        gateway = self._gateways[topic.gateway]
        for epoch in decode_commit(delivery.payload).epochs:
            if epoch.epoch == gateway.epoch:
                missing = sum(r.last - r.first + 1 for r in epoch.missing)
                with self._changed:
                    gateway.committed = epoch.through - missing
                    self._changed.notify()

    def acknowledged(self, packet: int) -> None:
        """Only a commit frees a slot."""


def main() -> None:
    set_up_logs("warning")
    plan = msgspec_json.decode(Path(sys.argv[1]).read_bytes(), type=Plan)
    now_ms = time.time_ns() // 1_000_000
    generator = Generator(plan, now_ms)
    generator.connect(now_ms)
    generator.send(_WARM)
    print("ready", flush=True)
    for line in sys.stdin:
        done = generator.send(int(line))
        print(msgspec_json.encode(done).decode(), flush=True)
    generator.stop()


if __name__ == "__main__":
    main()
