"""Settings: the gateway's own file, checked before anything starts."""

from datetime import datetime
from pathlib import Path
from typing import Annotated

from pydantic import Field

from documents.load import load
from documents.secret import Secret
from documents.strict import Strict
from link.mqtt import Broker
from metering.clock import Clock, Replay, ReplayClock, SystemClock


class BrokerSettings(Secret):
    """Where the broker is; a password stands in a file or in the environment, never here."""

    url: str
    username: str | None = None
    ca_file: str | None = None
    certificate_file: str | None = None
    key_file: str | None = None
    keepalive_s: Annotated[int, Field(ge=5, le=600)] = 30


class SpoolSettings(Strict):
    """Where batches wait. Six months satisfies every rule on local history known to us."""

    folder: Path
    keep_days: Annotated[int, Field(ge=0)] = 183
    size_limit_mb: Annotated[int, Field(ge=1)] = 2048


class ReplaySettings(Strict):
    """A replayed wall time, shared by all processes that name the same three values."""

    start: datetime
    anchor: datetime
    speed: Annotated[float, Field(gt=0, le=1_000_000)] = 1.0

    def clock(self) -> Clock:
        return ReplayClock(
            Replay(
                start_ms=int(self.start.timestamp() * 1000),
                anchor_ms=int(self.anchor.timestamp() * 1000),
                speed=self.speed,
            )
        )


class GatewaySettings(Strict):
    """One gateway process.

    Attributes:
        fleet: its part of the fleet, as `nenghao fleet cut` wrote it.
        compress: send batches as zstd; about six times smaller, no longer readable by eye.
        trust_rtc: the box has a battery-backed clock that somebody sets.
        clock: a replayed time; left out, the machine's own.
        metrics: a file that counters are written to every few seconds, for demo and tests.
    """

    fleet: Path
    broker: BrokerSettings
    spool: SpoolSettings
    compress: bool = False
    trust_rtc: bool = False
    clock: ReplaySettings | None = None


def load_settings(path: Path) -> GatewaySettings:
    """Read a gateway's file.

    Raises:
        DocumentInvalid: every mistake in it, with file, line and key.
    """
    return load(path, GatewaySettings)


def broker_of(settings: BrokerSettings, *, client_id: str, password: str | None) -> Broker:
    return Broker(
        url=settings.url,
        client_id=client_id,
        username=settings.username,
        password=password,
        ca_file=settings.ca_file,
        certificate_file=settings.certificate_file,
        key_file=settings.key_file,
        keepalive_s=settings.keepalive_s,
    )


def clock_of(settings: GatewaySettings) -> Clock:
    return SystemClock() if settings.clock is None else settings.clock.clock()
