"""Pipeline: deliveries -> judged, stored, recorded, acknowledged, committed. HOT PATH.

The order is the promise: store, then committed ranges in SQL, then PUBACK, then commit. Whatever
dies in between, the delivery comes again and changes nothing the second time.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

import structlog
from msgspec import Struct, structs

from collector.alerting.evaluate.heard import GatewayWord, Heard
from collector.alerting.evaluate.readings import Readings
from collector.alerting.lifecycle import AlertBook
from collector.alerting.service import Alerting, ReadingTurn, judge_readings
from collector.answer import Answers
from collector.arrivals import Arrivals
from collector.coherence import Coherence
from collector.marks import DirtyMarks
from collector.metrics import Metrics
from collector.patience import Outcome, Patience
from collector.receive import Decompress, Opened, Poison, PoisonReason, open_batch, open_state
from collector.small_state import (
    GatewayRecord,
    Quarantined,
    Record,
    SmallState,
    StoredBatch,
)
from collector.store import Level, ReadingStore, Refusal, Rejection, Row, StoreRefused, WriteOutcome
from collector.suspect import Suspects
from collector.validate import Gate, Verdict
from link.mqtt import Delivery
from metering.batch import BatchKey
from metering.clock import Clock
from metering.delivery.receiver import EpochLedger, Fate, Receiver
from metering.reading import Reading
from metering.topic import GatewayTopic, Leaf, TopicInvalid
from metering.wire import JSON_TYPE, State, WireInvalid, digest_of, encode

log = structlog.get_logger()

T = TypeVar("T")
Keyed = tuple[str, BatchKey]
Digests = dict[Keyed, set[str]]

_LINK_WORDS = frozenset({"online", "offline"})


class Parts(Struct, frozen=True, kw_only=True):
    """What the pipeline works with; `app` wires it."""

    gate: Gate
    coherence: Coherence
    suspects: Suspects
    store: ReadingStore
    state: SmallState
    marks: DirtyMarks
    arrivals: Arrivals
    receiver: Receiver
    alerting: Alerting
    readings: Readings
    heard: Heard
    answers: Answers
    clock: Clock
    metrics: Metrics
    decompress: Decompress
    patience: Patience


class _Fresh(Struct, frozen=True):
    opened: Opened
    delivery: Delivery


class _Poisoned(Struct, frozen=True):
    poison: Poison
    delivery: Delivery


class _Sorted(Struct, kw_only=True):
    """A group of deliveries, parted by what becomes of them."""

    batches: list[tuple[Opened | Poison, Delivery]] = []
    fresh: list[_Fresh] = []
    poisoned: list[_Poisoned] = []
    spoken: list[tuple[GatewayTopic, Leaf, Delivery]] = []
    topics: dict[str, GatewayTopic] = {}
    forked: bool = False


class _Written(Struct, frozen=True, kw_only=True):
    """What a write left behind: rows that are in the store, and what it will never take."""

    rows: list[Row] = []
    aside: list[Quarantined] = []

    def __add__(self, other: "_Written") -> "_Written":
        return _Written(rows=self.rows + other.rows, aside=self.aside + other.aside)


class Pipeline:
    """One thread runs it; the receiver and the store's writes are its alone.

    Attributes:
        busy_ms: when the group under way was begun, by the monotonic clock; None between two.
    """

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self.busy_ms: int | None = None
        self._links: dict[str, GatewayRecord] = {
            record.gateway: record for record in parts.state.gateways()
        }

    def ingest(self, group: Sequence[Delivery], acknowledge: Callable[[Delivery], None]) -> None:
        """Take one group all the way; when the collector stops in between, nothing is lost."""
        self.busy_ms = self._parts.clock.monotonic_ms()
        try:
            self._ingest(group, acknowledge)
        finally:
            self.busy_ms = None

    def _ingest(self, group: Sequence[Delivery], acknowledge: Callable[[Delivery], None]) -> None:
        work = self._sort(group)
        if not self._part(work):
            return
        verdict = self._judge(work.fresh)
        if (written := self._write(work, verdict)) is None:
            return
        with self._parts.alerting.turn() as book:
            record = self._changes(work, verdict, written, book)
            if not self._patiently("record", lambda: self._parts.state.record(record)).done:
                return
            self._parts.alerting.kept(record.steps)
        self._parts.marks.written(record.dirty)
        for delivery in group:
            acknowledge(delivery)
        self._parts.answers.publish(work.topics.values())

    def _patiently(self, what: str, act: Callable[[], T]) -> Outcome[T]:
        return self._parts.patience.until_done(what, act)

    # ---- sort

    def _sort(self, group: Iterable[Delivery]) -> _Sorted:
        work = _Sorted()
        for delivery in group:
            try:
                topic, leaf = GatewayTopic.parse(delivery.topic)
            except TopicInvalid as error:
                self._parts.metrics.foreign_topics.inc()
                log.warning("topic.foreign", topic=delivery.topic, error=str(error))
                continue
            work.topics[topic.gateway] = topic
            if leaf is Leaf.BATCH:
                work.batches.append((self._open(topic, delivery), delivery))
            else:
                work.spoken.append((topic, leaf, delivery))
        return work

    def _open(self, topic: GatewayTopic, delivery: Delivery) -> Opened | Poison:
        return open_batch(
            topic,
            delivery.payload,
            delivery.content_type,
            delivery.properties,
            self._parts.decompress,
        )

    def _part(self, work: _Sorted) -> bool:
        """Rule 2: skip what is stored to the byte; store, and name, what only claims to be."""
        metrics = self._parts.metrics
        known = self._patiently("record", lambda: self._known(batch for batch, _ in work.batches))
        if known.value is None:
            return False
        for batch, delivery in work.batches:
            if batch.key is None:
                work.poisoned.append(_Poisoned(batch, delivery))  # only poison has no key
                continue
            self._parts.receiver.heard(batch.gateway, batch.key)
            digests = known.value.setdefault((batch.gateway, batch.key), set())
            fate = Receiver.fate(batch.digest, digests)
            if fate is Fate.SKIP:
                metrics.repeated.inc()
                continue
            if fate is Fate.FORK:
                work.forked = True
                metrics.forks.inc()
                log.error("gateway.forked", gateway=batch.gateway, sequence=batch.key.sequence)
            digests.add(batch.digest)
            if isinstance(batch, Poison):
                work.poisoned.append(_Poisoned(batch, delivery))
            else:
                work.fresh.append(_Fresh(batch, delivery))
        return True

    def _known(self, batches: Iterable[Opened | Poison]) -> Digests:
        """Digests of what may be a repeat; a sequence not in the ledger is surely new."""
        receiver = self._parts.receiver
        maybe = [
            (batch.gateway, batch.key)
            for batch in batches
            if batch.key is not None
            and batch.key.sequence in receiver.ledger(batch.gateway, batch.key.epoch).stored
        ]
        return self._parts.state.digests(maybe) if maybe else {}

    # ---- judge and store

    def _judge(self, fresh: Iterable[_Fresh]) -> Verdict:
        batches = (one.opened.batch for one in fresh)
        verdict = self._parts.gate.judge(batches, now_ms=self._parts.clock.now_ms())
        verdict.rejections += self._parts.coherence.judge(verdict.rows)
        return verdict

    def _write(self, work: _Sorted, verdict: Verdict) -> _Written | None:
        """What is stored, and what the store will never take; None if stopped."""
        if not work.fresh:
            return _Written()
        try:
            outcome = self._patiently("store", lambda: self._store(work, verdict))
        except StoreRefused as error:
            if len(work.fresh) > 1:
                return self._write_singly(work)
            return self._write_without(work, verdict, error)
        if outcome.value is None:
            return None
        self._count(work, verdict, outcome.value)
        return _written(verdict.rows, outcome.value.refused, self._parts.clock.now_ms())

    def _store(self, work: _Sorted, verdict: Verdict) -> WriteOutcome:
        return self._parts.store.write(verdict.rows, verdict.rejections, overlapping=work.forked)

    def _write_singly(self, work: _Sorted) -> _Written | None:
        """One batch that the store will never take must not hold up the others."""
        whole = _Written()
        for one in work.fresh:
            single = _Sorted(fresh=[one], forked=work.forked)
            written = self._write(single, self._judge(single.fresh))
            if written is None:
                return None
            whole += written
        return whole

    def _write_without(
        self, work: _Sorted, verdict: Verdict, error: StoreRefused
    ) -> _Written | None:
        """The bytes of the one batch keep what is rejected; what is good may still be stored."""
        (one,) = work.fresh
        log.error("store.refused", gateway=one.opened.gateway, error=str(error))
        whole = _Written(aside=[_refused_whole(one, error, self._parts.clock.now_ms())])
        if not verdict.rejections:
            return whole
        written = self._write(work, Verdict(rows=verdict.rows, rejections=[]))
        if written is None or any(entry.key for entry in written.aside):
            return written
        return written + whole

    def _count(self, work: _Sorted, verdict: Verdict, outcome: WriteOutcome) -> None:
        metrics, clock = self._parts.metrics, self._parts.clock
        metrics.stored.inc(outcome.stored_values)
        metrics.duplicates.inc(outcome.duplicate_values)
        for conflict in outcome.conflicts:
            metrics.rejected(conflict.reason)
        now_ms = clock.now_ms()
        # One reading of a batch stands for all: they were sealed within a second of each other.
        # What was rejected may have been for its time.
        rejected = {(one.meter, one.at_ms) for one in _rejected(verdict)}
        for one in work.fresh:
            for first in one.opened.batch.readings[:1]:
                if (first.meter, first.at_ms) not in rejected:
                    metrics.latency.observe(clock.real_s(now_ms - first.at_ms))

    # ---- record

    def _changes(
        self, work: _Sorted, verdict: Verdict, written: _Written, book: AlertBook
    ) -> Record:
        """Everything this group changes in the small state, for one transaction."""
        now_ms = self._parts.clock.now_ms()
        batches = [one.opened.batch for one in work.fresh]
        self._parts.arrivals.note(written.rows, batches, now_ms)
        self._note_heard(work, written, now_ms)
        ledgers = self._record_batches(work)
        for topic, leaf, delivery in work.spoken:
            ledgers |= self._hear(topic, leaf, delivery, now_ms)
        for rejection in _rejected(verdict):
            self._parts.metrics.rejected(rejection.reason)
        quarantined = [_quarantined(p.poison, p.delivery, now_ms) for p in work.poisoned]
        quarantined += written.aside
        for entry in quarantined:
            self._parts.metrics.quarantined(entry.reason)
            log.warning("quarantine", gateway=entry.gateway, reason=entry.reason)
        turn = self._observe(verdict, now_ms, book)
        return Record(
            batches=[_stored(one.opened, now_ms) for one in work.fresh]
            + [_set_aside(p.poison, now_ms) for p in work.poisoned if p.poison.key],
            ledgers=[(gateway, epoch, led) for (gateway, epoch), led in ledgers.items()],
            quarantined=quarantined,
            gateways=[self._links[topic.gateway] for topic, _, _ in work.spoken],
            steps=turn.steps,
            standing=turn.standing,
            judged=self._parts.readings.judged(sorted({batch.gateway for batch in batches})),
            dirty=self._parts.marks.fresh(written.rows),
        )

    def _record_batches(self, work: _Sorted) -> dict[tuple[str, str], EpochLedger]:
        """The ledgers with the group in them. Nothing is said before they are in SQL."""
        keys: dict[str, list[BatchKey]] = {}
        named = [(one.opened.gateway, one.opened.key) for one in work.fresh]
        named += [(p.poison.gateway, p.poison.key) for p in work.poisoned if p.poison.key]
        for gateway, key in named:
            keys.setdefault(gateway, []).append(key)
        receiver = self._parts.receiver
        changed: dict[tuple[str, str], EpochLedger] = {}
        for gateway, sequences in keys.items():
            ledgers = receiver.recorded(gateway, sequences)
            receiver.keep(gateway, ledgers)
            changed |= {(gateway, epoch): ledger for epoch, ledger in ledgers.items()}
        return changed

    def _hear(
        self, topic: GatewayTopic, leaf: Leaf, delivery: Delivery, now_ms: int
    ) -> dict[tuple[str, str], EpochLedger]:
        """A gateway spoke of itself: its link, or its state and with it what it holds."""
        known = self._links.get(topic.gateway) or _unheard(topic)
        if leaf is Leaf.LINK:
            self._links[topic.gateway] = self._with_link(known, delivery.payload, now_ms)
            return {}
        self._links[topic.gateway] = known
        try:
            state = open_state(topic, delivery.payload)
        except WireInvalid as error:
            self._parts.metrics.unreadable_states.inc()
            log.warning("state.unreadable", gateway=topic.gateway, error=str(error))
            return {}
        self._links[topic.gateway] = _with_state(known, state, now_ms)
        offset_ms = None if delivery.retained else now_ms - state.at_ms
        self._parts.heard.words[topic.gateway] = GatewayWord(state=state, offset_ms=offset_ms)
        if self._parts.answers.outlived(state.store, state.generation):
            log.error(
                "store.outlived",
                gateway=topic.gateway,
                generation=state.generation,
                advice="the store and the small state are older than the gateways remember: "
                "run 'nenghao collector resend --since' the time of the backup",
            )
        receiver = self._parts.receiver
        changed = receiver.stated(topic.gateway, state.epochs, retained=delivery.retained)
        self._tell_lost(topic.gateway, changed)
        receiver.keep(topic.gateway, changed)
        return {(topic.gateway, epoch): ledger for epoch, ledger in changed.items()}

    def _with_link(self, known: GatewayRecord, payload: bytes, now_ms: int) -> GatewayRecord:
        link = payload.decode("ascii", "replace")
        if link not in _LINK_WORDS:
            self._parts.metrics.unreadable_states.inc()
            log.warning("link.unreadable", gateway=known.gateway, bytes=len(payload))
            link = "unknown"
        return structs.replace(known, link=link, link_ms=now_ms)

    def _tell_lost(self, gateway: str, changed: dict[str, EpochLedger]) -> None:
        """Rule 4: a gap that nobody can fill is counted and said aloud."""
        for epoch, ledger in changed.items():
            lost = ledger.lost - self._parts.receiver.ledger(gateway, epoch).lost
            if lost:
                self._parts.metrics.lost_batches.inc(len(lost))
                log.error("gateway.lost", gateway=gateway, epoch=epoch, batches=len(lost))

    def _note_heard(self, work: _Sorted, written: _Written, now_ms: int) -> None:
        """Signs of life: what no broker had kept, and readings."""
        heard, mono_ms = self._parts.heard, self._parts.clock.monotonic_ms()
        gateways = {batch.gateway for batch, _ in work.batches}
        gateways |= {
            topic.gateway
            for topic, leaf, delivery in work.spoken
            if leaf is Leaf.STATE and not delivery.retained
        }
        for gateway in gateways:
            heard.spoke(gateway, now_ms, mono_ms)
        heard.rows(written.rows, mono_ms)

    def _observe(self, verdict: Verdict, now_ms: int, book: AlertBook) -> ReadingTurn:
        """What is suspect wakes nobody."""
        looked = self._parts.suspects.look(verdict.rows, now_ms=now_ms, beside=verdict.rejections)
        for suspect in looked.suspects:
            self._parts.metrics.suspected(suspect.reason)
        return judge_readings(book, self._parts.readings, looked.rows, now_ms)


def _written(rows: list[Row], refusals: Sequence[Refusal], now_ms: int) -> _Written:
    if not refusals:
        return _Written(rows=rows)
    refused = {(refusal.row.meter, refusal.row.at_ms) for refusal in refusals}
    return _Written(
        rows=[row for row in rows if (row.meter, row.at_ms) not in refused],
        aside=[_refused(refusal, now_ms) for refusal in refusals],
    )


def _rejected(verdict: Verdict) -> list[Rejection]:
    """What is kept only beside; the suspect is stored as well, and counted as such."""
    return [one for one in verdict.rejections if one.level is Level.REJECTED]


def _stored(opened: Opened, now_ms: int) -> StoredBatch:
    return StoredBatch(
        gateway=opened.gateway,
        key=opened.key,
        digest=opened.digest,
        received_ms=now_ms,
        readings=len(opened.batch.readings),
    )


def _set_aside(poison: Poison, now_ms: int) -> StoredBatch:
    assert poison.key is not None
    return StoredBatch(
        gateway=poison.gateway,
        key=poison.key,
        digest=poison.digest,
        received_ms=now_ms,
        readings=0,
    )


def _quarantined(poison: Poison, delivery: Delivery, now_ms: int) -> Quarantined:
    return Quarantined(
        gateway=poison.gateway,
        key=poison.key,
        digest=poison.digest,
        reason=poison.reason,
        message=poison.message,
        received_ms=now_ms,
        content_type=delivery.content_type or JSON_TYPE,
        payload=delivery.payload,
    )


def _refused(refusal: Refusal, now_ms: int) -> Quarantined:
    """A reading that the store will never take: kept as JSON, with what the store said."""
    row = refusal.row
    body = encode(Reading(meter=row.meter, at_ms=row.at_ms, values=row.values, fault=row.fault))
    return Quarantined(
        gateway=row.tags.gateway,
        key=None,
        digest=digest_of(body),
        reason=PoisonReason.STORE_REFUSED,
        message=refusal.message,
        received_ms=now_ms,
        content_type=JSON_TYPE,
        payload=body,
    )


def _refused_whole(one: _Fresh, error: StoreRefused, now_ms: int) -> Quarantined:
    """A batch that the store will never take, or not what was rejected of it."""
    return Quarantined(
        gateway=one.opened.gateway,
        key=one.opened.key,
        digest=one.opened.digest,
        reason=PoisonReason.STORE_REFUSED,
        message=str(error),
        received_ms=now_ms,
        content_type=one.delivery.content_type or JSON_TYPE,
        payload=one.delivery.payload,
    )


def _unheard(topic: GatewayTopic) -> GatewayRecord:
    return GatewayRecord(
        gateway=topic.gateway,
        district=topic.district,
        state=b"",
        state_ms=0,
        link="unknown",
        link_ms=0,
    )


def _with_state(known: GatewayRecord, state: State, now_ms: int) -> GatewayRecord:
    return structs.replace(known, state=encode(state), state_ms=now_ms)
