"""ApschedulerTrigger: APScheduler says when to look for due jobs; nothing more is left to it.

One worker, one trigger: a look that takes longer than the interval delays the next one. APScheduler
goes by the machine's wall clock; should that be set back, `soon` gets it going again.
"""

import logging
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime

from apscheduler.executors.pool import (  # type: ignore[import-untyped]  # noqa: TID251 - the adapter
    ThreadPoolExecutor,
)
from apscheduler.jobstores.base import (  # type: ignore[import-untyped]  # noqa: TID251 - the same
    JobLookupError,
)
from apscheduler.schedulers.background import (  # type: ignore[import-untyped]  # noqa: TID251
    BackgroundScheduler,
)


class ApschedulerTrigger:
    """The `Trigger` of the collector's jobs."""

    def __init__(self, every_s: float) -> None:
        # That a look is skipped while a long one runs is meant, and no news every few seconds.
        logging.getLogger("apscheduler").setLevel(logging.ERROR)
        self._every_s = every_s
        self._scheduler = BackgroundScheduler(
            executors={"default": ThreadPoolExecutor(max_workers=1)},
            job_defaults={"coalesce": True, "misfire_grace_time": None, "max_instances": 1},
            timezone=UTC,
        )

    def start(self, look: Callable[[], None]) -> None:
        self._scheduler.add_job(
            look, "interval", id="look", seconds=self._every_s, next_run_time=datetime.now(UTC)
        )
        self._scheduler.start()

    def soon(self) -> None:
        with suppress(JobLookupError):  # not started yet, or stopped
            self._scheduler.modify_job("look", next_run_time=datetime.now(UTC))

    def stop(self) -> None:
        if self._scheduler.running:
            self._scheduler.shutdown(wait=True)
