"""Sender: what waits in the outbox -> the receivers' channels, in order, until one says yes.

A lane for each channel that is somebody's first: a mail server that hangs holds up mail, nothing
else. Whoever has the same first channel stands in one lane, so a chain stays in order.
"""

import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TypeVar

import structlog
from msgspec import Struct

from collector.alerting.notice import Attempt, Channel, NoticeState, Outbox, Queued, Said
from collector.alerting.notify.settings import DeliverySettings
from metering.clock import Clock
from metering.errors import TransientError

log = structlog.get_logger()

_AT_ONCE = 50
_LONGEST_WAIT_S = 15.0  # so late is noticed, at the latest, that a clock was set
_FIRST_PAUSE_S = 0.25
_LONGEST_PAUSE_S = 10.0
_LEAST_ROUNDS = 20  # before a notice is given up, whatever a clock says that was set forward
_STOP_S = 5.0
_ANSWER = 500  # characters of a channel's answer worth keeping

T = TypeVar("T")


class SenderParts(Struct, frozen=True, kw_only=True):
    """What the sender works with; `app` wires it.

    Attributes:
        channels: each receiver's, in the order in which they are tried.
        jitter: gives a random number in [0, 1) at each call.
        failed: a notice could not be sent: whoever plans may have to say so.
        died: a lane ended by itself; whoever runs the process ends it.
    """

    outbox: Outbox
    channels: Mapping[str, Sequence[Channel]]
    settings: DeliverySettings
    clock: Clock
    jitter: Callable[[], float]
    failed: Callable[[], None]
    died: Callable[[], None]


class Ways:
    """Which ways are down: what fails for one receiver after the other is left alone for a while.

    One receiver's failures say nothing of the way: the address may be wrong.
    """

    def __init__(self, settings: DeliverySettings, clock: Clock) -> None:
        self._settings, self._clock = settings, clock
        self._lock = threading.Lock()
        self._failed: dict[str, set[str]] = {}
        self._rests: dict[str, tuple[float, float]] = {}  # way -> until, how long; monotonic ms

    def rests(self, way: str) -> bool:
        with self._lock:
            until_ms, _ = self._rests.get(way, (0.0, 0.0))
            return self._clock.monotonic_ms() < until_ms

    def worked(self, way: str) -> None:
        with self._lock:
            self._failed.pop(way, None)
            if self._rests.pop(way, None) is not None:
                log.warning("channel.back", channel=way)

    def failed(self, way: str, receiver: str, answer: str) -> None:
        with self._lock:
            receivers = self._failed.setdefault(way, set())
            receivers.add(receiver)
            if len(receivers) == 1 and way not in self._rests:
                return
            _, before_ms = self._rests.get(way, (0.0, 0.0))
            rest_ms = min(before_ms * 2, self._settings.longest_pause_ms)
            rest_ms = rest_ms or self._settings.first_pause_ms
            if not before_ms:
                log.error("channel.down", channel=way, answer=answer)
            self._rests[way] = self._clock.monotonic_ms() + rest_ms, rest_ms


class Sender:
    """Sends from `start` to `stop`; `wake` it when there is something new."""

    def __init__(self, parts: SenderParts) -> None:
        ways = Ways(parts.settings, parts.clock)
        self._parts = parts
        self._stopping = threading.Event()
        self._lanes = [
            _Lane(way, receivers, parts, ways, self._stopping)
            for way, receivers in sorted(_lanes(parts.channels).items())
        ]

    def start(self) -> None:
        for lane in self._lanes:
            lane.thread.start()

    def wake(self) -> None:
        """Look now."""
        for lane in self._lanes:
            lane.roused.set()

    def stop(self) -> None:
        """Wait a little for what is being sent; what is cut off there is sent again next time."""
        self._stopping.set()
        self.wake()
        for lane in self._lanes:
            if lane.thread.is_alive():
                lane.thread.join(_STOP_S)

    @property
    def failing_since_ms(self) -> int | None:
        """When the oldest notice was made that was tried in vain; None: none was."""
        return min((at for lane in self._lanes for at in lane.failing.values()), default=None)


class _Lane:
    """One thread, one way out, the receivers whose first it is."""

    def __init__(
        self,
        way: str,
        receivers: Collection[str],
        parts: SenderParts,
        ways: Ways,
        stopping: threading.Event,
    ) -> None:
        self._receivers, self._parts, self._ways = frozenset(receivers), parts, ways
        self._stopping = stopping
        self.roused = threading.Event()
        self.failing: dict[int, int] = {}  # notice -> made_ms
        self.thread = threading.Thread(target=self._work, name=f"send {way}", daemon=True)

    def _work(self) -> None:
        try:
            while not self._stopping.is_set():
                self.roused.clear()
                if not self._look():
                    self._rest()
        except Exception:
            log.exception("sender.died")
            self._parts.died()

    def _look(self) -> bool:
        """Send what is due; whether anything was sent or given up, so that more may be."""
        parts = self._parts
        due = self._kept(
            lambda: parts.outbox.due(
                parts.clock.now_ms(),
                _AT_ONCE,
                ahead_ms=parts.settings.longest_pause_ms,
                receivers=self._receivers,
            )
        )
        moved = False
        for queued in due or ():
            if self._stopping.is_set():
                return False
            moved |= self._send(queued)
        return moved

    def _rest(self) -> None:
        """Wait until something is due, or somebody wakes this lane."""
        next_ms = self._kept(self._parts.outbox.next_due_ms)
        wait_s = _LONGEST_WAIT_S
        if next_ms is not None:
            ahead_ms = max(next_ms - self._parts.clock.now_ms(), 0)
            wait_s = min(self._parts.clock.real_s(ahead_ms), wait_s)
        # What is due and rests with its way is not looked at all the time.
        self.roused.wait(max(wait_s, _FIRST_PAUSE_S))

    def _send(self, queued: Queued) -> bool:
        """One round through a receiver's channels; whether the notice waits no more."""
        receiver = queued.notice.receiver
        channels = self._parts.channels[receiver]
        tries = queued.tries
        for channel in channels:
            if self._stopping.is_set() or self._ways.rests(channel.name):
                continue
            said = _said(channel, queued)
            tries += 1
            if said.sent:
                self._ways.worked(channel.name)
            else:
                self._ways.failed(channel.name, receiver, said.answer)
            state = self._note(queued, channel.name, said, -(-tries // len(channels)))
            if state is not NoticeState.WAITING:
                return True
        return False

    def _note(self, queued: Queued, channel: str, said: Said, rounds: int) -> NoticeState:
        notice, parts = queued.notice, self._parts
        now_ms = parts.clock.now_ms()
        state = NoticeState.SENT if said.sent else NoticeState.WAITING
        old = now_ms - notice.made_ms >= parts.settings.give_up_ms
        if not said.sent and old and rounds >= _LEAST_ROUNDS:
            state = NoticeState.FAILED
        attempt = Attempt(
            notice=notice.number,
            at_ms=now_ms,
            channel=channel,
            sent=said.sent,
            answer=said.answer[:_ANSWER],
        )
        again_ms = now_ms + self._pause_ms(rounds)
        # What a channel took is logged, however long that takes: it must not be sent again.
        self._kept(lambda: parts.outbox.tried(attempt, state, again_ms))
        if state is NoticeState.WAITING:
            self.failing[notice.number] = notice.made_ms
        else:
            self.failing.pop(notice.number, None)
        if state is not NoticeState.SENT:
            log.warning(
                "notice.failed" if state is NoticeState.FAILED else "notice.not_sent",
                notice=notice.number,
                receiver=notice.receiver,
                channel=channel,
                answer=attempt.answer,
            )
            parts.failed()
        return state

    def _pause_ms(self, rounds: int) -> int:
        settings = self._parts.settings
        grown_ms = settings.first_pause_ms * 2 ** min(rounds - 1, 30)
        return int(min(grown_ms, settings.longest_pause_ms) * (0.75 + self._parts.jitter() / 4))

    def _kept(self, act: Callable[[], T]) -> T | None:
        """Do it, however long the small state is away; None if asked to stop before."""
        pause_s = _FIRST_PAUSE_S
        said = False
        while True:
            try:
                value = act()
            except TransientError as error:
                if not said:
                    log.error("sender.waits", error=str(error))
                said = True
                if self._stopping.wait(pause_s):
                    return None
                pause_s = min(pause_s * 2, _LONGEST_PAUSE_S)
            else:
                if said:
                    log.warning("sender.goes_on")
                return value


def _said(channel: Channel, queued: Queued) -> Said:
    notice = queued.notice
    try:
        return channel.send(notice.subject, notice.text, notice.html, key=notice.key)
    except Exception as error:
        log.exception("channel.raised", channel=channel.name)
        return Said(sent=False, answer=type(error).__name__)


def _lanes(channels: Mapping[str, Sequence[Channel]]) -> dict[str, list[str]]:
    lanes: dict[str, list[str]] = {}
    for receiver, its in channels.items():
        lanes.setdefault(its[0].name, []).append(receiver)
    return lanes
