"""Hundreds of reads from slaves that do everything wrong: no word ever lands in a wrong place.

The faults are drawn from a seed; their timing is the machine's, which can only add faults.
"""

import asyncio
import random
from collections import Counter

import pytest

from gateways.adapters.modbus import open_bus
from gateways.library.model import Table
from gateways.reading.poll import (
    AnswerCorrupt,
    AnswerForeign,
    AnswerShort,
    AnswerSuspect,
    MeterRefused,
    MeterSilent,
)
from metering.clock import SystemClock
from tests.servers.rtu import answer, rtu_on_a_port, rtu_over_tcp, value_of

LINES = 15  # each with slaves and a bus that know nothing of one another yet
READS = 20  # on each
TIMEOUT_MS = 15
UNITS = (1, 2, 3)
# Some as long as others of the same meter, some too short for a prefix. A block's exception code
# is its own, so that an exception to another block shows.
BLOCKS = {
    (Table.HOLDING, 100, 10): 1,
    (Table.HOLDING, 300, 10): 2,
    (Table.HOLDING, 50, 2): 3,
    (Table.HOLDING, 60, 2): 4,
    (Table.INPUT, 100, 10): 5,
    (Table.INPUT, 500, 40): 6,
    (Table.INPUT, 700, 7): 7,
    (Table.HOLDING, 800, 1): 8,
}
CODES = {address: code for (_, address, _), code in BLOCKS.items() if code != 5}


class Wrongdoer:
    """Answers rightly half of the time."""

    def __init__(self, draw, deck, done):
        self.random = draw
        self.deck = deck
        self.done = done
        self.again = None  # a question whose answer will come a second time …
        self.turns = 0  # … after so many others

    async def behave(self, question, write):
        self._repeat(write)
        wrong = self._next_wrong() if self.random.random() < 0.5 else self.right
        self.done[wrong.__name__] += 1
        for part in wrong(question):
            if isinstance(part, bytes):
                write(part)
            else:
                await asyncio.sleep(part * TIMEOUT_MS / 1000)

    def _next_wrong(self):
        """From a shuffled deck, so that each has its turn; late ones the most often."""
        if not self.deck:
            wrongs = [name for name in dir(self) if name.startswith("wrong_")]
            self.deck += [*wrongs, *2 * ["wrong_late", "wrong_late_refusal"]]
            self.random.shuffle(self.deck)
        return getattr(self, self.deck.pop())

    def _repeat(self, write):
        if self.again is None:
            return
        self.turns -= 1
        if self.turns <= 0:
            write(self.again.right())
            self.again = None

    def right(self, question):
        yield question.right()

    def wrong_silent(self, _question):
        yield b""

    def wrong_late(self, question):
        yield self.random.uniform(1.5, 4)
        yield question.right()

    def wrong_late_refusal(self, question):
        yield self.random.uniform(1.5, 3)
        yield question.refused(self._code(question))

    def wrong_twice(self, question):
        yield 2 * question.right()

    def wrong_again_later(self, question):
        yield question.right()
        self.again, self.turns = question, self.random.randint(1, 3)

    def wrong_short(self, question):
        yield question.right(question.words()[:-1])

    def wrong_cut(self, question):
        yield question.right()[: self.random.randrange(len(question.right()))]

    def wrong_unit(self, question):
        yield question.frame(question.right()[1:-2], unit=question.unit % 3 + 1)

    def wrong_checksum(self, question):
        frame = bytearray(question.right())
        frame[self.random.randrange(len(frame))] ^= 1 << self.random.randrange(8)
        yield bytes(frame)

    def wrong_noise_before(self, question):
        yield self.random.randbytes(self.random.randrange(1, 20)) + question.right()

    def wrong_noise_inside(self, question):
        frame = question.right()
        at = self.random.randrange(1, len(frame))
        yield frame[:at] + self.random.randbytes(1) + frame[at:]

    def wrong_noise_after(self, question):
        yield question.right() + self.random.randbytes(5)

    def wrong_echo(self, question):
        yield question.raw + question.right()

    def wrong_refusal(self, question):
        yield question.refused(self._code(question))

    def wrong_refusal_without_function(self, question):
        yield question.refused(self._code(question), 0x80)

    def wrong_pieces(self, question):
        for byte in question.right():
            yield bytes([byte])
            yield 0.02

    def _code(self, question):
        return 5 if (question.function, question.address) == (4, 100) else CODES[question.address]


def check(unit, block, words):
    table, address, count = block
    function = 3 if table is Table.HOLDING else 4
    assert list(words) == [value_of(unit, function, address + i) for i in range(count)]


async def read(bus, unit, block):
    try:
        words = await bus.read(unit, *block)
    except AnswerSuspect as suspect:
        check(unit, block, suspect.words)
        return "suspect"
    except MeterRefused as refused:
        return "refused" if refused.code == BLOCKS[block] else "refused for another"
    except (MeterSilent, AnswerShort, AnswerForeign, AnswerCorrupt) as lost:
        return type(lost).__name__
    check(unit, block, words)
    return "answered"


async def one_line(make, draw, deck, done):
    outcomes = Counter()
    async with make() as slaves:
        slaves.behave = Wrongdoer(draw, deck, done).behave
        bus = open_bus(f"{slaves.url}?baudrate=115200&timeout_ms={TIMEOUT_MS}", SystemClock())
        blocks = tuple(BLOCKS)
        unit = 1
        for _ in range(READS):
            unit = unit if draw.random() < 0.7 else draw.choice(UNITS)
            outcomes[await read(bus, unit, draw.choice(blocks))] += 1
        slaves.behave = answer
        for _ in range(10):  # whatever is still owed
            last = {await read(bus, unit, block) for unit in UNITS for block in blocks}
            if last == {"answered"}:
                break
        await bus.close()
    assert last == {"answered"}
    return outcomes


@pytest.mark.parametrize("make", [rtu_on_a_port, rtu_over_tcp], ids=["serial", "rtu+tcp"])
def test_no_word_lands_on_another_register_or_meter_whatever_the_slaves_do(make, monkeypatch):
    # A timeout of 15 ms instead of 1 s: what is waited beyond it is short in proportion.
    monkeypatch.setattr("gateways.line.owed._LEAST_MARGIN_MS", 1)
    monkeypatch.setattr("gateways.line.owed.LONGEST_WAIT_MS", 300)
    draw = random.Random(20261125)
    outcomes, done, deck = Counter(), Counter(), []

    for _ in range(LINES):
        outcomes += asyncio.run(one_line(make, draw, deck, done))

    assert outcomes["refused for another"] == 0
    assert len(done) == 17, "every fault was made"
    assert outcomes["answered"] > LINES * READS / 3, outcomes
