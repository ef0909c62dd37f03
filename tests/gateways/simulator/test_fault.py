"""An entry of `faults` is strict, and the docs explain every kind with its keys."""

import re
from pathlib import Path

import pytest

from gateways.simulator.fault import FaultKind, is_of_rtu, keys_of, read_fault
from gateways.strict import ContentInvalid

DOCS = Path(__file__).parents[3] / "docs" / "simulator.md"
EXAMPLE = Path(__file__).parents[3] / "config" / "examples" / "simulate.yaml"


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"kind": "noisy"}, "kind: unknown kind 'noisy', did you mean 'noise'?"),
        ({"kind": "noise", "wher": "inside"}, "wher: unknown key 'wher', did you mean 'where'?"),
        ({"kind": "noise", "where": "in"}, "where: invalid enum value 'in'"),
        (
            {"kind": "silence", "seconds": 3},
            "seconds: a silence has no 'seconds', it has: from, to, share",
        ),
        (
            {"kind": "frozen", "bytes": 3, "from": "2026-11-01T08:00+08:00"},
            "bytes: a frozen has no 'bytes', it has: from, to",
        ),
        ({"kind": "silence", "share": 0}, "share: a share is above 0 and at most 1, 0.0 came"),
        ({"kind": "silence", "share": 1.5}, "share: a share is above 0 and at most 1, 1.5 came"),
        ({"kind": "delay", "seconds": -1}, "seconds: seconds are not negative, -1.0 came"),
        ({"kind": "exception", "code": 256}, "code: a code is 1 to 255, 256 came"),
        ({"kind": "hole"}, "a hole needs its ranges, or a longest request"),
        (
            {"kind": "hole", "ranges": [[9, 8]]},
            "ranges: a hole is [first, last], 0 to 65535, ((9, 8),) came",
        ),
        ({"kind": "hole", "longest": 126}, "longest: a longest request is 1 to 125, 126 came"),
        ({"kind": "wrong_unit", "unit": 256}, "unit: a unit is 0 to 255, 256 came"),
        ({"kind": "short", "bytes": 0}, "bytes: 1 to 256 bytes are possible, 0 came"),
        ({"kind": "rollover", "at": 0}, "at: a rollover is above 0"),
        ({"kind": "replacement"}, "from: replacement needs its instant"),
        (
            {"kind": "spike", "quantities": ["volts"]},
            "quantities: unknown quantity 'volts', see metering/quantity.py",
        ),
        (
            {
                "kind": "silence",
                "from": "2026-11-01T09:00+08:00",
                "to": "2026-11-01T08:00+08:00",
            },
            "to: a fault ends after it begins",
        ),
    ],
)
def test_a_mistake_in_a_fault_is_named(entry, message):
    with pytest.raises(ContentInvalid) as caught:
        read_fault({"meter": "m", **entry}, ("faults", 2))

    separator = ": " if message.startswith("a hole needs") else "."
    assert str(caught.value) == f"simulation: faults[2]{separator}{message}"


def rows():
    content = DOCS.read_text(encoding="utf-8").split("<!-- faults -->")[1].split("<!-- end -->")[0]
    for line in content.strip().splitlines()[2:]:
        kind, on, keys, *_ = (cell.strip() for cell in line.strip("|").split("|"))
        yield kind.strip("`"), on, dict(re.findall(r"`(\w+)` ([\w.]+)", keys))


def shown(default):
    return str(default) if default not in (None, ()) else "none"


def test_the_table_of_faults_is_what_the_simulator_does():
    expected = [
        (
            kind.value,
            "RTU" if is_of_rtu(kind) else "all",
            {key: shown(default) for key, default in keys_of(kind).items()},
        )
        for kind in FaultKind
    ]

    assert list(rows()) == expected


def test_the_example_names_every_kind():
    named = set(re.findall(r"[a-z_]+", EXAMPLE.read_text(encoding="utf-8")))

    assert [kind.value for kind in FaultKind if kind.value not in named] == []
