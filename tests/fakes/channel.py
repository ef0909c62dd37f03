"""A `Channel` that writes down what it was given, fails on demand, and can hang."""

import threading
import time
from collections.abc import Callable

from collector.alerting.notice import Said


class FakeChannel:
    """`says` decides each answer from the key; `sent` holds (key, subject, monotonic s)."""

    def __init__(self, name: str, says: Callable[[str], bool] = lambda _key: True) -> None:
        self.name = name
        self.says = says
        self.sent: list[tuple[str, str, float]] = []
        self.tried: list[str] = []
        self.hangs = threading.Event()  # set: every send waits for `goes_on`
        self.goes_on = threading.Event()

    def send(self, subject: str, text: str, html: str, *, key: str) -> Said:  # noqa: ARG002
        self.tried.append(key)
        if self.hangs.is_set():
            self.goes_on.wait(30)
        if not self.says(key):
            return Said(sent=False, answer="connection refused")
        self.sent.append((key, subject, time.monotonic()))
        return Said(sent=True, answer="250 OK")

    @property
    def keys(self) -> list[str]:
        return [key for key, _, _ in self.sent]
