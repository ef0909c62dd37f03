"""Run: a small district, from registers to the database, in one go; counted at the end."""

import shutil
import time
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
from msgspec import Struct
from rich.console import Console
from rich.live import Live

from collector.adapters.duckdb import DuckDbReadingStore
from collector.fleet.check import load_fleet
from nenghao.broker import EmbeddedBroker
from nenghao.demo.audit import Audit, audit, read_served
from nenghao.demo.processes import District
from nenghao.demo.stage import Pace, Stage
from nenghao.demo.view import render

_SURGING = "e001-imaging"
_RATED_KW = 180.0
_SURGES = 240  # two hours of demo
_GOODBYE_S = 10.0


class DemoCounts(Struct, frozen=True, kw_only=True):
    """What a demo did, from the processes' own counts and from the audit of the store.

    Attributes:
        polled: readings that the gateways kept, faults included.
        published: batches handed to the broker, repeats included.
        stored: readings in the store.
        rejected: values that the gate refused.
        quarantined: deliveries set aside.
        lost: answers of meters that are not in the store.
        duplicated: readings in the store twice, or more often than they were polled.
    """

    polled: int
    published: int
    stored: int
    rejected: int
    quarantined: int
    lost: int
    duplicated: int
    alerts_fired: int
    alerts_resolved: int
    values_per_second: float
    latency_p50_ms: float
    latency_p99_ms: float
    wrong: int
    seconds: float

    @property
    def is_clean(self) -> bool:
        return not (self.lost or self.duplicated or self.wrong) and self.stored > 0


class _Final(Struct, frozen=True, kw_only=True):
    status: dict[str, Any]
    gateways: list[dict[str, Any]]
    alerts: list[dict[str, Any]]


def run_demo(
    folder: Path, config: Path, *, seconds: float | None, console: Console | None
) -> DemoCounts:
    """Run the district in `folder` for `seconds`, or until interrupted.

    Args:
        console: where to show the live view; None for silence.
    """
    shutil.rmtree(folder, ignore_errors=True)
    with ExitStack() as stack:
        broker = EmbeddedBroker(folder / "broker")
        broker.start()
        stack.callback(broker.stop)
        stage = Stage(folder, config, pace=Pace(cycle_s=1), broker_url=broker.url)
        stage.write(rules=_rules(), faults=_surges())
        district = District(stage)
        stack.callback(district.stop)
        district.start()
        began = time.monotonic()
        _watch(stage, district, began, seconds, console)
        for gateway in district.gateways.values():
            gateway.stop()
        lasted_s = time.monotonic() - began
        final = _last_words(stage)
    return _count(stage, final, lasted_s)


def _rules() -> tuple[dict[str, Any], ...]:
    """The hospital's imaging centre above the rated power of its circuit (see the fleet)."""
    return (
        {
            "id": "imaging-above-rated",
            "quantity": "active_power_kw",
            "fires_above": _RATED_KW,
            "resolves_below": _RATED_KW * 0.9,
            "meters": [_SURGING],
        },
    )


def _surges() -> tuple[dict[str, Any], ...]:
    """Two scanners start at once: 4 s in every 30 s, from soon after the start."""
    first = datetime.now(UTC) + timedelta(seconds=9)
    begins = (first + timedelta(seconds=30 * number) for number in range(_SURGES))
    return tuple(
        {
            "meter": _SURGING,
            "kind": "surge",
            "from": begin.isoformat(),
            "to": (begin + timedelta(seconds=4)).isoformat(),
            "extra": _RATED_KW,
        }
        for begin in begins
    )


def _watch(
    stage: Stage,
    district: District,
    began: float,
    seconds: float | None,
    console: Console | None,
) -> None:
    """Show the district until its time is up or somebody presses Ctrl-C."""
    names = _circuits(stage)
    until = None if seconds is None else began + seconds
    with ExitStack() as stack:
        live = None
        if console is not None:
            live = stack.enter_context(Live(console=console, screen=False, refresh_per_second=2))
        try:
            while until is None or time.monotonic() < until:
                district.check()
                if live is not None:
                    live.update(_frame(stage, names, began))
                time.sleep(0.5 if until is None else min(0.5, max(0, until - time.monotonic())))
        except KeyboardInterrupt:
            return


def _circuits(stage: Stage) -> dict[str, str]:
    """The circuit of each meter, mains first: the order of the view."""
    fleet = load_fleet(stage.folder / "config")
    newest = [entries[-1] for entries in fleet.meters.values()]
    newest.sort(key=lambda entry: (entry.parent is not None, entry.institution, entry.meter))
    return {entry.meter: entry.circuit for entry in newest}


def _frame(stage: Stage, names: dict[str, str], began: float) -> Any:
    final = _final(stage)
    passed_s = max(time.monotonic() - began, 0.001)
    rate = final.status["counts"].get("stored_values", 0) / passed_s
    status = {**final.status, "values_per_second": rate}
    latest = httpx.get(f"{stage.api_url}/latest", timeout=5).json()
    return render(status, final.gateways, latest, final.alerts, names)


def _last_words(stage: Stage) -> _Final:
    """The end as the collector knows it once every gateway's goodbye has arrived."""
    until = time.monotonic() + _GOODBYE_S
    while True:
        final = _final(stage)
        waiting = [g["gateway"] for g in final.gateways if g["link"] != "offline"]
        if not waiting or time.monotonic() > until:
            return final
        time.sleep(0.1)


def _final(stage: Stage) -> _Final:
    with httpx.Client(base_url=stage.api_url, timeout=10) as client:
        return _Final(
            status=client.get("/status").json(),
            gateways=client.get("/gateways").json(),
            alerts=client.get("/alerts", params={"limit": 100_000}).json(),
        )


def _count(stage: Stage, final: _Final, lasted_s: float) -> DemoCounts:
    counts = final.status["counts"]
    states = [gateway["state"] or {} for gateway in final.gateways]
    store = DuckDbReadingStore(stage.folder / "collector" / "readings.duckdb")
    try:
        checked = _audited(stage, store)
        stored = store.count().readings
    finally:
        store.close()
    polled = sum(state.get("polled", 0) for state in states)
    lost_batches = sum(g["lost"] + g["missing"] + g["backlog"] for g in final.gateways)
    return DemoCounts(
        polled=polled,
        published=sum(state.get("published", 0) for state in states),
        stored=stored,
        rejected=_sum(counts, "rejected_values"),
        quarantined=_sum(counts, "quarantined"),
        lost=max(checked.missing, lost_batches, polled - stored),
        duplicated=max(checked.doubled, stored - polled),
        alerts_fired=sum(alert["state"] == "firing" for alert in final.alerts),
        alerts_resolved=sum(alert["state"] == "resolved" for alert in final.alerts),
        values_per_second=round(counts.get("stored_values", 0) / lasted_s, 1),
        latency_p50_ms=final.status["latency_p50_ms"],
        latency_p99_ms=final.status["latency_p99_ms"],
        wrong=checked.wrong,
        seconds=round(lasted_s, 1),
    )


def _audited(stage: Stage, store: DuckDbReadingStore) -> Audit:
    return audit(read_served(stage.served_log), store, from_ms=0, to_ms=1 << 41)


def _sum(counts: dict[str, float], name: str) -> int:
    return int(sum(value for key, value in counts.items() if key.split("/")[0] == name))
