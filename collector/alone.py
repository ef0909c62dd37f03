"""Alone: settings -> the centre's API for one command, without link and pipeline.

For whoever finds no collector running in the folder: the same parts, the same doors, on a free
loopback port in this process. While it lasts it holds the folder's lock, so that no collector
begins in the middle of it.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TypeVar

from collector.adapters.http import HttpServer
from collector.api import make_api
from collector.desk import IdleDesk
from collector.settings import CollectorSettings
from collector.workshop import Workshop

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
        desk = IdleDesk(
            identity, workshop.fleet, workshop.state, workshop.state.alert_log, workshop.metrics
        )
        api = make_api(
            desk,
            workshop.store,
            workshop.state,
            workshop.state.alert_log,
            workshop.metrics,
            workshop.doors(_OneByOne()),
        )
        server = HttpServer(api, "127.0.0.1", 0)
        server.start()
        undo.callback(server.stop)
        workshop.lock.tell(server.url)
        yield server.url
        workshop.settling.finish()  # what was begun; if the command breaks off, it is stopped


class _OneByOne:
    """Writes readings on the thread that asks, one after another."""

    def __init__(self) -> None:
        self._alone = threading.Lock()

    def __call__(self, act: Callable[[], T], /) -> T:
        with self._alone:
            return act()
