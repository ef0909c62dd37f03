"""RTU ear: bytes from a line -> the answer to the question in flight, or what came instead.

Called by pymodbus with whatever arrives, at any time; keeps the account of every unit.
"""

import asyncio
from collections.abc import Callable

from gateways.line.owed import Account, Verdict
from gateways.line.rtu_frame import Frame, Question, first_frame
from gateways.reading.poll import (
    AnswerCorrupt,
    AnswerForeign,
    AnswerShort,
    AnswerSuspect,
    MeterRefused,
    MeterSilent,
)
from metering.clock import Clock

_TARGET_SILENT = 0x0B  # a gateway with meters behind it says that this one did not answer
_MOST_KEPT = 512  # bytes of noise, in which a frame might still end


class Exchange:
    """A question in flight, and what came since it was asked.

    Attributes:
        alike: all older answers that could be mistaken for this one are of the same registers.
        marks: it is only asked to learn that nothing older than it, or than one like it, can come.
        answer: the sound one, and nobody else's.
        doubt: one that may be an older question's.
        perhaps: one that is to the byte what another question was answered just before.
        stranger: the last sound frame of anybody else.
        short: a sound frame of this unit and function, with fewer registers.
        noise: bytes came that are no frame.
        waited: it was kept open for as long as its unit was ever seen to need.
    """

    def __init__(
        self, question: Question, asked_ms: int, *, alike: bool, marks: bool = False
    ) -> None:
        self.question = question
        self.asked_ms = asked_ms
        self.alike = alike
        self.marks = marks
        self.answer: Frame | None = None
        self.doubt: Frame | None = None
        self.perhaps: Frame | None = None
        self.stranger: Frame | None = None
        self.short: Frame | None = None
        self.noise = False
        self.waited = False

    def words(self) -> tuple[int, ...]:
        """What was asked for.

        Raises:
            MeterRefused: the meter refuses it.
            TransientError: no answer came, see `gateways.reading.poll.Bus`.
        """
        if self.answer is None:
            raise self._lost()
        if self.answer.code:
            raise self._refusal(self.answer.code)
        return self.answer.words

    def _refusal(self, code: int) -> MeterRefused | MeterSilent:
        if code == _TARGET_SILENT:
            return MeterSilent(f"asked {self.question}, the gateway got no answer from it")
        return MeterRefused(f"asked {self.question}, exception {code} came", code)

    def _lost(self) -> AnswerCorrupt | AnswerForeign | AnswerShort | AnswerSuspect | MeterSilent:
        """What it is that no answer came in time."""
        asked = f"asked {self.question}"
        if self.doubt is not None:
            message = f"{asked}, {self.doubt} came, which may answer an older question"
            if self.alike and not self.doubt.code:
                return AnswerSuspect(message, self.doubt.words)
            return AnswerForeign(message)
        if self.short is not None:
            return AnswerShort(f"{asked}, only {self.short} came")
        if self.stranger is not None:
            return AnswerForeign(f"{asked}, only {self.stranger} came")
        if self.noise:
            return AnswerCorrupt(f"{asked}, no sound answer was among what came")
        return MeterSilent(f"{asked}, nothing came")


class RtuEar:
    """Hears everything on the line.

    Attributes:
        heard_s: when bytes came last, by the loop's clock.
    """

    def __init__(
        self,
        clock: Clock,
        end: Callable[[], None],
        wait: Callable[[float], None],
        close: Callable[[float], None],
        accounts: dict[int, Account],
    ) -> None:
        """Hear nothing yet.

        Args:
            clock: for what the accounts remember.
            end: the question in flight is refused, nothing else will come.
            wait: keeps it open for so many ms since it was asked, at least.
            close: keeps it open for so many ms from now, at most.
            accounts: of the line's units; the line outlives this ear.
        """
        self.heard_s = 0.0
        self._clock = clock
        self._end = end
        self._wait = wait
        self._close = close
        self._accounts = accounts
        self._exchange: Exchange | None = None
        self._sent = b""
        self._heard = b""

    @property
    def asking(self) -> Question | None:
        return self._exchange.question if self._exchange else None

    def account(self, unit: int) -> Account:
        return self._accounts.get(unit, Account()).at(self._clock.monotonic_ms())

    def ask(self, question: Question, *, marks: bool = False) -> Exchange:
        """From now on, `question` is in flight; what came before is no answer to it."""
        account = self._accounts[question.unit] = self.account(question.unit)
        self._heard = self._sent = b""
        now_ms = self._clock.monotonic_ms()
        self._exchange = Exchange(question, now_ms, alike=account.alike(question), marks=marks)
        return self._exchange

    def rest(self) -> None:
        """Nothing is in flight. What was not answered is owed."""
        exchange, self._exchange = self._exchange, None
        if exchange is None or exchange.answer is not None:
            return
        if exchange.perhaps is not None and exchange.doubt is None:
            # Nothing more came: two registers of one meter simply hold the same.
            self._settle(exchange, exchange.perhaps)
            return
        exchange.noise |= bool(self._heard)
        unit = exchange.question.unit
        account = self.account(unit)
        # In doubt, the unit has just been given the time that it ever needed, and used none of it.
        self._accounts[unit] = (
            account.doubted(exchange.doubt, exchange.question, exchange.asked_ms)
            if exchange.doubt is not None and exchange.waited
            else account.owing(exchange.question, exchange.asked_ms)
        )

    def sent(self, frame: bytes) -> bytes:
        self._sent = frame
        return frame

    def hear(self, came: bytes) -> bytes:
        """Take in bytes; returns the frame that answers the question in flight, if it is whole."""
        self.heard_s = asyncio.get_running_loop().time()
        self._heard += came
        self._skip_echo()
        answer = b""
        while (found := first_frame(self._heard, self._accounts, self.asking)) is not None:
            if found.start and self._exchange is not None:
                self._exchange.noise = True
            self._heard = self._heard[found.end :]
            answer = self._weigh(found.frame) or answer
        if len(self._heard) > _MOST_KEPT:
            self._heard = self._heard[-_MOST_KEPT:]
        # Noise takes time to search, and more of it may have come meanwhile.
        self.heard_s = asyncio.get_running_loop().time()
        return answer

    def _skip_echo(self) -> None:
        # On two wires some adapters hear themselves.
        if self._sent and (start := self._heard.find(self._sent)) >= 0:
            self._heard = self._heard[:start] + self._heard[start + len(self._sent) :]
            self._sent = b""

    def _weigh(self, frame: Frame) -> bytes:
        exchange = self._exchange
        own = exchange is not None and exchange.answer is None and self._is_asked(frame.unit)
        question, asked_ms = (
            (exchange.question, exchange.asked_ms) if own and exchange else (None, 0)
        )
        now_ms = self._clock.monotonic_ms()
        booked = self.account(frame.unit).judge(frame, question, asked_ms, now_ms)
        if frame.unit in self._accounts:
            self._accounts[frame.unit] = booked.account
        if exchange is None or exchange.answer is not None:
            return b""
        if own:
            self._wait(booked.account.wait_ms(booked.lag_ms))
        return self._judged(exchange, frame, booked.verdict)

    def _is_asked(self, unit: int) -> bool:
        return self._exchange is not None and self._exchange.question.unit == unit

    def _settle(self, exchange: Exchange, frame: Frame) -> None:
        exchange.answer = frame
        question, now_ms = exchange.question, self._clock.monotonic_ms()
        self._accounts[question.unit] = self.account(question.unit).settled(
            question, frame, now_ms - exchange.asked_ms, now_ms
        )

    def _suppose(self, exchange: Exchange, frame: Frame) -> bytes:
        """Take the last answer's bytes for this one's, unless another answer comes."""
        if exchange.perhaps is None:
            exchange.perhaps = frame
            self._close(self.account(frame.unit).wait_ms())
            return b""
        self._settle(exchange, frame)
        return self._taken(exchange, frame)

    def _taken(self, exchange: Exchange, frame: Frame) -> bytes:
        """`frame` is the answer; if one came before it, that was the last question's, again."""
        exchange.answer = frame
        if exchange.perhaps is not None:
            self._accounts[frame.unit] = self._accounts[frame.unit].repeating()
        if not frame.code:
            return frame.raw
        self._end()
        return b""

    def _judged(self, exchange: Exchange, frame: Frame, verdict: Verdict) -> bytes:
        unsure = exchange.doubt is not None and not exchange.alike
        if verdict is Verdict.DOUBTFUL and exchange.marks and not frame.code:
            # An earlier marker's answer proves as much; then this one's is still owed.
            question = exchange.question
            account = self._accounts[question.unit]
            self._accounts[question.unit] = account.owing(question, exchange.asked_ms)
            exchange.answer = frame
            return frame.raw
        if verdict is Verdict.DOUBTFUL or (verdict is Verdict.OURS and unsure):
            exchange.doubt = frame
        elif verdict is Verdict.PERHAPS:
            return self._suppose(exchange, frame)
        elif verdict is Verdict.OURS:
            return self._taken(exchange, frame)
        elif verdict is Verdict.STRANGE and _is_short(frame, exchange.question):
            exchange.short = frame
        else:
            exchange.stranger = frame
        return b""


def _is_short(frame: Frame, question: Question) -> bool:
    if frame.code or frame.count >= question.count:
        return False
    return (frame.unit, frame.function) == (question.unit, question.function)
