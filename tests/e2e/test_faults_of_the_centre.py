"""The faults of design section 5 that befall the centre and its broker, each done for real."""

import json
import shutil
import subprocess
import sys
import time
from datetime import UTC, datetime

import pytest

from link.mqtt import Broker, Delivery, Link, Message
from metering.wire import digest_of
from nenghao.demo.processes import Part
from tests.e2e.conftest import MakeWorld, get, settle_and_reckon, wait_until

pytestmark = [pytest.mark.server, pytest.mark.timeout(240)]


def test_a_broker_that_drops_what_it_acknowledged_loses_nothing(make_world: MakeWorld) -> None:
    """Mosquitto's max_queued_messages (1,000 by default) drops silently while nobody consumes."""
    world = make_world(broker_settings="max_queued_messages 5")
    world.start()
    time.sleep(2)

    world.parts.collector.kill()
    log = world.folder / "broker" / "log"
    wait_until("the broker drops", lambda: "Outgoing messages are being dropped" in log.read_text())
    time.sleep(2)  # and goes on
    world.parts.collector.start()

    settle_and_reckon(world)


def test_a_second_collector_in_the_same_folder_is_refused(make_world: MakeWorld) -> None:
    world = make_world()
    world.start()
    time.sleep(2)

    second = subprocess.run(
        [sys.executable, "-m", "nenghao", "collector", "run", str(world.stage.collector_file)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert second.returncode == 1
    assert "another collector works in" in second.stderr
    settle_and_reckon(world)


def test_two_collectors_on_one_database_store_everything_once(make_world: MakeWorld) -> None:
    world = make_world(store="influxdb")
    world.start()
    settings = json.loads(world.stage.collector_file.read_text())
    settings |= {"folder": "second", "api": {"port": 0}}
    file = world.folder / "second.yaml"
    file.write_text(json.dumps(settings))
    second = Part("second", ["collector", "run", str(file)], world.folder / "second.log")

    second.start()
    try:
        time.sleep(12)
    finally:
        second.stop()

    world.kill_collector()  # evicted again and again, it would stand back for a minute now
    settle_and_reckon(world)


def test_poison_is_set_aside_and_the_rest_goes_on(make_world: MakeWorld) -> None:
    world = make_world()
    world.start()
    time.sleep(1)
    assert world.broker is not None
    body = b'{"v":1,"gateway":"gw-e001","epoch":"broken'
    epoch = "01JD0000000000000000000000"
    link = publisher(world.broker.url)
    for properties in (
        (("epoch", epoch), ("sequence", "1"), ("digest", digest_of(body))),
        (("epoch", epoch), ("sequence", "2"), ("digest", "0" * 64)),
        (),
    ):
        link.publish(
            Message(
                topic="nenghao/1/120101/gw-e001/batch", payload=body, properties=tuple(properties)
            )
        )
    time.sleep(3)
    link.stop()

    reasons = {entry["reason"] for entry in get(world, "/quarantine")}

    assert reasons == {"undecodable", "digest_mismatch", "no_identity"}
    settle_and_reckon(world)


class Silent:
    """A link's listener that only wants to know that it is up."""

    def __init__(self) -> None:
        self.is_up = False

    def up(self) -> None:
        self.is_up = True

    def down(self, _reason: str) -> None: ...

    def delivered(self, _delivery: Delivery) -> None: ...

    def acknowledged(self, _packet: int) -> None: ...


def publisher(url: str) -> Link:
    listener = Silent()
    link = Link(Broker(url=url, client_id="stranger"), topics=(), listener=listener)
    link.start()
    until = time.monotonic() + 10
    while not listener.is_up and time.monotonic() < until:
        time.sleep(0.05)
    return link


def test_a_database_restored_from_a_backup_gets_everything_again(make_world: MakeWorld) -> None:
    world = make_world()
    world.start()
    time.sleep(4)
    data = world.folder / "collector"
    world.parts.collector.stop()
    shutil.copy(data / "readings.duckdb", world.folder / "backup.duckdb")
    since = datetime.now(UTC).isoformat()
    world.parts.collector.start()
    time.sleep(5)
    world.settle(30)

    world.parts.collector.kill()
    for file in data.glob("readings.duckdb*"):
        file.unlink()
    shutil.copy(world.folder / "backup.duckdb", data / "readings.duckdb")
    world.parts.collector.start()
    world.parts.await_collector()
    resend = (sys.executable, "-m", "nenghao", "collector", "resend")
    resent = subprocess.run(
        [*resend, "--since", since, "--json", "--api", world.stage.api_url],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )

    answer = json.loads(resent.stdout)
    assert answer["generation"] == 2
    assert answer["batches"] > 10
    time.sleep(3)
    settle_and_reckon(world)
