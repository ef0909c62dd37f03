"""Owed: what a unit was asked and has not answered -> whether what comes now can be believed.

An answer on a serial line carries no transaction number, so a late one looks like the answer to
whatever of the same unit, function and length was asked since. Two facts make it tellable: a slave
answers in the order in which it was asked, and answers of different lengths cannot be confused. So
each unit has an account of unanswered questions, and

* what comes is booked on the *oldest* question that it fits, and settles all before that one;
* a question is only asked plainly if none of the same function and length is owed. If one is, a
  *marker* goes first: a question of another length, whose answer proves that nothing older is on
  its way any more;
* where no marker can be had, what comes is in doubt; when the longest latency has passed after
  that and nothing more came, the account is closed.

Nothing here waits or sends; see `gateways.adapters.modbus_rtu` for that.
"""

from enum import Enum, auto

from msgspec import Struct
from msgspec.structs import replace

from gateways.line.rtu_frame import Frame, Question

LONGEST_WAIT_MS = 5_000  # nobody is waited for longer, whatever was seen of it
_FORGOTTEN_MS = 600_000  # an answer that comes later than this is not expected from any line
_MOST_OWED = 32
_LEAST_MARGIN_MS = 50
_REPEATS_EXPECTED = 20  # answers after a repeated one, for which a repeat is reckoned with
_REPEAT_MS = 1_000  # and how long after the answer
_FADES = 0.99  # with each answer
_LATELY = 8  # answers that are remembered to the byte


class Verdict(Enum):
    """What a frame is, seen from the question in flight."""

    OURS = auto()  # its answer, and no other's
    DOUBTFUL = auto()  # fits it, but also an older one
    PERHAPS = auto()  # fits it, and is to the byte what another question was answered lately
    LATE = auto()  # an older one's
    STRANGE = auto()  # nobody's


class Owed(Struct, frozen=True):
    """A question that may still be answered, from `asked_ms` until it is forgotten.

    `again` says that it was answered, by a unit which lately answered twice.
    """

    question: Question
    asked_ms: int
    until_ms: int
    again: bool = False


class Answered(Struct, frozen=True):
    """An answer that was booked: whose, what, when."""

    question: Question
    raw: bytes
    at_ms: int


class Account(Struct, frozen=True, kw_only=True):
    """One unit's account. Each operation returns a new value; times are monotonic ms.

    Attributes:
        owed: oldest first.
        worst_ms: the longest that an answer of it took, as far as one waits.
        repeats: how many more answers are expected twice.
        last: whose answer came last.
        lately: the last answers that were booked, oldest first.
        known: the questions that it answered with registers, one of each function and length.
        refuses: an exception came that may be the answer of anything owed.
    """

    owed: tuple[Owed, ...] = ()
    worst_ms: int = 0
    repeats: int = 0
    last: Question | None = None
    lately: tuple["Answered", ...] = ()
    known: tuple[Question, ...] = ()
    refuses: bool = False

    def at(self, now_ms: int) -> "Account":
        """Without what is too old to come."""
        if not self.owed:
            return self
        return replace(self, owed=tuple(owed for owed in self.owed if owed.until_ms > now_ms))

    def owing(self, question: Question, asked_ms: int) -> "Account":
        """The question got no answer."""
        new = Owed(question, asked_ms, asked_ms + _FORGOTTEN_MS)
        return replace(self, owed=(*self.owed, new)[-_MOST_OWED:])

    def doubted(self, frame: Frame, question: Question, asked_ms: int) -> "Account":
        """Nothing came after a doubtful frame, in all the time that would explain it.

        An exception leaves everything owed if something that was answered before can settle it.
        Else nothing can, and nothing is expected any more: who is waited for longest in vain would
        never be believed again.
        """
        if frame.code:
            owing = replace(self.owing(question, asked_ms), refuses=True)
            if owing._sure() is not None:  # noqa: SLF001 - of its own class
                return owing
        return replace(self, owed=(), repeats=max(0, self.repeats - 1), refuses=False)

    def wait_ms(self, lag_ms: int = 0) -> float:
        """How long after a question the line is kept for its answer, by what was seen.

        Args:
            lag_ms: by how much it would be late now, if it is.
        """
        # Who was late once may be later the next time.
        longest_ms = max(self.worst_ms, 2 * lag_ms if lag_ms <= LONGEST_WAIT_MS else 0)
        return min(longest_ms + max(_LEAST_MARGIN_MS, longest_ms / 4), LONGEST_WAIT_MS)

    def marker(self, question: Question) -> Question | None:
        """What to ask before `question`, None if nothing need or can be.

        A prefix of the same block, of even length if the block's is (a meter of 32-bit registers
        refuses halves); else another question that this unit has answered before. After an
        exception in doubt only the latter, since the block itself may be what is refused.
        """
        if self.owed and self.refuses and question not in self.known and (sure := self._sure()):
            return sure
        if not self._fearing(question):
            return None
        step = 2 - question.count % 2
        lengths = range(step, question.count, step)
        prefixes = [
            Question(question.unit, question.function, question.address, length)
            for length in lengths
        ]
        known = sorted(self.known, key=lambda answered: answered.count)
        return next((m for m in (*prefixes, *known) if self._proves(m, question)), None)

    def alike(self, question: Question) -> bool:
        """Whether all that could be mistaken for its answer are the same registers."""
        return all(self.owed[i].question == question for i in self._fearing(question))

    def judge(
        self, frame: Frame, question: Question | None, asked_ms: int, now_ms: int
    ) -> "Booked":
        """Book `frame`, which is of this unit.

        Args:
            frame: what came.
            question: the one in flight, if it is to this unit.
            asked_ms: when it was asked.
            now_ms: now.
        """
        ours = question if question is not None and frame.fits(question) else None
        older = [i for i, owed in enumerate(self.owed) if frame.fits(owed.question)]
        if older:
            # As late as the youngest that it can be: an older one would make the unit seem slower.
            youngest = self.owed[older[-1]]
            answered = Answered(youngest.question, frame.raw, now_ms)
            rest = replace(
                self,
                owed=self._after(older[0]),
                last=youngest.question,
                lately=self._with(answered),
            )
            if ours:
                return Booked(rest, Verdict.DOUBTFUL, now_ms - youngest.asked_ms)
            return Booked(_late(rest, youngest, now_ms), Verdict.LATE)
        if ours and self._was_given(frame, ours, now_ms):
            # A slave that repeats itself for the first time, or two equal answers: time will tell.
            return Booked(self, Verdict.PERHAPS)
        if ours:
            return Booked(self.settled(ours, frame, now_ms - asked_ms, now_ms), Verdict.OURS)
        if self.last is not None and frame.fits(self.last):
            return Booked(self.repeating(), Verdict.STRANGE)
        return Booked(self, Verdict.STRANGE)

    def repeating(self) -> "Account":
        """It was seen to answer twice: for a while it is reckoned with to do so again."""
        return replace(self, repeats=_REPEATS_EXPECTED)

    def settled(self, question: Question, frame: Frame, took_ms: int, now_ms: int) -> "Account":
        """`frame` is the answer to `question` and to nothing else."""
        others = tuple(q for q in self.known if not _same_length(q, question))
        again = Owed(question, now_ms, now_ms + _REPEAT_MS, again=True)
        return Account(
            owed=(*self._after(len(self.owed)), again)[-_MOST_OWED:] if self.repeats else (),
            # It fades: one answer that was very late must not slow the line for years.
            worst_ms=max(int(self.worst_ms * _FADES), min(took_ms, LONGEST_WAIT_MS)),
            repeats=max(0, self.repeats - 1),
            last=question,
            lately=self._with(Answered(question, frame.raw, now_ms)),
            known=self.known if frame.code else (*others, question),
        )

    def _after(self, settled: int) -> tuple[Owed, ...]:
        """What is still owed when an answer settles all before that place, and it itself.

        Not repeats: they are sent by the way, in no order.
        """
        repeats = (owed for owed in self.owed[:settled] if owed.again)
        return (*repeats, *self.owed[settled + 1 :])

    def _with(self, answered: "Answered") -> tuple["Answered", ...]:
        return (*self.lately, answered)[-_LATELY:]

    def _was_given(self, frame: Frame, question: Question, now_ms: int) -> bool:
        """Whether another question was lately answered with the very same bytes.

        Exceptions are all alike: whoever asks a stranger what it has would wait for ever.
        """
        return not frame.code and any(
            one.raw == frame.raw and one.question != question and now_ms - one.at_ms <= _REPEAT_MS
            for one in self.lately
        )

    def _fearing(self, question: Question) -> list[int]:
        """Which of the owed have answers that look like that of `question`."""
        return [i for i, owed in enumerate(self.owed) if _same_length(owed.question, question)]

    def _sure(self) -> Question | None:
        """The shortest that was answered before and whose answer can be nobody else's."""
        unlike = [question for question in self.known if not self._fearing(question)]
        return min(unlike, key=lambda question: question.count, default=None)

    def _proves(self, marker: Question, question: Question) -> bool:
        """Whether any answer of the marker's length is younger than what `question` fears."""
        if _same_length(marker, question):
            return False
        own = self._fearing(marker)
        return not own or own[0] > self._fearing(question)[-1]


Lines = dict[str, dict[int, Account]]  # by line and unit; what is owed belongs to the line


class Booked(Struct, frozen=True):
    """The account after a frame, and what the frame was.

    `lag_ms` is how late it comes if it is an older question's.
    """

    account: Account
    verdict: Verdict
    lag_ms: int = 0


def _same_length(one: Question, other: Question) -> bool:
    return (one.function, one.count) == (other.function, other.count)


def _late(account: Account, owed: Owed, now_ms: int) -> Account:
    if owed.again:
        return account.repeating()
    # Who cannot be waited for is not waited for in vain.
    took_ms = now_ms - owed.asked_ms
    worst_ms = max(account.worst_ms, took_ms if took_ms <= LONGEST_WAIT_MS else 0)
    if not account.repeats:
        return replace(account, worst_ms=worst_ms)
    again = Owed(owed.question, now_ms, now_ms + _REPEAT_MS, again=True)
    return replace(account, worst_ms=worst_ms, owed=(again, *account.owed))
