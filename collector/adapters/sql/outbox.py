"""SqlOutbox: notices until a channel took them, and every try, in SQL."""

from collections.abc import Collection, Sequence
from typing import Any

import msgspec
import sqlalchemy as sa  # noqa: TID251 - this is the adapter
from msgspec import structs
from sqlalchemy.engine import Connection  # noqa: TID251 - this is the adapter

from collector.adapters.sql.engine import Database, insert_new, put
from collector.adapters.sql.schema import attempts, memories, notice_alerts
from collector.adapters.sql.schema import notices as table
from collector.alerting.notice import Attempt, Notice, NoticeState, Queued, Unsent

_MEMORY = "dispatch"


class SqlOutbox:
    """The `Outbox` in the small state."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def plan(self, notices: Sequence[Notice], memory: bytes, cursor: int) -> list[Notice]:
        with self._database.writing("plan notices") as connection:
            kept = [one for notice in notices if (one := _keep(connection, notice)) is not None]
            put(connection, memories, {"name": _MEMORY, "cursor": cursor, "body": memory})
        return kept

    def memory(self) -> tuple[bytes, int]:
        query = sa.select(memories).where(memories.c.name == _MEMORY)
        with self._database.reading("read the dispatcher's memory") as connection:
            row = connection.execute(query).one_or_none()
        return (b"", 0) if row is None else (row.body, row.cursor)

    def due(
        self,
        now_ms: int,
        limit: int,
        *,
        ahead_ms: int | None = None,
        receivers: Collection[str] | None = None,
    ) -> list[Queued]:
        its_time = [table.c.again_ms <= now_ms, table.c.made_ms > now_ms]
        if ahead_ms is not None:
            its_time.append(table.c.again_ms > now_ms + ahead_ms)
        query = sa.select(table).where(table.c.number.in_(_firsts()), sa.or_(*its_time))
        if receivers is not None:
            query = query.where(table.c.receiver.in_(receivers))
        with self._database.reading("look for due notices") as connection:
            rows = connection.execute(query.order_by(table.c.number).limit(limit)).all()
        return [_queued(row) for row in rows]

    def next_due_ms(
        self, *, after_ms: int | None = None, receivers: Collection[str] | None = None
    ) -> int | None:
        query = sa.select(sa.func.min(table.c.again_ms)).where(table.c.number.in_(_firsts()))
        if after_ms is not None:
            query = query.where(table.c.again_ms > after_ms)
        if receivers is not None:
            query = query.where(table.c.receiver.in_(receivers))
        with self._database.reading("look for the next notice") as connection:
            found: int | None = connection.execute(query).scalar_one()
        return found

    def tried(self, attempt: Attempt, state: NoticeState, again_ms: int) -> None:
        become = sa.update(table).where(table.c.number == attempt.notice)
        with self._database.writing("log a try") as connection:
            connection.execute(sa.insert(attempts), structs.asdict(attempt))
            connection.execute(
                become.values(state=state, tries=table.c.tries + 1, again_ms=again_ms)
            )

    def unsent(self, *, failed_since_ms: int, made_before_ms: int) -> list[Unsent]:
        last = _last_tries()
        waits = sa.and_(
            table.c.state == NoticeState.WAITING,
            sa.or_(table.c.tries > 0, table.c.made_ms < made_before_ms),
        )
        failed = sa.and_(table.c.state == NoticeState.FAILED, attempts.c.at_ms >= failed_since_ms)
        query = (
            sa.select(table, attempts.c.at_ms, attempts.c.answer)
            .outerjoin(last, last.c.notice == table.c.number)
            .outerjoin(attempts, attempts.c.number == last.c.number)
            .where(sa.or_(waits, failed))
        )
        with self._database.reading("list what is not sent") as connection:
            rows = connection.execute(query.order_by(table.c.number)).all()
        return [
            Unsent(
                notice=_notice(row),
                state=NoticeState(row.state),
                tries=row.tries,
                tried_ms=_notice(row).made_ms if row.at_ms is None else row.at_ms,
                answer=row.answer or "",
            )
            for row in rows
        ]

    def attempts(
        self, *, alert: int | None = None, receiver: str | None = None, limit: int = 100
    ) -> list[tuple[Notice, Attempt]]:
        columns = [attempts.c.at_ms, attempts.c.channel, attempts.c.sent, attempts.c.answer]
        query = sa.select(table, *columns).join(attempts, attempts.c.notice == table.c.number)
        if alert is not None:
            of_it = sa.select(notice_alerts.c.notice).where(notice_alerts.c.alert == alert)
            query = query.where(table.c.number.in_(of_it))
        if receiver is not None:
            query = query.where(table.c.receiver == receiver)
        with self._database.reading("list tries") as connection:
            rows = connection.execute(query.order_by(attempts.c.number.desc()).limit(limit)).all()
        return [(_notice(row), _attempt(row)) for row in rows]

    def waiting(self) -> int:
        query = sa.select(sa.func.count()).where(table.c.state == NoticeState.WAITING)
        with self._database.reading("count notices") as connection:
            return int(connection.execute(query.select_from(table)).scalar_one())

    def forget_before(self, made_ms: int) -> int:
        old = sa.select(table.c.number).where(
            table.c.made_ms < made_ms, table.c.state != NoticeState.WAITING
        )
        with self._database.writing("forget old notices") as connection:
            for belongs, column in (
                (attempts, attempts.c.notice),
                (notice_alerts, notice_alerts.c.notice),
            ):
                connection.execute(sa.delete(belongs).where(column.in_(old)))
            gone = sa.delete(table).where(table.c.number.in_(old))
            return int(connection.execute(gone).rowcount)


def _firsts() -> sa.Select[Any]:
    """The first waiting notice of each chain."""
    waiting = table.c.state == NoticeState.WAITING
    return sa.select(sa.func.min(table.c.number)).where(waiting).group_by(table.c.chain)


def _last_tries() -> sa.Subquery:
    """The number of the last try of each notice that is not sent."""
    not_sent = sa.select(table.c.number).where(
        table.c.state.in_((NoticeState.WAITING, NoticeState.FAILED)), table.c.tries > 0
    )
    return (
        sa.select(attempts.c.notice, sa.func.max(attempts.c.number).label("number"))
        .where(attempts.c.notice.in_(not_sent))
        .group_by(attempts.c.notice)
        .subquery()
    )


def _keep(connection: Connection, notice: Notice) -> Notice | None:
    values = {
        "key": notice.key,
        "chain": notice.chain,
        "receiver": notice.receiver,
        "state": NoticeState.WAITING,
        "tries": 0,
        "due_ms": notice.due_ms,
        "again_ms": notice.due_ms,
        "made_ms": notice.made_ms,
        "body": msgspec.json.encode(notice),
    }
    number = insert_new(connection, table, values, table.c.number)
    if number is None:
        return None
    if notice.alerts:
        rows = [{"notice": number, "alert": alert} for alert in dict.fromkeys(notice.alerts)]
        connection.execute(sa.insert(notice_alerts), rows)
    return structs.replace(notice, number=number)


def _notice(row: Any) -> Notice:
    return structs.replace(msgspec.json.decode(row.body, type=Notice), number=row.number)


def _queued(row: Any) -> Queued:
    return Queued(
        notice=_notice(row),
        state=NoticeState(row.state),
        tries=row.tries,
        again_ms=row.again_ms,
    )


def _attempt(row: Any) -> Attempt:
    return Attempt(
        notice=row.number,
        at_ms=row.at_ms,
        channel=row.channel,
        sent=bool(row.sent),
        answer=row.answer,
    )
