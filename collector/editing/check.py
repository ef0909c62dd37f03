"""Check: a proposal -> what is wrong with it, by what the fleet and the vocabulary say. Pure.

What the readings say against it is the `Editor`'s to look up.
"""

from collections.abc import Iterator
from math import isfinite

from collector.editing.mistake import MistakeReason
from collector.editing.period import shown, shown_span
from collector.editing.proposal import Proposal
from collector.editing.rows import rounded
from collector.editing.unit import in_unit, units_for
from collector.entries import Entry, EntryKind
from collector.fleet.index import Fleet, MeterEntry
from collector.known import made_of, unknown, unknown_quantity
from collector.settle.cells import QUARTER_MS
from collector.settle.counters import unit_of
from metering.quantity import QUANTITIES, Kind

AHEAD_LIMIT_MS = 120_000  # as gate 1 allows

Wrong = tuple[MistakeReason, str]

_SPANS = frozenset({EntryKind.VOID, EntryKind.INTERVAL, EntryKind.OUT_OF_SERVICE})
# Only what has happened can be corrected.
_OF_THE_PAST = frozenset({EntryKind.READING, EntryKind.REPLACEMENT, EntryKind.INTERVAL})
_OF_THE_WHOLE_METER = frozenset({EntryKind.VOID, EntryKind.OUT_OF_SERVICE})
_WITH_COUNTER = frozenset({EntryKind.READING, EntryKind.REPLACEMENT, EntryKind.INTERVAL})


def what_is_wrong(proposal: Proposal, fleet: Fleet, now_ms: int) -> list[Wrong]:
    """All that is wrong with a proposal without looking at any reading; empty if nothing is."""
    wrong = [*_who(proposal), *_span(proposal, now_ms), *_quantity(proposal)]
    if proposal.meter not in fleet.meters:
        return [*wrong, _unknown(proposal.meter, fleet)]
    entry = fleet.entry(proposal.meter, proposal.start_ms)
    if entry is None:
        return [*wrong, _not_in_force(proposal, fleet)]
    wrong += _end_in_force(proposal, fleet)
    if proposal.energy is not None and proposal.energy != entry.energy:
        message = f"{entry.meter} 的能耗编码是 {entry.energy}，不是 {proposal.energy}：请核对表号"
        wrong.append((MistakeReason.OTHER_ENERGY, message))
    return wrong


def _unknown(meter: str, fleet: Fleet) -> Wrong:
    virtual = fleet.virtual_meters.get(meter)
    if virtual is not None:
        return MistakeReason.VIRTUAL_METER, f"{made_of(virtual)}：请更正这些表"
    return MistakeReason.UNKNOWN_METER, unknown("表", meter, fleet.meters)


def _not_in_force(proposal: Proposal, fleet: Fleet) -> Wrong:
    spans = "；".join(
        shown_span(entry.valid_from_ms, entry.valid_to_ms) for entry in fleet.meters[proposal.meter]
    )
    at = shown(proposal.start_ms)
    message = f"{proposal.meter} 在 {at} 不在用：有效期为 {spans}。请核对时间或监测对象配置"
    return MistakeReason.NOT_IN_FORCE, message


def _end_in_force(proposal: Proposal, fleet: Fleet) -> Iterator[Wrong]:
    end_ms = proposal.end_ms
    if end_ms is None or end_ms <= proposal.start_ms:
        return
    if fleet.entry(proposal.meter, end_ms - 1) is None:
        message = f"{proposal.meter} 在 {shown(end_ms)} 之前已停用：请把时段缩短到有效期内"
        yield MistakeReason.NOT_IN_FORCE, message


def _who(proposal: Proposal) -> Iterator[Wrong]:
    if not proposal.author.strip():
        yield MistakeReason.NO_AUTHOR, "谁作的更正？请给出姓名 (--author)"
    if not proposal.reason.strip():
        yield MistakeReason.NO_REASON, "为什么更正？请写明原因 (--reason)"


def _span(proposal: Proposal, now_ms: int) -> Iterator[Wrong]:
    start_ms, end_ms = proposal.start_ms, proposal.end_ms
    if proposal.kind in _SPANS:
        yield from _ends(proposal)
    is_interval = proposal.kind is EntryKind.INTERVAL
    if is_interval and end_ms is not None and (start_ms % QUARTER_MS or end_ms % QUARTER_MS):
        span = shown_span(start_ms, end_ms)
        message = f"{span} 不是整 15 分钟：区间从 :00、:15、:30、:45 开始和结束"
        yield MistakeReason.NOT_WHOLE_CELLS, message
    newest_ms = max(start_ms, (end_ms or start_ms) - 1)
    if proposal.kind in _OF_THE_PAST and newest_ms > now_ms + AHEAD_LIMIT_MS:
        message = f"{shown(newest_ms)} 还没有到：现在是 {shown(now_ms)}，只能更正已经过去的时间"
        yield MistakeReason.AHEAD_OF_TIME, message


def _ends(proposal: Proposal) -> Iterator[Wrong]:
    end_ms = proposal.end_ms
    if end_ms is None and proposal.kind is not EntryKind.OUT_OF_SERVICE:
        yield MistakeReason.NO_SPAN, "到什么时候？请给出结束时刻 (--to)"
    if end_ms is not None and end_ms <= proposal.start_ms:
        message = (
            f"结束 {shown(end_ms)} 不晚于开始 {shown(proposal.start_ms)}：结束时刻不计入，请核对"
        )
        yield MistakeReason.NO_SPAN, message


def _quantity(proposal: Proposal) -> Iterator[Wrong]:
    name = proposal.quantity
    if name is None:
        return
    quantity = QUANTITIES.get(name)
    if quantity is None:
        yield MistakeReason.UNKNOWN_QUANTITY, unknown_quantity(name)
    elif proposal.kind in _WITH_COUNTER and quantity.kind is not Kind.COUNTER:
        message = f"{name} 是瞬时量，不是累计量：只有累计量可以更正用量、补录读数、换表"
        yield MistakeReason.NOT_A_COUNTER, message


def figures(
    proposal: Proposal, entry: MeterEntry, quantity: str
) -> tuple[float | None, float | None, list[Wrong]]:
    """Value and closing reading in the quantity's unit, or what is wrong with them."""
    if proposal.kind in _OF_THE_WHOLE_METER:
        return None, None, []
    asked = {
        "value": ("新表起码" if proposal.kind is EntryKind.REPLACEMENT else "值", proposal.value)
    }
    if proposal.kind is EntryKind.REPLACEMENT:
        asked["closing"] = ("旧表止码", proposal.closing)
    right: dict[str, float] = {}
    wrong: list[Wrong] = []
    for name, (what, value) in asked.items():
        found = _figure(what, value, proposal, entry, quantity)
        if isinstance(found, tuple):
            wrong.append(found)
        else:
            right[name] = found
    return right.get("value"), right.get("closing"), wrong


def _figure(
    what: str, value: float | None, proposal: Proposal, entry: MeterEntry, quantity: str
) -> float | Wrong:
    """A value of the proposal in the quantity's unit, or what is wrong with it."""
    unit = unit_of(quantity)
    if value is None:
        return MistakeReason.NO_VALUE, f"{what}是多少 {unit}？没有给出"
    if not isfinite(value):
        return MistakeReason.NOT_FINITE, f"{what} {value} 不是有限的数"
    given = in_unit(value, _unit_given(proposal, entry), unit)
    if given is None:
        message = (
            f"单位 '{proposal.unit}' 不能换算成 {unit}：{entry.meter} 的 {quantity} 可用 "
            + "、".join(units_for(unit))
        )
        return MistakeReason.UNKNOWN_UNIT, message
    if proposal.as_shown:
        given *= entry.multiplier
    known = QUANTITIES[quantity]
    if not known.lowest <= given <= known.highest:
        message = (
            f"{what} {rounded(given)} {unit} 超出范围"
            f" [{rounded(known.lowest)}, {rounded(known.highest)}]"
        )
        return MistakeReason.OUT_OF_RANGE, message
    return given


def _unit_given(proposal: Proposal, entry: MeterEntry) -> str | None:
    """Water is billed by the tonne."""
    is_tonnes = proposal.unit in {"吨", "t"} and entry.energy.startswith("02")
    return "m³" if is_tonnes else proposal.unit


def out_of_line(
    wanted: Entry, last: tuple[int, float] | None, following: tuple[int, float] | None
) -> Iterator[Wrong]:
    """A counter never runs backwards."""
    unit = unit_of(wanted.quantity)
    is_reading = wanted.kind is EntryKind.READING
    ends_at = wanted.value if is_reading else wanted.closing
    if last is not None and ends_at is not None and ends_at < last[1]:
        what = "读数" if is_reading else "旧表止码"
        message = (
            f"{what} {rounded(ends_at)} {unit} 小于之前 {shown(last[0])} 的读数"
            f" {rounded(last[1])} {unit}：请核对读数和倍率 (表面读数用 --as-shown)；"
            "确实如此请加 --force"
        )
        yield MistakeReason.BELOW_LAST, message
    if following is not None and wanted.value is not None and wanted.value > following[1]:
        what = "读数" if is_reading else "新表起码"
        message = (
            f"{what} {rounded(wanted.value)} {unit} 大于之后 {shown(following[0])} 的读数"
            f" {rounded(following[1])} {unit}：请核对；确实如此请加 --force"
        )
        yield MistakeReason.ABOVE_NEXT, message
