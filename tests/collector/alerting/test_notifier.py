"""The notifier: from steps that were kept to notices in the outbox; and what it survives."""

import statistics
import threading
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from msgspec import structs

from collector.adapters.sql import SqlSmallState
from collector.alerting.alert import Alert, AlertState, Reason, Transition
from collector.alerting.dispatch.dispatcher import Dispatcher
from collector.alerting.notice import NoticeKind, Silence
from collector.alerting.notifier import Notifier, NotifierParts
from collector.alerting.notify.settings import DeliverySettings
from collector.alerting.sender import Sender, SenderParts
from collector.alerting.severity import Severity
from collector.alerting.subject import Place, Subject, SubjectKind
from collector.fleet.index import Sector
from metering.clock import SystemClock
from metering.errors import TransientError
from tests.fakes.channel import FakeChannel
from tests.fakes.clock import FakeClock
from tests.fakes.outbox import FakeOutbox
from tests.fakes.renderer import PlainRenderer
from tests.fakes.scene import scenario_settings, weekdays
from tests.fakes.silences import FakeSilenceBook
from tests.fakes.step_log import FakeStepLog, FileStepLog


def firing(number: int, now_ms: int, **more) -> Transition:
    alert = Alert(
        number=number,
        rule="leak",
        rule_version="1",
        title="漏水",
        severity=Severity.RED,
        subject=Subject(SubjectKind.METER, f"m{number}"),
        place=Place(sector=Sector.HOSPITAL, institution="e001", building=f"b{number}"),
        state=AlertState.FIRING,
        since_ms=now_ms,
        at_ms=now_ms,
        fired_ms=now_ms,
        moved_ms=now_ms,
        group=f"leak-{number}",
    )
    alert = structs.replace(alert, **more)
    return Transition(alert=alert, before=None, reason=Reason.HELD)


def resolved(step: Transition, now_ms: int) -> Transition:
    alert = structs.replace(
        step.alert, state=AlertState.RESOLVED, moved_ms=now_ms, resolved_ms=now_ms
    )
    return Transition(alert=alert, before=step.alert.state, reason=Reason.CLEARED)


class Rig:
    """A notifier that is called by hand."""

    def __init__(self, clock=None) -> None:
        self.clock = clock or FakeClock()
        self.log, self.outbox, self.silences = FakeStepLog(), FakeOutbox(), FakeSilenceBook()
        self.planned: list[int] = []
        self.died: list[int] = []
        self.notifier = self.restarted()

    def restarted(self) -> Notifier:
        dispatcher = Dispatcher(scenario_settings(), PlainRenderer(), weekdays)
        self.notifier = Notifier(
            NotifierParts(
                log=self.log,
                outbox=self.outbox,
                silences=self.silences,
                dispatcher=dispatcher,
                clock=self.clock,
                moved=threading.Event(),
                planned=lambda: self.planned.append(1),
                died=lambda: self.died.append(1),
            )
        )
        return self.notifier

    def keys(self) -> list[str]:
        return [queued.notice.subject for queued in self.outbox._queue.values()]


def test_a_step_becomes_a_notice_and_the_sender_is_told() -> None:
    rig = Rig()
    rig.log.keep([firing(1, rig.clock.now_ms())])

    wait_s = rig.notifier.look()

    assert rig.keys() == ["alerts: new red leak-1 m1"]
    assert rig.planned == [1]
    assert wait_s == 30.0
    assert rig.outbox.memory()[1] == 1


def test_what_was_planned_is_not_planned_again_by_the_next_process() -> None:
    rig = Rig()
    step = firing(1, rig.clock.now_ms())
    rig.log.keep([step])
    rig.notifier.look()

    rig.restarted().look()
    rig.clock.pass_ms(60_000)
    rig.log.keep([resolved(step, rig.clock.now_ms())])
    rig.restarted().look()

    assert rig.keys() == ["alerts: new red leak-1 m1", "alerts: resolved red leak-1 m1"]


def test_it_wakes_when_the_dispatcher_asked_for_it() -> None:
    rig = Rig()
    rig.log.keep([firing(1, rig.clock.now_ms(), severity=Severity.ORANGE)])

    assert rig.notifier.look() == pytest.approx(30.0)
    rig.clock.pass_ms(20_000)
    assert rig.notifier.look() == pytest.approx(10.0)
    rig.clock.pass_ms(10_000)
    rig.notifier.look()

    assert rig.keys() == ["alerts: new orange leak-1 m1"]


def test_thousands_of_steps_are_read_before_anything_is_said() -> None:
    rig = Rig()
    steps = [firing(number, rig.clock.now_ms()) for number in range(1, 1501)]
    rig.log.keep(steps)
    rig.log.keep([resolved(step, rig.clock.now_ms()) for step in steps[1:]])

    rig.notifier.look()

    assert rig.keys() == ["alerts: new red leak-1 m1"]


def test_a_plan_that_could_not_be_kept_is_made_again_from_what_was_kept() -> None:
    rig = Rig()
    rig.notifier.look()
    rig.log.keep([firing(1, rig.clock.now_ms())])
    rig.outbox.away = TransientError("database is locked")
    with pytest.raises(TransientError):
        rig.notifier.look()
    rig.notifier._open = None  # as its thread does

    rig.outbox.away = None
    rig.clock.pass_ms(5_000)
    rig.notifier.look()

    assert rig.keys() == ["alerts: new red leak-1 m1"]


def test_steps_that_come_to_nothing_are_not_written_down_one_by_one() -> None:
    rig = Rig()
    rig.notifier.look()
    before = rig.outbox.memory()
    rig.log.keep([firing(1, rig.clock.now_ms(), state=AlertState.PENDING)])

    rig.notifier.look()
    assert rig.outbox.memory() == before

    rig.log.keep([firing(n, rig.clock.now_ms(), state=AlertState.PENDING) for n in range(2, 502)])
    rig.notifier.look()
    assert rig.outbox.memory()[1] == 501


def test_a_memory_that_cannot_be_read_is_begun_anew_and_what_is_open_is_told_once_more() -> None:
    rig = Rig()
    rig.log.keep([firing(1, rig.clock.now_ms())])
    rig.notifier.look()
    rig.outbox.plan([], b'{"version": 99}', 1)
    rig.clock.pass_ms(60_000)

    rig.restarted().look()

    assert rig.keys() == ["alerts: new red leak-1 m1"] * 2


def test_a_silence_holds_from_the_next_look_on() -> None:
    rig = Rig()
    now_ms = rig.clock.now_ms()
    rig.silences.add_silence(
        Silence(
            matcher={"institution": "e001"},
            start_ms=now_ms,
            end_ms=now_ms + 60_000,
            author="王工",
            comment="检修",
            made_ms=now_ms,
        )
    )
    rig.log.keep([firing(1, now_ms)])

    assert rig.notifier.look() == pytest.approx(30.0)
    assert rig.keys() == []
    rig.clock.pass_ms(60_000)
    rig.notifier.look()

    assert rig.keys() == ["alerts: new red leak-1 m1"]


def test_a_digest_reads_the_record_of_its_period() -> None:
    clock = FakeClock(1_772_497_800_000)  # 2026-03-03 08:30 in Shanghai, a Tuesday
    rig = Rig(clock)
    clock.pass_ms(-60_000)
    rig.notifier.look()
    rig.log.keep([firing(1, clock.now_ms() - 3_600_000)])
    clock.pass_ms(60_000)

    rig.notifier.look()

    assert rig.keys()[-1] == "digest: 1d 1 new, 0 solved, 1 open, longest m1"
    assert rig.outbox._queue[len(rig.keys())].notice.kind is NoticeKind.DIGEST


# ---- its thread


def eventually(claim: Callable[[], bool], within_s: float = 10.0) -> None:
    end_s = time.monotonic() + within_s
    while not claim():
        assert time.monotonic() < end_s, "it did not happen in time"
        time.sleep(0.002)


def test_its_thread_waits_for_a_small_state_that_is_away_and_stops_promptly() -> None:
    rig = Rig(SystemClock())
    rig.log.away = TransientError("database is locked")
    rig.notifier.start()
    time.sleep(0.1)
    rig.log.away = None
    rig.log.keep([firing(1, rig.clock.now_ms())])

    eventually(lambda: rig.keys() == ["alerts: new red leak-1 m1"])
    rig.outbox.away = TransientError("database is locked")
    rig.notifier.wake()
    time.sleep(0.05)
    began_s = time.monotonic()
    rig.notifier.stop()

    assert time.monotonic() - began_s < 1.0
    assert rig.died == []


def test_a_notifier_that_dies_says_so() -> None:
    rig = Rig(SystemClock())
    rig.log.open_alerts = lambda: 1 / 0

    rig.notifier.start()

    eventually(lambda: rig.died == [1])
    rig.notifier.stop()


def test_from_a_kept_step_to_the_channel_it_takes_less_than_a_tenth_of_a_second(
    tmp_path: Path,
) -> None:
    file = tmp_path / "state.sqlite"
    clock, mail = SystemClock(), FakeChannel("mail")
    with closing(SqlSmallState(f"sqlite:///{file}")) as state:
        log = FileStepLog(file)
        sender = Sender(
            SenderParts(
                outbox=state.outbox,
                channels=dict.fromkeys(scenario_settings().receivers, (mail,)),
                settings=DeliverySettings(),
                clock=clock,
                jitter=lambda: 0.5,
                failed=lambda: None,
                died=lambda: None,
            )
        )
        notifier = Notifier(
            NotifierParts(
                log=log,
                outbox=state.outbox,
                silences=state.silence_book,
                dispatcher=Dispatcher(scenario_settings(), PlainRenderer(), weekdays),
                clock=clock,
                moved=threading.Event(),
                planned=sender.wake,
                died=lambda: None,
            )
        )
        sender.start()
        notifier.start()
        took_ms = []
        for number in range(1, 41):
            step = firing(number, clock.now_ms())
            log.keep([step])
            began_s = time.monotonic()
            notifier.wake()
            eventually(lambda wanted=number: len(mail.sent) >= wanted)
            took_ms.append((mail.sent[-1][2] - began_s) * 1000)
        notifier.stop()
        sender.stop()

    print(f"median {statistics.median(took_ms):.1f} ms, worst {max(took_ms):.1f} ms")
    assert statistics.median(took_ms) < 100
