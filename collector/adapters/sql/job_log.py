"""SqlJobLog: which periods a job has done, in SQL."""

from typing import Any

import sqlalchemy as sa  # noqa: TID251 - this is the adapter
from msgspec import structs

from collector.adapters.sql.engine import Database
from collector.adapters.sql.schema import job_runs as table
from collector.job_log import JobRun, Outcome


class SqlJobLog:
    """The `JobLog` in the small state."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def begin(self, job: str, period_ms: int, began_ms: int) -> JobRun:
        run = JobRun(job=job, period_ms=period_ms, began_ms=began_ms, outcome=Outcome.RUNNING)
        values = structs.asdict(run)
        del values["number"]
        with self._database.writing("begin a job") as connection:
            kept = connection.execute(sa.insert(table).returning(table.c.number), values)
            return structs.replace(run, number=kept.scalar_one())

    def finish(self, run: JobRun, outcome: Outcome, ended_ms: int, said: str) -> None:
        ended = sa.update(table).where(table.c.number == run.number)
        with self._database.writing("end a job") as connection:
            connection.execute(ended.values(outcome=outcome, ended_ms=ended_ms, said=said))

    def last_done(self, job: str, until_ms: int | None = None) -> JobRun | None:
        query = sa.select(table).where(table.c.job == job, table.c.outcome == Outcome.DONE)
        if until_ms is not None:
            query = query.where(table.c.period_ms <= until_ms)
        newest = query.order_by(table.c.period_ms.desc(), table.c.number.desc()).limit(1)
        with self._database.reading("look up a job's last run") as connection:
            row = connection.execute(newest).one_or_none()
        return None if row is None else _run(row)

    def runs(self, job: str | None, limit: int) -> list[JobRun]:
        query = sa.select(table).order_by(table.c.number.desc()).limit(limit)
        if job is not None:
            query = query.where(table.c.job == job)
        with self._database.reading("list runs") as connection:
            return [_run(row) for row in connection.execute(query)]

    def bury(self, now_ms: int) -> list[JobRun]:
        dead = (
            sa.update(table)
            .where(table.c.outcome == Outcome.RUNNING)
            .values(outcome=Outcome.DIED, ended_ms=now_ms)
            .returning(table)
        )
        with self._database.writing("mark runs that died") as connection:
            died = [_run(row) for row in connection.execute(dead)]
        return sorted(died, key=lambda run: run.number)

    def forget_runs_before(self, began_ms: int) -> int:
        newest = (
            sa.select(sa.func.max(table.c.number))
            .where(table.c.outcome == Outcome.DONE)
            .group_by(table.c.job)
        )
        old = sa.delete(table).where(
            table.c.began_ms < began_ms,
            table.c.outcome != Outcome.RUNNING,
            table.c.number.not_in(newest),
        )
        with self._database.writing("forget old runs") as connection:
            return int(connection.execute(old).rowcount)


def _run(row: Any) -> JobRun:
    return JobRun(**{**row._asdict(), "outcome": Outcome(row.outcome)})
