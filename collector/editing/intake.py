"""Intake: readings of an imported file -> gate 1 -> the store and marks of what is to be settled.

They are readings like any other. The same chunk again changes nothing.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain

from msgspec import Struct, structs

from collector.dirty import DirtyBook
from collector.editing.measured import Measured
from collector.editing.mistake import MistakeReason
from collector.editing.period import shown
from collector.fleet.index import Fleet
from collector.known import unknown, unknown_quantity
from collector.overlay import fold, overlay, screen
from collector.settle.cells import DAY_MS, day_start_ms
from collector.store import CONFLICT, Level, ReadingStore, Rejection, Row
from collector.validate import Gate, Reason, Verdict
from metering.batch import VERSION, Batch, ClockState
from metering.quantity import QUANTITIES
from metering.reading import Reading


class RefusedValue(Struct, frozen=True, kw_only=True):
    """One value that was not taken.

    Attributes:
        place: of its reading in the chunk, from 0.
        quantity: which of its values, or `WHOLE_READING` for all of them.
        reason: a `Reason`; `conflict`: another value stands there; `not_measured`: the meter has
            no such quantity.
        message: Chinese, for the person who imports.
    """

    place: int
    quantity: str
    reason: str
    message: str


class Taken(Struct, frozen=True, kw_only=True):
    """What became of a chunk, value by value: `taken + repeated + refused` are all of them."""

    taken: int
    repeated: int
    refused: list[RefusedValue]


class Intake:
    """Takes readings that came by file; one thread at a time, the one that writes to the store."""

    def __init__(
        self, fleet: Fleet, store: ReadingStore, dirty: DirtyBook, measured: Measured
    ) -> None:
        self._fleet = fleet
        self._measured = measured
        self._gate = Gate(fleet)
        self._store = store
        self._dirty = dirty

    def take(self, readings: Sequence[Reading], *, now_ms: int, dry_run: bool = False) -> Taken:
        """Judge a chunk and keep what passes.

        Args:
            readings: a few thousand; without values they say nothing.
            dry_run: only say what would be. Two lines of one file that contradict each other are
                seen only if they stand in one chunk.
        """
        places = {(one.meter, one.at_ms): place for place, one in enumerate(readings)}
        own, strange = self._parted(readings)
        verdict = self._gate.judge(self._batches(own, now_ms), now_ms=now_ms)
        if dry_run:
            repeated, losers = self._compare(verdict.rows)
        else:
            repeated, losers = self._keep(verdict)
        refused = [
            RefusedValue(
                place=places[one.meter, one.at_ms],
                quantity=one.quantity,
                reason=str(one.reason),
                message=self._words(one),
            )
            for one in (*verdict.rejections, *losers)
            if one.level is Level.REJECTED
        ]
        refused += strange
        total = sum(len(one.values) for one in readings)
        return Taken(taken=total - repeated - len(refused), repeated=repeated, refused=refused)

    def _parted(self, readings: Sequence[Reading]) -> tuple[list[Reading], list[RefusedValue]]:
        """The readings without values of quantities that their meters do not have, and those."""
        own: list[Reading] = []
        strange: list[RefusedValue] = []
        for place, one in enumerate(readings):
            wrong = dict(self._not_measured(one))
            if wrong:
                left = {name: value for name, value in one.values.items() if name not in wrong}
                one = structs.replace(one, values=left)  # noqa: PLW2901 - what is left of it
                strange += [
                    RefusedValue(
                        place=place,
                        quantity=name,
                        reason=MistakeReason.NOT_MEASURED,
                        message=says,
                    )
                    for name, says in wrong.items()
                ]
            if one.values:
                own.append(one)
        return own, strange

    def _not_measured(self, one: Reading) -> Iterator[tuple[str, str]]:
        """What the meter cannot have said; of strangers the gate tells."""
        entry = self._fleet.entry(one.meter, one.at_ms)
        if entry is None:
            return
        for name in one.values.keys() & QUANTITIES.keys():
            says = self._measured.wrong(entry, name)
            if says is not None:
                yield name, says

    def _batches(self, readings: Iterable[Reading], now_ms: int) -> list[Batch]:
        """As if each meter's gateway had sent them; what no gateway has, the gate refuses."""
        by_gateway: dict[str, list[Reading]] = {}
        for one in readings:
            entry = self._fleet.entry(one.meter, one.at_ms)
            by_gateway.setdefault(entry.gateway if entry else "", []).append(one)
        return [
            Batch(
                v=VERSION,
                gateway=gateway,
                epoch="",
                sequence=1,
                sealed_at_ms=now_ms,
                clock=ClockState.SYNCED,
                readings=tuple(some),
            )
            for gateway, some in by_gateway.items()
        ]

    def _keep(self, verdict: Verdict) -> tuple[int, list[Rejection]]:
        """Returns how many values stood there already, and what was refused at the store."""
        outcome = self._store.write(verdict.rows, verdict.rejections, overlapping=True)
        # After the write, and for what was there already too: should a crash come in between, the
        # same chunk again marks what it touched.
        days = {(row.meter, day_start_ms(row.at_ms)) for row in verdict.rows}
        if days:
            self._dirty.mark_dirty(days)
        losers = list(outcome.conflicts)
        for refusal in outcome.refused:
            losers += _all_of(refusal.row)
        return outcome.duplicate_values, losers

    def _compare(self, rows: Sequence[Row]) -> tuple[int, list[Rejection]]:
        """The same as `_keep` would say, from what is stored."""
        fit, refused = screen(rows)
        folded = fold(fit)
        stored = self._stored(folded.rows)
        repeated = folded.same
        losers = [*folded.conflicts, *chain.from_iterable(_all_of(one.row) for one in refused)]
        for row in folded.rows:
            meeting = overlay(stored.get((row.meter, row.at_ms), {}), None, row)
            repeated += meeting.same
            losers += meeting.conflicts
        return repeated, losers

    def _stored(self, rows: Sequence[Row]) -> dict[tuple[str, int], dict[str, float]]:
        """What the store holds under the rows' keys, looked up in spans of at most a day."""
        found: dict[tuple[str, int], dict[str, float]] = {}
        for meters, quantities, first_ms, last_ms in _questions(rows):
            for column in self._store.columns(meters, quantities, first_ms, last_ms + 1):
                pairs = zip(column.at_ms.tolist(), column.values.tolist(), strict=True)
                for at_ms, value in pairs:
                    found.setdefault((column.meter, at_ms), {})[column.quantity] = value
        return found

    def _words(self, one: Rejection) -> str:
        """Why, for the person who imports."""
        if one.reason == Reason.UNKNOWN_METER:
            return unknown("表", one.meter, self._fleet.meters)
        if one.reason == Reason.UNKNOWN_QUANTITY:
            return unknown_quantity(one.quantity)
        says = _WORDS.get(one.reason, f"未通过校验 ({one.reason})")
        if one.reason == Reason.OUT_OF_RANGE:
            return f"{says}：{one.raw} {QUANTITIES[one.quantity].unit}"
        if one.reason in {Reason.NOT_IN_FORCE, Reason.AHEAD_OF_TIME}:
            return f"{says}：{shown(one.at_ms)}"
        return says


_WORDS: dict[str, str] = {
    Reason.NOT_IN_FORCE: "表在此时刻不在用 (valid_from、valid_to)",
    Reason.AHEAD_OF_TIME: "时刻还没有到",
    Reason.NOT_FINITE: "不是有限的数",
    Reason.SENTINEL: "是仪表表示“无数据”的特殊值",
    Reason.OUT_OF_RANGE: "超出量程",
    Reason.STORE_REFUSED: "数据库不接受",
    CONFLICT: "此时刻已有另一个值，先到的保留；要更正请用 nenghao correct reading",
}


def _all_of(row: Row) -> list[Rejection]:
    """A row that the store will never take, value by value."""
    return [
        Rejection(
            meter=row.meter,
            at_ms=row.at_ms,
            quantity=name,
            value=value,
            raw=repr(value),
            reason=Reason.STORE_REFUSED,
            level=Level.REJECTED,
            gateway=row.tags.gateway,
        )
        for name, value in row.values.items()
    ]


_Question = tuple[list[str], list[str], int, int]


def _questions(rows: Sequence[Row]) -> list[_Question]:
    """Meters, quantities, first and last instant: a day at a time, as a file is mostly ordered."""
    by_day: dict[int, list[Row]] = {}
    for row in rows:
        by_day.setdefault(row.at_ms // DAY_MS, []).append(row)
    return [
        (
            sorted({row.meter for row in some}),
            sorted({name for row in some for name in row.values}),
            min(row.at_ms for row in some),
            max(row.at_ms for row in some),
        )
        for some in by_day.values()
    ]
