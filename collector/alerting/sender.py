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
from collector.alerting.ways import Ways
from metering.clock import Clock
from metering.errors import TransientError

log = structlog.get_logger()

_AT_ONCE = 50
_MANY = 10_000
_FOR_GOOD_MS = 1 << 62
_LONGEST_WAIT_S = 15.0  # so late is noticed, at the latest, that a clock was set
_SHORTEST_WAIT_S = 0.01
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
        self._lanes[0].buries = True
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
        # `list` takes a copy in one go: lanes go on meanwhile.
        return min((at for lane in self._lanes for at in list(lane.failing.values())), default=None)


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
        self._held_s = _LONGEST_WAIT_S  # until the first resting way of what is due may be tried
        self.buries = False
        self.thread = threading.Thread(target=self._work, name=f"send {way}", daemon=True)

    def _work(self) -> None:
        try:
            if self.buries:
                self._bury()
            while not self._stopping.is_set():
                self.roused.clear()
                if not self._look():
                    self._rest()
        except Exception:
            log.exception("sender.died")
            self._parts.died()

    def _bury(self) -> None:
        """Give up what waits for receivers whom the configuration no longer has."""
        outbox, known = self._parts.outbox, self._parts.channels
        while not self._stopping.is_set():
            due = self._kept(lambda: outbox.due(_FOR_GOOD_MS, _MANY)) or ()
            gone = [queued for queued in due if queued.notice.receiver not in known]
            if not gone:
                break
            for queued in gone:
                self._give_up(queued, "配置中已没有该接收人")

    def _give_up(self, queued: Queued, why: str) -> None:
        now_ms = self._parts.clock.now_ms()
        notice = queued.notice
        attempt = Attempt(notice=notice.number, at_ms=now_ms, channel="", sent=False, answer=why)
        self._kept(lambda: self._parts.outbox.tried(attempt, NoticeState.FAILED, now_ms))
        log.warning("notice.failed", notice=notice.number, receiver=notice.receiver, answer=why)
        self._parts.failed()

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
        self._held_s = _LONGEST_WAIT_S
        for queued in due or ():
            if self._stopping.is_set():
                return False
            moved |= self._send(queued)
        return moved

    def _rest(self) -> None:
        """Wait until something is due, or somebody wakes this lane."""
        outbox, clock = self._parts.outbox, self._parts.clock
        now_ms = clock.now_ms()
        next_ms = self._kept(lambda: outbox.next_due_ms(after_ms=now_ms, receivers=self._receivers))
        wait_s = self._held_s
        if next_ms is not None:
            wait_s = min(clock.real_s(next_ms - now_ms), wait_s)
        self.roused.wait(wait_s)

    def _send(self, queued: Queued) -> bool:
        """One round through a receiver's channels; whether the notice waits no more."""
        receiver = queued.notice.receiver
        channels = self._parts.channels[receiver]
        tries = queued.tries
        for channel in channels:
            left_ms = self._ways.rest_left_ms(channel.name)
            if self._stopping.is_set() or left_ms > 0:
                self._held_s = min(self._held_s, max(left_ms / 1000, _SHORTEST_WAIT_S))
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
