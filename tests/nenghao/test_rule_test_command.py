"""`nenghao rule test`, on a real store: readings and settled figures, a table, charts, JSON."""

from pathlib import Path

import pytest

from collector.adapters.sql import SqlSmallState
from collector.editing.period import instant_ms
from nenghao.centre import centre
from nenghao.chart import WIDTH
from tests.nenghao.process import typed

CONFIG = Path(__file__).parents[2] / "config"
HOUR_MS = 3_600_000

RULES = """
rules:
- id: day-high
  title: 日用电过高
  consumed: {measure: day}
  levels: {yellow: 1000, orange: 2000}
  scope: {energies: ["01"], mains_only: true}
  advice: 查用电
  source: engineering default
- id: power-high
  title: 功率过高
  above: {quantity: active_power_kw, hysteresis: 10}
  levels: {yellow: {limit: 80, for: 2h}}
  scope: {meters: [e001-main]}
  advice: 查负荷
  source: engineering default
- id: gone
  title: 仪表无数据
  silent: {of: meter, at_least: 15m}
  levels: {blue: 3}
  advice: 查网关
  source: engineering default
"""


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "collector.yaml"
    path.write_text(
        f"config: {CONFIG}\nfolder: data\nbroker: {{url: 'mqtt://127.0.0.1:9'}}\n"
        "store: {kind: duckdb, path: data/readings.duckdb}\napi: {host: 127.0.0.1, port: 0}\n",
        encoding="utf-8",
    )
    return path


@pytest.fixture
def rules(tmp_path):
    path = tmp_path / "rules.yaml"
    path.write_text(RULES, encoding="utf-8")
    return path


def read(file, meter="e001-main"):
    """Five days of 30 kW; 90 kW on the second and the third, and a single hour on the fourth."""
    start_ms = instant_ms("2026-06-01T00:00", assume_shanghai=True)
    counter, readings = 1000.0, []
    for hour in range(5 * 24 + 1):
        power = 90.0 if 24 <= hour < 72 or hour == 84 else 30.0
        readings.append(
            {
                "meter": meter,
                "at": start_ms + hour * HOUR_MS,
                "values": {"energy_import_kwh": counter, "active_power_kw": power},
            }
        )
        counter += power
    with centre(file, None) as collector:
        taken = collector.ask("POST", "/import/readings", json=readings)["taken"]
    assert taken == 2 * len(readings)  # values
    assert typed("settle", "--settings", file).code == 0


def play(file, rules, *options):
    span = ("--from", "2026-06-01", "--to", "2026-06-06")
    return typed("rule", "test", rules, *span, "--settings", file, *options)


def test_it_says_when_each_rule_would_have_fired_and_resolved(file, rules):
    read(file)

    done = play(file, rules, "--json")

    assert done.code == 0
    fired = [
        (one["rule"], one["subject"]["id"], one["fired_ms"], one["resolved_ms"])
        for one in done.document["played"]["fired"]
    ]

    def at(text):
        return instant_ms(text, assume_shanghai=True)

    assert fired == [
        ("power-high", "e001-main", at("2026-06-02T02:00"), at("2026-06-04T00:00")),
        ("day-high-orange", "e001-main", at("2026-06-03T00:00"), at("2026-06-05T00:00")),
    ]
    energy = done.document["played"]["fired"][1]
    assert (energy["energy"], energy["energy_unit"]) == (320.0, "kWh")
    assert done.document["played"]["not_played"] == ["gone"]
    assert done.document["played"]["subjects"]["power-high"] == 1


def test_a_person_sees_a_table_and_charts_of_eighty_columns(file, rules):
    read(file)

    done = play(file, rules, "--meter", "e001-main")

    assert done.code == 0
    assert "共触发 2 次" in done.out
    assert "不能回测" in done.out
    charts = done.out[done.out.index("┄ 为限值") :].splitlines()
    bars = [line for line in charts if "┤" in line]
    assert len(bars) % 6 == 0
    assert any("█" in line for line in bars)
    assert any("┄" in line for line in bars)
    assert max(map(len, bars)) <= WIDTH


def test_nothing_is_written_and_nobody_is_told(file, rules, tmp_path):
    read(file)

    play(file, rules)

    state = SqlSmallState(f"sqlite:///{tmp_path}/data/state.sqlite")
    assert state.alert_log.alerts() == []
    assert state.settled_book.count_dirty() > 0
    state.close()


def test_only_what_is_asked_for_is_played(file, rules):
    read(file)

    done = play(file, rules, "--institution", "d001", "--json")

    assert (done.code, done.document["played"]["fired"]) == (0, [])
    assert "power-high" not in {
        rule for rule, count in done.document["played"]["subjects"].items() if count
    }


def test_mistakes_of_the_file_end_it_with_one_before_anybody_is_asked(file, rules):
    rules.write_text(RULES.replace("measure: day", "measure: dai"), encoding="utf-8")

    done = play(file, rules)

    assert done.code == 1
    assert "问题 message" in done.out


def test_a_meter_that_nobody_knows_is_refused_by_name(file, rules):
    done = play(file, rules, "--meter", "nobody")

    assert done.code != 0
    assert "nobody" in done.err


def test_a_span_that_ends_before_it_begins_is_usage(file, rules):
    done = typed(
        "rule", "test", rules, "--from", "2026-06-02", "--to", "2026-06-01", "--settings", file
    )

    assert done.code == 2
