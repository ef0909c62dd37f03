"""A collector's hot path, wired on fakes and an SQLite small state."""

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from threading import Event

from collector.adapters.sql import SqlSmallState
from collector.adapters.zstd import decompress
from collector.alerting.rule import Rule
from collector.answer import Answers
from collector.arrivals import Arrivals
from collector.coherence import Coherence
from collector.fleet.check import load_fleet
from collector.fleet.index import Fleet
from collector.marks import DirtyMarks
from collector.metrics import Metrics
from collector.patience import Patience
from collector.pipeline import Parts, Pipeline
from collector.store import ReadingStore
from collector.suspect import Suspects
from collector.validate import Gate
from collector.watching import Office, make_watching
from link.mqtt import Delivery
from metering.delivery.receiver import Receiver
from tests.fakes.clock import FakeClock
from tests.fakes.link import SEALED_MS, FakeLink
from tests.fakes.store import FakeReadingStore

CONFIG = Path(__file__).parents[2] / "config"


@cache
def example_fleet() -> Fleet:
    return load_fleet(CONFIG)


class NoPause(Event):
    """What `Patience` waits on: counts the pauses and takes none.

    Attributes:
        pauses: each pause asked for, in seconds.
        stop_after: how many pauses until the collector is told to stop; None: never.
    """

    def __init__(self) -> None:
        super().__init__()
        self.pauses: list[float] = []
        self.stop_after: int | None = None
        self.on_pause = lambda: None

    def wait(self, timeout: float | None = None) -> bool:
        self.pauses.append(timeout or 0.0)
        self.on_pause()
        return self.stop_after is not None and len(self.pauses) >= self.stop_after


class Centre:
    """A collector from its deliveries to its commits; what it keeps survives `restart`."""

    def __init__(
        self,
        *,
        store: ReadingStore | None = None,
        state: SqlSmallState | None = None,
        rules: Sequence[Rule] = (),
        fleet: Fleet | None = None,
    ) -> None:
        self.store = store or FakeReadingStore()
        self.state = state or SqlSmallState("sqlite://")
        self.rules = tuple(rules)
        self.fleet = fleet or example_fleet()
        self.gate = Gate(self.fleet)
        self.clock = FakeClock(SEALED_MS + 1_000)
        self.link = FakeLink()
        self.restart()

    def restart(self) -> None:
        """Begin again from what is on disk."""
        self.stopping = NoPause()
        self.marks = DirtyMarks()
        self.arrivals = Arrivals()
        self.metrics = Metrics()
        self.patience = Patience(self.stopping, self.clock, jitter=lambda: 0.5)
        self.receiver = Receiver(self.state.ledgers())
        latest = self.store.latest()
        office = Office(
            fleet=self.fleet,
            alert_log=self.state.alert_log,
            clock=self.clock,
            metrics=self.metrics,
            patience=self.patience,
        )
        newest = {reading.meter: reading.at_ms for reading in latest}
        self.watching = make_watching(self.rules, lambda *_: True, office, newest)
        self.alerting = self.watching.alerting
        self.suspects = Suspects(self.fleet, latest)
        self.answers = Answers(
            self.receiver, self.clock, self.metrics, store="heping-1", generation=1
        )
        self.answers.attach(self.link)
        self.pipeline = Pipeline(
            Parts(
                gate=self.gate,
                coherence=Coherence(self.fleet),
                suspects=self.suspects,
                store=self.store,
                state=self.state,
                marks=self.marks,
                arrivals=self.arrivals,
                receiver=self.receiver,
                alerting=self.alerting,
                readings=self.watching.readings,
                heard=self.watching.heard,
                answers=self.answers,
                clock=self.clock,
                metrics=self.metrics,
                decompress=decompress,
                patience=self.patience,
            )
        )

    def take(self, *group: Delivery) -> None:
        self.pipeline.ingest(group, self.link.acknowledge)

    def count(self, name: str) -> float:
        return self.metrics.counts().get(name, 0.0)

    def close(self) -> None:
        self.state.close()
