"""Nothing lost, nothing doubled: real processes, real faults, and the reckoning.

Each world is a whole district; every reading that reached a gateway's spool must be in the store
exactly once, with the values that the simulated meter served. `make torture` does the same for as
long as one likes.
"""

import random
import time

import pytest

from tests.e2e.conftest import MakeWorld, settle_and_reckon

pytestmark = [pytest.mark.server, pytest.mark.timeout(240)]


def test_kill_dash_nine_of_every_part_at_random_moments_loses_nothing_in_duckdb(
    make_world: MakeWorld,
) -> None:
    world = make_world(broker="mosquitto", store="duckdb")
    chance = random.Random(20261122)
    world.start()

    for part in ("gateway", "collector", "broker", "gateway", "collector"):
        time.sleep(chance.uniform(0.3, 2.0))
        match part:
            case "gateway":
                world.kill_gateway(chance.choice(sorted(world.parts.gateways)))
            case "collector":
                world.kill_collector(away_s=0.5)
            case _:
                world.kill_broker(away_s=0.5)

    settle_and_reckon(world)


def test_kill_dash_nine_of_every_part_at_random_moments_loses_nothing_in_influxdb(
    make_world: MakeWorld,
) -> None:
    world = make_world(broker="mosquitto", store="influxdb")
    chance = random.Random(1)
    world.start()

    for act in (
        lambda: world.kill_database(away_s=1.0),
        world.kill_collector,
        lambda: world.kill_gateway("gw-e001"),
        world.kill_database,
        world.kill_broker,
    ):
        time.sleep(chance.uniform(0.3, 2.0))
        act()

    settle_and_reckon(world)


def test_a_collector_whose_small_state_was_deleted_loses_and_doubles_nothing(
    make_world: MakeWorld,
) -> None:
    world = make_world()
    world.start()
    time.sleep(3)

    world.delete_small_state()

    settle_and_reckon(world)


def test_the_embedded_broker_keeps_the_same_promise(make_world: MakeWorld) -> None:
    world = make_world(broker="embedded")
    world.start()
    time.sleep(2)

    world.kill_collector(away_s=1.0)
    time.sleep(1)
    world.kill_gateway("gw-d001")

    settle_and_reckon(world)
