"""Pulse: signs of life of the gateway's tasks -> which of them hang.

A task that ends ends the process; one that waits for ever would be noticed by nobody. Every bus
looks at the clock once a second and every request has its time, so minutes of silence mean a hang.
"""

from collections.abc import Callable


class Pulse:
    """Remembers when each task was last seen alive."""

    def __init__(self, monotonic_ms: Callable[[], int], *, longest_ms: int = 300_000) -> None:
        """Begin with no task.

        Args:
            longest_ms: how long a task may do without a sign, and still be alive.
        """
        self._monotonic_ms = monotonic_ms
        self._longest_ms = longest_ms
        self._seen_ms: dict[str, int] = {}

    def beat(self, task: str) -> None:
        self._seen_ms[task] = self._monotonic_ms()

    def end(self, task: str) -> None:
        """Nothing more is expected of it."""
        self._seen_ms.pop(task, None)

    def hanging(self) -> tuple[str, ...]:
        now_ms = self._monotonic_ms()
        return tuple(
            task for task, seen_ms in self._seen_ms.items() if now_ms - seen_ms > self._longest_ms
        )
