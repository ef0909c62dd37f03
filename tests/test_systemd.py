"""The unit of a gateway, as systemd itself reads it: sound, and exposed as little as may be."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.servers.influx import required_program

ROOT = Path(__file__).parents[1]
UNIT = ROOT / "config" / "systemd" / "nenghao-gateway.service"
INSTALLED = "/opt/nenghao/.venv/bin/nenghao"


@pytest.fixture
def unit(tmp_path: Path) -> Path:
    """The unit, with a command that this machine has."""
    text = UNIT.read_text(encoding="utf-8")
    assert text.count(INSTALLED) == 1
    file = tmp_path / UNIT.name
    file.write_text(text.replace(INSTALLED, f"{sys.executable} -m nenghao"), encoding="utf-8")
    return file


def analyzed(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [required_program("systemd-analyze", "systemd"), *arguments],
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )


@pytest.mark.server
def test_systemd_takes_the_unit_without_a_complaint(unit: Path) -> None:
    found = analyzed("verify", "--recursive-errors=no", str(unit))

    assert (found.returncode, found.stdout, found.stderr) == (0, "", "")


@pytest.mark.server
def test_the_unit_is_exposed_as_little_as_a_gateway_can_be(unit: Path) -> None:
    found = analyzed("security", "--offline=true", "--threshold=20", str(unit))

    [score] = re.findall(r"Overall exposure level .*: ([\d.]+)", found.stdout)
    assert float(score) <= 2.0
    assert found.returncode == 0


def test_the_unit_lets_the_gateway_do_what_it_must() -> None:
    lines = UNIT.read_text(encoding="utf-8").splitlines()

    for line in (
        "Type=notify",
        "Restart=always",
        "StartLimitIntervalSec=0",
        "ExecReload=/bin/kill -HUP $MAINPID",
        "MemoryMax=128M",
        "DeviceAllow=char-ttyUSB rw",
        "SystemCallFilter=adjtimex clock_adjtime clock_adjtime64",
    ):
        assert line in lines, line
    assert not any(line.startswith("ProtectClock=") for line in lines)
