"""Settings: the collector's own file, checked before anything starts."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import Field

from collector.fleet.codes import Id, QuantityName
from collector.jobs.periods import Every
from collector.settle.cells import DAY_MS
from documents.finding import Problem
from documents.load import load
from documents.secret import Secret
from documents.settings import BrokerSettings, ReplaySettings
from documents.strict import Strict, matching
from link.mqtt import Broker, LinkInvalid

TimeOfDay = Annotated[str, matching(r"([01][0-9]|2[0-3]):[0-5][0-9]", 'a time like "00:20"')]
Share = Annotated[
    str,
    matching(
        r"[0-9]{6}/(\+|[a-z0-9][a-z0-9-]{0,62})",
        'a share (a district and "+" or one gateway, like "120101/gw-e001")',
    ),
]


class DuckDbSettings(Strict):
    """The embedded store: one file, one process."""

    kind: Literal["duckdb"]
    path: Path
    threads: Annotated[int, Field(ge=1)] = 1
    memory_limit: str = "256MB"


class InfluxSettings(Secret):
    """An InfluxDB server; the token stands in `password_file` or `password_env`.

    Attributes:
        bucket: must exist.
        gzip: compress requests; costs processor time, saves the network.
    """

    kind: Literal["influxdb"]
    url: str
    org: str
    bucket: str
    gzip: bool = False
    timeout_s: Annotated[float, Field(gt=0)] = 10.0


class GroupSettings(Strict):
    """How many deliveries one transaction takes: whichever of the two comes first."""

    every_ms: Annotated[int, Field(ge=1, le=1000)] = 200
    at_most: Annotated[int, Field(ge=1, le=200)] = 20


class ApiSettings(Strict):
    """The local HTTP API; loopback unless somebody means otherwise. Port 0: a free one."""

    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] = 8090


class RuleSettings(Strict):
    """One threshold on a quantity, with hysteresis: resolves at or below where it fires."""

    id: Id
    quantity: QuantityName
    fires_above: float
    resolves_below: float
    meters: tuple[str, ...] | None = None


class SettlementSettings(Strict):
    """Consumption is settled at every so many minutes of the hour, and a while after.

    Attributes:
        delay_s: what was read until then shall have arrived.
    """

    enabled: bool = True
    every_min: Literal[5, 10, 15, 20, 30, 60] = 15
    delay_s: Annotated[int, Field(ge=0, lt=3600)] = 60

    def schedule(self) -> Every:
        return Every(width_ms=self.every_min * 60_000, delay_ms=self.delay_s * 1000)


class DailySettings(Strict):
    """A job of each day in Shanghai, done `at` a time of the day after it."""

    enabled: bool = True
    at: TimeOfDay

    def schedule(self) -> Every:
        hours, minutes = map(int, self.at.split(":"))
        return Every(width_ms=DAY_MS, delay_ms=hours * 3_600_000 + minutes * 60_000)


class WarningSettings(Strict):
    """Rules on settled figures, data quality and budgets (预警) look at what is new.

    Attributes:
        grace_min: so long after its end a day or a month is looked at.
        look_back_days: what is settled anew and older is not judged any more.
    """

    enabled: bool = True
    every_min: Literal[5, 10, 15, 20, 30, 60] = 15
    grace_min: Annotated[int, Field(ge=0, le=720)] = 30
    look_back_days: Annotated[int, Field(ge=1, le=800)] = 92

    def schedule(self) -> Every:
        return Every(width_ms=self.every_min * 60_000)


class VerificationSettings(DailySettings):
    """日校核."""

    at: TimeOfDay = "00:20"


class HousekeepingSettings(DailySettings):
    """Old digests and old runs are forgotten."""

    at: TimeOfDay = "03:30"


class JobsSettings(Strict):
    """What runs by itself, and when; all times are Shanghai's.

    Attributes:
        catch_up_days: of days missed while the collector was down, so many are verified.
        keep_runs_days: how long the log of runs reaches back.
    """

    settlement: SettlementSettings = SettlementSettings()
    verification: VerificationSettings = VerificationSettings()
    warning: WarningSettings = WarningSettings()
    housekeeping: HousekeepingSettings = HousekeepingSettings()
    catch_up_days: Annotated[int, Field(ge=1, le=366)] = 31
    keep_runs_days: Annotated[int, Field(ge=1)] = 90


class CollectorSettings(Strict):
    """One collector process.

    Attributes:
        config: the folder with `fleet/` and `meters/`.
        folder: where the small state and the lock live.
        state_url: SQLAlchemy URL of the small state; left out, SQLite in `folder`.
        shares: which gateways are this collector's: `120101/+` or `120101/gw-e001`; left out, all
            of the fleet's districts.
        client_id: names the collector's session at the broker; collectors that share a store need
            one each. Left out, `collector-` and the store's id.
        notify: whether people are told of alerts, as the configuration's `notify.yaml` says.
        keep_batches_days: how long a delivered batch is told from another by its digest.
        keep_quarters_days: how long 15-minute rows stay; left out, for good. Whole months go.
    """

    config: Path
    folder: Path
    broker: BrokerSettings
    store: Annotated[DuckDbSettings | InfluxSettings, Field(discriminator="kind")]
    state_url: str | None = None
    client_id: Annotated[str, Field(min_length=1, max_length=64)] | None = None
    shares: Annotated[tuple[Share, ...], Field(min_length=1)] | None = None
    group: GroupSettings = GroupSettings()
    api: ApiSettings = ApiSettings()
    rules: tuple[RuleSettings, ...] = ()
    notify: bool = True
    clock: ReplaySettings | None = None
    keep_batches_days: Annotated[int, Field(ge=1)] = 90
    keep_quarters_days: Annotated[int, Field(ge=62)] | None = None
    jobs: JobsSettings = JobsSettings()


def load_settings(path: Path) -> CollectorSettings:
    """Read a collector's file.

    Raises:
        DocumentInvalid: every mistake in it, with file, line and key.
    """
    return load(path, CollectorSettings, _problems)


def _problems(settings: CollectorSettings) -> Iterator[Problem]:
    """What the schema cannot say."""
    try:
        Broker(url=settings.broker.url, client_id="").address()
    except LinkInvalid as error:
        yield Problem(("broker", "url"), str(error))
    if isinstance(settings.store, InfluxSettings) and not _is_http(settings.store.url):
        message = f"http://HOST[:PORT] or https://… is needed, '{settings.store.url}' came"
        yield Problem(("store", "url"), message)
    first: dict[str, int] = {}
    for place, rule in enumerate(settings.rules):
        path = ("rules", place)
        if first.setdefault(rule.id, place) != place:
            other = ("rules", first[rule.id], "id")
            yield Problem((*path, "id"), f"'{rule.id}' is a rule already", other)
        if rule.resolves_below > rule.fires_above:
            yield Problem(
                (*path, "resolves_below"),
                f"at most fires_above ({rule.fires_above:g}) is needed,"
                f" {rule.resolves_below:g} came",
            )


def _is_http(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False
