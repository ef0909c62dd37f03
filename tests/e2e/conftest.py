"""Worlds for the end-to-end tests: everything that a test started is stopped by it."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from tests.torture.world import World

MakeWorld = Callable[..., World]


@pytest.fixture
def make_world(tmp_path: Path) -> Iterator[MakeWorld]:
    worlds: list[World] = []

    def make(**options: object) -> World:
        world = World(tmp_path / f"world-{len(worlds)}", **options)
        worlds.append(world)
        return world

    yield make
    for world in worlds:
        world.stop()


def settle_and_reckon(world: World) -> None:
    world.settle(90)
    reckoning = world.reckon()
    assert reckoning.is_clean, reckoning


def wait_until(what: str, is_so: Callable[[], bool], within_s: float = 40.0) -> None:
    """A busy machine takes its time; a quiet one is not waited for."""
    until = time.monotonic() + within_s
    while not is_so():
        assert time.monotonic() < until, f"within {within_s:.0f} s it did not come to this: {what}"
        time.sleep(0.2)


def get(world: World, path: str) -> list[dict]:
    answer = httpx.get(f"{world.stage.api_url}{path}", timeout=10, trust_env=False)
    return answer.raise_for_status().json()
