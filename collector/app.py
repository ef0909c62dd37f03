"""App: settings -> a running collector. Wires the link and the pipeline into a `Workshop`."""

import os
import random
import signal
import threading
from collections.abc import Callable
from pathlib import Path

import structlog

from collector.adapters.apscheduler import ApschedulerTrigger
from collector.adapters.http import HttpServer
from collector.adapters.zstd import decompress
from collector.alerting.budgets.folder import load_budgets
from collector.alerting.lifecycle.damping import LATE_MS
from collector.alerting.settled import SettledRules
from collector.answer import Answers
from collector.api import make_api
from collector.coherence import Coherence
from collector.desk import Office, RunningDesk
from collector.doors.alerting import Counter, alerting_door
from collector.doors.jobs import make_jobs_door
from collector.fleet.index import Fleet
from collector.inbox import Inbox
from collector.jobs.runner import JobRunner
from collector.jobs.runner import Parts as JobParts
from collector.patience import Patience
from collector.pipeline import Parts, Pipeline
from collector.settings import CollectorSettings
from collector.suspect import Suspects
from collector.telling import TellingParts, load_telling
from collector.validate import Gate
from collector.watching import (
    CentreSigns,
    Watching,
    all_rules,
    make_watch,
    make_watching,
)
from collector.watching import Office as WatchingOffice
from collector.worklist import worklist
from collector.workshop import Workshop
from link.broker import broker_of
from link.mqtt import Delivery, Link
from metering.clock import Clock
from metering.delivery.receiver import Receiver
from metering.errors import TransientError
from metering.topic import Leaf, subscription

log = structlog.get_logger()

_INBOX_LIMIT = 400
_ROUSE_S = 60.0  # real seconds: a machine's clock that is set back stops no job for longer
_LOOK_MS = 5_000  # of wall time, between two looks for due jobs
_SHORTEST_LOOK_S = 0.25
_WATCH_S = 1.0


class StoppedEarly(TransientError):
    """Somebody asked the collector to end before it had begun."""


class Collector:
    """A collector's parts, wired. `Listener` of the link."""

    def __init__(
        self, settings: CollectorSettings, folder: Path, stopping: threading.Event
    ) -> None:
        """Open everything, waiting for a database that is away; nothing moves before `start`.

        Args:
            folder: what relative paths in the settings are relative to.
            stopping: set by whoever wants the collector to end.

        Raises:
            PermanentError: settings, fleet, lock, store or a secret cannot be used.
            StoppedEarly: asked to end while a database was still away.
        """
        self._stopping = stopping
        self._failed = False
        self._workshop = workshop = Workshop(settings, folder)
        self._clock = workshop.clock
        self.fleet, self.store, self.state = workshop.fleet, workshop.store, workshop.state
        metrics = workshop.metrics
        self._patience = patience = Patience(self._stopping, self._clock, random.random)
        claimed = patience.until_done("store", workshop.claim)
        if claimed.value is None:
            raise StoppedEarly("asked to stop while the store was away")
        identity = claimed.value
        latest = patience.until_done("store", self.store.latest)
        if latest.value is None:
            raise StoppedEarly("asked to stop while the store was away")
        suspects = Suspects(self.fleet, latest.value)
        receiver = Receiver(self.state.ledgers())
        answers = Answers(
            receiver,
            self._clock,
            metrics,
            store=identity.id,
            generation=identity.generation,
        )
        config = folder / settings.config
        budgets = load_budgets(config, self.fleet)
        hours = workshop.hours
        office = WatchingOffice(
            fleet=self.fleet,
            budgets=budgets,
            alert_log=self.state.alert_log,
            clock=self._clock,
            metrics=metrics,
            patience=patience,
        )
        rules = all_rules(settings.rules, config, self.fleet)
        newest = {reading.meter: reading.at_ms for reading in latest.value}
        watching = make_watching(rules, hours.open_at, office, newest)
        self._warm(watching)
        self._inbox = Inbox(
            every_ms=settings.group.every_ms, at_most=settings.group.at_most, limit=_INBOX_LIMIT
        )
        self._link = Link(
            broker_of(
                settings.broker,
                client_id=settings.client_id or f"collector-{identity.id}",
                environ=os.environ,
                folder=folder,
            ),
            topics=_topics(settings, self.fleet),
            listener=self,
        )
        answers.attach(self._link)
        self._pipeline = Pipeline(
            Parts(
                gate=Gate(self.fleet),
                coherence=Coherence(self.fleet),
                suspects=suspects,
                store=self.store,
                state=self.state,
                marks=workshop.marks,
                arrivals=workshop.arrivals,
                receiver=receiver,
                alerting=watching.alerting,
                readings=watching.readings,
                heard=watching.heard,
                answers=answers,
                clock=self._clock,
                metrics=metrics,
                decompress=decompress,
                patience=patience,
            )
        )
        self.jobs = JobRunner(
            worklist(
                settings,
                workshop,
                watching,
                SettledRules(rules, workshop.intervals, self.fleet, hours, budgets),
            ),
            JobParts(
                log=self.state.job_log,
                clock=self._clock,
                patience=patience,
                metrics=metrics,
                trigger=ApschedulerTrigger(_look_every_s(self._clock)),
                stopping=self._stopping,
            ),
        )
        self.desk = RunningDesk(
            Office(
                fleet=self.fleet,
                store=self.store,
                state=self.state,
                receiver=receiver,
                answers=answers,
                alerting=watching.alerting,
                suspects=suspects,
                patience=patience,
                metrics=metrics,
                inbox=self._inbox,
                link=self._link,
                jobs=self.jobs,
            )
        )
        self._telling = (
            load_telling(
                TellingParts(
                    state=self.state,
                    fleet=self.fleet,
                    rules=rules,
                    clock=self._clock,
                    moved=watching.alerting.moved,
                    died=self._end,
                    config=folder / settings.config,
                    environ=os.environ,
                )
            )
            if settings.notify
            else None
        )
        counter = Counter(
            log=self.state.alert_log,
            outbox=self.state.outbox,
            silences=self.state.silence_book,
            clock=self._clock,
            judge=watching.alerting,
            teller=self._telling,
            link=None if self._telling is None else self._telling.link,
            changed=watching.alerting.moved.set,
        )
        doors = (
            *workshop.doors(self.desk.in_turn),
            alerting_door(counter),
            make_jobs_door(self.jobs, self.state.job_log),
        )
        api = make_api(self.desk, self.store, self.state, self.state.alert_log, metrics, doors)
        self._server = HttpServer(api, settings.api.host, settings.api.port)
        workshop.lock.tell(self._server.url)
        centre = CentreSigns(
            link=self._link,
            pipeline=self._pipeline,
            patience=patience,
            clock=self._clock,
            failing=lambda: self.jobs.failing,
            delivery_failing_s=self._delivery_failing_s,
        )
        self._watch = make_watch(watching, office, centre, centre.is_deaf)
        self._threads = (
            threading.Thread(target=self._alive, args=(self._work,), name="pipeline"),
            threading.Thread(target=self._alive, args=(self._look,), name="watch"),
        )

    def _warm(self, watching: Watching) -> None:
        """Rates go on from what was read just before the start."""
        within_ms, now_ms = watching.readings.within_ms, self._clock.now_ms()
        if within_ms:
            meters, since_ms = sorted(self.fleet.meters), now_ms - LATE_MS - within_ms
            read = self._patience.until_done(
                "store", lambda: self.store.readings(meters, None, since_ms, now_ms)
            )
            watching.readings.warm(read.value or [])

    @property
    def api_url(self) -> str:
        return self._server.url

    def start(self) -> None:
        self._server.start()
        for thread in self._threads:
            thread.start()
        if self._telling is not None:
            self._telling.start()
        self._link.start()
        self.jobs.start()
        log.info("collector.started", api=self.api_url, meters=len(self.fleet.meters))

    def wait(self) -> bool:
        """Live until somebody asks to stop, then stop; False if the pipeline died by itself."""
        while not self._stopping.wait(_ROUSE_S):
            self.jobs.rouse()
        self.stop()
        return not self._failed

    def stop(self) -> None:
        """What is not stored by now stays unacknowledged at the broker and comes again."""
        self._stopping.set()
        self._inbox.close()
        for thread in self._threads:
            thread.join()
        self._workshop.settling.stop()
        self.jobs.stop()
        if self._telling is not None:
            self._telling.stop()
        self._link.stop()
        self._server.stop()
        self._keep_arrivals()
        self._workshop.close()
        log.info("collector.stopped")

    def _delivery_failing_s(self) -> float:
        return 0.0 if self._telling is None else self._telling.failing_s()

    def _end(self) -> None:
        self._failed = True
        self._stopping.set()

    def _keep_arrivals(self) -> None:
        try:
            self._workshop.verification.keep_arrivals()
        except TransientError as error:  # counts for one figure are no reason to stay
            log.warning("arrivals.lost", error=str(error))

    def _alive(self, live: Callable[[], None]) -> None:
        """A thread's life. Whatever ends it ends the process: half a collector is none."""
        try:
            live()
        except Exception:
            log.exception("thread.died", thread=threading.current_thread().name)
            self._end()

    def _work(self) -> None:
        """The pipeline's."""
        while not self._inbox.closed:
            group = self._inbox.group()
            if group:
                self._pipeline.ingest(group, self._link.acknowledge)
            self.desk.run_errands()

    def _look(self) -> None:
        """The watch's, once a real second."""
        while not self._stopping.wait(_WATCH_S):
            self._watch.look()

    # ---- the link's listener, on paho's thread

    def up(self) -> None:
        """Subscribed; the gateways' retained states come by themselves and are answered."""

    def down(self, _reason: str) -> None:
        self._inbox.forget()

    def delivered(self, delivery: Delivery) -> None:
        self._inbox.put(delivery)

    def acknowledged(self, packet: int) -> None:
        """A commit reached the broker; nothing waits for that."""


def run_collector(settings: CollectorSettings, folder: Path) -> bool:
    """Run until SIGTERM or SIGINT; False if the pipeline died by itself."""
    stopping = threading.Event()
    for sign in (signal.SIGTERM, signal.SIGINT):
        signal.signal(sign, lambda _sign, _frame: stopping.set())
    try:
        collector = Collector(settings, folder, stopping)
    except StoppedEarly:
        return True
    collector.start()
    return collector.wait()


def _look_every_s(clock: Clock) -> float:
    return min(_LOOK_MS / 1000, max(clock.real_s(_LOOK_MS), _SHORTEST_LOOK_S))


def _topics(settings: CollectorSettings, fleet: Fleet) -> tuple[str, ...]:
    shares = settings.shares or tuple(f"{district}/+" for district in sorted(fleet.stores))
    leaves = (Leaf.STATE, Leaf.LINK, Leaf.BATCH)
    return tuple(subscription(share, leaf) for share in shares for leaf in leaves)
