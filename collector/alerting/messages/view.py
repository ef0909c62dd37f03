"""View: alerts -> what templates say of them: where, what, since when, how much, what to do."""

from collections.abc import Mapping

from msgspec import Struct

from collector.alerting.alert import Alert, AlertState
from collector.alerting.messages.link import Links
from collector.alerting.messages.wording import at, lasted, value_in
from collector.alerting.notify.content import Cause, Content, Line
from collector.alerting.rule import Rule
from collector.alerting.severity import Severity
from collector.alerting.subject import SubjectKind
from collector.fleet.index import Fleet

_CAUSES = {
    Cause.NEW: "",
    Cause.WORSE: "升级",
    Cause.SILENCE_ENDED: "静默结束后仍存在",
    Cause.ACK_EXPIRED: "确认到期后仍存在",
    Cause.UNCOVERED: "降级后仍存在",
    Cause.REPEAT: "仍未处理",
    Cause.ESCALATION: "逾期未确认",
    Cause.OVERDUE: "超期未解决",
    Cause.RESOLVED: "已解除",
}


class AlertView(Struct, frozen=True, kw_only=True):
    """One alert in words; what cannot be said is empty.

    Attributes:
        where: institution, building and circuit.
        what: the matter, value and limit.
        since: from when, and for how long.
        so_far: what the excess comes to in kWh, m³ or GJ.
        flapping: how often it came back lately.
        link: where it is acknowledged.
    """

    number: int
    severity: Severity
    colour: str
    cause: str
    over: bool
    institution: str
    where: str
    title: str
    what: str
    since: str
    so_far: str
    flapping: str
    advice: tuple[str, ...]
    state: str
    link: str


class Viewer:
    """Finds words for alerts; the same alert has the same words."""

    def __init__(self, fleet: Fleet, rules: Mapping[str, Rule], links: Links) -> None:
        self._fleet = fleet
        self._rules = rules
        self._links = links

    def lines(self, content: Content) -> list[AlertView]:
        return [self._line(line, content) for line in content.lines]

    def _line(self, line: Line, content: Content) -> AlertView:
        return self.view(line.alert, content, _CAUSES[line.cause])

    def view(self, alert: Alert, content: Content, cause: str = "") -> AlertView:
        """One alert as the receiver of `content` is told of it."""
        over = alert.state is AlertState.RESOLVED
        rule = self._rules.get(alert.rule)
        end_ms = alert.resolved_ms if over and alert.resolved_ms is not None else content.now_ms
        link = ""
        if alert.state is AlertState.FIRING and not alert.replayed:
            link = self._links.acknowledge(alert.number, content.receiver, content.now_ms)
        return AlertView(
            number=alert.number,
            severity=alert.severity,
            colour=alert.severity.colour,
            cause=cause,
            over=over,
            institution=self.institution(alert),
            where=self.where(alert),
            title=alert.title,
            what=_what(alert),
            since=_since(alert, end_ms, content.now_ms),
            so_far=_so_far(alert),
            flapping=f"近期第 {alert.flaps + 1} 次出现" if alert.flaps else "",
            advice=tuple(rule.advice.splitlines()) if rule is not None else (),
            state=_state(alert, content.now_ms),
            link=link,
        )

    def institution(self, alert: Alert) -> str:
        """The name of the 用能单位; of what belongs to none, 监测系统."""
        known = self._fleet.institutions.get(alert.place.institution)
        return known.name if known is not None else alert.place.institution or "监测系统"

    def where(self, alert: Alert) -> str:
        """Institution, building, circuit and id, as far as the subject has them."""
        parts = [self.institution(alert)]
        subject, place = alert.subject, alert.place
        if place.building:
            parts.append(f"{place.building} 楼")
        if subject.kind is SubjectKind.METER:
            parts.append(self._circuit(subject.id, alert.at_ms))
        elif subject.kind is SubjectKind.GATEWAY:
            parts.append(f"网关 {subject.id}")
        elif subject.kind is SubjectKind.SYSTEM:
            parts.append(subject.id)
        return " · ".join(dict.fromkeys(parts))

    def _circuit(self, meter: str, at_ms: int) -> str:
        entry = self._fleet.entry(meter, at_ms)
        if entry is None:
            virtual = self._fleet.virtual_meters.get(meter)
            return f"{virtual.circuit}（{meter}）" if virtual is not None else f"表计 {meter}"
        return f"{entry.circuit}（{meter}）"


def _what(alert: Alert) -> str:
    if not alert.unit:
        return alert.title
    value, limit = value_in(alert.value, alert.unit), value_in(alert.limit, alert.unit)
    if alert.state is AlertState.RESOLVED:
        return f"{alert.title}：最严重时 {value_in(alert.worst, alert.unit)}，限值 {limit}"
    return f"{alert.title}：{value}，限值 {limit}"


def _since(alert: Alert, end_ms: int, now_ms: int) -> str:
    begun = at(alert.since_ms, now_ms)
    took = lasted(end_ms - alert.since_ms)
    if alert.state is AlertState.RESOLVED:
        return f"{begun} 起，{at(end_ms, now_ms)} 恢复，历时 {took}"
    return f"{begun} 起，已 {took}"


def _so_far(alert: Alert) -> str:
    if not alert.energy_so_far:
        return ""
    word = "累计" if alert.state is AlertState.RESOLVED else "至今"
    return f"{word}超出约 {value_in(alert.energy_so_far, alert.energy_unit)}"


def _state(alert: Alert, now_ms: int) -> str:
    if alert.state is not AlertState.ACKNOWLEDGED:
        return ""
    until = f"，至 {at(alert.ack_until_ms, now_ms)}" if alert.ack_until_ms is not None else ""
    note = f"：{alert.note}" if alert.note else ""
    return f"{alert.author} 已确认{until}{note}"
