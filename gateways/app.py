"""App: settings -> a running gateway. The only module that wires the parts."""

import asyncio
import os
import random
import secrets
import signal
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from importlib.metadata import version
from pathlib import Path

import msgspec
import structlog
import zstandard

from documents.settings import clock_of
from gateways.adapters.kernel_clock import is_synchronised
from gateways.adapters.memory_file import MemoryFile
from gateways.adapters.modbus import open_bus
from gateways.adapters.service_manager import ServiceManager
from gateways.adapters.sqlite import SqliteSpool
from gateways.adapters.status_socket import StatusSocket
from gateways.agent import Agent
from gateways.commission.cut import check_cut
from gateways.cut import Cut, CutInvalid, load_cut
from gateways.fleet_watch import FleetWatch
from gateways.line.owed import Lines
from gateways.polled_bus import PolledBus
from gateways.publish import About, Publisher
from gateways.pulse import Pulse
from gateways.reading.memory import Memory
from gateways.reading.meter import build_meters, read_bus
from gateways.settings import GatewaySettings
from gateways.spool.guard import UNSEALED_COUNTED
from gateways.spool.keep import Keeper, Policy
from gateways.spool.port import SpoolCorrupt
from gateways.spool.seal import Compress, Sealer
from gateways.spool.thread import SpoolThread
from gateways.status import status_document
from gateways.timekeeper import Timekeeper
from link.broker import broker_of
from link.mqtt import Broker, Link, Message
from metering.batch import ClockState
from metering.clock import Clock
from metering.delivery.sender import EpochBook, Sender
from metering.errors import PermanentError
from metering.topic import GatewayTopic, Leaf
from metering.ulid import RANDOM_BYTES, ulid

log = structlog.get_logger()

_VERSION = version("nenghao")
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


class SpoolFolderInvalid(PermanentError):
    """The folder that the settings name for the spool cannot be made or written."""


class Gateway:
    """A gateway's parts, wired."""

    def __init__(
        self, settings: GatewaySettings, cut: Cut, broker: Broker, folder: Path = Path()
    ) -> None:
        """Check everything, then open the spool; needs a running event loop.

        Args:
            folder: what relative paths in the settings are relative to.

        Raises:
            PermanentError: the cut or the broker's address cannot be used.
            TransientError: the spool cannot be opened now.
        """
        self._topic = GatewayTopic(cut.district, cut.gateway)
        self._drain_s = settings.drain_s
        self.timekeeper = Timekeeper(clock_of(settings.clock), _vouching(settings))
        self._cut_file = folder / settings.fleet
        self._lines: Lines = {}
        buses = self._buses_of(cut, ())
        self.manager = ServiceManager()
        self.watch = FleetWatch(self._cut_file, cut, self._apply, announced=self.manager.reload)
        with ExitStack() as undo:
            self._spool_folder = folder / settings.spool.folder
            self._began_ms = self.timekeeper.monotonic_ms()
            self.pulse = Pulse(self.timekeeper.monotonic_ms)
            spool = _open_spool(self._spool_folder)
            undo.callback(spool.close)
            memory = MemoryFile(folder / settings.spool.folder / "memory.json")
            self._wire(settings, cut, broker, spool, buses, memory)
            undo.pop_all()

    def _wire(
        self,
        settings: GatewaySettings,
        cut: Cut,
        broker: Broker,
        spool: SqliteSpool,
        buses: Sequence[PolledBus],
        memory: Memory,
    ) -> None:
        held = _hold(spool, cut.store, self.timekeeper.now_ms())
        self.sender = Sender(
            store=cut.store, generation=held.generation, books=held.books, jitter=random.random
        )
        self._spool = SpoolThread(spool)
        policy = Policy(
            keep_ms=settings.spool.keep_days * 86_400_000,
            size_limit=settings.spool.size_limit_mb << 20,
            group_s=settings.spool.group_s,
        )
        self.keeper = Keeper(
            spool=self._spool, sender=self.sender, timekeeper=self.timekeeper, policy=policy
        )
        self.keeper.unsealed = held.unsealed
        self.publisher = Publisher(
            keeper=self.keeper,
            sender=self.sender,
            topic=self._topic,
            timekeeper=self.timekeeper,
            policy=policy,
            about=self._about,
        )
        self._link = Link(
            broker,
            topics=(self._topic.leaf(Leaf.COMMIT),),
            will=self._offline(),
            listener=self.publisher,
        )
        self.publisher.attach(self._link)
        self.agent = Agent(
            buses=buses,
            sealer=Sealer(cut.gateway, _compressor(settings)),
            publisher=self.publisher,
            timekeeper=self.timekeeper,
            memory=memory,
            pulse=self.pulse,
            boot=_boot(),
        )

    def _offline(self) -> Message:
        return Message(topic=self._topic.leaf(Leaf.LINK), payload=b"offline", retain=True)

    def _about(self) -> About:
        return About(
            version=_VERSION,
            fleet=self.watch.cut.digest,
            meters=self.agent.health(),
            buses=self.agent.bus_health(),
            refused=self.watch.refused,
        )

    def _buses_of(self, cut: Cut, present: Sequence[PolledBus]) -> list[PolledBus]:
        """The buses of a cut: of those that did not change, the present ones."""
        known = {bus.key: bus for bus in present}
        wrong = [m for m in check_cut(cut.buses, cut.models).mistakes if not m.warning]
        if wrong:
            more = f" (and {len(wrong) - 1} more: nenghao gateway check)" if wrong[1:] else ""
            raise CutInvalid(f"{self._cut_file}: cut: {wrong[0].key}: {wrong[0].message}{more}")
        try:
            return [
                known.get(cut.key(place)) or _polled(cut, place, self.timekeeper, self._lines)
                for place in range(len(cut.buses))
            ]
        except PermanentError as error:
            raise CutInvalid(f"{self._cut_file}: {error}") from error

    async def _apply(self, cut: Cut) -> None:
        """Work by another cut from now on; everything of it is checked before anything stops."""
        await self.agent.change_buses(self._buses_of(cut, self.agent.buses), self._drain_s)

    async def run(self, stopping: asyncio.Event) -> None:
        """Live until `stopping` is set and the drain is over."""
        status = StatusSocket(self._spool_folder, self._document)
        try:
            self._link.start()
            await status.open()
            async with asyncio.TaskGroup() as tasks:
                watch = tasks.create_task(self.watch.run(), name="watch fleet")
                pings = tasks.create_task(self.manager.watch(self._is_alive), name="watchdog")
                self.manager.ready()
                await self.agent.run(stopping, self._drain_s)
                watch.cancel()
                pings.cancel()
        finally:
            await status.close()
            await self._end()

    def _document(self) -> bytes:
        return status_document(
            self.publisher.state(),
            is_up=self.publisher.is_up,
            uptime_s=(self.timekeeper.monotonic_ms() - self._began_ms) / 1000,
            pid=os.getpid(),
        )

    async def _is_alive(self) -> bool:
        return not self.pulse.hanging() and await self.keeper.is_alive()

    async def _end(self) -> None:
        for polled in self.agent.buses:
            await polled.bus.close()
        try:
            stop = asyncio.get_running_loop().run_in_executor
            await stop(None, self._link.stop, self._offline())
        finally:
            self._spool.close()


def _open_spool(folder: Path) -> SqliteSpool:
    try:
        return SqliteSpool(folder)
    except OSError as error:
        raise SpoolFolderInvalid(f"spool folder {folder}: {error.strerror}") from error


class _Held(msgspec.Struct, frozen=True, kw_only=True):
    """What a spool holds at a start, the new epoch included."""

    generation: int
    books: list[EpochBook]
    unsealed: int


def _hold(spool: SqliteSpool, store: str, now_ms: int) -> _Held:
    """Open an epoch; a spool whose damage shows only now is renewed."""
    try:
        return _minted(spool, store, now_ms)
    except SpoolCorrupt:
        spool.renew()
        return _minted(spool, store, now_ms)


def _minted(spool: SqliteSpool, store: str, now_ms: int) -> _Held:
    spool.mint(ulid(now_ms, secrets.token_bytes(RANDOM_BYTES)))
    return _Held(
        generation=spool.generation(store),
        books=spool.books(),
        unsealed=len(spool.unsealed(UNSEALED_COUNTED)),
    )


def _polled(cut: Cut, place: int, clock: Clock, lines: Lines) -> PolledBus:
    bus, path = cut.buses[place], ("buses", place)
    entry = read_bus(bus, path)
    meters = build_meters(bus, cut.models, path)
    pause_ms = max((meter.model.limits.connect_pause_ms for meter in meters), default=0)
    return PolledBus(
        entry.url,
        open_bus(entry.url, clock, pause_ms, lines),
        meters,
        cycle_ms=entry.cycle_s * 1000,
        offset_ms=cut.offset_ms(place),
        key=cut.key(place),
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
    gateway = Gateway(settings, cut, broker, folder)
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()

    def stop() -> None:
        gateway.manager.stopping()
        stopping.set()

    for sign in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(sign, stop)
    loop.add_signal_handler(signal.SIGHUP, gateway.watch.ask)
    log.info("gateway.started", gateway=cut.gateway, digest=cut.digest)
    await gateway.run(stopping)
    log.info("gateway.stopped", gateway=cut.gateway)
