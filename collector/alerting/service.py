"""Service: the one life cycle, who may use it, and the order in which its steps are kept.

Whoever holds its turn judges and keeps before letting go, so that steps are numbered in the order
in which they happened. The watch looks at what no reading tells of: silence, signs, time.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from threading import Event, RLock

import structlog
from msgspec import Struct

from collector.alerting.alert import Alert, Transition
from collector.alerting.evaluate.heard import Heard
from collector.alerting.evaluate.readings import Readings
from collector.alerting.evaluate.signs import SignRules, Signs
from collector.alerting.evaluate.silence import Silence
from collector.alerting.lifecycle import AlertBook
from collector.alerting.log import AlertLog
from collector.alerting.observation import Observation
from collector.store import Row
from metering.clock import Clock
from metering.errors import TransientError

log = structlog.get_logger()

_TURN_S = 10.0
_STALLED_MS = 10_000

Patiently = Callable[[str, Callable[[], object]], bool]  # False: the collector ends


class AlertingBusy(TransientError):
    """Somebody else has the life cycle's turn: the database is away, or slow."""


class Alerting:
    """The book, its log, and turns. Any thread.

    Attributes:
        moved: set when steps were kept: whoever speaks of them may look.
    """

    def __init__(
        self,
        book: AlertBook,
        alert_log: AlertLog,
        clock: Clock,
        *,
        patiently: Patiently,
        count: Callable[[str], None],
    ) -> None:
        """Go on with a book.

        Args:
            book: made from what `alert_log` holds.
            alert_log: where steps are kept.
            clock: the collector's.
            patiently: does something until it works; tells whether it did.
            count: counts a step by its new state.
        """
        self._book = book
        self._log = alert_log
        self._clock = clock
        self._patiently = patiently
        self._count = count
        self._lock = RLock()
        self.moved = Event()

    @property
    def firing(self) -> tuple[Alert, ...]:
        """What people should know of now: firing or acknowledged. Waits for nobody's turn."""
        return self._book.firing

    @contextmanager
    def turn(self) -> Iterator[AlertBook]:
        """Nobody else judges meanwhile; keep the steps before you let go, then call `kept`."""
        with self._lock:
            yield self._book

    def kept(self, steps: Sequence[Transition]) -> None:
        """Steps are durable."""
        for one in steps:
            self._count(one.alert.state)
            log.warning(
                "alert",
                number=one.alert.number,
                state=one.alert.state,
                reason=one.reason,
                rule=one.alert.rule,
                subject=one.alert.subject.id,
                value=one.alert.value,
                limit=one.alert.limit,
                replayed=one.alert.replayed,
            )
        if steps:
            self.moved.set()

    def observe(self, observations: Iterable[Observation]) -> list[Transition]:
        """Judge what was seen, and keep it, however long that takes."""
        with self._lock:
            return self._keep(self._book.observe(observations, self._clock.now_ms()))

    def tick(self) -> list[Transition]:
        """What time alone ends."""
        with self._lock:
            return self._keep(self._book.tick(self._clock.now_ms()))

    def acknowledge(
        self, number: int, author: str, note: str, until_ms: int | None
    ) -> list[Transition]:
        """A person takes an alert on.

        Raises:
            AlertUnknown: there is no open alert of that number.
            StepIllegal: it does not fire, or the time is past.
            TransientError: it could not be kept, and did not happen.
        """
        return self._say(
            number,
            lambda book, now_ms: book.acknowledge(number, author, note, until_ms, now_ms),
        )

    def resolve(self, number: int, author: str, note: str) -> list[Transition]:
        """A person says that it is over. The same errors."""
        return self._say(number, lambda book, now_ms: book.resolve(number, author, note, now_ms))

    def _say(
        self, number: int, act: Callable[[AlertBook, int], list[Transition]]
    ) -> list[Transition]:
        """Once: a person does not wait until the database is back."""
        if not self._lock.acquire(timeout=_TURN_S):
            raise AlertingBusy("报警状态暂时不可更改：数据库未响应")
        try:
            before = self._book.numbered(number)
            steps = act(self._book, self._clock.now_ms())
            try:
                steps = self._log.keep(steps)
            except TransientError:
                self._book.put_back(before)
                raise
        finally:
            self._lock.release()
        self.kept(steps)
        return steps

    def _keep(self, steps: list[Transition]) -> list[Transition]:
        standing = self._book.take_touched()
        if steps or standing:
            done = self._patiently("alert log", lambda: self._log.keep(steps, standing))
            if done:
                self.kept(steps)
        return steps


class ReadingTurn(Struct, frozen=True, kw_only=True):
    """What a group of readings did to alerts, for the record of its group."""

    steps: list[Transition]
    standing: list[Alert]


def judge_readings(
    book: AlertBook, readings: Readings, rows: Iterable[Row], now_ms: int
) -> ReadingTurn:
    """Within a turn: rows that may be believed, in order of time -> what to keep with them."""
    steps = book.observe(readings.look(rows, book.watching, now_ms), now_ms)
    return ReadingTurn(steps=steps, standing=book.take_touched())


class Watched(Struct, frozen=True, kw_only=True):
    """What the watch looks at; `is_deaf` while the centre itself cannot hear."""

    alerting: Alerting
    heard: Heard
    silence: Silence
    signs: Signs
    sign_rules: SignRules
    clock: Clock
    is_deaf: Callable[[], bool]


class Watch:
    """Looks once a second, on a thread of its own."""

    def __init__(self, watched: Watched) -> None:
        self._watched = watched
        self._looked_ms = watched.clock.monotonic_ms()

    def look(self) -> None:
        watched = self._watched
        with watched.alerting.turn() as book:
            deaf = self._is_deaf()
            watched.alerting.tick()
            signs = watched.signs.now(watched.heard)
            now_ms = watched.clock.now_ms()
            watched.alerting.observe(watched.sign_rules.look(signs, book.watching, now_ms))
            if not deaf:
                watched.alerting.observe(watched.silence.look(watched.heard, book.watching))
            self._looked_ms = watched.clock.monotonic_ms()

    def _is_deaf(self) -> bool:
        """Also after waiting for its turn: whoever had it may have heard nobody else meanwhile."""
        watched, mono_ms = self._watched, self._watched.clock.monotonic_ms()
        deaf = watched.is_deaf() or mono_ms - self._looked_ms > _STALLED_MS
        if deaf:
            watched.heard.deaf(mono_ms)
        return deaf
