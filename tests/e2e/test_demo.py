"""The demo, as its user runs it."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

from tests.e2e.conftest import wait_until

DEMO = (sys.executable, "-m", "nenghao", "demo")

pytestmark = [pytest.mark.server, pytest.mark.timeout(120)]


def test_the_demo_ends_by_itself_with_one_json_line_and_nothing_lost(tmp_path: Path) -> None:
    demo = subprocess.run(
        [*DEMO, "--seconds", "15", "--json", "--folder", str(tmp_path / "demo")],
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )

    assert demo.returncode == 0, demo.stderr
    (line,) = demo.stdout.splitlines()
    counts = json.loads(line)
    assert counts["stored"] == counts["polled"] > 100
    assert counts["published"] > 10
    assert counts["alerts_fired"] == counts["alerts_resolved"] == 1
    for nothing in ("lost", "duplicated", "rejected", "quarantined", "wrong"):
        assert counts[nothing] == 0, counts
    assert 0 < counts["latency_p50_ms"] <= counts["latency_p99_ms"] < 1000
    assert counts["values_per_second"] > 100


def test_ctrl_c_ends_the_live_view_in_order_with_nothing_lost(tmp_path: Path) -> None:
    demo = subprocess.Popen(
        [*DEMO, "--folder", str(tmp_path / "demo")],
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    wait_until("readings are stored", lambda: _stores(tmp_path / "demo"), 60)
    time.sleep(2)  # for the view to show some

    os.killpg(demo.pid, signal.SIGINT)  # as a terminal does
    shown, _ = demo.communicate(timeout=60)

    assert demo.returncode == 0, shown
    assert "丢失 0，重复 0" in shown
    assert "e001-main" in shown


def _stores(folder: Path) -> bool:
    """Whether the demo's collector answers and has a reading of the hospital's main."""
    try:
        settings = json.loads((folder / "collector.yaml").read_text(encoding="utf-8"))
        url = f"http://127.0.0.1:{settings['api']['port']}/latest"
        return "e001-main" in httpx.get(url, timeout=2, trust_env=False).text
    except (OSError, ValueError, httpx.HTTPError):
        return False
