"""What is away for a while delays, and loses nothing: the broker, the database."""

import time

import pytest

from tests.e2e.conftest import MakeWorld, settle_and_reckon

pytestmark = [pytest.mark.server, pytest.mark.timeout(240)]


def test_a_broker_that_is_away_delays_and_loses_nothing(make_world: MakeWorld) -> None:
    world = make_world()
    world.start()
    time.sleep(2)

    world.kill_broker(away_s=8.0)

    settle_and_reckon(world)


def test_a_database_that_is_away_longer_than_any_retry_delays_and_loses_nothing(
    make_world: MakeWorld,
) -> None:
    world = make_world(store="influxdb")
    world.start()
    time.sleep(2)

    world.kill_database(away_s=12.0)  # a request is given ten seconds

    settle_and_reckon(world)
