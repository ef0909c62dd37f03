"""Alone: settings -> the centre's API for one command, without link and pipeline.

For whoever finds no collector running in the folder: the same parts, the same doors, on a free
loopback port in this process. While it lasts it holds the folder's lock, so that no collector
begins in the middle of it.
"""

import random
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TypeVar

from collector.adapters.http import HttpServer
from collector.api import make_api
from collector.desk import IdleDesk
from collector.doors.alerting import Counter, alerting_door
from collector.doors.jobs import make_jobs_door
from collector.jobs.runner import JobRunner, Parts
from collector.patience import Patience
from collector.settings import CollectorSettings
from collector.worklist import worklist
from collector.workshop import Workshop
from metering.errors import TransientError

T = TypeVar("T")


@contextmanager
def served_alone(settings: CollectorSettings, folder: Path) -> Iterator[str]:
    """Serve until the context ends; gives the API's address.

    Args:
        folder: what relative paths in the settings are relative to.

    Raises:
        AlreadyRunning: another process works in the folder.
        NenghaoError: something cannot be used, or does not answer.
    """
    with ExitStack() as undo:
        workshop = Workshop(settings, folder)
        undo.callback(workshop.close)
        identity = workshop.claim()
        clock, log = workshop.clock, workshop.state.job_log
        log.bury(clock.now_ms())  # we hold the folder: whatever claims to run died with its process
        alert_log = workshop.state.alert_log
        desk = IdleDesk(identity, workshop.fleet, workshop.state, alert_log, workshop.metrics)
        api = make_api(
            desk,
            workshop.store,
            workshop.state,
            alert_log,
            workshop.metrics,
            (
                *workshop.doors(_OneByOne()),
                make_jobs_door(_idle_jobs(settings, workshop), log),
                alerting_door(_idle_counter(workshop)),
            ),
        )
        server = HttpServer(api, "127.0.0.1", 0)
        server.start()
        undo.callback(server.stop)
        workshop.lock.tell(server.url)
        yield server.url
        workshop.settling.finish()  # what was begun; if the command breaks off, it is stopped


def _idle_counter(workshop: Workshop) -> Counter:
    """Alerts, silences and notices as they stand; only a running collector judges and tells."""
    return Counter(
        log=workshop.state.alert_log,
        outbox=workshop.state.outbox,
        silences=workshop.state.silence_book,
        clock=workshop.clock,
        judge=None,
        teller=None,
        link=None,
        changed=lambda: None,
    )


def _idle_jobs(settings: CollectorSettings, workshop: Workshop) -> JobRunner:
    """The jobs as they stand by the log; nothing looks whether one is due."""
    stopping = threading.Event()
    return JobRunner(
        worklist(settings, workshop),
        Parts(
            log=workshop.state.job_log,
            clock=workshop.clock,
            patience=Patience(stopping, workshop.clock, random.random),
            metrics=workshop.metrics,
            trigger=_Nobody(),
            stopping=stopping,
        ),
    )


class NobodyRunsJobs(TransientError):
    """A job is the running collector's to do, and none runs."""


class _Nobody:
    """The `Trigger` where nothing runs by itself."""

    def start(self, look: Callable[[], None]) -> None:
        """Nobody looks."""

    def soon(self) -> None:
        raise NobodyRunsJobs(
            "没有采集服务在运行，任务只由它执行：请先启动；"
            "结算可用 nenghao settle，日校核可用 nenghao verify"
        )

    def stop(self) -> None:
        """Nothing is under way."""


class _OneByOne:
    """Writes readings on the thread that asks, one after another."""

    def __init__(self) -> None:
        self._alone = threading.Lock()

    def __call__(self, act: Callable[[], T], /) -> T:
        with self._alone:
            return act()
