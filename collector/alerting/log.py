"""Alert log: alerts as they stand and every step they took; the port to where that is kept."""

from collections.abc import Collection, Sequence
from typing import Protocol

from msgspec import Struct

from collector.alerting.alert import Alert, AlertState, Transition
from collector.alerting.subject import Subject


class Judged(Struct, frozen=True, kw_only=True):
    """How far a gateway's meters were judged, by meter.

    Attributes:
        newest: time of the newest reading that was judged live.
        late: times of the first and the last of those that came too late to wake anybody, and are
            still to be judged for the record.
    """

    gateway: str
    newest: dict[str, int]
    late: dict[str, tuple[int, int]] = {}


class AlertLog(Protocol):
    """Durable when a method returns; may raise `TransientError`. Threads may share it."""

    def keep(self, steps: Sequence[Transition], standing: Sequence[Alert] = ()) -> list[Transition]:
        """Keep steps and the alerts as they stand after them; returns them with their numbers.

        The pipeline keeps its steps in the transaction that records its deliveries
        (`SmallState.record`) instead.

        Args:
            steps: in order, of alerts with numbers.
            standing: alerts that took no step and remember something new.
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

    def last_steps(self, limit: int) -> list[Transition]:
        """The newest first."""
        ...

    def last_alert(self) -> int:
        """The highest number of an alert; 0 if there is none."""
        ...

    def fired_since(self, since_ms: int) -> list[Alert]:
        """Whatever fired since then by `fired_ms`, in that order; without what is replayed."""
        ...

    def fired_of(self, subject: Subject, since_ms: int) -> list[Alert]:
        """What fired of a subject and lasted beyond `since_ms`, by `since_ms`; records as well."""
        ...

    def judged(self) -> list[Judged]:
        """How far readings were judged, as `SmallState.record` kept it."""
        ...

    def forget_before(self, moved_ms: int) -> int:
        """Drop alerts that ended before then and never fired, and their steps; how many alerts."""
        ...
