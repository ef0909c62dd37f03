"""Messages: each template rendered once with everything it may say, and once with little."""

from dataclasses import dataclass
from string import ascii_letters, digits
from typing import Any

import pytest

from collector.alerting.alert import Alert, AlertState
from collector.alerting.messages.link import (
    LinkInvalid,
    NoLinks,
    SignedLinks,
    Token,
    read,
    sign,
)
from collector.alerting.messages.render import TemplateRenderer
from collector.alerting.messages.wording import at, lasted, plain, value_in
from collector.alerting.notice import NoticeKind
from collector.alerting.notify.content import Cause, Content, Digest, Line, Rendered, Trouble
from collector.alerting.rule import Above, Rule
from collector.alerting.severity import Severity
from collector.alerting.subject import Place, Subject, SubjectKind
from collector.fleet.index import InstitutionEntry, Sector
from tests.fakes.settling import fleet_of, meter

NOW = 1_780_279_200_000  # 2026-06-01 10:00 in Shanghai
MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000
HOSPITAL = InstitutionEntry(
    id="e001", name="示例医院", sector=Sector.HOSPITAL, district="120101", buildings=("e001-b1",)
)
RULE = Rule(
    id="transformer-load",
    title="变压器重载",
    severity=Severity.ORANGE,
    condition=Above(quantity="load_share", limit=0.8, resolves=0.75),
    advice="先核对额定值\n再错峰停用大负荷",
)


def alert(number: int = 7, **changes: Any) -> Alert:
    fields: dict[str, Any] = {
        "number": number,
        "rule": "transformer-load",
        "rule_version": "1",
        "title": "变压器重载",
        "severity": Severity.ORANGE,
        "subject": Subject(SubjectKind.METER, "e001-main"),
        "place": Place(
            district="120101",
            institution="e001",
            building="e001-b1",
            meter="e001-main",
            sector=Sector.HOSPITAL,
        ),
        "state": AlertState.FIRING,
        "since_ms": NOW - 2 * HOUR - 10 * MINUTE,
        "at_ms": NOW,
        "moved_ms": NOW,
        "value": 0.843,
        "limit": 0.8,
        "unit": "1",
        "worst": 0.91,
        "energy_so_far": 128.4,
        "energy_unit": "kWh",
    }
    return Alert(**(fields | changes))


def content(kind: NoticeKind, *lines: Line, **more: Any) -> Content:
    return Content(
        kind=kind, receiver="e001-facility", title="总务科值班", now_ms=NOW, lines=lines, **more
    )


def line(cause: Cause = Cause.NEW, **changes: Any) -> Line:
    return Line(alert=alert(**changes), cause=cause)


@dataclass
class Words:
    renderer: TemplateRenderer

    def of(self, kind: NoticeKind, *lines: Line, **more: Any) -> Rendered:
        return self.renderer.render(content(kind, *lines, **more))


@pytest.fixture
def words() -> Words:
    fleet = fleet_of(meter("e001-main"))
    fleet.institutions["e001"] = HOSPITAL
    links = SignedLinks("https://nenghao.example.org/", b"key", 3 * DAY)
    return Words(TemplateRenderer(fleet, {RULE.id: RULE}, links, district="和平区能耗监测"))


def without_link(text: str) -> str:
    head, _, rest = text.partition("https://nenghao.example.org/acknowledge/")
    return head + "LINK" + rest.lstrip(ascii_letters + digits + "-_")


def test_an_alert_says_where_what_since_when_how_much_and_what_to_do(words: Words) -> None:
    said = words.of(NoticeKind.ALERTS, line(flaps=2))

    assert said.subject == (
        "【橙】示例医院 · e001-b1 楼 · 总进线（e001-main） 变压器重载：84.3 %，限值 80 %"
    )
    assert without_link(said.text) == (
        "总务科值班：\n"
        "\n"
        "【橙】示例医院 · e001-b1 楼 · 总进线（e001-main）\n"
        "　变压器重载：84.3 %，限值 80 %\n"
        "　07:50 起，已 2 小时 10 分，至今超出约 128.4 kWh，近期第 3 次出现\n"
        "　先查：先核对额定值\n"
        "　　　　再错峰停用大负荷\n"
        "　确认：LINK\n"
        "　编号 7，也可用命令确认：nenghao alert ack 7\n"
        "\n"
        "和平区能耗监测，2026年6月1日 10:00\n"
    )
    for part in ("总进线（e001-main）", "84.3 %", "128.4 kWh", "再错峰停用大负荷", "确认收到"):
        assert part in said.html


def test_what_is_over_says_how_bad_it_was_and_asks_for_nothing(words: Words) -> None:
    said = words.of(
        NoticeKind.ALERTS,
        line(Cause.RESOLVED, state=AlertState.RESOLVED, resolved_ms=NOW - 10 * MINUTE),
    )

    assert said.subject.startswith("【解除】示例医院")
    assert "　变压器重载：最严重时 91 %，限值 80 %\n" in said.text
    assert "　07:50 起，09:50 恢复，历时 2 小时，累计超出约 128.4 kWh\n" in said.text
    for absent in ("先查", "确认", "nenghao alert ack"):
        assert absent not in said.text
    assert "确认收到" not in said.html


def test_many_alerts_have_a_subject_that_counts_them(words: Words) -> None:
    said = words.of(
        NoticeKind.ALERTS,
        line(),
        line(number=8, severity=Severity.RED, title="变压器过载"),
        line(Cause.RESOLVED, number=9, state=AlertState.RESOLVED, resolved_ms=NOW),
        unlisted=3,
        standing=(alert(5, state=AlertState.ACKNOWLEDGED, author="王工", note="换季检修"),),
    )

    assert said.subject == "【红】示例医院 变压器重载 等 5 条"
    assert "另有 3 条未列出" in said.text
    assert "同组此前已通知、仍未解除 1 条" in said.text
    assert "王工 已确认：换季检修" in said.text
    assert "王工 已确认：换季检修" in said.html


@pytest.mark.parametrize(
    ("kind", "cause", "subject", "said"),
    [
        (NoticeKind.REPEAT, Cause.REPEAT, "【橙】仍未处理 示例医院", "（仍未处理）"),
        (NoticeKind.ESCALATION, Cause.ESCALATION, "【橙】逾期未确认 示例医院", "（逾期未确认）"),
        (NoticeKind.ESCALATION, Cause.OVERDUE, "【橙】逾期未确认 示例医院", "（超期未解决）"),
    ],
)
def test_who_is_urged_is_told_why(
    words: Words, kind: NoticeKind, cause: Cause, subject: str, said: str
) -> None:
    rendered = words.of(kind, line(cause))

    assert rendered.subject.startswith(subject)
    assert said in rendered.text
    assert said in rendered.html


def test_a_mass_outage_is_counted_by_institution_and_lists_twenty(words: Words) -> None:
    lines = [line(number=one, title="表计失联", unit="") for one in range(25)]

    said = words.of(NoticeKind.MASS, *lines, unlisted=475)

    assert said.subject == "【橙】500 处同时告警：表计失联"
    assert "　示例医院：25 处\n" in said.text
    assert said.text.count("总进线（e001-main）") == 20
    assert "其余 480 处用 nenghao alert list 查看" in said.text
    assert "其余 480 处" in said.html


def test_a_replay_says_that_nothing_has_to_be_done(words: Words) -> None:
    over = {"state": AlertState.RESOLVED, "replayed": True}
    old = line(resolved_ms=NOW - 9 * DAY, since_ms=NOW - 10 * DAY, **over)

    said = words.of(NoticeKind.REPLAY, old, gateway="gw-e001", unlisted=2)

    assert said.subject == "【补传】网关 gw-e001 历史数据中有 3 次告警，无需立即处理"
    assert "5月22日 10:00 起，5月23日 10:00 恢复，历时 1 天" in said.text
    assert "另有 2 次" in said.html


def test_a_digest_counts_by_institution_and_names_the_longest(words: Words) -> None:
    digest = Digest(
        days=1,
        start_ms=NOW - 34 * HOUR,
        end_ms=NOW - 10 * HOUR,
        new=(alert(),),
        solved=(alert(3, state=AlertState.RESOLVED, resolved_ms=NOW - 12 * HOUR),),
        standing=(alert(1, since_ms=NOW - 10 * HOUR - 12 * DAY), alert()),
        replayed=4,
    )

    said = words.of(NoticeKind.DIGEST, digest=digest)

    assert said.subject == "【日报】和平区能耗监测 2026年5月31日：未结 2，新增 1，解除 1"
    counted = "2026年5月31日，新增 1 条，解除 1 条，未结 2 条；补传数据中另有历史告警 4 次。"
    assert counted in said.text
    assert "　示例医院：未结 2，新增 1，解除 1，最长 12 天\n" in said.text
    assert '<td style="padding:3px 12px;text-align:right">12 天</td>' in said.html


def test_a_quiet_week_says_so(words: Words) -> None:
    digest = Digest(
        days=7, start_ms=NOW - 7 * DAY, end_ms=NOW, new=(), solved=(), standing=(), replayed=0
    )

    said = words.of(NoticeKind.DIGEST, digest=digest)

    assert said.subject.startswith("【周报】")
    assert "没有告警。" in said.text
    assert "没有告警。" in said.html


def test_who_cannot_be_reached_is_named_with_the_channels_answer(words: Words) -> None:
    trouble = Trouble(
        receiver="e001-head",
        title="节能负责人",
        waiting=3,
        failed=1,
        since_ms=NOW - HOUR,
        answer="451 <try> later",
    )

    said = words.of(NoticeKind.UNDELIVERED, troubles=(trouble,))

    assert said.subject == "【通知】告警送不到：节能负责人"
    told = "节能负责人：3 条在重试，1 条已放弃，自 09:00 起。渠道答复：451 <try> later"
    assert told in said.text
    assert "451 &lt;try&gt; later" in said.html


def test_a_test_says_that_it_is_one(words: Words) -> None:
    said = words.of(NoticeKind.TEST)

    assert said.subject == "【测试】和平区能耗监测 告警通知测试"
    assert "无需处理" in said.text
    assert "无需处理" in said.html


def test_names_from_a_fleet_are_escaped_in_html(words: Words) -> None:
    said = words.of(NoticeKind.ALERTS, line(title="<b>负载</b>"))

    assert "<b>负载</b>" not in said.html
    assert "&lt;b&gt;负载&lt;/b&gt;" in said.html
    assert "<b>负载</b>" in said.text


@pytest.mark.parametrize(
    ("subject", "place", "where"),
    [
        (Subject(SubjectKind.GATEWAY, "gw-1"), Place(institution="e001"), "示例医院 · 网关 gw-1"),
        (Subject(SubjectKind.SYSTEM, "store"), Place(), "监测系统 · store"),
        (Subject(SubjectKind.INSTITUTION, "e001"), Place(institution="e001"), "示例医院"),
        (Subject(SubjectKind.METER, "gone"), Place(institution="x9"), "x9 · 表计 gone"),
    ],
)
def test_every_kind_of_subject_has_a_place(
    words: Words, subject: Subject, place: Place, where: str
) -> None:
    said = words.of(NoticeKind.ALERTS, line(subject=subject, place=place))

    assert f"【橙】{where}\n" in said.text


def test_without_links_a_message_names_the_command() -> None:
    renderer = TemplateRenderer(fleet_of(meter("e001-main")), {}, NoLinks(), district="x")

    said = renderer.render(content(NoticeKind.ALERTS, line()))

    assert "确认：http" not in said.text
    assert "nenghao alert ack 7" in said.text
    assert "先查" not in said.text


@pytest.mark.parametrize("kind", list(NoticeKind))
def test_the_same_content_is_rendered_the_same(words: Words, kind: NoticeKind) -> None:
    digest = Digest(
        days=1, start_ms=NOW - DAY, end_ms=NOW, new=(), solved=(), standing=(), replayed=0
    )
    one = content(kind, line(), digest=digest if kind is NoticeKind.DIGEST else None)

    assert words.renderer.render(one) == words.renderer.render(one)


def test_a_link_is_read_again_by_whoever_has_the_key_until_it_runs_out() -> None:
    token = Token(7, "e001-facility", NOW)

    text = sign(token, b"key")

    assert read(text, b"key", NOW - 1) == token
    with pytest.raises(LinkInvalid, match="过期"):
        read(text, b"key", NOW)
    with pytest.raises(LinkInvalid, match="签名"):
        read(text, b"other", NOW - 1)


@pytest.mark.parametrize("wrong", ["", "x", "é", "a b", "A" * 200])
def test_what_is_no_link_is_refused(wrong: str) -> None:
    with pytest.raises(LinkInvalid):
        read(wrong, b"key", NOW)


def test_a_link_with_one_character_changed_is_refused() -> None:
    text = sign(Token(7, "r", NOW), b"key")

    for place in range(len(text) - 1):  # the last one has bits that mean nothing
        other = "B" if text[place] == "A" else "A"
        with pytest.raises(LinkInvalid):
            read(text[:place] + other + text[place + 1 :], b"key", 0)


@pytest.mark.parametrize(
    ("value", "unit", "said"),
    [
        (1250.0, "kW", "1250 kW"),
        (123456.7, "kWh", "123457 kWh"),
        (0.35214, "m3/h", "0.3521 m³/h"),
        (0.0, "kW", "0 kW"),
        (-0.0, "kW", "0 kW"),
        (-0.0000001, "kW", "0 kW"),
        (0.8, "1", "80 %"),
        (1.104, "1", "110.4 %"),
        (26.0, "degC", "26 ℃"),
        (5.0, "", "5"),
    ],
)
def test_values_are_plain_and_carry_units(value: float, unit: str, said: str) -> None:
    assert value_in(value, unit) == said


def test_small_values_lose_no_digit() -> None:
    assert plain(0.00123) == "0.00123"


@pytest.mark.parametrize(
    ("ms", "said"),
    [
        (45_000, "45 秒"),
        (-5, "0 秒"),
        (130 * MINUTE, "2 小时 10 分"),
        (2 * HOUR, "2 小时"),
        (3 * DAY + 4 * HOUR + 5 * MINUTE, "3 天 4 小时"),
        (DAY + 5 * MINUTE, "1 天"),
    ],
)
def test_durations_in_two_units(ms: int, said: str) -> None:
    assert lasted(ms) == said


@pytest.mark.parametrize(
    ("ms", "said"),
    [
        (NOW - HOUR, "09:00"),
        (NOW - 11 * HOUR, "5月31日 23:00"),
        (NOW - 200 * DAY, "2025年11月13日 10:00"),
    ],
)
def test_moments_say_no_more_of_the_date_than_they_must(ms: int, said: str) -> None:
    assert at(ms, NOW) == said
