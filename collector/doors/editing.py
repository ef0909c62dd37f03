"""Editing's door: HTTP -> entries, undos, imports. What was not taken is part of the answer.

A request that could be understood is answered with 200 and says itself what became of each thing in
it; nothing of it is in doubt, and the same request again adds nothing.
"""

from collections.abc import Callable
from threading import Lock
from typing import Annotated, Protocol, TypeVar

import msgspec
import structlog
from fastapi import APIRouter, Depends, HTTPException, Query, Request
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict, Field

from collector.editing.editor import Editor
from collector.editing.intake import Intake
from collector.editing.proposal import Outcome, Proposal
from collector.entries import Entry, EntryBook, EntryKind
from collector.known import Names
from collector.store import LAST_AT_MS
from metering.clock import Clock
from metering.errors import PermanentError, TransientError
from metering.reading import Reading

log = structlog.get_logger()

MOST_READINGS = 20_000
MOST_PROPOSALS = 2_000

T = TypeVar("T")
_readings = msgspec.json.Decoder(list[Reading])


class Turn(Protocol):
    """Runs something on the thread that writes to the store, and gives what it returns."""

    def __call__(self, act: Callable[[], T], /) -> T: ...


class ProposalAsk(BaseModel):
    """One thing to be entered; as `Proposal`. READING at an instant with one corrects that."""

    model_config = ConfigDict(extra="forbid")

    kind: EntryKind
    meter: str
    quantity: str | None = None
    start_ms: Annotated[int, Field(ge=0, le=LAST_AT_MS)]
    end_ms: Annotated[int, Field(ge=0, le=LAST_AT_MS)] | None = None
    value: float | None = None
    closing: float | None = None
    unit: str | None = None
    energy: str | None = None
    as_shown: bool = False
    author: str
    reason: str
    source: str = "api"
    force: bool = False


class EntriesAsk(BaseModel):
    """A list, all of it or (`partly`) what can be taken."""

    model_config = ConfigDict(extra="forbid")

    entries: Annotated[list[ProposalAsk], Field(min_length=1, max_length=MOST_PROPOSALS)]
    dry_run: bool = False
    partly: bool = False


class UndoAsk(BaseModel):
    """Who takes back, and why; `also` are entries that go with it."""

    model_config = ConfigDict(extra="forbid")

    author: str
    reason: str
    source: str = "api"
    also: tuple[int, ...] = ()


class EntryView(msgspec.Struct, frozen=True, kw_only=True):
    """An entry, and which one took it back, if any did."""

    entry: Entry
    undone_by: int | None


def editing_door(
    editor: Editor, book: EntryBook, intake: Intake, names: Names, clock: Clock, turn: Turn
) -> APIRouter:
    """Routes for entries and imports.

    Args:
        turn: readings are written on the pipeline's thread.
    """
    door = APIRouter()
    _entering(door, editor, clock)
    _entries(door, editor, book, names)
    _imports(door, intake, clock, turn)
    return door


def _entering(door: APIRouter, editor: Editor, clock: Clock) -> None:
    alone = Lock()  # what stands is looked at and added to in one step

    def told(act: Callable[[], Outcome]) -> Outcome:
        with alone:
            return _told(act)

    @door.post("/entries")
    def enter(ask: EntriesAsk) -> Response:
        proposals = [_proposal(one) for one in ask.entries]
        outcome = told(
            lambda: editor.enter(
                proposals, now_ms=clock.now_ms(), dry_run=ask.dry_run, partly=ask.partly
            )
        )
        if outcome.entries and not ask.dry_run:
            first = outcome.entries[0]
            log.info("entries.kept", count=len(outcome.entries), first=first.number)
        return _json(outcome)

    @door.post("/entries/{number}/undo")
    def undo(number: int, ask: UndoAsk) -> Response:
        return _json(
            told(
                lambda: editor.undo(
                    [number, *ask.also],
                    author=ask.author,
                    reason=ask.reason,
                    source=ask.source,
                    now_ms=clock.now_ms(),
                )
            )
        )


def _entries(door: APIRouter, editor: Editor, book: EntryBook, names: Names) -> None:
    @door.get("/entries")
    def entries(
        *,
        meter: Annotated[list[str] | None, Query()] = None,
        start_ms: int | None = None,
        end_ms: int | None = None,
        in_force: bool = False,
        limit: Annotated[int, Query(ge=1, le=100_000)] = 1000,
    ) -> Response:
        """The newest `limit`, by number."""

        def asked() -> list[Entry]:
            names.demand_read(one for one in meter or () if not book.entries(meters=[one], limit=1))
            return book.entries(meters=meter, start_ms=start_ms, end_ms=end_ms)

        found = _told(asked)
        views = [view for view in _views(found) if not in_force or _is_in_force(view)]
        return _json(views[-limit:])

    @door.get("/entries/{number}")
    def entry(number: int) -> Response:
        found = _told(lambda: book.entry(number))
        if found is None:
            raise HTTPException(404, f"没有第 {number} 号更正：用 nenghao entry list 查看")
        undo = _told(lambda: editor.undone_by(found))
        return _json(EntryView(entry=found, undone_by=undo.number if undo else None))


def _imports(door: APIRouter, intake: Intake, clock: Clock, turn: Turn) -> None:
    @door.post("/import/readings")
    def take(body: Annotated[bytes, Depends(_body)], *, dry_run: bool = False) -> Response:
        """A JSON list of readings, `{"meter", "at", "values"}`; `at` in epoch ms."""
        try:
            readings = _readings.decode(body)
        except msgspec.DecodeError as error:
            raise HTTPException(422, str(error)) from error
        if len(readings) > MOST_READINGS:
            raise HTTPException(413, f"{len(readings)} readings; at most {MOST_READINGS} at once")
        now_ms = clock.now_ms()
        taken = _told(lambda: turn(lambda: intake.take(readings, now_ms=now_ms, dry_run=dry_run)))
        return _json(taken)


async def _body(request: Request) -> bytes:
    return await request.body()


def _proposal(ask: ProposalAsk) -> Proposal:
    return Proposal(**ask.model_dump())


def _views(entries: list[Entry]) -> list[EntryView]:
    undone = {entry.undoes: entry.number for entry in entries if entry.undoes is not None}
    return [EntryView(entry=entry, undone_by=undone.get(entry.number)) for entry in entries]


def _is_in_force(view: EntryView) -> bool:
    return view.undone_by is None and view.entry.kind is not EntryKind.UNDO


def _json(value: object) -> Response:
    return Response(msgspec.json.encode(value), media_type="application/json")


def _told(act: Callable[[], T]) -> T:
    try:
        return act()
    except TransientError as error:
        raise HTTPException(503, str(error)) from error
    except PermanentError as error:
        raise HTTPException(422, str(error)) from error
