"""Settings: who is told of what, when, and by which way. Compiled from `config/notify.yaml`.

What each number means is said once, in that file. A mapping by severity has all four colours,
but for a stage's: a colour that it lacks is never escalated by it.
"""

from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path

from msgspec import Struct

from collector.alerting.notify.match import Matcher
from collector.alerting.severity import Severity

BySeverity = Mapping[Severity, int]


class ChannelKind(StrEnum):
    MAIL = "mail"
    APPRISE = "apprise"  # whatever apprise knows: WeCom, DingTalk, Feishu, an SMS gateway
    WEBHOOK = "webhook"  # JSON with an HMAC signature


class ChannelSettings(Struct, frozen=True, kw_only=True):
    """A way out. Where a secret is, never the secret.

    Attributes:
        url, url_file, url_env: exactly one; `{to}` in it stands for a receiver's address.
        password_file, password_env: a mail server's password, or a webhook's key.
    """

    name: str
    kind: ChannelKind
    url: str | None = None
    url_file: Path | None = None
    url_env: str | None = None
    password_file: Path | None = None
    password_env: str | None = None
    timeout_s: float = 10.0


class Way(Struct, frozen=True):
    """A channel, and the address there."""

    channel: str
    to: str


class QuietHours(Struct, frozen=True, kw_only=True):
    """Minutes of the day in Shanghai, half-open; from above to: over midnight.

    Attributes:
        below: what is less bad waits for their end.
    """

    from_min: int
    to_min: int
    below: Severity


class DigestTime(Struct, frozen=True, kw_only=True):
    """When a digest is due, in Shanghai.

    Attributes:
        weekday: 0 is Monday; None: every day.
        workdays_only: what a day off brought is told on the next workday.
    """

    at_min: int
    weekday: int | None = None
    workdays_only: bool = False


class Receiver(Struct, frozen=True, kw_only=True):
    """A person, or a post.

    Attributes:
        role: receivers of one role stand in for each other elsewhere; routes may name it.
        covers: what lies elsewhere never concerns this receiver.
        ways: in the order in which they are tried.
    """

    name: str
    title: str
    role: str = ""
    covers: Matcher = Matcher()
    ways: tuple[Way, ...] = ()
    quiet: QuietHours | None = None
    daily: DigestTime | None = None
    weekly: DigestTime | None = None


class Route(Struct, frozen=True, kw_only=True):
    """A branch of the tree; what it does not say its parent said.

    Attributes:
        to: names of receivers, or of roles.
        continues: the next sibling is asked as well.
        escalation: the name of a chain; empty: nobody else is told.
    """

    name: str
    match: Matcher
    to: tuple[str, ...]
    continues: bool
    group_by: tuple[str, ...]
    wait_ms: BySeverity
    interval_ms: BySeverity
    repeat_ms: BySeverity
    escalation: str
    routes: tuple["Route", ...] = ()


class Stage(Struct, frozen=True, kw_only=True):
    """Who is told when nobody has acknowledged for so long since the first was told."""

    to: tuple[str, ...]
    after_ms: BySeverity


class Inhibition(Struct, frozen=True, kw_only=True):
    """While a source is open, its targets say nothing.

    Attributes:
        equal: attributes that both share; one that both lack is not shared.
        upstream: the source's meter stands above the target's.
        worse: the source has a higher colour.
        while_pending: the source need not have fired yet.
        linger_ms: so long after the source's end its targets still wait.
    """

    name: str
    source: Matcher
    target: Matcher
    equal: tuple[str, ...] = ()
    upstream: bool = False
    worse: bool = False
    while_pending: bool = False
    linger_ms: int = 0


class Overdue(Struct, frozen=True, kw_only=True):
    """Who is told, acknowledged or not, of what stays unsolved for so many working days."""

    name: str
    match: Matcher
    working_days: int
    to: tuple[str, ...]


class MassSettings(Struct, frozen=True, kw_only=True):
    """When alerts become one digest.

    Attributes:
        together: groups of rules that count as one, by a name for them; any other counts alone.
    """

    more_than: int = 20
    window_ms: int = 600_000
    wait_ms: int = 60_000
    interval_ms: int = 1_800_000
    together: Mapping[str, tuple[str, ...]] = {}


class ReplaySettings(Struct, frozen=True, kw_only=True):
    """When a backlog's alerts are told of.

    Attributes:
        listed: so many are told one by one; the others are counted.
    """

    quiet_ms: int = 600_000
    listed: int = 50


class FlappingSettings(Struct, frozen=True, kw_only=True):
    """After so many fires an alert's end is believed only when it has lasted."""

    fires: int = 3
    calm_ms: int = 1_800_000


class UndeliveredSettings(Struct, frozen=True, kw_only=True):
    """Who is told, and when, that a receiver cannot be reached."""

    to: tuple[str, ...] = ()
    after_ms: int = 900_000
    again_ms: int = 86_400_000


class DeliverySettings(Struct, frozen=True, kw_only=True):
    """How often a notice is tried, and for how long."""

    first_pause_ms: int = 5_000
    longest_pause_ms: int = 600_000
    give_up_ms: int = 259_200_000


class LinkSettings(Struct, frozen=True, kw_only=True):
    """Links in messages; without a base there are none.

    Attributes:
        password_file, password_env: the key by which links are signed.
        valid_ms: how long a link works.
        ack_ms: how long an acknowledgement by link lasts.
    """

    base_url: str = ""
    password_file: Path | None = None
    password_env: str | None = None
    valid_ms: int = 259_200_000
    ack_ms: int = 86_400_000


class NotifySettings(Struct, frozen=True, kw_only=True):
    """All of it."""

    channels: Mapping[str, ChannelSettings]
    receivers: Mapping[str, Receiver]
    route: Route
    escalations: Mapping[str, tuple[Stage, ...]] = {}
    inhibitions: tuple[Inhibition, ...] = ()
    overdue: tuple[Overdue, ...] = ()
    mass: MassSettings = MassSettings()
    replay: ReplaySettings = ReplaySettings()
    flapping: FlappingSettings = FlappingSettings()
    undelivered: UndeliveredSettings = UndeliveredSettings()
    delivery: DeliverySettings = DeliverySettings()
    links: LinkSettings = LinkSettings()
