"""A process that notifies until it is killed: `killed.py STATE SENT POINT`.

What a channel took is a line in SENT, synced. At POINT, the second time that it comes there, the
process kills itself as `kill -9` does; at "never" somebody else does.
"""

import os
import signal
import sys
import threading
from pathlib import Path

from collector.adapters.sql import SqlSmallState
from collector.alerting.dispatch.dispatcher import Dispatcher
from collector.alerting.notice import Said
from collector.alerting.notifier import Notifier, NotifierParts
from collector.alerting.notify.settings import DeliverySettings
from collector.alerting.sender import Sender, SenderParts
from metering.clock import SystemClock
from tests.fakes.renderer import PlainRenderer
from tests.fakes.scene import scenario_settings, weekdays
from tests.fakes.step_log import FileStepLog


class Deadly:
    """Kills the process the second time that it comes to its point."""

    def __init__(self, point: str) -> None:
        self._point = point
        self._left = 2

    def at(self, point: str) -> None:
        if point == self._point:
            self._left -= 1
            if self._left == 0:
                os.kill(os.getpid(), signal.SIGKILL)


class DeadlyOutbox:
    """An outbox with points before and after what it keeps."""

    def __init__(self, outbox, deadly: Deadly) -> None:
        self._outbox, self._deadly = outbox, deadly

    def __getattr__(self, name: str):
        return getattr(self._outbox, name)

    def plan(self, notices, memory, cursor):
        if notices:
            self._deadly.at("before-plan")
        kept = self._outbox.plan(notices, memory, cursor)
        if notices:
            self._deadly.at("after-plan")
        return kept

    def tried(self, attempt, state, again_ms) -> None:
        self._deadly.at("before-log")
        self._outbox.tried(attempt, state, again_ms)
        self._deadly.at("after-log")


class LineChannel:
    """One line for each message, on disk before it says yes."""

    name = "mail"

    def __init__(self, file: Path, deadly: Deadly) -> None:
        self._file = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        self._deadly = deadly

    def send(self, subject: str, _text: str, _html: str, *, key: str) -> Said:
        self._deadly.at("before-send")
        os.write(self._file, f"{key}\t{subject}\n".encode())
        os.fsync(self._file)
        return Said(sent=True, answer="250 OK")


def main(state_file: Path, sent: Path, point: str) -> None:
    deadly = Deadly(point)
    state = SqlSmallState(f"sqlite:///{state_file}")
    outbox, clock = DeadlyOutbox(state.outbox, deadly), SystemClock()
    channel = LineChannel(sent, deadly)
    sender = Sender(
        SenderParts(
            outbox=outbox,
            channels=dict.fromkeys(scenario_settings().receivers, (channel,)),
            settings=DeliverySettings(),
            clock=clock,
            jitter=lambda: 0.5,
            failed=lambda: None,
            died=lambda: os.kill(os.getpid(), signal.SIGKILL),
        )
    )
    notifier = Notifier(
        NotifierParts(
            log=FileStepLog(state_file),
            outbox=outbox,
            silences=state.silence_book,
            dispatcher=Dispatcher(scenario_settings(), PlainRenderer(), weekdays),
            clock=clock,
            moved=threading.Event(),
            planned=sender.wake,
            died=lambda: os.kill(os.getpid(), signal.SIGKILL),
        )
    )
    sender.start()
    notifier.start()
    print("ready", flush=True)
    while True:  # the parent keeps steps; nobody in here tells the notifier
        notifier.wake()
        threading.Event().wait(0.01)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3])
