"""Document: the shape of `config/notify.yaml`, as a person writes it.

What each key means is said once, in that file.
"""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from collector.alerting.notify.settings import ChannelKind
from collector.alerting.severity import Severity
from collector.alerting.subject import SubjectKind
from collector.fleet.index import Sector
from documents.secret import Secret
from documents.strict import Strict, matching

NO_CHAIN = "none"

Text = Annotated[str, Field(min_length=1)]
Name = Annotated[
    str,
    matching(r"[a-z0-9][a-z0-9-]{0,39}", "a name of at most 40 small letters, digits and '-'"),
]
Pattern = Annotated[
    str,
    matching(r"[a-z0-9][a-z0-9-]{0,62}\*?", "an id, or the beginning of some with '*' at its end"),
]
TimeOfDay = Annotated[str, matching(r"([01][0-9]|2[0-3]):[0-5][0-9]", 'a time like "22:00"')]
Seconds = Annotated[int, Field(ge=0, le=31_536_000)]
Minutes = Annotated[int, Field(ge=0, le=525_600)]
Names = Annotated[tuple[Name, ...], Field(min_length=1)]
Patterns = Annotated[tuple[Pattern, ...], Field(min_length=1)]
Attribute = Literal[
    "district",
    "street",
    "sector",
    "institution",
    "building",
    "gateway",
    "meter",
    "rule",
    "group",
    "severity",
    "subject",
]
Weekday = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]


class MatchSpec(Strict):
    severity: Annotated[tuple[Severity, ...], Field(min_length=1)] | None = None
    district: Annotated[tuple[Text, ...], Field(min_length=1)] | None = None
    street: Annotated[tuple[Text, ...], Field(min_length=1)] | None = None
    sector: Annotated[tuple[Sector, ...], Field(min_length=1)] | None = None
    institution: Patterns | None = None
    building: Patterns | None = None
    gateway: Patterns | None = None
    meter: Patterns | None = None
    energy: Annotated[tuple[Text, ...], Field(min_length=1)] | None = None
    rule: Patterns | None = None
    group: Patterns | None = None
    subject: Annotated[tuple[SubjectKind, ...], Field(min_length=1)] | None = None


class SecondsSpec(Strict):
    blue: Seconds | None = None
    yellow: Seconds | None = None
    orange: Seconds | None = None
    red: Seconds | None = None


class MinutesSpec(Strict):
    blue: Minutes | None = None
    yellow: Minutes | None = None
    orange: Minutes | None = None
    red: Minutes | None = None


class ChannelSpec(Secret):
    name: Name
    kind: ChannelKind
    url: Text | None = None
    url_file: Path | None = None
    url_env: Text | None = None
    timeout_s: Annotated[float, Field(gt=0, le=60)] = 10.0

    @model_validator(mode="after")
    def _one_url(self) -> Self:
        if sum(place is not None for place in (self.url, self.url_file, self.url_env)) != 1:
            raise ValueError("give exactly one of url, url_file and url_env")
        return self


class WaySpec(Strict):
    by: Name
    to: str = ""


class QuietSpec(Strict):
    start: Annotated[TimeOfDay, Field(alias="from")]
    end: Annotated[TimeOfDay, Field(alias="to")]
    below: Severity = Severity.ORANGE


class DailySpec(Strict):
    at: TimeOfDay
    workdays_only: bool = False


class WeeklySpec(Strict):
    weekday: Weekday
    at: TimeOfDay


class ReceiverSpec(Strict):
    name: Name
    title: Text
    role: Name | None = None
    covers: MatchSpec = MatchSpec()
    channels: Annotated[tuple[WaySpec, ...], Field(min_length=1)]
    quiet: QuietSpec | None = None
    daily: DailySpec | None = None
    weekly: WeeklySpec | None = None


class RouteSpec(Strict):
    name: Name
    match: MatchSpec = MatchSpec()
    to: Names | None = None
    continues: Annotated[bool, Field(alias="continue")] = False
    group_by: tuple[Attribute, ...] | None = None
    group_wait_s: SecondsSpec = SecondsSpec()
    group_interval_s: SecondsSpec = SecondsSpec()
    repeat_interval_s: SecondsSpec = SecondsSpec()
    escalation: Name | None = None
    routes: tuple["RouteSpec", ...] = ()


class StageSpec(Strict):
    to: Names
    after_min: MinutesSpec


class EscalationSpec(Strict):
    name: Name
    stages: Annotated[tuple[StageSpec, ...], Field(min_length=1)]


class InhibitionSpec(Strict):
    name: Name
    source: MatchSpec = MatchSpec()
    target: MatchSpec = MatchSpec()
    equal: tuple[Attribute, ...] = ()
    upstream: bool = False
    worse: bool = False
    while_pending: bool = False
    linger_s: Seconds = 0


class OverdueSpec(Strict):
    name: Name
    match: MatchSpec
    working_days: Annotated[int, Field(ge=1, le=60)]
    to: Names


class TogetherSpec(Strict):
    name: Name
    groups: Patterns


class MassSpec(Strict):
    more_than: Annotated[int, Field(ge=1)] = 20
    window_s: Annotated[int, Field(ge=1, le=86_400)] = 600
    wait_s: Seconds = 60
    interval_s: Seconds = 1800
    together: tuple[TogetherSpec, ...] = ()


class ReplaySpec(Strict):
    quiet_min: Annotated[int, Field(ge=1, le=1440)] = 10
    listed: Annotated[int, Field(ge=1, le=500)] = 50


class FlappingSpec(Strict):
    fires: Annotated[int, Field(ge=1)] = 3
    calm_min: Annotated[int, Field(ge=1, le=1440)] = 30


class UndeliveredSpec(Strict):
    to: Names
    after_min: Annotated[int, Field(ge=1)] = 15
    again_h: Annotated[int, Field(ge=1)] = 24


class DeliverySpec(Strict):
    first_pause_s: Annotated[int, Field(ge=1, le=600)] = 5
    longest_pause_s: Annotated[int, Field(ge=1, le=86_400)] = 600
    give_up_h: Annotated[int, Field(ge=1, le=720)] = 72


class LinksSpec(Secret):
    base_url: Annotated[str, matching(r"https?://\S+", "http://… or https://…")]
    valid_h: Annotated[int, Field(ge=1, le=720)] = 72
    acknowledge_h: Annotated[int, Field(ge=1, le=720)] = 24


class NotifyDocument(Strict):
    """All of the file."""

    channels: Annotated[tuple[ChannelSpec, ...], Field(min_length=1)]
    receivers: Annotated[tuple[ReceiverSpec, ...], Field(min_length=1)]
    route: RouteSpec
    escalations: tuple[EscalationSpec, ...] = ()
    inhibit: tuple[InhibitionSpec, ...] = ()
    overdue: tuple[OverdueSpec, ...] = ()
    mass: MassSpec = MassSpec()
    replay: ReplaySpec = ReplaySpec()
    flapping: FlappingSpec = FlappingSpec()
    undelivered: UndeliveredSpec
    delivery: DeliverySpec = DeliverySpec()
    links: LinksSpec | None = None
