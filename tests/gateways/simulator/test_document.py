import pytest

from gateways.simulator.document import make_clock, read_document
from gateways.simulator.fault import FaultKind
from gateways.strict import ContentInvalid
from metering.clock import SystemClock

FULL = {
    "cuts": ["gw-e001.json"],
    "clock": {"start": "2026-07-14T12:00:00+08:00", "speed": 60},
    "seed": 7,
    "log": "served.jsonl",
    "faults": [
        {
            "meter": "e001-main",
            "kind": "exception",
            "code": 6,
            "from": "2026-07-14T12:00:00+08:00",
            "to": "2026-07-14T04:05:00+00:00",
        }
    ],
    "replay": {"file": "measured.csv.gz", "series": {"e001-main": "B1"}},
    "ports": {"tcp://127.0.0.1:15020": 0},
}
NOON = 1_784_001_600_000


def test_a_simulation_file_is_read():
    document = read_document(FULL)

    (fault,) = document.faults
    assert (fault.kind, fault.code) == (FaultKind.EXCEPTION, 6)
    assert (fault.from_ms, fault.to_ms) == (NOON, NOON + 300_000)
    assert document.ports == {"tcp://127.0.0.1:15020": 0}
    assert document.replay.series == {"e001-main": "B1"}


def test_a_clock_starts_now_and_runs_at_its_speed():
    clock = make_clock(read_document(FULL).clock, SystemClock())

    assert NOON <= clock.now_ms() < NOON + 60_000
    assert clock.real_s(60_000) == 1.0


def test_without_a_clock_the_time_is_the_systems():
    system = SystemClock()

    assert make_clock(None, system) is system


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"sed": 1}, "unknown key 'sed', did you mean 'seed'?"),
        (
            {"clock": {"start": "x", "sped": 1}},
            "clock.sped: unknown key 'sped', did you mean 'speed'",
        ),
        ({"cuts": []}, "either a fleet or cuts are needed"),
        ({"fleet": "fleet"}, "either a fleet or cuts are needed"),
        (
            {"faults": [{"meter": "m", "kind": "silent"}]},
            "faults[0].kind: unknown kind 'silent', did you mean 'silence'?",
        ),
        ({"faults": [{"meter": "m", "kind": "reset"}]}, "faults[0].from: reset needs its instant"),
        (
            {"faults": [{"meter": "m", "kind": "nan", "from": "2026-07-14T12:00:00"}]},
            "2026-07-14T12:00:00 needs an offset",
        ),
        ({"faults": [{"meter": "m", "kind": "nan", "from": "noon"}]}, "noon is no ISO 8601 time"),
    ],
)
def test_a_mistake_is_named(change, message):
    with pytest.raises(ContentInvalid) as caught:
        read_document({**FULL, **change})

    assert message in str(caught.value)
