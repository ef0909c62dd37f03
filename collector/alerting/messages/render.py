"""Render: a notice's content -> its words, by the templates in `templates/`."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import jinja2
from msgspec import Struct

from collector.alerting.alert import Alert
from collector.alerting.messages.link import Links
from collector.alerting.messages.view import AlertView, Viewer
from collector.alerting.messages.wording import at, day, lasted
from collector.alerting.notice import NoticeKind
from collector.alerting.notify.content import Content, Digest, Rendered
from collector.alerting.rule import Rule
from collector.fleet.index import Fleet

_LISTED = 20  # of a digest's alerts, each list
_FEW = 60  # characters of a subject's matter
_COLOURS = {"blue": "#2f6fb5", "yellow": "#b58900", "orange": "#d9730d", "red": "#c0392b"}


class Counts(Struct, frozen=True, kw_only=True):
    """One institution's line of a digest, or of a mass outage."""

    name: str
    standing: int
    new: int
    solved: int
    longest: str


class TemplateRenderer:
    """A `Renderer`. Each kind of notice has `KIND.txt` and `KIND.html`; subjects are made here."""

    def __init__(
        self, fleet: Fleet, rules: Mapping[str, Rule], links: Links, *, district: str
    ) -> None:
        """Read the templates.

        Args:
            district: what messages call the centre: 和平区能耗监测.
        """
        self._viewer = Viewer(fleet, rules, links)
        self._district = district
        self._templates = jinja2.Environment(
            loader=jinja2.PackageLoader("collector.alerting.messages"),
            autoescape=jinja2.select_autoescape(["html"]),
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            keep_trailing_newline=False,
        )

    def render(self, content: Content) -> Rendered:
        lines = self._viewer.lines(content)
        told: dict[str, Any] = {
            "content": content,
            "lines": lines,
            "standing": [self._viewer.view(one, content) for one in content.standing],
            "district": self._district,
            "now": at(content.now_ms, content.now_ms),
            "today": day(content.now_ms),
            "colours": _COLOURS,
            "troubles": [
                {
                    "title": one.title,
                    "waiting": one.waiting,
                    "failed": one.failed,
                    "since": at(one.since_ms, content.now_ms),
                    "answer": one.answer,
                }
                for one in content.troubles
            ],
            "institutions": _by_institution(lines),
        }
        if content.digest is not None:
            told |= self._digest(content.digest, content)
        name = _TEMPLATES[content.kind]
        told["subject"] = subject = self._subject(content, lines)
        return Rendered(
            subject=subject,
            text=_tidy(self._templates.get_template(f"{name}.txt").render(told)),
            html=self._templates.get_template(f"{name}.html").render(told),
        )

    def _digest(self, digest: Digest, content: Content) -> dict[str, Any]:
        def views(alerts: Sequence[Alert]) -> list[AlertView]:
            return [self._viewer.view(one, content) for one in alerts[:_LISTED]]

        return {
            "digest": digest,
            "from_day": day(digest.start_ms),
            "to_day": day(digest.end_ms - 1),
            "new": views(digest.new),
            "solved": views(digest.solved),
            "open": views(digest.standing),
            "listed": _LISTED,
            "counts": self._counts(digest),
        }

    def _counts(self, digest: Digest) -> list[Counts]:
        """By institution, those with the most open alerts first."""
        name = self._viewer.institution
        standing = Counter(map(name, digest.standing))
        new, solved = Counter(map(name, digest.new)), Counter(map(name, digest.solved))
        oldest: dict[str, int] = {}
        for alert in digest.standing:
            known = oldest.setdefault(name(alert), alert.since_ms)
            oldest[name(alert)] = min(known, alert.since_ms)
        names = sorted({*standing, *new, *solved}, key=lambda one: (-standing[one], one))
        return [
            Counts(
                name=one,
                standing=standing[one],
                new=new[one],
                solved=solved[one],
                longest=lasted(digest.end_ms - oldest[one]) if one in oldest else "",
            )
            for one in names
        ]

    def _subject(self, content: Content, lines: Sequence[AlertView]) -> str:
        match content.kind:
            case NoticeKind.DIGEST:
                return self._digest_subject(content)
            case NoticeKind.MASS:
                what = lines[0].title if lines else content.family
                return f"【{_worst(lines)}】{_count(content, lines)} 处同时告警：{what}"
            case NoticeKind.REPLAY:
                whence = f"网关 {content.gateway} " if content.gateway else ""
                return f"【补传】{whence}历史数据中有 {_count(content, lines)} 次告警，无需立即处理"
            case NoticeKind.UNDELIVERED:
                names = "、".join(one.title for one in content.troubles)
                return f"【通知】告警送不到：{names}"
            case NoticeKind.TEST:
                return f"【测试】{self._district} 告警通知测试"
            case _:
                return _alerts_subject(content, lines)

    def _digest_subject(self, content: Content) -> str:
        digest = content.digest
        assert digest is not None
        name = "日报" if digest.days == 1 else "周报"
        return (
            f"【{name}】{self._district} {day(digest.end_ms - 1)}：未结 {len(digest.standing)}，"
            f"新增 {len(digest.new)}，解除 {len(digest.solved)}"
        )


_TEMPLATES = {
    NoticeKind.ALERTS: "alerts",
    NoticeKind.REPEAT: "alerts",
    NoticeKind.ESCALATION: "alerts",
    NoticeKind.MASS: "mass",
    NoticeKind.REPLAY: "replay",
    NoticeKind.DIGEST: "digest",
    NoticeKind.UNDELIVERED: "undelivered",
    NoticeKind.TEST: "test",
}


def _alerts_subject(content: Content, lines: Sequence[AlertView]) -> str:
    open_lines = [one for one in lines if not one.over]
    if not open_lines:
        return f"【解除】{_matter(lines, content)}"
    urged = {NoticeKind.REPEAT: "仍未处理 ", NoticeKind.ESCALATION: "逾期未确认 "}
    return f"【{_worst(open_lines)}】{urged.get(content.kind, '')}{_matter(open_lines, content)}"


def _matter(lines: Sequence[AlertView], content: Content) -> str:
    first = lines[0]
    more = _count(content, lines) - 1
    if more:
        places = dict.fromkeys(one.institution for one in lines)
        where = first.institution if len(places) == 1 else f"{first.institution} 等"
        return f"{where} {first.title} 等 {more + 1} 条"[: 2 * _FEW]
    return f"{first.where} {first.what}"[: 2 * _FEW]


def _worst(lines: Sequence[AlertView]) -> str:
    return max(lines, key=lambda one: one.severity.rank).colour if lines else "蓝"


def _count(content: Content, lines: Sequence[AlertView]) -> int:
    return len(lines) + content.unlisted


def _by_institution(lines: Sequence[AlertView]) -> list[tuple[str, int]]:
    return Counter(one.institution for one in lines).most_common()


def _tidy(text: str) -> str:
    """No blank line twice, none at the ends."""
    lines: list[str] = []
    for line in text.splitlines():
        if line.strip() or (lines and lines[-1]):
            lines.append(line.rstrip())
    return "\n".join(lines).strip() + "\n"
