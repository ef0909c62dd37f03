"""A changed cut is taken by a running gateway, or refused as a whole."""

import asyncio
import json
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import structlog

from gateways.cut import Cut, CutInvalid, load_cut
from gateways.fleet_watch import FleetWatch
from tests.fakes.box import eventually

LOOK_S = 0.01


def content(digest: str, **changed: Any) -> str:
    cut = {"v": 1, "district": "120101", "store": "heping-1", "gateway": "gw-e001"}
    return json.dumps({**cut, "digest": digest, "buses": [], "models": {}, **changed})


class Watched:
    """A file and its watch."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "cut.json"
        self.file.write_text(content("first"), encoding="utf-8")
        self.applied: list[str] = []
        self.wrong: Exception | None = None
        self.watch = FleetWatch(self.file, load_cut(self.file), self._apply, LOOK_S)

    async def _apply(self, cut: Cut) -> None:
        if self.wrong:
            raise self.wrong
        self.applied.append(cut.digest)

    def write(self, text: str) -> None:
        self.file.write_text(text, encoding="utf-8")

    def run(self, scenario: Callable[["Watched"], Any]) -> None:
        async def inside() -> None:
            task = asyncio.create_task(self.watch.run())
            try:
                await scenario(self)
            finally:
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task

        asyncio.run(inside())


def test_a_changed_file_is_taken(tmp_path: Path) -> None:
    async def scenario(watched: Watched) -> None:
        watched.write(content("second"))
        await eventually(lambda: watched.applied == ["second"])
        assert (watched.watch.cut.digest, watched.watch.refused) == ("second", "")

    Watched(tmp_path).run(scenario)


def test_a_file_that_nobody_touches_is_not_taken_again(tmp_path: Path) -> None:
    async def scenario(watched: Watched) -> None:
        await asyncio.sleep(10 * LOOK_S)
        assert watched.applied == []

    Watched(tmp_path).run(scenario)


def test_a_file_that_replaced_another_is_taken(tmp_path: Path) -> None:
    async def scenario(watched: Watched) -> None:
        before = watched.file.stat()
        other = watched.file.with_name("other.json")
        other.write_text(content("secnd"), encoding="utf-8")  # as long as the first
        os.utime(other, ns=(before.st_atime_ns, before.st_mtime_ns))
        other.replace(watched.file)
        await eventually(lambda: watched.applied == ["secnd"])

    Watched(tmp_path).run(scenario)


def test_a_bad_file_is_refused_once_and_the_old_one_stays(tmp_path: Path) -> None:
    async def scenario(watched: Watched) -> None:
        with structlog.testing.capture_logs() as logs:
            watched.write("{")
            await eventually(lambda: watched.watch.refused)
            await asyncio.sleep(10 * LOOK_S)
        assert [one["event"] for one in logs] == ["fleet.refused"]
        assert "Input data was truncated" in watched.watch.refused
        assert watched.watch.cut.digest == "first"

        watched.write(content("third"))
        await eventually(lambda: watched.applied == ["third"])
        assert watched.watch.refused == ""

    Watched(tmp_path).run(scenario)


def test_a_cut_that_does_not_apply_leaves_the_old_one_in_force(tmp_path: Path) -> None:
    async def scenario(watched: Watched) -> None:
        watched.wrong = CutInvalid("unknown model 'm9'")
        watched.write(content("second"))
        await eventually(lambda: watched.watch.refused == "unknown model 'm9'")
        assert watched.watch.cut.digest == "first"

    Watched(tmp_path).run(scenario)


def test_another_gateways_cut_is_refused(tmp_path: Path) -> None:
    async def scenario(watched: Watched) -> None:
        watched.write(content("second", gateway="gw-e002"))
        await eventually(lambda: watched.watch.refused)
        assert "it is of 120101/heping-1/gw-e002, this gateway is" in watched.watch.refused
        assert watched.applied == []

    Watched(tmp_path).run(scenario)


def test_asked_for_it_looks_at_once_though_nothing_seems_to_have_changed(tmp_path: Path) -> None:
    async def scenario(watched: Watched) -> None:
        watched.watch.ask()
        await eventually(lambda: watched.applied == ["first"])

    Watched(tmp_path).run(scenario)


def test_a_file_that_vanished_is_refused_and_its_return_is_taken(tmp_path: Path) -> None:
    async def scenario(watched: Watched) -> None:
        watched.file.unlink()
        await eventually(lambda: "No such file" in watched.watch.refused)
        watched.write(content("again"))
        await eventually(lambda: watched.applied == ["again"])

    Watched(tmp_path).run(scenario)
