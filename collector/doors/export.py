"""Export's door: HTTP -> readings column by column, and settled intervals; a slice at a time.

A slice that would be too much ends early and says where: `until_ms`. Whoever wants the rest asks on
from there.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Annotated, TypeVar

import msgspec
from fastapi import APIRouter, HTTPException, Query
from fastapi.responses import Response
from msgspec import Struct, structs

from collector.fleet.index import Fleet, MeterEntry
from collector.intervals import Intervals, IntervalStore
from collector.known import Names, demand_quantities
from collector.settle.cells import DAY_MS, Width, day_start_ms
from collector.settle.counters import counter_of, unit_of
from collector.settle.rule import names_of
from collector.store import LAST_AT_MS, ReadingStore
from metering.errors import PermanentError, TransientError
from metering.quantity import QUANTITIES

_ENOUGH_VALUES = 200_000
_MOST_INTERVALS = 400_000

Instant = Annotated[int, Query(ge=0, le=LAST_AT_MS + 1)]  # epoch ms
Wanted = Annotated[list[str] | None, Query()]
T = TypeVar("T")


class ColumnView(Struct, frozen=True, kw_only=True):
    """What one meter said of one quantity in a slice."""

    meter: str
    quantity: str
    at_ms: list[int]
    values: list[float]


class ColumnSlice(Struct, frozen=True, kw_only=True):
    """Everything in `[start_ms, until_ms)`, which is all that was asked for or the start of it."""

    columns: list[ColumnView]
    until_ms: int


class IntervalView(Struct, frozen=True, kw_only=True):
    """Settled intervals of one counter, column by column.

    Attributes:
        energy: the meter's code at each interval's start.
        value: in millionths of the unit; None where nothing is known.
        rules: names, with `,` between them.
    """

    meter: str
    quantity: str
    unit: str
    width: Width
    start_ms: list[int]
    energy: list[str]
    value: list[int | None]
    measured: list[float]
    estimated: list[float]
    edited: list[float]
    missing: list[float]
    rules: list[str]
    version: list[int]


class MeterView(Struct, frozen=True, kw_only=True):
    """One meter that can be asked for, real or virtual."""

    meter: str
    is_virtual: bool
    energy: str
    circuit: str


def export_door(
    fleet: Fleet, store: ReadingStore, intervals: IntervalStore, names: Names
) -> APIRouter:
    """Routes that give out what is stored; names that nobody knows are refused."""
    door = APIRouter()

    @door.get("/meters")
    def meters() -> Response:
        return _json(_meters(fleet))

    @door.get("/columns")
    def columns(
        meter: Annotated[list[str], Query()],
        start_ms: Instant,
        end_ms: Instant,
        quantity: Wanted = None,
    ) -> Response:
        def found() -> ColumnSlice:
            demand_quantities(quantity or ())
            names.demand_read(meter)
            wanted = quantity or list(QUANTITIES)
            return _column_slice(store, meter, wanted, start_ms, end_ms)

        return _json(_told(found))

    @door.get("/intervals")
    def settled(
        start_ms: Instant,
        end_ms: Instant,
        *,
        meter: Wanted = None,
        width: Width = Width.QUARTER,
        quantity: Wanted = None,
        counting: bool = False,
    ) -> Response:
        """Intervals that start in the span, by (meter, quantity).

        `counting`: of each meter only the counter that counts for its energy.
        """

        def found_in_store() -> list[Intervals]:
            demand_quantities(quantity or ())
            names.demand_settled(meter or ())
            ids = meter if meter is not None else [one.meter for one in _meters(fleet)]
            return intervals.intervals(ids, width, start_ms, end_ms, quantity)

        found = _told(found_in_store)
        count = sum(len(one.version) for one in found)
        if count > _MOST_INTERVALS:
            message = f"{count} intervals; at most {_MOST_INTERVALS} are given at once"
            raise HTTPException(413, message)
        chosen = _counting(fleet, found) if counting and not quantity else found
        return _json([_view(fleet, one) for one in chosen])

    return door


def _meters(fleet: Fleet) -> list[MeterView]:
    real = [
        MeterView(meter=id_, is_virtual=False, energy=last.energy, circuit=last.circuit)
        for id_, last in ((id_, entries[-1]) for id_, entries in fleet.meters.items())
    ]
    virtual = [
        MeterView(meter=one.id, is_virtual=True, energy=one.energy, circuit=one.circuit)
        for one in fleet.virtual_meters.values()
    ]
    return sorted([*real, *virtual], key=lambda one: one.meter)


def _column_slice(
    store: ReadingStore, meters: Sequence[str], names: Sequence[str], start_ms: int, end_ms: int
) -> ColumnSlice:
    """Step by step until it is enough; where there is little, steps grow from a day to a month."""
    found: list[ColumnView] = []
    count, days = 0, 1
    from_ms = start_ms
    while from_ms < end_ms and count < _ENOUGH_VALUES:
        to_ms = min(day_start_ms(from_ms) + days * DAY_MS, end_ms)
        some = store.columns(meters, names, from_ms, to_ms)
        here = sum(len(column.values) for column in some)
        days = min(2 * days, 32) if here * 8 < _ENOUGH_VALUES else 1
        count += here
        found += [
            ColumnView(
                meter=column.meter,
                quantity=column.quantity,
                at_ms=column.at_ms.tolist(),
                values=column.values.tolist(),
            )
            for column in some
        ]
        from_ms = to_ms
    return ColumnSlice(columns=found, until_ms=from_ms)


def _counting(fleet: Fleet, found: Sequence[Intervals]) -> Iterator[Intervals]:
    """Of each meter the counter that counts, so that nothing is summed twice."""
    by_meter: dict[str, list[Intervals]] = {}
    for one in found:
        by_meter.setdefault(one.meter, []).append(one)
    for meter, all_of_it in by_meter.items():
        entry = _entry(fleet, meter, int(all_of_it[0].cells.start_ms[-1]))
        seen = [one.quantity for one in all_of_it]
        counts = counter_of(entry, seen) if entry is not None else None
        yield from (one for one in all_of_it if counts is None or one.quantity == counts)


def _entry(fleet: Fleet, meter: str, at_ms: int) -> MeterEntry | None:
    """The meter's entry; for a virtual meter its first part's, with the energy of the sum."""
    virtual = fleet.virtual_meters.get(meter)
    if virtual is None:
        entries = fleet.meters.get(meter, ())
        return fleet.entry(meter, at_ms) or (entries[-1] if entries else None)
    part = _entry(fleet, virtual.parts[0][0], at_ms)
    return part and structs.replace(part, meter=meter, energy=virtual.energy)


def _view(fleet: Fleet, one: Intervals) -> IntervalView:
    cells = one.cells
    values = zip(cells.value.tolist(), cells.known.tolist(), strict=True)
    rules = {bits: names_of(bits) for bits in set(cells.rules.tolist())}
    starts = cells.start_ms.tolist()
    return IntervalView(
        meter=one.meter,
        quantity=one.quantity,
        unit=unit_of(one.quantity),
        width=one.width,
        start_ms=starts,
        energy=_energies(fleet, one.meter, starts),
        value=[value if known else None for value, known in values],
        measured=cells.measured.tolist(),
        estimated=cells.estimated.tolist(),
        edited=cells.edited.tolist(),
        missing=cells.missing.tolist(),
        rules=[rules[bits] for bits in cells.rules.tolist()],
        version=one.version.tolist(),
    )


def _energies(fleet: Fleet, meter: str, starts: Sequence[int]) -> list[str]:
    entries = fleet.meters.get(meter, ())
    if len(entries) <= 1:
        entry = _entry(fleet, meter, starts[0])
        return [entry.energy if entry else ""] * len(starts)
    found = [_entry(fleet, meter, start_ms) for start_ms in starts]
    return [entry.energy if entry else "" for entry in found]


def _json(value: object) -> Response:
    return Response(msgspec.json.encode(value), media_type="application/json")


def _told(act: Callable[[], T]) -> T:
    try:
        return act()
    except TransientError as error:
        raise HTTPException(503, str(error)) from error
    except PermanentError as error:
        raise HTTPException(422, str(error)) from error
