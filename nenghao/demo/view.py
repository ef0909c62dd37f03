"""View: the running district on a terminal, in Chinese, with units."""

from collections.abc import Mapping
from typing import Any

from rich.console import Group
from rich.panel import Panel
from rich.table import Table

_SHOWN = (
    ("active_power_kw", "kW"),
    ("energy_import_kwh", "kWh"),
    ("energy_export_kwh", "kWh"),
    ("flow_m3_h", "m³/h"),
    ("volume_m3", "m³"),
    ("flow_standard_m3_h", "m³/h"),
    ("volume_standard_m3", "m³"),
    ("heat_power_kw", "kW"),
    ("heat_energy_gj", "GJ"),
)
_METERS_SHOWN = 24


def render(
    status: Mapping[str, Any],
    gateways: list[dict[str, Any]],
    latest: list[dict[str, Any]],
    alerts: list[dict[str, Any]],
    names: Mapping[str, str],
) -> Group:
    """One frame.

    Args:
        status: the collector's `/status`, with `values_per_second` added.
        latest: the newest reading of each meter.
        names: circuit by meter id, in the order to show.
    """
    return Group(
        _heading(status),
        _gateways(gateways),
        _meters(latest, names),
        _alerts(alerts, names),
    )


def _heading(status: Mapping[str, Any]) -> Panel:
    counts = status["counts"]
    text = (
        f"已入库 {counts.get('stored_values', 0):,.0f} 个值   "
        f"速率 {status['values_per_second']:,.0f} 个值/s   "
        f"延迟 p50 {status['latency_p50_ms']:.0f} ms, p99 {status['latency_p99_ms']:.0f} ms   "
        f"拒收 {_sum(counts, 'rejected_values'):.0f}   隔离 {_sum(counts, 'quarantined'):.0f}   "
        f"重复投递 {counts.get('repeated_batches', 0):.0f}"
    )
    return Panel(text, title=f"能耗在线监测 · {status['store']}", title_align="left")


def _sum(counts: Mapping[str, float], name: str) -> float:
    return sum(value for key, value in counts.items() if key.split("/")[0] == name)


def _gateways(gateways: list[dict[str, Any]]) -> Table:
    table = Table(title="网关", title_justify="left", expand=True)
    for column in ("网关", "链路", "时钟", "表计(正常/全部)", "积压(批)", "缺失(批)", "丢失(批)"):
        table.add_column(column)
    for gateway in gateways:
        state = gateway["state"] or {}
        meters = state.get("meters", {})
        well = sum(1 for health in meters.values() if not health.get("fault"))
        table.add_row(
            gateway["gateway"],
            "在线" if gateway["link"] == "online" else "离线",
            state.get("clock", "?"),
            f"{well}/{len(meters)}",
            str(gateway["backlog"]),
            str(gateway["missing"]),
            str(gateway["lost"]),
        )
    return table


def _meters(latest: list[dict[str, Any]], names: Mapping[str, str]) -> Table:
    table = Table(title="最新读数", title_justify="left", expand=True)
    for column in ("表计", "支路", "瞬时", "累计"):
        table.add_column(column)
    place = {meter: number for number, meter in enumerate(names)}
    ordered = sorted(latest, key=lambda reading: place.get(reading["meter"], len(place)))
    for reading in ordered[:_METERS_SHOWN]:
        shown = [
            f"{reading['values'][name]:,.2f} {unit}"
            for name, unit in _SHOWN
            if name in reading["values"]
        ]
        meter = reading["meter"]
        table.add_row(meter, names.get(meter, ""), *([*shown, "", ""])[:2])
    if len(latest) > _METERS_SHOWN:
        table.add_row("…", f"另有 {len(latest) - _METERS_SHOWN} 块表", "", "")
    return table


def _alerts(alerts: list[dict[str, Any]], names: Mapping[str, str]) -> Table:
    table = Table(title="报警", title_justify="left", expand=True)
    for column in ("规则", "表计", "支路", "状态", "数值", "限值"):
        table.add_column(column)
    for alert in alerts[:5]:
        state = "报警" if alert["state"] == "firing" else "恢复"
        meter = alert["meter"]
        table.add_row(
            alert["rule"],
            meter,
            names.get(meter, ""),
            state,
            f"{alert['value']:,.2f}",
            f"{alert['bound']:,.2f}",
        )
    return table
