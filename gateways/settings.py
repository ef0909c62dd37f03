"""Settings: the gateway's own file, checked before anything starts."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

from pydantic import Field

from documents.finding import Problem
from documents.load import load
from documents.settings import BrokerSettings, ReplaySettings
from documents.strict import Strict
from link.mqtt import Broker, LinkInvalid


class SpoolSettings(Strict):
    """Where batches wait. Six months satisfies every rule on local history known to us.

    Attributes:
        group_s: readings wait so long for those of other buses, and go to the disk with them: less
            wear of flash, and so many seconds of readings that a power cut may take.
    """

    folder: Path
    keep_days: Annotated[int, Field(ge=0)] = 183
    size_limit_mb: Annotated[int, Field(ge=1)] = 2048
    group_s: Annotated[float, Field(ge=0, le=5)] = 0.0


class GatewaySettings(Strict):
    """One gateway process.

    Attributes:
        fleet: its part of the fleet, as `nenghao fleet cut` wrote it.
        compress: send batches as zstd; about six times smaller, no longer readable by eye.
        trust_rtc: the box has a battery-backed clock that somebody sets.
        clock: a replayed time; left out, the machine's own.
        drain_s: how long a stopping gateway waits for its last batches to be committed.
    """

    fleet: Path
    broker: BrokerSettings
    spool: SpoolSettings
    compress: bool = False
    trust_rtc: bool = False
    clock: ReplaySettings | None = None
    drain_s: Annotated[float, Field(ge=0, le=60)] = 5.0


def load_settings(path: Path) -> GatewaySettings:
    """Read a gateway's file.

    Raises:
        DocumentInvalid: every mistake in it, with file, line and key.
    """
    return load(path, GatewaySettings, _problems)


def _problems(settings: GatewaySettings) -> Iterator[Problem]:
    """What the schema cannot say."""
    try:
        Broker(url=settings.broker.url, client_id="").address()
    except LinkInvalid as error:
        yield Problem(("broker", "url"), str(error))
