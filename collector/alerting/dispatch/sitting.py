"""Sitting: what one plan looks at and what it comes to."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from collector.alerting.alert import Alert
from collector.alerting.dispatch.calendar import Classify, quiet_until
from collector.alerting.dispatch.facts import FactBook
from collector.alerting.dispatch.memory import Memory
from collector.alerting.dispatch.routing import Routing
from collector.alerting.notice import Notice
from collector.alerting.notify.content import Content, Renderer
from collector.alerting.notify.settings import NotifySettings
from collector.alerting.severity import Severity


@dataclass(frozen=True, slots=True, kw_only=True)
class Office:
    """What does not change from plan to plan.

    Attributes:
        paging: rules that wake people whatever their colour.
    """

    settings: NotifySettings
    routing: Routing
    facts: FactBook
    renderer: Renderer
    classify: Classify
    paging: Collection[str]


@dataclass(slots=True, kw_only=True)
class Sitting:
    """One plan's own; the memory is its copy.

    Attributes:
        live: what fires or is acknowledged, by number; nothing replayed.
        stuck: chains of which a notice was tried in vain.
        notices: what it comes to.
        wake_ms: when to look again; None: nothing is known to become due.
    """

    office: Office
    memory: Memory
    now_ms: int
    live: Mapping[int, Alert]
    stuck: Collection[str]
    notices: list[Notice] = field(default_factory=list)
    wake_ms: int | None = None

    @property
    def settings(self) -> NotifySettings:
        return self.office.settings

    def wake(self, at_ms: int) -> None:
        """Look again then, if that is not over."""
        if at_ms > self.now_ms and (self.wake_ms is None or at_ms < self.wake_ms):
            self.wake_ms = at_ms

    def say(self, key: str, chain: str, content: Content, alerts: Sequence[Alert]) -> None:
        """Plan a notice; `key` is the same whenever the same is planned."""
        words = self.office.renderer.render(content)
        self.notices.append(
            Notice(
                key=key,
                kind=content.kind,
                receiver=content.receiver,
                chain=chain,
                alerts=tuple(alert.number for alert in alerts),
                subject=words.subject,
                text=words.text,
                html=words.html,
                made_ms=self.now_ms,
                due_ms=self.now_ms,
            )
        )

    def title(self, receiver: str) -> str:
        return self.settings.receivers[receiver].title

    def rest_of(self, receiver: str, severity: Severity) -> int | None:
        """When this receiver may be told of something so bad; None: now."""
        quiet = self.settings.receivers[receiver].quiet
        if quiet is None or severity.rank >= quiet.below.rank:
            return None
        return quiet_until(quiet, self.now_ms)
