"""The sender: receivers' channels in order, back-off, and whatever fails."""

import time
from collections.abc import Callable, Iterator
from itertools import pairwise

import pytest
from msgspec import structs

from collector.alerting.notice import Notice, NoticeKind, NoticeState
from collector.alerting.notify.settings import DeliverySettings
from collector.alerting.sender import Sender, SenderParts
from collector.alerting.ways import Ways
from metering.clock import SystemClock
from metering.errors import TransientError
from tests.fakes.channel import FakeChannel
from tests.fakes.clock import FakeClock
from tests.fakes.outbox import FakeOutbox

QUICK = DeliverySettings(first_pause_ms=40, longest_pause_ms=80, give_up_ms=3_600_000)


class Rig:
    """A sender on a fake outbox and the real clock."""

    def __init__(self, channels: dict[str, tuple], settings: DeliverySettings = QUICK) -> None:
        self.outbox = FakeOutbox()
        self.clock = SystemClock()
        self.failures: list[float] = []
        self.deaths: list[float] = []
        self.sender = Sender(
            SenderParts(
                outbox=self.outbox,
                channels=channels,
                settings=settings,
                clock=self.clock,
                jitter=lambda: 1.0,
                failed=lambda: self.failures.append(time.monotonic()),
                died=lambda: self.deaths.append(time.monotonic()),
            )
        )

    def notice(self, key: str, receiver: str = "duty", chain: str = "", ago_ms: int = 0) -> None:
        now_ms = self.clock.now_ms() - ago_ms
        one = Notice(
            key=key,
            kind=NoticeKind.ALERTS,
            receiver=receiver,
            chain=chain or key,
            alerts=(),
            subject=f"subject of {key}",
            text="",
            html="",
            made_ms=now_ms,
            due_ms=now_ms,
        )
        self.outbox.plan([one], b"", 0)
        self.sender.wake()

    def states(self) -> dict[str, NoticeState]:
        return {one.notice.key: one.state for one in self.outbox._queue.values()}


@pytest.fixture
def rig() -> Iterator[Callable[..., Rig]]:
    rigs: list[Rig] = []

    def make(channels, **more) -> Rig:
        rigs.append(Rig(channels, **more))
        rigs[-1].sender.start()
        return rigs[-1]

    yield make
    for one in rigs:
        one.sender.stop()
        assert one.deaths == []


def eventually(claim: Callable[[], bool], within_s: float = 10.0) -> None:
    end_s = time.monotonic() + within_s
    while not claim():
        assert time.monotonic() < end_s, "it did not happen in time"
        time.sleep(0.005)


def test_a_notice_goes_out_by_the_receivers_first_channel_and_is_logged(rig) -> None:
    mail, sms = FakeChannel("mail"), FakeChannel("sms")
    one = rig({"duty": (mail, sms)})

    one.notice("a")
    eventually(lambda: one.outbox.waiting() == 0)

    assert [(key, subject) for key, subject, _ in mail.sent] == [("a", "subject of a")]
    assert sms.tried == []
    (logged,) = one.outbox.attempts()
    assert (logged[1].channel, logged[1].sent, logged[1].answer) == ("mail", True, "250 OK")
    assert one.sender.failing_since_ms is None


def test_where_the_first_channel_fails_the_next_is_taken_at_once_and_both_are_logged(rig) -> None:
    mail, sms = FakeChannel("mail", lambda _key: False), FakeChannel("sms")
    one = rig({"duty": (mail, sms)}, settings=DeliverySettings())

    one.notice("a")
    eventually(lambda: one.outbox.waiting() == 0)

    assert sms.keys == ["a"]
    assert [(a.channel, a.sent) for _, a in one.outbox.attempts()] == [
        ("sms", True),
        ("mail", False),
    ]
    assert len(one.failures) == 1


def test_a_notice_that_nobody_takes_is_tried_again_with_growing_pauses(rig) -> None:
    times: list[float] = []
    mail = FakeChannel("mail", lambda _key: times.append(time.monotonic()) or len(times) > 4)
    one = rig({"duty": (mail,)})

    one.notice("a")
    eventually(lambda: one.outbox.waiting() == 0)

    pauses = [round(after - before, 3) for before, after in pairwise(times)]
    assert len(pauses) == 4
    assert pauses[0] >= 0.039  # the wall clock is read in whole milliseconds
    assert all(pause >= 0.079 for pause in pauses[1:])
    assert one.sender.failing_since_ms is None


def test_notices_of_one_chain_arrive_in_order_whatever_fails(rig) -> None:
    fails = ["b", "b", "a"]
    mail = FakeChannel("mail", lambda key: not (key in fails and not fails.remove(key)))
    one = rig({"duty": (mail,)})

    for key in ("a", "b", "c"):
        one.notice(key, chain="chain")
    eventually(lambda: one.outbox.waiting() == 0)

    assert mail.keys == ["a", "b", "c"]


def test_another_chain_does_not_wait_for_one_that_fails(rig) -> None:
    mail = FakeChannel("mail", lambda key: key != "a")
    one = rig({"duty": (mail,)}, settings=DeliverySettings())

    one.notice("a", chain="a")
    eventually(lambda: mail.tried == ["a"])
    one.notice("b", chain="b")
    eventually(lambda: mail.keys == ["b"])

    assert one.outbox.waiting() == 1
    assert one.sender.failing_since_ms is not None


def test_a_mail_server_that_hangs_holds_up_nobody_who_has_another_first_channel(rig) -> None:
    mail, sms = FakeChannel("mail"), FakeChannel("sms")
    mail.hangs.set()
    one = rig({"duty": (mail,), "admin": (sms,)})

    one.notice("a", "duty")
    eventually(lambda: mail.tried == ["a"])
    began_s = time.monotonic()
    one.notice("b", "admin")
    eventually(lambda: sms.keys == ["b"])

    assert time.monotonic() - began_s < 1.0
    mail.goes_on.set()
    eventually(lambda: one.outbox.waiting() == 0)


def test_a_way_that_fails_for_several_is_left_alone_and_their_next_channel_taken(rig) -> None:
    mail, sms = FakeChannel("mail", lambda _key: False), FakeChannel("sms")
    people = {f"p{n}": (mail, sms) for n in range(20)}
    one = rig(people, settings=DeliverySettings())

    for name in people:
        one.notice(f"to {name}", name)
    eventually(lambda: one.outbox.waiting() == 0)

    assert len(sms.keys) == 20
    assert len(mail.tried) == 2


def test_one_receiver_that_is_refused_does_not_stop_the_way_for_others(rig) -> None:
    mail = FakeChannel("mail", lambda key: not key.startswith("wrong"))
    one = rig({"wrong": (mail,), "duty": (mail,)}, settings=DeliverySettings())

    for number in range(5):
        one.notice(f"wrong {number}", "wrong")
    for number in range(5):
        one.notice(f"right {number}", "duty")

    eventually(lambda: len(mail.keys) == 5)


def test_when_the_server_is_back_everything_that_waited_goes_out(rig) -> None:
    back: list[bool] = []
    mail = FakeChannel("mail", lambda _key: bool(back))
    one = rig({f"p{n}": (mail,) for n in range(10)})
    for number in range(10):
        one.notice(f"to {number}", f"p{number}")
    eventually(lambda: len(mail.tried) >= 4)

    back.append(True)
    eventually(lambda: one.outbox.waiting() == 0)

    assert sorted(mail.keys) == [f"to {n}" for n in range(10)]


def test_a_channel_that_raises_is_a_channel_that_failed(rig) -> None:
    def breaks(_key: str) -> bool:
        raise RuntimeError("a plugin's bug")

    mail, sms = FakeChannel("mail", breaks), FakeChannel("sms")
    one = rig({"duty": (mail, sms)})

    one.notice("a")
    eventually(lambda: one.outbox.waiting() == 0)

    assert [(a.channel, a.answer) for _, a in one.outbox.attempts()] == [
        ("sms", "250 OK"),
        ("mail", "RuntimeError"),
    ]


def test_what_was_tried_long_and_often_enough_is_given_up(rig) -> None:
    mail = FakeChannel("mail", lambda _key: False)
    settings = DeliverySettings(first_pause_ms=5, longest_pause_ms=5, give_up_ms=1000)
    one = rig({"duty": (mail,)}, settings=settings)

    one.notice("old", ago_ms=2000)
    one.notice("young")
    eventually(lambda: one.states()["old"] is NoticeState.FAILED)

    assert mail.tried.count("old") == 20
    eventually(lambda: one.states()["young"] is NoticeState.FAILED)


def test_what_waits_for_somebody_who_is_no_longer_configured_is_given_up() -> None:
    mail = FakeChannel("mail")
    one = Rig({"duty": (mail,)})
    for key in ("a", "b"):
        one.notice(key, "gone", chain="chain")
    one.notice("c")

    one.sender.start()
    eventually(lambda: one.outbox.waiting() == 0)
    one.sender.stop()

    assert one.states() == {
        "a": NoticeState.FAILED,
        "b": NoticeState.FAILED,
        "c": NoticeState.SENT,
    }
    assert one.outbox.attempts(receiver="gone")[0][1].answer == "配置中已没有该接收人"


def test_while_the_small_state_is_away_what_was_sent_is_not_sent_again(rig) -> None:
    mail = FakeChannel("mail")
    one = rig({"duty": (mail,)})

    def goes_away(_key: str) -> bool:
        one.outbox.away = TransientError("database is locked")
        return True

    mail.says = goes_away
    one.notice("a")
    eventually(lambda: mail.tried == ["a"])
    time.sleep(0.3)
    one.outbox.away = None
    eventually(lambda: one.outbox.waiting() == 0)

    assert mail.tried == ["a"]
    assert [a.sent for _, a in one.outbox.attempts()] == [True]


def test_it_stops_promptly_while_nothing_and_while_everything_is_wrong() -> None:
    mail = FakeChannel("mail", lambda _key: False)
    one = Rig({"duty": (mail,)}, settings=DeliverySettings())
    one.sender.start()
    one.notice("a")
    eventually(lambda: mail.tried == ["a"])
    one.outbox.away = TransientError("database is locked")
    one.sender.wake()
    time.sleep(0.05)

    began_s = time.monotonic()
    one.sender.stop()

    assert time.monotonic() - began_s < 1.0
    assert one.deaths == []


def test_a_lane_that_dies_says_so() -> None:
    one = Rig({"duty": (FakeChannel("mail"),)})
    one.outbox.due = lambda *_args, **_more: 1 / 0

    one.sender.start()
    eventually(lambda: len(one.deaths) == 1)

    one.sender.stop()


def test_a_way_rests_longer_each_time_up_to_the_longest_and_forgets_when_it_works() -> None:
    clock = FakeClock()
    settings = structs.replace(QUICK, first_pause_ms=1000, longest_pause_ms=3000)
    ways = Ways(settings, clock)

    ways.failed("mail", "duty", "refused")
    ways.failed("mail", "duty", "refused")
    assert ways.rest_left_ms("mail") == 0
    rests = []
    for _ in range(4):
        ways.failed("mail", "bureau", "refused")
        rests.append(ways.rest_left_ms("mail"))
        clock.pass_ms(3000)
    assert rests == [1000, 2000, 3000, 3000]
    assert ways.rest_left_ms("mail") == 0

    ways.worked("mail")
    ways.failed("mail", "duty", "refused")
    assert ways.rest_left_ms("mail") == 0
