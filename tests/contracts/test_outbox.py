"""What every `Outbox` does: the fake, and SQL on a file."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from msgspec import structs

from collector.adapters.sql import SqlSmallState
from collector.alerting.notice import (
    Attempt,
    Notice,
    NoticeKind,
    NoticeState,
    Outbox,
    Queued,
    Unsent,
)
from metering.errors import TransientError
from tests.fakes.outbox import FakeOutbox

WAITING, SENT, FAILED = NoticeState.WAITING, NoticeState.SENT, NoticeState.FAILED


@pytest.fixture(params=["fake", "sql"])
def outbox(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Outbox]:
    if request.param == "fake":
        yield FakeOutbox()
        return
    with closing(SqlSmallState(f"sqlite:///{tmp_path}/state.sqlite")) as state:
        yield state.outbox


def notice(key: str, chain: str = "", receiver: str = "duty", made_ms: int = 100) -> Notice:
    return Notice(
        key=key,
        kind=NoticeKind.ALERTS,
        receiver=receiver,
        chain=chain or key,
        alerts=(7, 3),
        subject="三相电压不平衡",
        text="示例医院",
        html="<p>示例医院</p>",
        made_ms=made_ms,
        due_ms=made_ms,
    )


def tried(outbox: Outbox, number: int, state: NoticeState, at_ms: int, again_ms: int = 0) -> None:
    attempt = Attempt(
        notice=number, at_ms=at_ms, channel="mail", sent=state is SENT, answer=f"at {at_ms}"
    )
    outbox.tried(attempt, state, again_ms)


def due(outbox: Outbox, now_ms: int, **more: int) -> list[str]:
    return [queued.notice.key for queued in outbox.due(now_ms, 9, **more)]


def test_a_new_outbox_is_empty(outbox: Outbox) -> None:
    assert outbox.memory() == (b"", 0)
    assert outbox.due(10**15, 9) == []
    assert outbox.next_due_ms() is None
    assert outbox.unsent(failed_since_ms=0, made_before_ms=10**15) == []
    assert outbox.attempts() == []
    assert outbox.waiting() == 0
    assert outbox.forget_before(10**15) == 0


def test_notices_memory_and_cursor_are_kept_together(outbox: Outbox) -> None:
    kept = outbox.plan([notice("a"), notice("b")], b"memory", 12)

    assert kept == [
        structs.replace(notice("a"), number=1),
        structs.replace(notice("b"), number=2),
    ]
    assert outbox.memory() == (b"memory", 12)
    assert outbox.due(100, 9) == [Queued(notice=one, again_ms=100) for one in kept]
    assert outbox.waiting() == 2


def test_a_notice_that_is_planned_again_is_kept_once(outbox: Outbox) -> None:
    outbox.plan([notice("a")], b"1", 1)

    assert outbox.plan([notice("a", made_ms=200), notice("a")], b"2", 2) == []

    assert outbox.memory() == (b"2", 2)
    assert outbox.due(100, 9)[0].notice.made_ms == 100
    assert outbox.waiting() == 1


def test_what_was_sent_is_not_planned_again_either(outbox: Outbox) -> None:
    outbox.plan([notice("a")], b"", 1)
    tried(outbox, 1, SENT, 101)

    assert outbox.plan([notice("a")], b"", 1) == []
    assert due(outbox, 10**15) == []


def test_of_a_chain_only_the_first_that_waits_is_due(outbox: Outbox) -> None:
    outbox.plan([notice("a1", "a"), notice("b1", "b"), notice("a2", "a")], b"", 1)

    assert due(outbox, 100) == ["a1", "b1"]
    tried(outbox, 1, SENT, 101)
    assert due(outbox, 100) == ["b1", "a2"]


def test_a_chain_goes_on_after_a_notice_that_was_given_up(outbox: Outbox) -> None:
    outbox.plan([notice("a1", "a"), notice("a2", "a")], b"", 1)
    tried(outbox, 1, FAILED, 101)

    assert due(outbox, 100) == ["a2"]


def test_what_failed_waits_for_its_time_and_holds_its_chain(outbox: Outbox) -> None:
    outbox.plan([notice("a1", "a"), notice("a2", "a"), notice("b1", "b")], b"", 1)
    tried(outbox, 1, WAITING, 101, again_ms=500)

    assert due(outbox, 499) == ["b1"]
    assert due(outbox, 500) == ["a1", "b1"]
    assert outbox.due(500, 9)[0].tries == 1
    assert outbox.due(500, 1)[0].notice.key == "a1"


def test_what_is_due_can_be_asked_for_some_receivers(outbox: Outbox) -> None:
    outbox.plan([notice("a", receiver="duty"), notice("b", receiver="bureau")], b"", 1)

    assert [q.notice.key for q in outbox.due(100, 9, receivers={"bureau"})] == ["b"]
    assert outbox.due(100, 9, receivers=()) == []


def test_nothing_is_due_before_its_time(outbox: Outbox) -> None:
    outbox.plan([structs.replace(notice("a"), due_ms=700)], b"", 1)

    assert due(outbox, 699) == []
    assert outbox.next_due_ms() == 700
    assert due(outbox, 700) == ["a"]


def test_after_the_clock_was_set_back_what_waits_is_due_all_the_same(outbox: Outbox) -> None:
    outbox.plan([notice("a", made_ms=10_000), notice("b", made_ms=100)], b"", 1)
    tried(outbox, 2, WAITING, 9_900, again_ms=10_500)

    assert due(outbox, 5_000) == ["a"]
    assert due(outbox, 5_000, ahead_ms=600) == ["a", "b"]


def test_every_try_is_logged_newest_first(outbox: Outbox) -> None:
    outbox.plan([notice("a"), notice("b", receiver="bureau")], b"", 1)
    tried(outbox, 1, WAITING, 101, again_ms=200)
    tried(outbox, 2, SENT, 102)
    tried(outbox, 1, SENT, 201)

    assert [(one.key, attempt.at_ms) for one, attempt in outbox.attempts()] == [
        ("a", 201),
        ("b", 102),
        ("a", 101),
    ]
    assert outbox.attempts(receiver="bureau") == [
        (
            structs.replace(notice("b", receiver="bureau"), number=2),
            Attempt(notice=2, at_ms=102, channel="mail", sent=True, answer="at 102"),
        )
    ]
    assert len(outbox.attempts(alert=3)) == 3
    assert outbox.attempts(alert=4) == []
    assert [attempt.at_ms for _, attempt in outbox.attempts(limit=1)] == [201]


def test_what_was_tried_in_vain_is_listed_until_it_is_sent(outbox: Outbox) -> None:
    outbox.plan([notice("a"), notice("b"), notice("c"), notice("d")], b"", 1)
    tried(outbox, 1, WAITING, 101, again_ms=200)
    tried(outbox, 1, WAITING, 201, again_ms=400)
    tried(outbox, 2, FAILED, 300)
    tried(outbox, 3, SENT, 102)

    first = structs.replace(notice("a"), number=1)
    second = structs.replace(notice("b"), number=2)
    waiting = Unsent(notice=first, state=WAITING, tries=2, tried_ms=201, answer="at 201")
    failed = Unsent(notice=second, state=FAILED, tries=1, tried_ms=300, answer="at 300")
    assert outbox.unsent(failed_since_ms=300, made_before_ms=0) == [waiting, failed]
    assert outbox.unsent(failed_since_ms=301, made_before_ms=0) == [waiting]
    assert waiting.is_waiting
    assert not failed.is_waiting


def test_what_waits_too_long_to_be_tried_is_listed_too(outbox: Outbox) -> None:
    outbox.plan([notice("a", made_ms=100)], b"", 1)

    first = structs.replace(notice("a"), number=1)
    waiting = Unsent(notice=first, state=WAITING, tries=0, tried_ms=100, answer="")
    assert outbox.unsent(failed_since_ms=0, made_before_ms=100) == []
    assert outbox.unsent(failed_since_ms=0, made_before_ms=101) == [waiting]


def test_the_next_that_is_due_is_of_these_receivers_and_after_an_instant(outbox: Outbox) -> None:
    outbox.plan([notice("a", made_ms=100), notice("b", receiver="bureau", made_ms=200)], b"", 1)

    assert outbox.next_due_ms() == 100
    assert outbox.next_due_ms(after_ms=100) == 200
    assert outbox.next_due_ms(receivers={"bureau"}) == 200
    assert outbox.next_due_ms(receivers={"bureau"}, after_ms=200) is None


def test_a_notice_of_no_alert_is_kept_too(outbox: Outbox) -> None:
    outbox.plan([structs.replace(notice("a"), alerts=())], b"", 1)

    assert due(outbox, 100) == ["a"]


def test_old_notices_are_forgotten_but_not_what_waits(outbox: Outbox) -> None:
    outbox.plan([notice("a"), notice("b"), notice("c", made_ms=900)], b"", 1)
    tried(outbox, 1, SENT, 101)
    tried(outbox, 3, SENT, 901)

    assert outbox.forget_before(900) == 1

    assert due(outbox, 100) == ["b"]
    assert [one.key for one, _ in outbox.attempts()] == ["c"]
    assert outbox.forget_before(900) == 0


def test_what_cannot_be_kept_as_a_whole_is_not_kept_in_part(tmp_path: Path) -> None:
    with closing(SqlSmallState(f"sqlite:///{tmp_path}/state.sqlite")) as state:
        state.outbox.plan([notice("a")], b"memory", 5)

        with pytest.raises(TransientError):
            state.outbox.plan([notice("b")], None, 6)  # type: ignore[arg-type]

        assert state.outbox.memory() == (b"memory", 5)
        assert state.outbox.waiting() == 1


def test_everything_survives_a_restart(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/state.sqlite"
    with closing(SqlSmallState(url)) as state:
        state.outbox.plan([notice("a"), notice("b")], b"memory", 5)
        tried(state.outbox, 1, SENT, 101)

    with closing(SqlSmallState(url)) as again:
        assert again.outbox.memory() == (b"memory", 5)
        assert due(again.outbox, 100) == ["b"]
        assert len(again.outbox.attempts()) == 1
