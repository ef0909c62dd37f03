"""World: a district of real processes, faults that really kill, and the reckoning at the end.

Two truths are compared with the store: the simulator's log of what every meter answered, and the
gateways' spools, which keep every batch they ever sealed. The spools admit no excuse: each reading
that reached one must be stored exactly once with the same values. Between the meter's answer and
the spool a killed gateway may lose the poll under way; that is counted and bounded.
"""

import contextlib
import random
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
from msgspec import Struct

from collector.adapters.duckdb import DuckDbReadingStore
from collector.adapters.influx import InfluxReadingStore
from collector.store import ReadingStore
from gateways.adapters.sqlite import SqliteSpool
from metering.batch import BatchKey
from metering.delivery.ranges import Ranges
from metering.reading import Reading
from metering.wire import decode_batch
from nenghao.broker import EmbeddedBroker
from nenghao.demo.audit import Audit, audit, read_served
from nenghao.demo.processes import District, Part
from nenghao.demo.stage import Pace, Stage
from tests.torture.servers import Influxd, Mosquitto

CONFIG = Path(__file__).parents[2] / "config"
FOREVER_MS = 1 << 41


class Reckoning(Struct, frozen=True, kw_only=True):
    """What the end of a world showed."""

    spooled: int
    absent: int  # in a spool, not in the store
    different: int  # stored with other values
    doubled: int  # stored twice
    audit: Audit
    polls_cut: int  # served, but the gateway was killed before its spool had it
    polls_that_may_be_cut: int

    @property
    def is_clean(self) -> bool:
        faults = self.absent + self.different + self.doubled + self.audit.doubled + self.audit.wrong
        return not faults and self.polls_cut <= self.polls_that_may_be_cut and self.spooled > 0


class World:
    """A district under `folder`; faults are methods."""

    def __init__(
        self,
        folder: Path,
        *,
        broker: str = "mosquitto",
        store: str = "duckdb",
        broker_settings: str = "",
    ) -> None:
        self.folder = folder
        self.broker = (
            Mosquitto(folder / "broker", broker_settings) if broker == "mosquitto" else None
        )
        self._embedded = EmbeddedBroker(folder / "broker") if self.broker is None else None
        self.influxd = Influxd(folder / "influx") if store == "influxdb" else None
        url = self.broker.url if self.broker else self._embedded.url  # type: ignore[union-attr]
        self.stage = Stage(folder, CONFIG, pace=Pace(), broker_url=url)
        self.district: District | None = None
        self.more_spools: list[str] = []  # of boxes that a test added
        self._cuts = 0

    def start(self) -> None:
        (self.broker or self._embedded).start()  # type: ignore[union-attr]
        if self.influxd:
            self.influxd.start()
        self.stage.write(store=self.influxd.settings if self.influxd else None)
        self.district = District(self.stage)
        self.district.start()

    @property
    def parts(self) -> District:
        assert self.district is not None
        return self.district

    # ---- faults

    def kill_gateway(self, name: str, away_s: float = 0.0) -> None:
        self._cuts += self._meters(name)
        self._kill(self.parts.gateways[name], away_s)

    def kill_collector(self, away_s: float = 0.0) -> None:
        self._kill(self.parts.collector, away_s)

    def delete_small_state(self) -> None:
        """With the collector dead, its SQL is thrown away; the store stays."""
        self.parts.collector.kill()
        for file in (self.folder / "collector").glob("state.sqlite*"):
            file.unlink()
        self.parts.collector.start()

    def kill_broker(self, away_s: float = 0.0) -> None:
        assert self.broker is not None
        self.broker.kill()
        time.sleep(away_s)
        self.broker.start()

    def kill_database(self, away_s: float = 0.0) -> None:
        assert self.influxd is not None
        self.influxd.kill()
        time.sleep(away_s)
        self.influxd.start()

    @staticmethod
    def _kill(part: Part, away_s: float) -> None:
        part.kill()
        time.sleep(away_s)
        part.start()

    def _meters(self, gateway: str) -> int:
        """Polls that may be under way or in memory: one cycle of the gateway's meters, twice."""
        text = (self.folder / f"{gateway}.json").read_text(encoding="utf-8")
        return 2 * text.count('"unit":')

    def random_fault(self, chance: random.Random) -> str:
        """One of the faults, now; says which."""
        away_s = chance.choice([0.0, 0.5, 2.0])
        name = chance.choice(sorted(self.parts.gateways))
        faults: list[tuple[str, Callable[[], None]]] = [
            (f"kill -9 {name}", lambda: self.kill_gateway(name, away_s)),
            ("kill -9 collector", lambda: self.kill_collector(away_s)),
            ("small state deleted", self.delete_small_state),
        ]
        if self.broker:
            faults.append(("kill -9 broker", lambda: self.kill_broker(away_s)))
        if self.influxd:
            faults.append(("kill -9 database", lambda: self.kill_database(away_s)))
        what, act = chance.choice(faults)
        act()
        return f"{what}, away {away_s} s"

    # ---- the end

    def unstored(self) -> int | None:
        """Batches in a spool that neither it nor the collector knows to be stored.

        None while the collector does not answer.
        """
        try:
            answer = httpx.get(f"{self.stage.api_url}/gateways", timeout=5, trust_env=False)
            views = answer.raise_for_status().json()
        except httpx.HTTPError:
            return None
        stored = {
            (view["gateway"], epoch["epoch"]): Ranges.span(1, epoch["through"])
            - Ranges(map(tuple, epoch["missing"]))
            for view in views
            for epoch in view["epochs"]
        }
        return sum(
            len(held - stored.get((gateway, epoch), Ranges()))
            for gateway in self.parts.gateways
            for epoch, held in self.uncommitted(gateway).items()
        )

    def uncommitted(self, gateway: str) -> dict[str, Ranges]:
        """By epoch, what the spool holds and has no commit of (yet: it notes them late)."""
        with self._spool_of(gateway) as spool:
            return {book.epoch: book.uncommitted() for book in spool.books() if book.held}

    @contextlib.contextmanager
    def _spool_of(self, gateway: str) -> Iterator[SqliteSpool]:
        """A copy: a gateway that runs lets nobody else into its file."""
        with tempfile.TemporaryDirectory() as place:
            _copy_spool(self.folder / "spool" / gateway, Path(place))
            with contextlib.closing(SqliteSpool(Path(place))) as spool:
                yield spool

    def settle(self, most_s: float) -> None:
        """After the last fault: wait until everything is stored, with everything running."""
        until = time.monotonic() + most_s
        while time.monotonic() < until:
            self.parts.check()
            unstored = self.unstored()
            # Batches of the last second are always under way.
            if unstored is not None and unstored <= 2 * len(self.parts.gateways):
                return
            time.sleep(0.5)
        raise AssertionError(f"{self.unstored()} batches are still not stored after {most_s:.0f} s")

    def stop_gateways(self) -> None:
        self.parts.stop_gateways()

    def reckon(self) -> Reckoning:
        """Stop everything and compare."""
        self.stop_gateways()
        left = self.unstored()
        assert left == 0, f"{left} batches were still in the spools when the gateways stopped"
        self.parts.collector.stop()
        self.parts.simulator.stop()
        store = self.open_store()
        try:
            return self._reckon(store)
        finally:
            store.close()

    def _reckon(self, store: ReadingStore) -> Reckoning:
        folders = (*self.parts.gateways, *self.more_spools)
        spooled = [r for name in folders for r in self.spooled(name) if r.values]
        stored: dict[tuple[str, int], list[Reading]] = {}
        meters = sorted({reading.meter for reading in spooled})
        for reading in store.readings(meters, None, 0, FOREVER_MS):
            stored.setdefault((reading.meter, reading.at_ms), []).append(reading)
        keys = Counter((reading.meter, reading.at_ms) for reading in spooled)
        checked = audit(read_served(self.stage.served_log), store, from_ms=0, to_ms=FOREVER_MS)
        return Reckoning(
            spooled=len(keys),
            absent=sum((r.meter, r.at_ms) not in stored for r in spooled),
            different=sum(
                (r.meter, r.at_ms) in stored and stored[r.meter, r.at_ms][0].values != r.values
                for r in spooled
                if keys[r.meter, r.at_ms] == 1  # of two boxes' values at one instant, one wins
            ),
            doubled=sum(len(same) - 1 for same in stored.values()),
            audit=checked,
            polls_cut=checked.missing,
            polls_that_may_be_cut=self._cuts + keys.total() - len(keys),
        )

    def spooled(self, gateway: str) -> list[Reading]:
        """Every reading that the gateway ever sealed; the spool keeps six months."""
        with self._spool_of(gateway) as spool:
            batches = [
                spool.load(BatchKey(book.epoch, sequence))
                for book in spool.books()
                for sequence in book.held.ascending()
            ]
        return [r for b in batches if b is not None for r in decode_batch(b.payload).readings]

    def open_store(self) -> ReadingStore:
        if self.influxd is None:
            return DuckDbReadingStore(self.folder / "collector" / "readings.duckdb")
        settings = self.influxd.settings
        return InfluxReadingStore(
            url=str(settings["url"]), token="unused", org="nenghao", bucket="readings"
        )

    def stop(self) -> None:
        if self.district is not None:
            self.district.stop()
        if self.influxd:
            self.influxd.stop()
        (self.broker or self._embedded).stop()  # type: ignore[union-attr]


def _copy_spool(source: Path, place: Path) -> None:
    """As a power cut would leave it: a log that did not change meanwhile heals the file's copy."""
    log, file = source / "spool.sqlite-wal", source / "spool.sqlite"
    while True:
        before = log.read_bytes() if log.exists() else b""
        shutil.copy(file, place / file.name)
        if before == (log.read_bytes() if log.exists() else b""):
            (place / log.name).write_bytes(before)
            return
