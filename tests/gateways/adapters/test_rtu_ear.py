import pytest

from gateways.adapters.rtu_ear import Exchange
from gateways.line.rtu_frame import Frame, Question
from gateways.reading.poll import MeterRefused


def test_a_refusal_that_comes_with_the_very_timeout_is_a_refusal_and_no_answer_without_words():
    exchange = Exchange(Question(7, 3, 100, 3), 0, alike=True)
    exchange.answer = Frame(unit=7, function=3, code=2, raw=b"\x07\x83\x02\x61\x30")
    exchange.waited = True

    with pytest.raises(MeterRefused) as caught:
        exchange.words()

    assert caught.value.code == 2
