"""`nenghao verify` and `nenghao total` on the example district: real store, real small state."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from collector.editing.period import instant_ms
from collector.fleet.index import Fleet
from collector.settings import load_settings
from collector.settle.cells import DAY_MS, Width
from collector.settle.counters import counter_of
from collector.store import Row
from collector.tree.family import family_at
from collector.validate import tags_of
from collector.workshop import Workshop
from nenghao.centre import CentreRefused, centre
from tests.nenghao.process import typed

CONFIG = Path(__file__).parents[2] / "config"
FIRST_MS = instant_ms("2026-10-01T00:00", assume_shanghai=True)
DAYS = 3
MINUTE_MS = 60_000
A_LEAF = 6.0  # units an hour
METERED = 0.75  # of what a meter measures, by those below it


def rates(fleet: Fleet) -> dict[str, float]:
    """What each meter measures in an hour: a quarter of each main is not metered below it."""
    children = family_at(fleet, FIRST_MS).children

    def rate(meter: str) -> float:
        below = children.get(meter)
        return sum(map(rate, below)) / METERED if below else A_LEAF

    return {meter: rate(meter) for meter in fleet.meters}


def minutes_of(meter: str) -> range:
    """The minutes in which a meter answers: a lift's stops, one gateway is gone on the last day."""
    if meter == "e001-lift":
        return range(24 * 60 + 15 * 60 + 20)
    return range(2 * 24 * 60) if meter.startswith("a001") else range(DAYS * 24 * 60 + 1)


def rows_of(fleet: Fleet) -> Iterator[Row]:
    for meter, rate in rates(fleet).items():
        entry = fleet.entry(meter, FIRST_MS)
        assert entry is not None
        # Somebody gave one another transformer's ratio.
        shown = rate * 6 if meter == "d001-light" else rate
        for minute in minutes_of(meter):
            value = 1000 + round(shown * minute / 60, 4)
            yield Row(
                meter=meter,
                at_ms=FIRST_MS + minute * MINUTE_MS,
                values={counter_of(entry, ()): value},
                tags=tags_of(entry),
            )


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A settled store of three days, with three things wrong in the last one."""
    path = tmp_path_factory.mktemp("centre") / "collector.yaml"
    path.write_text(
        f"config: {CONFIG}\nfolder: data\nbroker: {{url: 'mqtt://127.0.0.1:9'}}\n"
        "store: {kind: duckdb, path: data/readings.duckdb}\napi: {host: 127.0.0.1, port: 0}\n",
        encoding="utf-8",
    )
    workshop = Workshop(load_settings(path), path.parent)
    try:
        workshop.claim()
        rows = list(rows_of(workshop.fleet))
        workshop.store.write(rows)
        marks = {(row.meter, FIRST_MS + (row.at_ms - FIRST_MS) // DAY_MS * DAY_MS) for row in rows}
        workshop.state.dirty_book.mark_dirty(marks)
        workshop.settling.take_turn(lambda settlement: settlement.settle_dirty())
    finally:
        workshop.close()
    return path


def test_the_list_of_a_day_has_a_line_for_each_cause_and_no_other(file: Path) -> None:
    done = typed("verify", "--settings", file, "--day", "2026-10-03", "--json")

    assert done.code == 1
    found = [
        (one["institution"], one["kind"], one["meter"], one["text"])
        for one in done.document["findings"]
    ]
    assert found == [
        (
            "a001",
            "silent",
            "gw-a001",
            "网关 gw-a001 下全部仪表自2026年10月2日23:59起没有任何读数",
        ),
        (
            "d001",
            "sum",
            "d001-main",
            "总进线（d001-main）分表之和超过总表 480.0 kWh（50.0%）（自2026年10月2日起）",
        ),
        (
            "e001",
            "silent",
            "e001-lift",
            "住院部电梯（e001-lift）自2026年10月2日15:19起没有任何读数",
        ),
    ]


@pytest.fixture(scope="module", autouse=True)
def verified(file: Path) -> None:
    """The day before the last one is verified first, as the job does."""
    typed("verify", "--settings", file, "--day", "2026-10-02")


def test_a_person_reads_the_list_of_one_institution(file: Path) -> None:
    done = typed(
        "verify", "--settings", file, "--day", "2026-10-03", "--institution", "e001", "--stored"
    )

    assert done.code == 1
    assert "日校核 2026-10-03：1 项" in done.out
    assert "e001-lift" in done.out
    assert "d001" not in done.out


def test_without_a_day_it_is_yesterday_by_the_collectors_clock_which_is_said(file: Path) -> None:
    anchor = datetime.now(tz=UTC).isoformat()
    replayed = file.with_name("replayed.yaml")
    replayed.write_text(
        file.read_text(encoding="utf-8")
        + f"clock: {{start: '2026-10-04T09:00:00+08:00', anchor: '{anchor}'}}\n",
        encoding="utf-8",
    )

    listed = typed("verify", "--settings", replayed, "--institution", "e001", "--json")
    told = typed("verify", "--settings", replayed, "--institution", "e001", "--stored")

    assert (listed.document["day"], listed.code) == ("2026-10-03", 1)
    assert "日校核 2026-10-03：1 项" in told.out


def test_a_day_that_nobody_verified_is_not_called_clean(file: Path) -> None:
    told = typed("verify", "--settings", file, "--day", "2026-09-20", "--stored")

    assert (told.code, told.out) == (1, "")
    assert told.err.endswith("日校核 2026-09-20：尚未校核；去掉 --stored 即校核\n")


def test_an_institution_that_nobody_knows_is_refused_before_anything_is_verified(
    file: Path,
) -> None:
    told = typed("verify", "--settings", file, "--day", "2026-09-20", "--institution", "e01")
    after = typed("verify", "--settings", file, "--day", "2026-09-20", "--stored", "--json")

    assert told.code == 1
    assert told.err.endswith("没有单位 'e01'；最接近的是 e001\n")
    assert after.document["verified"] is False


def test_a_day_that_is_not_over_is_refused_in_words(file: Path) -> None:
    with centre(file, None) as collector, pytest.raises(CentreRefused, match="还没有结束"):
        collector.ask("POST", "/quality/verify", params={"day_ms": FIRST_MS + 10_000 * DAY_MS})


def test_totals_count_each_kilowatt_hour_once_and_generation_apart(file: Path) -> None:
    done = typed(
        "total", "--settings", file, "--from", "2026-10-01", "--to", "2026-10-03", "--width", "1d",
        "--json",
    )  # fmt: skip

    assert done.code == 0
    found: dict[tuple[str, str, bool], list[float | None]] = {}
    for row in done.document["totals"]:
        if row["subject"] == "institution":
            found.setdefault((row["id"], row["code"], row["generation"]), []).append(row["value"])
    light = 2 * A_LEAF / METERED  # ward and emergency below it
    main = (light + 7 * A_LEAF) / METERED
    assert found["e001", "01", False] == pytest.approx([24 * main] * 2, abs=0.01)
    assert found["e001", "01A", False] == pytest.approx([24 * light] * 2, abs=0.01)
    # The lift's register was last heard at 15:19; what came after is not known, so the sum is not
    # sure, but what is known of it is told.
    assert found["e001", "01C", False][0] == pytest.approx(24 * 2 * A_LEAF, abs=0.01)
    assert found["e001", "02", False] == pytest.approx([24 * A_LEAF] * 2, abs=0.01)
    assert found["d001", "13", True] == pytest.approx([24 * A_LEAF] * 2, abs=0.01)
    assert ("d001", "13", False) not in found


def test_what_no_sub_meter_measures_and_virtual_meters_are_settled_like_meters(file: Path) -> None:
    workshop = Workshop(load_settings(file), file.parent)
    try:
        rows = {
            one.meter: one.cells.value.tolist()
            for one in workshop.intervals.intervals(
                ["a001-main", "a001-main-rest", "a001-rest", "e001-hvac"],
                Width.DAY,
                FIRST_MS,
                FIRST_MS + 2 * DAY_MS,
            )
        }
        below = family_at(workshop.fleet, FIRST_MS).children["a001-main"]
        parts = [
            one.cells.value
            for one in workshop.intervals.intervals(
                below, Width.DAY, FIRST_MS, FIRST_MS + 2 * DAY_MS
            )
        ]
    finally:
        workshop.close()

    rest = np.array(rows["a001-main"]) - np.sum(parts, axis=0)
    assert rows["a001-main-rest"] == rest.tolist() == rows["a001-rest"]
    assert rows["e001-hvac"] == pytest.approx([2 * 24 * A_LEAF * 1e6] * 2, abs=2000)


def test_sums_are_checked_over_any_span_and_width(file: Path) -> None:
    span = {"start_ms": FIRST_MS, "end_ms": FIRST_MS + 2 * DAY_MS}
    with centre(file, None) as collector:
        by_hour, by_day = (
            {one["meter"]: one for one in collector.ask("GET", "/tree/check", params=params)}
            for params in (span, span | {"width": "1d"})
        )

    assert (by_hour["a001-main"]["agrees"], by_hour["d001-main"]["agrees"]) == (True, False)
    assert by_hour["a001-main"]["share"] == pytest.approx(1 - METERED)
    assert by_day["d001-main"]["share"] == pytest.approx(-0.5)
    assert by_hour["e001-main"]["silent"] == []
