"""Notifier: steps as they are kept -> notices in the outbox, as soon as they are due."""

import threading
from collections.abc import Callable

import structlog
from msgspec import Struct

from collector.alerting.alert import Alert, AlertState, Transition
from collector.alerting.dispatch.dispatcher import Dispatcher, Outlook, Plan
from collector.alerting.dispatch.memory import MemoryUnreadable, read_memory
from collector.alerting.log import AlertLog
from collector.alerting.notice import Outbox, SilenceBook
from collector.settle.cells import DAY_MS
from metering.clock import Clock
from metering.errors import TransientError

log = structlog.get_logger()

_AT_ONCE = 1000
_MANY = 10_000  # silences in force, or alerts of a digest's week: more than anybody reads
_UNWRITTEN = 500  # steps that came to nothing, and are read again after a restart
_LONGEST_WAIT_S = 30.0  # so late is noticed, at the latest, that a clock was set
_SENT_BY_MS = 60_000  # what is not even tried by then waits for something
_FIRST_PAUSE_S = 0.25
_LONGEST_PAUSE_S = 10.0
_STOP_S = 10.0


class NotifierParts(Struct, frozen=True, kw_only=True):
    """What the notifier works with; `app` wires it.

    Attributes:
        moved: whoever keeps steps sets it.
        planned: there is something to send.
        died: it ended by itself; whoever runs the process ends it.
    """

    log: AlertLog
    outbox: Outbox
    silences: SilenceBook
    dispatcher: Dispatcher
    clock: Clock
    moved: threading.Event
    planned: Callable[[], None]
    died: Callable[[], None]


class Notifier:
    """One thread. `wake` it when steps were kept, a silence changed or a notice failed."""

    def __init__(self, parts: NotifierParts) -> None:
        self._parts = parts
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._work, name="notifier", daemon=True)
        self._memory, self._cursor, self._written = b"", 0, 0
        self._open: dict[int, Alert] | None = None  # None: to be read

    def start(self) -> None:
        self._thread.start()

    def wake(self) -> None:
        self._parts.moved.set()

    def stop(self) -> None:
        self._stopping.set()
        self._parts.moved.set()
        if self._thread.is_alive():
            self._thread.join(_STOP_S)

    def _work(self) -> None:
        try:
            pause_s, said = _FIRST_PAUSE_S, False
            while not self._stopping.is_set():
                self._parts.moved.clear()
                try:
                    wait_s = self.look()
                except TransientError as error:
                    if not said:
                        log.error("notifier.waits", error=str(error))
                    said = True
                    self._open = None  # nobody knows whether the plan was kept: read it again
                    self._stopping.wait(pause_s)
                    pause_s = min(pause_s * 2, _LONGEST_PAUSE_S)
                    continue
                if said:
                    log.warning("notifier.goes_on")
                pause_s, said = _FIRST_PAUSE_S, False
                self._parts.moved.wait(wait_s)
        except Exception:
            log.exception("notifier.died")
            self._parts.died()

    def look(self) -> float:
        """Plan what is due and keep it; returns for how many real seconds nothing else is.

        Raises:
            TransientError: the small state is away; call it again.
        """
        parts = self._parts
        if self._open is None:
            self._open = self._read()
        steps = self._steps(self._open)
        now_ms = parts.clock.now_ms()
        plan = parts.dispatcher.plan(self._outlook(steps, now_ms), self._memory, now_ms)
        self._keep(plan)
        if plan.notices:
            parts.planned()
        if plan.wake_ms is None:
            return _LONGEST_WAIT_S
        return min(parts.clock.real_s(plan.wake_ms - now_ms), _LONGEST_WAIT_S)

    def _read(self) -> dict[int, Alert]:
        """What is open, and where the last plan left off.

        What is open is read before the steps that led there: with the last of them it is so.
        """
        self._memory, self._cursor = self._parts.outbox.memory()
        self._written = self._cursor
        try:
            read_memory(self._memory)
        except MemoryUnreadable as error:
            log.error("dispatch.memory_unreadable", error=str(error), instead="begun anew")
            self._memory = b""
        return {alert.number: alert for alert in self._parts.log.open_alerts()}

    def _steps(self, known: dict[int, Alert]) -> list[Transition]:
        """Every step that is new; what is open is brought up to it."""
        found: list[Transition] = []
        while steps := self._parts.log.steps_after(self._cursor, _AT_ONCE):
            self._cursor = steps[-1].number
            found += steps
            for step in steps:
                if step.alert.state is AlertState.RESOLVED:
                    known.pop(step.alert.number, None)
                else:
                    known[step.alert.number] = step.alert
            if len(steps) < _AT_ONCE:
                break
        return found

    def _outlook(self, steps: list[Transition], now_ms: int) -> Outlook:
        parts = self._parts
        assert self._open is not None
        since_ms = parts.dispatcher.history_since(self._memory, now_ms)
        history = [] if since_ms is None else parts.log.alerts(since_ms=since_ms, limit=_MANY)
        return Outlook(
            steps=steps,
            open_alerts=list(self._open.values()),
            silences=parts.silences.silences(at_ms=now_ms, limit=_MANY),
            unsent=parts.outbox.unsent(
                failed_since_ms=now_ms - DAY_MS, made_before_ms=now_ms - _SENT_BY_MS
            ),
            history=history,
        )

    def _keep(self, plan: Plan) -> None:
        idle = not plan.notices and not plan.changed
        if not idle or self._cursor - self._written >= _UNWRITTEN:
            self._parts.outbox.plan(plan.notices, plan.memory, self._cursor)
            self._written = self._cursor
        self._memory = plan.memory
