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
from collector.adapters.sql import SqlSmallState
from collector.adapters.zstd import decompress
from collector.alerting.budgets.folder import load_budgets
from collector.alerting.settled import SettledRules
from collector.answer import Answers
from collector.api import make_api
from collector.coherence import Coherence
from collector.desk import Office, RunningDesk
from collector.doors.jobs import make_jobs_door
from collector.fleet.index import Fleet
from collector.hindsight import Hindsight
from collector.hindsight import Parts as HindsightParts
from collector.inbox import Inbox
from collector.jobs.job import CatchUp, Job, Progress
from collector.jobs.periods import Every
from collector.jobs.runner import JobRunner
from collector.jobs.runner import Parts as JobParts
from collector.jobs.settling import settlement_job
from collector.patience import Patience
from collector.pipeline import Parts, Pipeline
from collector.quality.words import day_of
from collector.settings import CollectorSettings
from collector.settle.cells import DAY_MS
from collector.suspect import Suspects
from collector.validate import Gate
from collector.warning import EarlyWarning, told
from collector.warning import Parts as WarningParts
from collector.watching import (
    CentreSigns,
    Watching,
    all_rules,
    make_watch,
    make_watching,
)
from collector.watching import Office as WatchingOffice
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
_HINDSIGHT_MS = 900_000
_KEEP_DROPPED_DAYS = 7  # what was pending and never fired


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
        rules = all_rules(settings, config, self.fleet)
        newest = {reading.meter: reading.at_ms for reading in latest.value}
        watching = make_watching(rules, hours.open_at, office, newest)
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
            _jobs(
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
        doors = (
            *workshop.doors(self.desk.in_turn),
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
        )
        self._watch = make_watch(watching, office, centre, centre.is_deaf)
        self._threads = (
            threading.Thread(target=self._alive, args=(self._work,), name="pipeline"),
            threading.Thread(target=self._alive, args=(self._look,), name="watch"),
        )

    @property
    def api_url(self) -> str:
        return self._server.url

    def start(self) -> None:
        self._server.start()
        for thread in self._threads:
            thread.start()
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
        self._link.stop()
        self._server.stop()
        self._keep_arrivals()
        self._workshop.close()
        log.info("collector.stopped")

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
            self._failed = True
            self._stopping.set()

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


def _jobs(
    settings: CollectorSettings, workshop: Workshop, watching: Watching, settled: SettledRules
) -> tuple[Job, ...]:
    """What runs by itself, in the order in which each has its turn."""
    wanted = settings.jobs
    settlement = Job(
        name="settlement",
        title="结算",
        schedule=wanted.settlement.schedule(),
        work=_settlement(workshop),
    )
    housekeeping = Job(
        name="housekeeping",
        title="清理",
        schedule=wanted.housekeeping.schedule(),
        work=_housekeeping(settings, workshop.state, workshop.clock),
    )
    verification = Job(
        name="verification",
        title="日校核",
        schedule=wanted.verification.schedule(),
        work=_verification(workshop),
        catch_up=CatchUp.EACH,
        most=wanted.catch_up_days,
    )
    hindsight = Job(
        name="hindsight",
        title="补传报警",
        schedule=Every(width_ms=_HINDSIGHT_MS),
        work=_hindsight(workshop, watching),
    )
    warning = Job(
        name="warning",
        title="预警",
        schedule=wanted.warning.schedule(),
        work=_warning(settings, workshop, watching, settled),
    )
    every = (
        (wanted.settlement, settlement),
        (wanted.verification, verification),
        (wanted.warning, warning),
        (wanted.housekeeping, housekeeping),
    )
    jobs = tuple(job for its, job in every if its.enabled)
    return (*jobs, hindsight) if watching.rules else jobs


def _warning(
    settings: CollectorSettings, workshop: Workshop, watching: Watching, settled: SettledRules
) -> Callable[[int, Progress], str]:
    wanted = settings.jobs.warning
    warning = EarlyWarning(
        WarningParts(
            rules=settled,
            matters={rule.id: rule.group or rule.id for rule in watching.rules},
            settled=workshop.state.settled_book,
            alerting=watching.alerting,
            alert_log=workshop.state.alert_log,
            clock=workshop.clock,
            grace_ms=wanted.grace_min * 60_000,
            look_back_days=wanted.look_back_days,
        )
    )

    def work(_period_ms: int, progress: Progress) -> str:
        return told(warning.judge(progress))

    return work


def _hindsight(workshop: Workshop, watching: Watching) -> Callable[[int, Progress], str]:
    hindsight = Hindsight(
        HindsightParts(
            readings=watching.readings,
            looker=watching.looker,
            alerting=watching.alerting,
            alert_log=workshop.state.alert_log,
            store=workshop.store,
            fleet=workshop.fleet,
            clock=workshop.clock,
        )
    )

    def work(_period_ms: int, progress: Progress) -> str:
        return f"补查 {hindsight.judge(progress)} 块表补传的数据"

    return work


def _verification(workshop: Workshop) -> Callable[[int, Progress], str]:
    def verify(period_ms: int, progress: Progress) -> str:
        day_ms = period_ms - DAY_MS
        again = workshop.verification.verify_changed(day_ms, progress)
        found = workshop.verification.verify_day(day_ms, progress)
        more = f"；补到数据的 {len(again)} 天已重新校核" if again else ""
        return f"校核 {day_of(day_ms)}：发现 {len(found)} 项{more}"

    return verify


def _settlement(workshop: Workshop) -> Callable[[int, Progress], str]:
    """Settles; and keeps what arrived, so that a crash costs a quarter of an hour of it."""
    settle = settlement_job(workshop.settling)

    def work(period_ms: int, progress: Progress) -> str:
        workshop.verification.keep_arrivals()
        return settle(period_ms, progress)

    return work


def _housekeeping(
    settings: CollectorSettings, state: SqlSmallState, clock: Clock
) -> Callable[[int, Progress], str]:
    def forget(_period_ms: int, _progress: Progress) -> str:
        now_ms = clock.now_ms()
        batches = state.forget_before(now_ms - settings.keep_batches_days * DAY_MS)
        runs = state.job_log.forget_runs_before(now_ms - settings.jobs.keep_runs_days * DAY_MS)
        dropped = state.alert_log.forget_before(now_ms - _KEEP_DROPPED_DAYS * DAY_MS)
        return f"清除 {batches} 个批次摘要、{runs} 条任务记录、{dropped} 条未触发的报警"

    return forget


def _look_every_s(clock: Clock) -> float:
    return min(_LOOK_MS / 1000, max(clock.real_s(_LOOK_MS), _SHORTEST_LOOK_S))


def _topics(settings: CollectorSettings, fleet: Fleet) -> tuple[str, ...]:
    shares = settings.shares or tuple(f"{district}/+" for district in sorted(fleet.stores))
    leaves = (Leaf.STATE, Leaf.LINK, Leaf.BATCH)
    return tuple(subscription(share, leaf) for share in shares for leaf in leaves)
