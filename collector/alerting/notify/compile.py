"""Compile: a checked document -> settings."""

from msgspec import structs

from collector.alerting.notify.document import (
    NO_CHAIN,
    ChannelSpec,
    DailySpec,
    InhibitionSpec,
    LinksSpec,
    MatchSpec,
    MinutesSpec,
    NotifyDocument,
    QuietSpec,
    ReceiverSpec,
    RouteSpec,
    SecondsSpec,
    StageSpec,
    WeeklySpec,
)
from collector.alerting.notify.match import Matcher
from collector.alerting.notify.settings import (
    BySeverity,
    ChannelSettings,
    DeliverySettings,
    DigestTime,
    FlappingSettings,
    Inhibition,
    LinkSettings,
    MassSettings,
    NotifySettings,
    Overdue,
    QuietHours,
    Receiver,
    ReplaySettings,
    Route,
    Stage,
    UndeliveredSettings,
    Way,
)
from collector.alerting.severity import Severity

_S = 1000
_MIN = 60_000
_H = 3_600_000
_WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


def _ms(seconds: tuple[int, int, int, int]) -> BySeverity:
    return {severity: s * _S for severity, s in zip(Severity, seconds, strict=True)}


# What the root has where the file says nothing: engineering defaults, 蓝 to 红.
_ABOVE = Route(
    name="",
    match=Matcher(),
    to=(),
    continues=False,
    group_by=("institution", "group"),
    wait_ms=_ms((300, 120, 30, 0)),
    interval_ms=_ms((3600, 1800, 300, 60)),
    repeat_ms=_ms((604_800, 86_400, 14_400, 3600)),
    escalation="",
)


def compile_notify(document: NotifyDocument) -> NotifySettings:
    """What a document says, by name; it has been checked."""
    mass, delivery, undelivered = document.mass, document.delivery, document.undelivered
    return NotifySettings(
        channels={spec.name: _channel(spec) for spec in document.channels},
        receivers={spec.name: _receiver(spec) for spec in document.receivers},
        route=_route(document.route, _ABOVE),
        escalations={spec.name: tuple(map(_stage, spec.stages)) for spec in document.escalations},
        inhibitions=tuple(map(_inhibition, document.inhibit)),
        overdue=tuple(
            Overdue(
                name=spec.name,
                match=matcher(spec.match),
                working_days=spec.working_days,
                to=spec.to,
            )
            for spec in document.overdue
        ),
        mass=MassSettings(
            more_than=mass.more_than,
            window_ms=mass.window_s * _S,
            wait_ms=mass.wait_s * _S,
            interval_ms=mass.interval_s * _S,
            together={spec.name: spec.groups for spec in mass.together},
        ),
        replay=ReplaySettings(
            quiet_ms=document.replay.quiet_min * _MIN, listed=document.replay.listed
        ),
        flapping=FlappingSettings(
            fires=document.flapping.fires, calm_ms=document.flapping.calm_min * _MIN
        ),
        undelivered=UndeliveredSettings(
            to=undelivered.to,
            after_ms=undelivered.after_min * _MIN,
            again_ms=undelivered.again_h * _H,
        ),
        delivery=DeliverySettings(
            first_pause_ms=delivery.first_pause_s * _S,
            longest_pause_ms=delivery.longest_pause_s * _S,
            give_up_ms=delivery.give_up_h * _H,
        ),
        links=_links(document.links),
    )


def matcher(spec: MatchSpec) -> Matcher:
    return Matcher(
        tuple((name, tuple(map(str, values))) for name, values in spec if values is not None)
    )


def _channel(spec: ChannelSpec) -> ChannelSettings:
    return ChannelSettings(
        name=spec.name,
        kind=spec.kind,
        url=spec.url,
        url_file=spec.url_file,
        url_env=spec.url_env,
        password_file=spec.password_file,
        password_env=spec.password_env,
        timeout_s=spec.timeout_s,
    )


def _receiver(spec: ReceiverSpec) -> Receiver:
    return Receiver(
        name=spec.name,
        title=spec.title,
        role=spec.role or "",
        covers=matcher(spec.covers),
        ways=tuple(Way(way.by, way.to) for way in spec.channels),
        quiet=None if spec.quiet is None else _quiet(spec.quiet),
        daily=None if spec.daily is None else _daily(spec.daily),
        weekly=None if spec.weekly is None else _weekly(spec.weekly),
    )


def minute(text: str) -> int:
    """The minute of the day of a time like "22:00"."""
    hours, minutes = map(int, text.split(":"))
    return hours * 60 + minutes


def _quiet(spec: QuietSpec) -> QuietHours:
    return QuietHours(from_min=minute(spec.start), to_min=minute(spec.end), below=spec.below)


def _daily(spec: DailySpec) -> DigestTime:
    return DigestTime(at_min=minute(spec.at), workdays_only=spec.workdays_only)


def _weekly(spec: WeeklySpec) -> DigestTime:
    return DigestTime(at_min=minute(spec.at), weekday=_WEEKDAYS.index(spec.weekday))


def _route(spec: RouteSpec, above: Route) -> Route:
    """A route with what its parent said; a child's pace keeps the colours that it does not name."""
    route = Route(
        name=spec.name,
        match=matcher(spec.match),
        to=above.to if spec.to is None else spec.to,
        continues=spec.continues,
        group_by=above.group_by if spec.group_by is None else spec.group_by,
        wait_ms={**above.wait_ms, **_by_severity(spec.group_wait_s, _S)},
        interval_ms={**above.interval_ms, **_by_severity(spec.group_interval_s, _S)},
        repeat_ms={**above.repeat_ms, **_by_severity(spec.repeat_interval_s, _S)},
        escalation=_chain(spec, above),
    )
    return structs.replace(route, routes=tuple(_route(child, route) for child in spec.routes))


def _chain(spec: RouteSpec, above: Route) -> str:
    if spec.escalation is None:
        return above.escalation
    return "" if spec.escalation == NO_CHAIN else spec.escalation


def _by_severity(spec: SecondsSpec | MinutesSpec, unit_ms: int) -> dict[Severity, int]:
    return {Severity(name): value * unit_ms for name, value in spec if value is not None}


def _stage(spec: StageSpec) -> Stage:
    return Stage(to=spec.to, after_ms=_by_severity(spec.after_min, _MIN))


def _inhibition(spec: InhibitionSpec) -> Inhibition:
    return Inhibition(
        name=spec.name,
        source=matcher(spec.source),
        target=matcher(spec.target),
        equal=spec.equal,
        upstream=spec.upstream,
        worse=spec.worse,
        while_pending=spec.while_pending,
        linger_ms=spec.linger_s * _S,
    )


def _links(spec: LinksSpec | None) -> LinkSettings:
    if spec is None:
        return LinkSettings()
    return LinkSettings(
        base_url=spec.base_url,
        password_file=spec.password_file,
        password_env=spec.password_env,
        valid_ms=spec.valid_h * _H,
        ack_ms=spec.acknowledge_h * _H,
    )
