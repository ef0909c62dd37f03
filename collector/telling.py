"""Telling: a workshop, its rules -> who is told of alerts, by which way. Wires.

The running collector has one where `config/notify.yaml` says who is to be told.
"""

import random
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from pathlib import Path
from threading import Event

from msgspec import Struct

from collector.adapters.calendar import WarningCalendar, load_calendar
from collector.adapters.channels import open_channels
from collector.adapters.sql import SqlSmallState
from collector.alerting.dispatch.dispatcher import Dispatcher
from collector.alerting.messages.link import Links, NoLinks, SignedLinks
from collector.alerting.messages.render import TemplateRenderer
from collector.alerting.notice import NoticeKind, Said
from collector.alerting.notifier import Notifier, NotifierParts
from collector.alerting.notify.check import Known, load_notify, places_of
from collector.alerting.notify.content import Content
from collector.alerting.notify.settings import LinkSettings, NotifySettings
from collector.alerting.rule import Rule
from collector.alerting.sender import Sender, SenderParts
from collector.doors.alerting import LinkKey
from collector.fleet.index import Fleet
from documents.secret import named_secret, read_secret
from metering.clock import Clock
from metering.errors import TransientError

_NAME = "能耗在线监测"
_OVERDUE_MS = 60_000  # a notice that nobody has tried by then is waiting in vain


class TellingParts(Struct, frozen=True, kw_only=True):
    """What telling needs of the centre.

    Attributes:
        moved: set when steps of alerts were kept.
        died: a thread ended by itself.
        config: the configuration's folder; secrets' files are relative to it.
    """

    state: SqlSmallState
    fleet: Fleet
    rules: tuple[Rule, ...]
    clock: Clock
    moved: Event
    died: Callable[[], None]
    config: Path
    environ: Mapping[str, str]


class Telling:
    """The notifier and the sender."""

    def __init__(self, settings: NotifySettings, parts: TellingParts) -> None:
        self._parts = parts
        self._settings = settings
        self._failing_since_ms: int | None = None
        state = parts.state
        self.renderer = renderer_of(settings, parts)
        dispatcher = Dispatcher(
            settings,
            self.renderer,
            WarningCalendar(load_calendar(parts.config)).classify,
            paging=[rule.id for rule in parts.rules if rule.page],
        )
        self.channels = open_channels(settings, environ=parts.environ, folder=parts.config)
        self._sender = Sender(
            SenderParts(
                outbox=state.outbox,
                channels=self.channels,
                settings=settings.delivery,
                clock=parts.clock,
                jitter=random.random,
                failed=parts.moved.set,
                died=parts.died,
            )
        )
        self._notifier = Notifier(
            NotifierParts(
                log=state.alert_log,
                outbox=state.outbox,
                silences=state.silence_book,
                dispatcher=dispatcher,
                clock=parts.clock,
                moved=parts.moved,
                planned=self._sender.wake,
                died=parts.died,
            )
        )

    @property
    def receivers(self) -> Collection[str]:
        """Names of those who can be told."""
        return self.channels.keys()

    def try_out(self, receiver: str) -> list[tuple[str, Said]]:
        """Send a test by each of a receiver's channels; what each of them answers."""
        now_ms = self._parts.clock.now_ms()
        title = self._settings.receivers[receiver].title
        said = self.renderer.render(
            Content(kind=NoticeKind.TEST, receiver=receiver, title=title, now_ms=now_ms)
        )
        return [
            (one.name, one.send(said.subject, said.text, said.html, key=f"test {now_ms}"))
            for one in self.channels[receiver]
        ]

    @property
    def link(self) -> LinkKey | None:
        """By what links are signed; None: there are none."""
        links = self._settings.links
        key = link_key(links, self._parts.environ, self._parts.config)
        return None if key is None else LinkKey(key=key, ack_ms=links.ack_ms)

    def start(self) -> None:
        self._sender.start()
        self._notifier.start()

    def stop(self) -> None:
        self._notifier.stop()
        self._sender.stop()

    def failing_s(self) -> float:
        """For how long the oldest notice that was tried in vain has been waiting.

        While the small state is away it is what it was: its own sign tells of that.
        """
        now_ms = self._parts.clock.now_ms()
        with suppress(TransientError):
            unsent = self._parts.state.outbox.unsent(
                failed_since_ms=now_ms, made_before_ms=now_ms - _OVERDUE_MS
            )
            waiting = [one.notice.made_ms for one in unsent if one.is_waiting]
            self._failing_since_ms = min(waiting, default=None)
        since_ms = self._failing_since_ms
        return 0.0 if since_ms is None else max(0.0, (now_ms - since_ms) / 1000)


def load_telling(parts: TellingParts) -> Telling | None:
    """None without `notify.yaml`: alerts are kept, and nobody is told.

    Raises:
        PermanentError: the file is wrong, or the key of its links is missing.
    """
    settings = load_notify_of(parts.config, parts.fleet, parts.rules)
    return None if settings is None else Telling(settings, parts)


def load_notify_of(config: Path, fleet: Fleet, rules: tuple[Rule, ...]) -> NotifySettings | None:
    """The file, held against fleet and rules."""
    known = Known(
        places=places_of(fleet),
        rules={rule.id for rule in rules},
        groups={rule.group or rule.id for rule in rules},
    )
    return load_notify(config, known)


def renderer_of(settings: NotifySettings, parts: TellingParts) -> TemplateRenderer:
    rules = {rule.id: rule for rule in parts.rules}
    links = links_of(settings.links, parts.environ, parts.config)
    return TemplateRenderer(parts.fleet, rules, links, district=_NAME)


def links_of(links: LinkSettings, environ: Mapping[str, str], folder: Path) -> Links:
    """No links where the settings give no address, or no key is there."""
    key = link_key(links, environ, folder)
    if not links.base_url or key is None:
        return NoLinks()
    return SignedLinks(links.base_url, key, links.valid_ms)


def link_key(links: LinkSettings, environ: Mapping[str, str], folder: Path) -> bytes | None:
    """The key by which links are signed; None where there is none, and so no links."""
    if links.password_file is not None:
        return read_secret(folder / links.password_file).encode()
    if links.password_env is not None and links.password_env in environ:
        return named_secret(links.password_env, environ).encode()
    return None
