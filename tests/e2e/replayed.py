"""Replayed: a district of real processes that all live in one replayed time."""

import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import yaml

from metering.clock import Replay, ReplayClock
from nenghao.demo.audit import Audit, audit, read_served
from nenghao.demo.processes import District, Part
from nenghao.demo.stage import Pace, Stage
from tests.torture.world import CONFIG, FOREVER_MS, World

_COMING_UP_S = 4.0  # until the first poll: `start` is the wall time after it, about
_DRAINED_S = 30.0
_SETTLED_S = 60.0
_LONGEST_POLL_REAL_MS = 2_000


class ReplayedWorld(World):
    """A district at `speed`, from the wall time `start` on.

    Args:
        replay: a CSV file, and the column of each meter; none for simulated loads.
    """

    def __init__(
        self,
        folder: Path,
        *,
        start: datetime,
        speed: float,
        cycle_s: int = 3600,
        config: Path = CONFIG,
        store: str = "duckdb",
        replay: tuple[Path, dict[str, str]] | None = None,
    ) -> None:
        super().__init__(folder, store=store)
        assert self.broker is not None
        self.speed = speed
        anchor = datetime.now(UTC) + timedelta(seconds=_COMING_UP_S)
        pace = Pace(cycle_s=cycle_s, start=start, anchor=anchor, speed=speed)
        self.stage = Stage(folder, config, pace=pace, broker_url=self.broker.url)
        self.clock = ReplayClock(
            Replay(
                start_ms=round(start.timestamp() * 1000),
                anchor_ms=round(anchor.timestamp() * 1000),
                speed=speed,
            )
        )
        self._replay = replay

    def start(self) -> None:
        assert self.broker is not None
        self.broker.start()
        if self.influxd:
            self.influxd.start()
        replay: dict[str, Any] | None = None
        options: list[str] = []
        if self._replay is not None:
            file, series = self._replay
            replay, options = {"series": series}, ["--replay", str(file)]
        self.stage.write(store=self.influxd.settings if self.influxd else None, replay=replay)
        self._settle_when_asked()
        files = [str(self.stage.simulator_file), "--ready", str(self.stage.ready_file)]
        self.district = District(self.stage)
        self.district.simulator = Part(
            "simulator", ["simulate", *files, *options], self.folder / "logs" / "simulator.log"
        )
        self.district.start()

    def _settle_when_asked(self) -> None:
        """At such a speed a quarter of an hour is milliseconds: the job would never rest."""
        file = self.stage.collector_file
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
        content["jobs"] = {"settlement": {"enabled": False}, "verification": {"enabled": False}}
        file.write_text(yaml.safe_dump(content, allow_unicode=True), encoding="utf-8")

    def live_until(self, wall: datetime) -> None:
        """Let the replayed time reach `wall`, then stop the gateways, which drain."""
        wall_ms = round(wall.timestamp() * 1000)
        while (left_ms := wall_ms - self.clock.now_ms()) > 0:
            self.parts.check()
            time.sleep(min(1.0, self.clock.real_s(left_ms)))
        self.stop_gateways()
        until = time.monotonic() + _DRAINED_S
        while self.unstored() != 0 or not self._heard_the_last():
            assert time.monotonic() < until, f"{self.unstored()} batches are not stored"
            time.sleep(0.2)

    def _heard_the_last(self) -> bool:
        """A gateway's last word is that it is offline; the state before it has its last counts."""
        return all(view["link"] == "offline" for view in self.ask("/gateways"))

    def ask(self, path: str) -> Any:
        answer = httpx.get(f"{self.stage.api_url}{path}", timeout=10, trust_env=False)
        return answer.raise_for_status().json()

    def settle(self) -> None:
        """Settle what is still marked."""
        asked = httpx.post(f"{self.stage.api_url}/settle", timeout=10, trust_env=False)
        number = asked.raise_for_status().json()["number"]
        until = time.monotonic() + _SETTLED_S
        while (run := self.ask(f"/settle/{number}"))["state"] in ("waiting", "running"):
            assert time.monotonic() < until, run
            time.sleep(0.1)
        assert run["state"] == "done", run
        assert run["report"]["left"] == 0, run

    def audited(self) -> Audit:
        """Every stored value against the simulator's log, after everything has stopped."""
        store = self.open_store()
        try:
            return audit(
                read_served(self.stage.served_log),
                store,
                from_ms=0,
                to_ms=FOREVER_MS,
                longest_poll_ms=round(_LONGEST_POLL_REAL_MS * self.speed),
            )
        finally:
            store.close()
