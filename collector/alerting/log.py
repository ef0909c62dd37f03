"""Alert log: alerts as they stand and every step they took; the port to where that is kept."""

from collections.abc import Collection, Sequence
from typing import Protocol

from collector.alerting.alert import Alert, AlertState, Transition


class AlertLog(Protocol):
    """Durable when a method returns; may raise `TransientError`. Threads may share it."""

    def keep(self, steps: Sequence[Transition]) -> list[Transition]:
        """Keep steps and the alerts as they stand after them; returns them with their numbers.

        The pipeline keeps its steps in the transaction that records its deliveries
        (`SmallState.record`) instead.
        """
        ...

    def open_alerts(self) -> list[Alert]:
        """Whatever is not resolved, by number."""
        ...

    def alerts(
        self,
        *,
        states: Collection[AlertState] | None = None,
        since_ms: int | None = None,
        limit: int = 1000,
    ) -> list[Alert]:
        """The newest first, by `moved_ms`."""
        ...

    def alert(self, number: int) -> Alert | None: ...

    def steps(self, alert: int) -> list[Transition]:
        """Every step of one alert, in order."""
        ...

    def steps_after(self, number: int, limit: int) -> list[Transition]:
        """Steps with a higher number, in order: what the dispatcher reads."""
        ...

    def fired_since(self, since_ms: int) -> dict[tuple[str, str, str], int]:
        """How often each (rule, subject kind, subject id) fired since then, by `moved_ms`."""
        ...
