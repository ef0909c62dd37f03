"""kill -9 of a real process on a real small state: nothing is lost, nothing twice to a person.

A message that went out in the moment of the kill may go out again under the same key: a mail
program shows one of them.
"""

import os
import random
import subprocess
import sys
import time
from collections import Counter
from contextlib import closing
from pathlib import Path

import pytest

from collector.adapters.sql import SqlSmallState
from collector.alerting.alert import Alert, AlertState, Reason, Transition
from collector.alerting.severity import Severity
from collector.alerting.subject import Place, Subject, SubjectKind
from collector.fleet.index import Sector
from metering.clock import SystemClock
from tests.fakes.step_log import FileStepLog

PROGRAM = Path(__file__).with_name("killed.py")
ROOT = Path(__file__).parents[3]
POINTS = ("before-plan", "after-plan", "before-send", "before-log", "after-log")


class World:
    """A small state, a file of what was sent, and a process that dies now and then."""

    def __init__(self, folder: Path) -> None:
        self.state, self._sent = folder / "state.sqlite", folder / "sent"
        self._sent.touch()
        with closing(SqlSmallState(f"sqlite:///{self.state}")):
            pass
        self._log = FileStepLog(self.state)
        self._clock = SystemClock()

    def start(self, point: str = "never") -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            [sys.executable, str(PROGRAM), str(self.state), str(self._sent), point],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
        assert process.stdout is not None
        process.stdout.readline()  # it is ready, or dead
        process.stdout.close()
        return process

    def fires(self, number: int) -> Alert:
        now_ms = self._clock.now_ms()
        alert = Alert(
            number=number,
            rule=f"leak-{number}",
            rule_version="1",
            title="漏水",
            severity=Severity.RED,
            subject=Subject(SubjectKind.METER, f"m{number}"),
            place=Place(sector=Sector.HOSPITAL, institution="e001", building=f"b{number}"),
            state=AlertState.FIRING,
            since_ms=now_ms,
            at_ms=now_ms,
            fired_ms=now_ms,
            moved_ms=now_ms,
        )
        self._log.keep([Transition(alert=alert, before=None, reason=Reason.HELD)])
        return alert

    def sent(self) -> Counter[str]:
        return Counter(self._sent.read_text().splitlines())

    def wait_for(self, wanted: int, within_s: float = 30.0) -> None:
        end_s = time.monotonic() + within_s
        while len(self.sent()) < wanted:
            assert time.monotonic() < end_s, f"{wanted} wanted, came: {self.sent()}"
            time.sleep(0.02)


def subjects(sent: Counter[str]) -> list[str]:
    return sorted(line.split("\t")[1] for line in sent)


@pytest.mark.parametrize("point", POINTS)
def test_killed_at_any_point_everything_is_sent_under_one_key(tmp_path: Path, point: str) -> None:
    world = World(tmp_path)
    process = world.start(point)
    for number in range(1, 4):
        world.fires(number)
        time.sleep(0.1)
    assert process.wait(30) == -9

    again = world.start()
    world.wait_for(3)
    time.sleep(0.3)
    again.kill()
    again.wait()

    sent = world.sent()
    assert subjects(sent) == [f"alerts: new red leak-{n} m{n}" for n in (1, 2, 3)]
    twice = sum(sent.values()) - 3
    assert twice == (1 if point == "before-log" else 0)


def test_killed_at_random_moments_nothing_is_lost_and_no_more_twice_than_kills(
    tmp_path: Path,
) -> None:
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    world = World(tmp_path)
    number = 0

    for _ in range(5):
        process = world.start()
        end_s = time.monotonic() + chance.uniform(0.05, 0.6)
        while time.monotonic() < end_s:
            number += 1
            world.fires(number)
            time.sleep(chance.uniform(0, 0.05))
        process.kill()
        process.wait()
    last = world.start()
    world.wait_for(number)
    time.sleep(0.3)
    last.kill()
    last.wait()

    sent = world.sent()
    assert subjects(sent) == sorted(f"alerts: new red leak-{n} m{n}" for n in range(1, number + 1))
    assert sum(sent.values()) - number <= 5
