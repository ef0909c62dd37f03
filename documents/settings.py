"""Settings: the pieces that a gateway's and a collector's file have in common."""

from datetime import datetime
from typing import Annotated

from pydantic import Field

from documents.secret import Secret
from documents.strict import Strict
from metering.clock import Clock, ClockStep, Replay, ReplayClock, SystemClock


class BrokerSettings(Secret):
    """Where the broker is; a password stands in a file or in the environment, never here.

    Attributes:
        url: `mqtt://host:1883` or `mqtts://host:8883`.
        ca_file: whom to trust, if not the system's authorities.
        certificate_file: with `key_file`, who we are, if the broker asks for certificates.
    """

    url: str
    username: str | None = None
    ca_file: str | None = None
    certificate_file: str | None = None
    key_file: str | None = None
    keepalive_s: Annotated[int, Field(ge=5, le=600)] = 30


class StepSettings(Strict):
    """A clock that is set: from `at` on, as the time runs without steps, it is `by_s` off."""

    at: datetime
    by_s: float


class ReplaySettings(Strict):
    """A replayed wall time, shared by all processes that name the same values.

    Attributes:
        steps: one process may have its own, as one box's clock may be set.
    """

    start: datetime
    anchor: datetime
    speed: Annotated[float, Field(gt=0, le=1_000_000)] = 1.0
    steps: tuple[StepSettings, ...] = ()

    def replay(self) -> Replay:
        return Replay(
            start_ms=round(self.start.timestamp() * 1000),
            anchor_ms=round(self.anchor.timestamp() * 1000),
            speed=self.speed,
            steps=tuple(
                ClockStep(at_ms=round(step.at.timestamp() * 1000), by_ms=round(step.by_s * 1000))
                for step in self.steps
            ),
        )


def clock_of(settings: ReplaySettings | None) -> Clock:
    """The machine's own clock, or the replayed one."""
    return SystemClock() if settings is None else ReplayClock(settings.replay())
