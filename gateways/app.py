"""App: settings -> a running gateway. The only module that wires the parts."""

import asyncio
import os
import random
import secrets
import signal
from collections.abc import Callable, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import msgspec
import structlog
import zstandard

from documents.settings import clock_of
from gateways.adapters.kernel_clock import is_synchronised
from gateways.adapters.modbus import open_bus
from gateways.adapters.sqlite import SqliteSpool
from gateways.agent import Agent, PolledBus
from gateways.meter import build_meters, read_bus
from gateways.publish import Publisher, Retention
from gateways.seal import Compress, Sealer
from gateways.settings import GatewaySettings
from gateways.spool_thread import SpoolThread
from gateways.timekeeper import Timekeeper
from link.broker import broker_of
from link.mqtt import Broker, Link, Message
from metering.batch import ClockState
from metering.clock import Clock
from metering.delivery.sender import Sender
from metering.errors import PermanentError
from metering.topic import GatewayTopic, Leaf
from metering.ulid import RANDOM_BYTES, ulid
from metering.wire import MeterHealth

log = structlog.get_logger()

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


class CutInvalid(PermanentError):
    """The gateway's part of the fleet cannot be used."""


class Cut(msgspec.Struct, frozen=True, kw_only=True):
    """A gateway's part of the fleet, as `nenghao fleet cut` wrote it."""

    v: int
    district: str
    store: str
    gateway: str
    digest: str
    buses: tuple[dict[str, Any], ...]
    models: dict[str, dict[str, Any]]


def load_cut(path: Path) -> Cut:
    """Read a cut.

    Raises:
        CutInvalid: it cannot be read or is not one.
    """
    try:
        return msgspec.json.decode(path.read_bytes(), type=Cut)
    except OSError as error:
        raise CutInvalid(f"{path}: {error.strerror}; write it with 'nenghao fleet cut'") from error
    except msgspec.MsgspecError as error:
        raise CutInvalid(f"{path}: {error}; write it with 'nenghao fleet cut'") from error


class Gateway:
    """A gateway's parts, wired."""

    def __init__(self, settings: GatewaySettings, cut: Cut, broker: Broker) -> None:
        """Open the spool and prepare everything else; needs a running event loop."""
        self._topic = GatewayTopic(cut.district, cut.gateway)
        self._drain_s = settings.drain_s
        self.timekeeper = Timekeeper(clock_of(settings.clock), _vouching(settings))
        spool = SqliteSpool(settings.spool.folder)
        spool.mint(ulid(self.timekeeper.now_ms(), secrets.token_bytes(RANDOM_BYTES)))
        self.sender = Sender(
            store=cut.store,
            generation=spool.generation(cut.store),
            books=spool.books(),
            jitter=random.random,
        )
        waiting = spool.unsealed(limit=1_000_000)
        self._spool = SpoolThread(spool)
        self.publisher = Publisher(
            spool=self._spool,
            sender=self.sender,
            topic=self._topic,
            timekeeper=self.timekeeper,
            retention=Retention(
                keep_ms=settings.spool.keep_days * 86_400_000,
                size_limit=settings.spool.size_limit_mb << 20,
            ),
            about=lambda: (version("nenghao"), cut.digest, self._health()),
        )
        self.publisher.unsealed = len(waiting)
        self._link = Link(
            broker,
            topics=(self._topic.leaf(Leaf.COMMIT),),
            will=Message(topic=self._topic.leaf(Leaf.LINK), payload=b"offline", retain=True),
            listener=self.publisher,
        )
        self.publisher.attach(self._link)
        self.agent = Agent(
            buses=tuple(_polled(bus, cut.models, self.timekeeper) for bus in cut.buses),
            sealer=Sealer(cut.gateway, _compressor(settings)),
            spool=self._spool,
            publisher=self.publisher,
            timekeeper=self.timekeeper,
            boot=_boot(),
        )

    def _health(self) -> dict[str, MeterHealth]:
        return dict(self.agent.health)

    async def run(self, stopping: asyncio.Event) -> None:
        """Live until `stopping` is set and the drain is over."""
        self._link.start()
        try:
            await self.agent.run(stopping, self._drain_s)
        finally:
            offline = Message(topic=self._topic.leaf(Leaf.LINK), payload=b"offline", retain=True)
            await asyncio.get_running_loop().run_in_executor(None, self._link.stop, offline)
            self._spool.close()


def _polled(
    bus: dict[str, Any], models: Mapping[str, Mapping[str, Any]], clock: Clock
) -> PolledBus:
    entry = read_bus(bus)
    return PolledBus(
        entry.url,
        open_bus(entry.url, clock),
        build_meters(bus, models),
        cycle_ms=entry.cycle_s * 1000,
        offset_ms=entry.start_offset_s * 1000,
    )


def _vouching(settings: GatewaySettings) -> Callable[[], ClockState]:
    if settings.clock is not None:
        return lambda: ClockState.SYNCED  # a replayed time is right by definition
    if settings.trust_rtc:
        return lambda: ClockState.SYNCED if is_synchronised() else ClockState.RTC
    return lambda: ClockState.SYNCED if is_synchronised() else ClockState.UNSYNCED


def _compressor(settings: GatewaySettings) -> Compress | None:
    return zstandard.ZstdCompressor(level=3).compress if settings.compress else None


def _boot() -> str:
    try:
        return _BOOT_ID.read_text(encoding="ascii").strip()
    except OSError:
        # Without a boot id a restarted process is taken for a restarted machine: unsure, not wrong.
        return f"process-{os.getpid()}-{secrets.token_hex(4)}"


async def run_gateway(settings: GatewaySettings, folder: Path) -> None:
    """Run until SIGTERM or SIGINT.

    Args:
        folder: what relative paths in the settings are relative to.

    Raises:
        PermanentError: the settings, the cut or a secret cannot be used.
    """
    cut = load_cut(folder / settings.fleet)
    broker = broker_of(settings.broker, client_id=cut.gateway, environ=os.environ, folder=folder)
    gateway = Gateway(settings, cut, broker)
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for sign in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(sign, stopping.set)
    log.info("gateway.started", gateway=cut.gateway, digest=cut.digest)
    await gateway.run(stopping)
    log.info("gateway.stopped", gateway=cut.gateway)
