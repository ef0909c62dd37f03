"""What runs by itself, on a real store: a silent meter's day is missing before it is verified."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from threading import Event

import pytest

from collector.alerting.budgets.folder import load_budgets
from collector.alerting.settled import SettledRules
from collector.jobs.job import Progress
from collector.patience import Patience
from collector.settings import CollectorSettings, load_settings
from collector.settle.cells import DAY_MS, Width
from collector.store import Row
from collector.validate import tags_of
from collector.watching import Office, all_rules, make_watching
from collector.worklist import worklist
from collector.workshop import Workshop
from tests.fakes.clock import FakeClock

CONFIG = Path(__file__).parents[2] / "config"
FIRST_MS = 1_790_784_000_000  # 2026-10-01 in Shanghai
HOUR_MS = 3_600_000
COUNTER = "energy_import_kwh"


def settings_of(folder: Path, now: str, more: str = "") -> CollectorSettings:
    """A collector whose clock stands at that time."""
    path = folder / "collector.yaml"
    path.write_text(
        f"config: {CONFIG}\nfolder: data\nbroker: {{url: 'mqtt://127.0.0.1:9'}}\n"
        "store: {kind: duckdb, path: data/readings.duckdb}\n"
        f"clock: {{start: '{now}', anchor: '{datetime.now(tz=UTC).isoformat()}'}}\n{more}",
        encoding="utf-8",
    )
    return load_settings(path)


Opened = tuple[CollectorSettings, Workshop]


@contextmanager
def opened(folder: Path, now: str, more: str = "") -> Iterator[Opened]:
    settings = settings_of(folder, now, more)
    with closing(Workshop(settings, folder)) as workshop:
        workshop.claim()
        yield settings, workshop


def read(workshop: Workshop, meter: str, hours: int) -> None:
    tags = tags_of(workshop.fleet.meters[meter][-1])
    workshop.store.write(
        [
            Row(meter=meter, at_ms=FIRST_MS + h * HOUR_MS, values={COUNTER: 100.0 + h}, tags=tags)
            for h in range(hours)
        ]
    )
    days = {(meter, FIRST_MS + h // 24 * DAY_MS) for h in range(hours)}
    workshop.state.dirty_book.mark_dirty(days)
    workshop.settling.take_turn(lambda settlement: settlement.settle_dirty())


def run(name: str, at: Opened, period_ms: int) -> str:
    (job,) = (one for one in worklist(*at) if one.name == name)
    return job.work(period_ms, Progress(name, FakeClock(), Event()))


def test_the_daily_job_settles_what_is_lacking_as_missing_and_then_verifies(
    tmp_path: Path,
) -> None:
    with opened(tmp_path, "2026-10-02T09:30:00+08:00") as (_, workshop):
        read(workshop, "e001-main", 24 + 10)
    with opened(tmp_path, "2026-10-04T00:20:00+08:00") as at:
        workshop = at[1]
        read(workshop, "e001-light", 72 + 1)

        said = run("verification", at, FIRST_MS + 3 * DAY_MS)

        (days,) = workshop.intervals.intervals(
            ["e001-main"], Width.DAY, FIRST_MS, FIRST_MS + 3 * DAY_MS, [COUNTER]
        )
        left = workshop.state.dirty_book.count_dirty()
    assert days.cells.missing.round(2).tolist() == [0.0, 0.62, 1.0]
    assert left == 0
    assert "；1 块表数据不全，已按缺失结算" in said


@pytest.mark.parametrize(
    ("setting", "left"), [("", 96), ("keep_quarters_days: 62\n", 0)], ids=["left out", "62 days"]
)
def test_housekeeping_drops_quarters_of_old_months_only_if_it_is_told_to(
    tmp_path: Path, setting: str, left: int
) -> None:
    with opened(tmp_path, "2027-01-05T03:30:00+08:00", setting) as at:
        workshop = at[1]
        read(workshop, "e001-main", 2 * 24)

        said = run("housekeeping", at, FIRST_MS + 96 * DAY_MS)

        found = workshop.intervals.intervals(
            ["e001-main"], Width.QUARTER, FIRST_MS + DAY_MS, FIRST_MS + 2 * DAY_MS
        )
        hours = workshop.intervals.intervals(
            ["e001-main"], Width.HOUR, FIRST_MS + DAY_MS, FIRST_MS + 2 * DAY_MS
        )
    assert sum(len(one.version) for one in found) == left
    assert len(hours[0].version) == 24
    assert ("15 分钟数据保留自 2026年11月1日" in said) is bool(setting)


def test_what_is_settled_and_verified_is_judged_by_the_rules_of_the_configuration(
    tmp_path: Path,
) -> None:
    with opened(tmp_path, "2026-10-02T00:40:00+08:00") as (settings, workshop):
        rules = all_rules((), CONFIG, workshop.fleet)
        budgets = load_budgets(CONFIG, workshop.fleet)
        office = Office(
            fleet=workshop.fleet,
            budgets=budgets,
            alert_log=workshop.state.alert_log,
            clock=workshop.clock,
            metrics=workshop.metrics,
            patience=Patience(Event(), workshop.clock, jitter=lambda: 0.5),
        )
        settled = SettledRules(rules, workshop.intervals, workshop.fleet, workshop.hours, budgets)
        watching = make_watching(rules, workshop.hours.open_at, office, {})
        jobs = {job.name: job for job in worklist(settings, workshop, watching, settled)}
        read(workshop, "e001-main", 24 + 1)
        for name in ("verification", "warning"):
            jobs[name].work(FIRST_MS + DAY_MS, Progress(name, FakeClock(), Event()))

        alerts = workshop.state.alert_log.open_alerts()

    hourly = [alert for alert in alerts if alert.subject.id == "e001-main"]
    assert [(alert.rule, alert.since_ms) for alert in hourly] == [
        ("completeness-blue", FIRST_MS + DAY_MS)  # it should have answered each minute
    ]
    assert list(jobs) == ["settlement", "verification", "housekeeping", "warning", "hindsight"]
