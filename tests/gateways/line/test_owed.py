"""The account of what a unit owes: pure, in virtual time."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateways.line.owed import Account, Verdict
from gateways.line.rtu_frame import Frame, Question


def ask(count, address=100, function=3):
    return Question(7, function, address, count)


def answer(question):
    return Frame(
        unit=7,
        function=question.function,
        code=0,
        raw=question.head + bytes(2 * question.count + 2),
    )


def refusal(code=2, function=3):
    return Frame(unit=7, function=function, code=code, raw=bytes(5))


def owing(*questions):
    account = Account()
    for number, question in enumerate(questions):
        account = account.owing(question, 1000 * number)
    return account


def lengths(account):
    return [owed.question.count for owed in account.owed]


def test_who_owes_nothing_is_believed():
    booked = Account().judge(answer(ask(4)), ask(4), 0, 30)

    assert booked.verdict is Verdict.OURS
    assert booked.account.worst_ms == 30


def test_the_oldest_question_that_fits_is_answered_first_and_settles_all_before_it():
    booked = owing(ask(4), ask(2), ask(4), ask(8)).judge(answer(ask(2)), None, 0, 9000)

    assert booked.verdict is Verdict.LATE
    assert lengths(booked.account) == [4, 8]


def test_an_answer_that_fits_an_older_question_too_is_in_doubt():
    booked = owing(ask(4)).judge(answer(ask(4)), ask(4, address=200), 1000, 1030)

    assert booked.verdict is Verdict.DOUBTFUL
    assert booked.lag_ms == 1030
    assert lengths(booked.account) == []


def test_the_second_answer_after_a_doubtful_one_is_sure():
    account = owing(ask(4)).judge(answer(ask(4)), ask(4), 1000, 1030).account

    assert account.judge(answer(ask(4)), ask(4), 1000, 1060).verdict is Verdict.OURS


def test_an_exception_is_in_doubt_if_anything_of_its_function_is_owed():
    account = owing(ask(4))

    assert account.judge(refusal(), ask(8), 1000, 1030).verdict is Verdict.DOUBTFUL
    assert account.judge(refusal(function=0), ask(8), 1000, 1030).verdict is Verdict.DOUBTFUL
    other = ask(8, function=4)
    assert account.judge(refusal(function=4), other, 1000, 1030).verdict is Verdict.OURS


@pytest.mark.parametrize(
    ("owed", "question", "marker"),
    [
        ([], ask(10), None),
        ([ask(8)], ask(10), None),  # its own length is unique
        ([ask(10)], ask(10), ask(2)),
        ([ask(10)], ask(10, address=500), ask(2, address=500)),
        ([ask(2), ask(10)], ask(10), ask(4)),  # an answer of two may be older than the ten
        ([ask(10), ask(2)], ask(10), ask(2)),  # here it cannot
        ([ask(7)], ask(7), ask(1)),
        ([ask(2)], ask(2), None),  # there is none
        ([ask(10, function=4)], ask(10), None),
    ],
)
def test_a_marker_is_a_prefix_whose_answer_proves_that_nothing_older_comes(owed, question, marker):
    assert owing(*owed).marker(question) == marker


def test_a_block_without_prefix_is_marked_by_the_shortest_that_was_answered():
    account = Account()
    for question in (ask(20), ask(6, function=4), ask(8)):
        account = account.judge(answer(question), question, 0, 30).account

    assert account.owing(ask(2), 0).marker(ask(2)) == ask(6, function=4)


def test_what_was_refused_is_no_marker():
    account = Account().judge(refusal(), ask(6), 0, 30).account.owing(ask(2), 0)

    assert account.marker(ask(2)) is None


def test_after_an_exception_in_doubt_only_what_was_answered_before_settles_the_account():
    account = Account().judge(answer(ask(6)), ask(6), 0, 30).account.owing(ask(10), 1000)
    account = account.judge(refusal(), ask(8), 2000, 2030).account

    account = account.doubted(refusal(), ask(8), 2000)

    assert lengths(account) == [8]
    assert account.marker(ask(20)) == ask(6)
    assert account.marker(ask(6)) is None  # it is its own
    settled = account.judge(answer(ask(6)), ask(6), 3000, 3030).account
    assert settled.judge(refusal(), ask(20), 4000, 4030).verdict is Verdict.OURS


def test_after_an_exception_in_doubt_nothing_is_expected_if_nothing_could_settle_it():
    account = owing(ask(10)).judge(refusal(), ask(8), 2000, 2030).account

    assert account.doubted(refusal(), ask(8), 2000).owed == ()


def test_a_line_is_kept_for_the_longest_that_its_meter_ever_needed_and_never_longer_than_5_s():
    account = owing(ask(4))

    assert account.wait_ms() == 50
    assert account.judge(answer(ask(4)), None, 0, 2000).account.wait_ms() == 2500
    assert account.judge(answer(ask(4)), None, 0, 4900).account.wait_ms() == 5000
    assert account.judge(answer(ask(4)), None, 0, 60_000).account.wait_ms() == 50
    assert account.wait_ms(lag_ms=400) == 1000  # the next one may be later than this one


def test_what_is_older_than_ten_minutes_is_forgotten():
    account = owing(ask(4))

    assert lengths(account.at(599_999)) == [4]
    assert lengths(account.at(600_000)) == []


def test_a_meter_that_is_silent_for_ever_owes_a_bounded_number():
    assert len(owing(*[ask(4)] * 1000).owed) == 32


def test_who_answered_twice_is_reckoned_with_to_do_so_again():
    account = Account().judge(answer(ask(4)), ask(4), 0, 30).account
    account = account.judge(answer(ask(4)), None, 0, 60).account
    assert account.owed == ()

    account = account.judge(answer(ask(4)), ask(4), 1000, 1030).account

    assert lengths(account) == [4]
    assert account.marker(ask(4, address=200)) == ask(2, address=200)
    assert lengths(account.at(7000)) == []


def test_who_answers_once_again_is_trusted_again():
    account = Account().judge(answer(ask(4)), ask(4), 0, 30).account
    account = account.judge(answer(ask(4)), None, 0, 60).account

    for second in range(1, 22):
        now_ms = 10_000 * second
        account = account.at(now_ms).judge(answer(ask(4)), ask(4), now_ms, now_ms + 30).account

    assert account.owed == ()


@settings(max_examples=300)
@given(
    st.lists(st.tuples(st.sampled_from([2, 4, 10]), st.booleans(), st.integers(0, 3)), max_size=12)
)
def test_in_whatever_order_silence_and_lateness_come_what_is_sure_is_right(history):
    """Each question is answered or not; its answer comes in order, after up to three others."""
    account, line = Account(), []
    for number, (count, answered, behind) in enumerate(history):
        question = ask(count, address=100 * number)
        if answered:
            due = max([number + behind, *(other for other, _ in line)])
            line.append((due, question))
        arriving = [of for due, of in line if due <= number]
        line = [(due, of) for due, of in line if due > number]
        sure = None
        for of in arriving:
            booked = account.judge(answer(of), None if sure else question, 0, 0)
            account = booked.account
            if booked.verdict is Verdict.OURS:
                sure = of
        assert sure in (None, question)
        if sure is None:
            account = account.owing(question, 0)


def test_the_last_answer_to_the_byte_may_be_the_last_answer_again():
    account = Account().judge(answer(ask(4)), ask(4), 0, 30).account
    other = Question(ask(4).unit, ask(4).function, ask(4).address + 50, 4)

    booked = account.judge(answer(ask(4)), other, 100, 130)

    assert booked.verdict is Verdict.PERHAPS
    assert booked.account == account
    assert account.judge(answer(ask(4)), ask(4), 100, 130).verdict is Verdict.OURS
