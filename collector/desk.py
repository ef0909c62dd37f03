"""Desk: what the collector answers and does for those who ask through the API.

Whatever changes the receiver, or writes readings, runs as an errand on the pipeline's thread,
between two groups. Where no pipeline runs, what needs one is refused.
"""

from collections.abc import Callable, Mapping
from concurrent.futures import Future
from typing import TypeVar

import msgspec
import structlog
from msgspec import Struct

from collector.alerting.alert import Alert, AlertState
from collector.alerting.log import AlertLog
from collector.alerting.service import Alerting
from collector.answer import Answers
from collector.api import EpochView, GatewayView, ResendAnswer, Status
from collector.fleet.index import Fleet
from collector.inbox import Inbox
from collector.jobs.runner import JobRunner
from collector.metrics import Metrics
from collector.patience import Patience
from collector.small_state import GatewayRecord, SmallState
from collector.store import ReadingStore, StoreIdentity
from collector.suspect import Suspect, Suspects
from link.mqtt import Link
from metering.delivery.receiver import EpochLedger, Receiver
from metering.errors import NenghaoError, TransientError
from metering.topic import GatewayTopic
from metering.wire import State, decode_state

log = structlog.get_logger()

_ERRAND_S = 30.0

T = TypeVar("T")


class ErrandLate(TransientError):
    """The pipeline is busy, or waits for a store that is away."""


class NoPipeline(TransientError):
    """What was asked for is the running collector's to do, and none runs."""


class Office(Struct, frozen=True, kw_only=True):
    """What the desk looks at."""

    fleet: Fleet
    store: ReadingStore
    state: SmallState
    receiver: Receiver
    answers: Answers
    alerting: Alerting
    suspects: Suspects
    patience: Patience
    metrics: Metrics
    inbox: Inbox
    link: Link
    jobs: JobRunner


class RunningDesk:
    """The `Desk` of a collector."""

    def __init__(self, office: Office) -> None:
        self._office = office
        self._errands: list[Callable[[], None]] = []

    def run_errands(self) -> None:
        """On the pipeline's thread, between two groups."""
        while self._errands:
            self._errands.pop(0)()

    def status(self) -> Status:
        office = self._office
        office.metrics.inbox.set(len(office.inbox))
        p50_ms, p99_ms = office.metrics.latency.quantiles_ms(0.5, 0.99)
        return Status(
            store=office.answers.store,
            generation=office.answers.generation,
            link="up" if office.link.is_up else "down",
            down=dict(office.patience.down),
            jobs_failing=office.jobs.failing,
            inbox=len(office.inbox),
            firing=len(office.alerting.firing),
            latency_p50_ms=p50_ms,
            latency_p99_ms=p99_ms,
            counts=office.metrics.counts(),
        )

    def suspects(self, limit: int) -> list[Suspect]:
        return list(self._office.suspects.recent)[: -limit - 1 : -1]

    def gateways(self) -> list[GatewayView]:
        office = self._office
        return [
            _view(record, office.fleet, office.receiver.ledgers(record.gateway))
            for record in office.state.gateways()
        ]

    def in_turn(self, act: Callable[[], T]) -> T:
        """Do it on the pipeline's thread, between two groups, and give what it returns.

        Raises:
            ErrandLate: the pipeline did not come to it in time; it is done nevertheless.
        """
        answer: Future[T] = Future()

        def errand() -> None:
            try:
                answer.set_result(act())
            except NenghaoError as error:  # whoever asked is told; the pipeline goes on
                answer.set_exception(error)

        self._errands.append(errand)
        self._office.inbox.nudge()
        try:
            return answer.result(_ERRAND_S)
        except TimeoutError as error:
            late = f"not begun within {_ERRAND_S:.0f} s; it is done as soon as it can be"
            raise ErrandLate(late) from error

    def resend(self, since_ms: int) -> ResendAnswer:
        return self.in_turn(lambda: self._rewind(since_ms))

    def _rewind(self, since_ms: int) -> ResendAnswer:
        office = self._office
        generation = office.answers.generation + 1
        # The store first: should the small state fail after it, nothing is forgotten yet.
        office.store.declare(StoreIdentity(id=office.answers.store, generation=generation))
        changed = office.state.rewind(since_ms, generation)
        wanted = 0
        for (gateway, epoch), ledger in changed.items():
            before = office.receiver.ledger(gateway, epoch)
            wanted += len(before.stored) - len(ledger.stored)
            office.receiver.keep(gateway, {epoch: ledger})
        office.answers.generation = generation
        records = office.state.gateways()
        office.answers.publish(GatewayTopic(r.district, r.gateway) for r in records)
        log.warning("collector.resend", since_ms=since_ms, generation=generation, batches=wanted)
        return ResendAnswer(generation=generation, batches=wanted)


class IdleDesk:
    """The `Desk` where no pipeline runs: it tells what is known."""

    def __init__(
        self,
        identity: StoreIdentity,
        fleet: Fleet,
        state: SmallState,
        alerts: AlertLog,
        metrics: Metrics,
    ) -> None:
        self._identity = identity
        self._alerts = alerts
        self._fleet = fleet
        self._state = state
        self._metrics = metrics

    def status(self) -> Status:
        return Status(
            store=self._identity.id,
            generation=self._identity.generation,
            link="none",
            down={},
            jobs_failing={},
            inbox=0,
            firing=sum(_is_known(alert) for alert in self._alerts.open_alerts()),
            latency_p50_ms=0.0,
            latency_p99_ms=0.0,
            counts=self._metrics.counts(),
        )

    def gateways(self) -> list[GatewayView]:
        receiver = Receiver(self._state.ledgers())
        return [
            _view(record, self._fleet, receiver.ledgers(record.gateway))
            for record in self._state.gateways()
        ]

    def suspects(self, limit: int) -> list[Suspect]:
        """None: nothing is looked at as it comes."""
        del limit
        return []

    def resend(self, since_ms: int) -> ResendAnswer:
        del since_ms
        raise NoPipeline("no collector runs here: start it, then ask the gateways again")


def _is_known(alert: Alert) -> bool:
    """People should know of it."""
    return alert.state is not AlertState.PENDING and not alert.replayed


def _view(record: GatewayRecord, fleet: Fleet, ledgers: Mapping[str, EpochLedger]) -> GatewayView:
    state = decode_state(record.state) if record.state else None
    return GatewayView(
        gateway=record.gateway,
        district=record.district,
        link=record.link,
        state_ms=record.state_ms,
        backlog=state.spool.backlog if state else 0,
        missing=sum(len(ledger.missing()) for ledger in ledgers.values()),
        lost=sum(len(ledger.lost) for ledger in ledgers.values()),
        fleet_matches=_matches(fleet, record.gateway, state),
        epochs=[
            EpochView(
                epoch=epoch,
                through=ledger.through(),
                missing=list(ledger.missing().spans),
                lost=list(ledger.lost.spans),
            )
            for epoch, ledger in sorted(ledgers.items())
        ],
        state=msgspec.json.decode(record.state) if record.state else None,
    )


def _matches(fleet: Fleet, gateway: str, state: State | None) -> bool:
    known = fleet.gateways.get(gateway)
    return state is not None and known is not None and state.fleet == known.digest
