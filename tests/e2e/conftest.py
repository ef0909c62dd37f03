"""Worlds for the end-to-end tests: everything that a test started is stopped by it."""

from collections.abc import Callable, Iterator
from pathlib import Path

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
