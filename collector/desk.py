"""Desk: what the running collector answers and does for those who ask through the API.

Whatever changes the receiver runs as an errand on the pipeline's thread, between two groups.
"""

from collections.abc import Callable
from concurrent.futures import Future

import msgspec
import structlog
from msgspec import Struct

from collector.alert import AlertBook
from collector.answer import Answers
from collector.api import EpochView, GatewayView, ResendAnswer, Status
from collector.fleet.index import Fleet
from collector.inbox import Inbox
from collector.jobs.runner import JobRunner
from collector.metrics import Metrics
from collector.patience import Patience
from collector.small_state import GatewayRecord, SmallState
from collector.store import ReadingStore, StoreIdentity
from link.mqtt import Link
from metering.delivery.receiver import Receiver
from metering.errors import NenghaoError, TransientError
from metering.topic import GatewayTopic
from metering.wire import State, decode_state

log = structlog.get_logger()

_ERRAND_S = 30.0


class ErrandLate(TransientError):
    """The pipeline is busy, or waits for a store that is away."""


class Office(Struct, frozen=True, kw_only=True):
    """What the desk looks at."""

    fleet: Fleet
    store: ReadingStore
    state: SmallState
    receiver: Receiver
    answers: Answers
    alerts: AlertBook
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
            firing=len(office.alerts.firing),
            latency_p50_ms=p50_ms,
            latency_p99_ms=p99_ms,
            counts=office.metrics.counts(),
        )

    def gateways(self) -> list[GatewayView]:
        return [self._view(record) for record in self._office.state.gateways()]

    def _view(self, record: GatewayRecord) -> GatewayView:
        state = decode_state(record.state) if record.state else None
        by_epoch = self._office.receiver.ledgers(record.gateway)
        ledgers = by_epoch.values()
        return GatewayView(
            gateway=record.gateway,
            district=record.district,
            link=record.link,
            state_ms=record.state_ms,
            backlog=state.spool.backlog if state else 0,
            missing=sum(len(ledger.missing()) for ledger in ledgers),
            lost=sum(len(ledger.lost) for ledger in ledgers),
            fleet_matches=self._matches(record.gateway, state),
            epochs=[
                EpochView(
                    epoch=epoch,
                    through=ledger.through(),
                    missing=list(ledger.missing().spans),
                    lost=list(ledger.lost.spans),
                )
                for epoch, ledger in sorted(by_epoch.items())
            ],
            state=msgspec.json.decode(record.state) if record.state else None,
        )

    def _matches(self, gateway: str, state: State | None) -> bool:
        known = self._office.fleet.gateways.get(gateway)
        return state is not None and known is not None and state.fleet == known.digest

    def resend(self, since_ms: int) -> ResendAnswer:
        answer: Future[ResendAnswer] = Future()

        def errand() -> None:
            try:
                answer.set_result(self._rewind(since_ms))
            except NenghaoError as error:  # whoever asked is told; the pipeline goes on
                answer.set_exception(error)

        self._errands.append(errand)
        self._office.inbox.nudge()
        try:
            return answer.result(_ERRAND_S)
        except TimeoutError as error:
            late = f"not begun within {_ERRAND_S:.0f} s; it is done as soon as it can be"
            raise ErrandLate(late) from error

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
