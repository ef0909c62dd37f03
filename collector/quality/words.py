"""Words: what the daily verification found -> a line of Chinese, and what to do first."""

from datetime import UTC, datetime, timedelta

from msgspec import Struct

from collector.findings import FindingKind

# What to do where it is all of a gateway's meters.
_AT_GATEWAY = {
    FindingKind.SILENT: "查网关供电和网络（nenghao collector status），再查总线",
}
# A main that counted nothing has no share to be told.
_NOTHING = "{what}总表无用量，而分表之和为 {other:,.1f} {unit}"

# Why a meter is said to count wrong: its family, or its own power gauge, with a time before or not.
_GAIN_BY_FAMILY = (
    "{what}自{since}前后起计数比以前{way}约 {value:.0%}（±{error:.0%}），"
    "由总表 {against} 与各分表逐时对照得出"
)
_OR_OTHER = "；也可能是 {other_meter}：两者逐时变化一致，无法区分"
_AT_FAMILY = (
    "到现场核对该表互感器（CT）、接线和变比，必要时送检；如有负荷改接到表外，请说明。"
    "用量仍按表计原样计入，未作任何更正"
)
_GAIN_BY_POWER = (
    "{what}自{since}前后起计数比以前{way}约 {value:.0%}（±{error:.0%}）："
    "电量与平均功率×小时数之比由 {usual:.2f} 变为 {ratio:.2f}"
)
_GAIN_OFF = "{what}电量应等于平均功率×小时数，现为其 {ratio:.2f} 倍（±{error:.0%}）"
_AT_POWER = "核对该表变比、脉冲常数和功率显示设置，必要时送检；用量仍按表计原样计入，未作任何更正"

_TEXT: dict[FindingKind, tuple[str, str]] = {
    FindingKind.SILENT: (
        "{what}自{since}起没有任何读数",
        "先看网关是否在线，再查该表供电、接线和通信地址",
    ),
    FindingKind.INCOMPLETE: (
        "{what}数据完整率 {value:.1%}，低于标准 {bound:.0%}",
        "查总线质量和网关状态；网关恢复后缺数会自动补传并重新结算",
    ),
    FindingKind.LATE: (
        "{what}有 {value:.1%} 的读数迟到 15 分钟以上",
        "查网关到中心的网络；迟到数据已计入用量",
    ),
    FindingKind.ESTIMATED: (
        "{what}当日有 {value:.1%} 的时间为估算或缺失",
        "核对断数原因；如有人工抄表可用 nenghao correct reading 补录",
    ),
    FindingKind.REJECTED: (
        "{what}当日有 {value:.0f} 个数值被拒收",
        "用 /rejections 查看原因；多为量程、变比或型号设置有误",
    ),
    FindingKind.FROZEN: (
        "{what}计数冻结：该走而不走，或停后一次补上",
        "到现场看表盘是否在走；确认停走请换表并登记 nenghao meter replace",
    ),
    FindingKind.ZERO_RUN: (
        "{what}连续无用量，时间超出该表的惯例",
        "确认该支路是否停用；停用请登记 nenghao correct out-of-service",
    ),
    FindingKind.RESET: (
        "{what}读数清零后重新计数，清零前后的少量用量无法得知",
        "确认是否换表或断电清零；换表请登记旧表止数和新表起数",
    ),
    FindingKind.ROLLOVER: ("{what}读数满量程翻转，用量已连续计算", "无需处理"),
    FindingKind.JUMP: (
        "{what}读数突然跳变，跳变部分未计入用量",
        "确认是否换表；换表请登记 nenghao meter replace，否则核对表计",
    ),
    FindingKind.UNIT: (
        "{what}读数单位疑似变化（10 的整数次幂），用量已按原单位折算",
        "核对表计单位设置和变比，改正后在配置中登记",
    ),
    FindingKind.GAIN: (_GAIN_BY_FAMILY, _AT_FAMILY),
    FindingKind.GLITCH: (
        "{what}有瞬时错误读数，已剔除",
        "偶发可不处理；频繁出现请查总线干扰和接线",
    ),
    FindingKind.SOFT_LIMIT: (
        "{what}用量超过额定功率（未超过两倍），已计入",
        "核对额定功率 rated 是否填写正确；正确则查是否过载",
    ),
    FindingKind.CLOCK: (
        "{what}的时钟偏差 {value:.0f} 秒",
        "检查网关对时（NTP）；用量总数不受影响，时段归属可能有偏差",
    ),
    FindingKind.CLOCK_SET: (
        "{what}读数时间前后交叉，疑似时钟被调整",
        "检查网关对时（NTP）；用量总数不受影响，时段归属可能有偏差",
    ),
    FindingKind.DRIFT: (
        "{what}读数时刻逐日漂移",
        "检查该表或网关的对时",
    ),
    FindingKind.SUM: (
        "{what}分表之和超过总表 {other:,.1f} {unit}（{value:.1%}）",
        "核对各分表变比、倍率和上下级关系",
    ),
    FindingKind.MONTH_SUM: (
        "{what}本月逐日之和与月读数之差 {value:.1%}，超过 {bound:.0%}",
        "查本月缺数和换表登记，必要时重新结算该月",
    ),
    FindingKind.LAW: (
        "{what}结算自检不平：日用量与逐刻之和相差 {value:.6f} {unit}",
        "请重新结算该日（nenghao settle），仍不平请联系软件维护人员",
    ),
}


class Said(Struct, frozen=True, kw_only=True):
    """What a line speaks of.

    Attributes:
        what: the meter or gateway, as people know it.
        of_gateway: it is a gateway.
        since: a day or a moment, as text; `lasts`: it was so before this day.
        value, other: numbers behind it; `unit` is that of the counter.
        bound: what it is held against.
        error: of the value, what it may be off in 19 cases of 20.
        against: the main whose family tells; empty: the meter's own power gauge.
        other_meter: the one that cannot be told from it; empty: none.
        ratio, usual: of energy to mean power times hours, now and before.
    """

    what: str
    since: str
    of_gateway: bool = False
    lasts: bool = False
    value: float | None = None
    other: float = 0.0
    bound: float = 0.0
    unit: str = ""
    error: float = 0.0
    against: str = ""
    other_meter: str = ""
    ratio: float | None = None
    usual: float | None = None


def told(kind: FindingKind, said: Said) -> tuple[str, str]:
    """The line and the advice."""
    text, advice = _template(kind, said)
    if said.lasts and "{since}" not in text:
        text += "（自{since}起）"
    value = 0.0 if said.value is None else said.value
    line = text.format(
        what=said.what,
        since=said.since,
        value=abs(value) if kind is FindingKind.GAIN else value,
        way="多计" if value > 0 else "少计",
        error=said.error,
        against=said.against,
        other_meter=said.other_meter,
        ratio=said.ratio,
        usual=said.usual,
        other=said.other,
        bound=said.bound,
        unit=said.unit,
    )
    return line, _AT_GATEWAY.get(kind, advice) if said.of_gateway else advice


def _template(kind: FindingKind, said: Said) -> tuple[str, str]:
    text, advice = _TEXT[kind]
    if kind is FindingKind.SUM and said.value is None:
        return _NOTHING, advice
    if kind is FindingKind.GAIN and not said.against:
        return (_GAIN_OFF if said.usual is None else _GAIN_BY_POWER), _AT_POWER
    if said.other_meter:
        return text + _OR_OTHER, advice
    return text, advice


def day_of(at_ms: int) -> str:
    """A day in Shanghai, as people write it."""
    local = _local(at_ms)
    return f"{local.year}年{local.month}月{local.day}日"


def moment_of(at_ms: int) -> str:
    """A minute in Shanghai, as people write it."""
    return f"{day_of(at_ms)}{_local(at_ms):%H:%M}"


def _local(at_ms: int) -> datetime:
    return datetime.fromtimestamp(at_ms / 1000, tz=UTC) + timedelta(hours=8)
