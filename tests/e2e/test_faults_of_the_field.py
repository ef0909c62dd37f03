"""The faults of design section 5, each done for real to a running district."""

import json
import re
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest

from link.mqtt import Broker, Delivery, Link, Message
from metering.wire import digest_of
from nenghao.demo.processes import Part
from tests.e2e.conftest import MakeWorld
from tests.torture.servers import program
from tests.torture.world import World

pytestmark = [pytest.mark.server, pytest.mark.timeout(240)]


def settle_and_reckon(world: World) -> None:
    world.settle(90)
    reckoning = world.reckon()
    assert reckoning.is_clean, reckoning


def get(world: World, path: str) -> list[dict]:
    answer = httpx.get(f"{world.stage.api_url}{path}", timeout=10, trust_env=False)
    return answer.raise_for_status().json()


def test_a_broker_that_drops_what_it_acknowledged_loses_nothing(make_world: MakeWorld) -> None:
    """Mosquitto's max_queued_messages (1,000 by default) drops silently while nobody consumes."""
    world = make_world(broker_settings="max_queued_messages 5")
    world.start()
    time.sleep(2)

    world.kill_collector(away_s=8.0)

    settle_and_reckon(world)
    dropped = (world.folder / "broker" / "log").read_text()
    assert "Outgoing messages are being dropped" in dropped


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


def test_a_spool_restored_from_an_old_image_doubles_and_loses_nothing(
    make_world: MakeWorld,
) -> None:
    world = make_world()
    world.start()
    time.sleep(2)
    gateway, spool = world.parts.gateways["gw-e001"], world.folder / "spool" / "gw-e001"
    image = world.folder / "spool" / "image"
    gateway.stop()
    shutil.copytree(spool, image)
    gateway.start()
    time.sleep(4)

    gateway.stop()
    spool.rename(world.folder / "spool" / "lived")
    image.rename(spool)
    gateway.start()
    time.sleep(3)

    world.more_spools.append("lived")
    settle_and_reckon(world)


def test_two_boxes_with_one_id_are_both_stored(make_world: MakeWorld) -> None:
    world = make_world()
    world.start()
    settings = json.loads((world.folder / "gw-d001.yaml").read_text())
    settings["spool"] = {"folder": str(world.folder / "spool" / "twin")}
    file = world.folder / "twin.yaml"
    file.write_text(json.dumps(settings))
    twin = Part("twin", ["gateway", "run", str(file)], world.folder / "twin.log")

    twin.start()
    time.sleep(8)
    twin.stop()
    world.parts.gateways["gw-d001"].stop()
    for box in (world.parts.gateways["gw-d001"], twin):
        box.start()
        time.sleep(4)
        box.stop()
    world.parts.gateways["gw-d001"].start()

    assert (
        '"evicted": true'
        in (world.folder / "twin.log").read_text()
        + (world.folder / "logs" / "gw-d001.log").read_text()
    )
    world.more_spools.append("twin")
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


def test_a_full_spool_drops_its_oldest_and_says_so(make_world: MakeWorld) -> None:
    """The disk fills while the broker is away: the newest stay, the rest is counted as lost."""
    world = make_world()
    world.start()
    assert world.broker is not None
    gateway, spool = world.parts.gateways["gw-e001"], world.folder / "spool" / "gw-e001"
    until = time.monotonic() + 30  # a busy machine takes its time to start a process
    while not (spool / "spool.sqlite").exists() and time.monotonic() < until:
        time.sleep(0.1)
    time.sleep(1)
    gateway.stop()
    shutil.rmtree(spool)
    spool.mkdir()
    subprocess.run(
        [program("mount"), "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(spool)], check=True
    )
    try:
        gateway.start()
        time.sleep(4)
        world.broker.kill()
        filled = fill(spool)
        time.sleep(20)
        gateway.check()
        filled.unlink()
        world.broker.start()
        world.settle(60)
        view = settled_view(world, "gw-e001")
        kept = sum(1 for reading in world.spooled("gw-e001") if reading.values)
        reckoning = world.reckon()
    finally:
        gateway.stop()
        subprocess.run([program("umount"), "--lazy", str(spool)], check=True)

    assert view["lost"] > 0, "the disk was never full"
    assert view["missing"] == 0
    assert kept > 0
    assert reckoning.absent == reckoning.different == reckoning.doubled == 0


def settled_view(world: World, gateway: str) -> dict:
    """What the collector knows of a gateway, its last holes closed: some are always under way."""
    until = time.monotonic() + 20
    while True:
        view = next(v for v in get(world, "/gateways") if v["gateway"] == gateway)
        if view["missing"] == 0 or time.monotonic() > until:
            return view
        time.sleep(0.2)


def fill(folder: Path) -> Path:
    """Take the rest of the disk, as a log run wild would."""
    file = folder / "wild.log"
    with suppress(OSError), file.open("wb") as wild:  # until nothing is left
        while True:
            wild.write(b"x" * 65536)
            wild.flush()
    return file


def test_nothing_is_published_before_the_spool_has_it_on_disk(make_world: MakeWorld) -> None:
    """Seen in the gateway's system calls: write of the batch, sync of that file, then the send."""
    world = make_world()
    world.start()
    trace = world.folder / "trace"
    calls = "trace=pwrite64,write,fsync,fdatasync,send,sendto,sendmsg"
    pid = str(world.parts.gateways["gw-e001"].pid)
    tracer = subprocess.Popen(
        [program("strace"), "-f", "-yy", "-s", "65536", "-e", calls, "-o", str(trace), "-p", pid],
        stderr=subprocess.DEVNULL,
    )
    time.sleep(8)
    tracer.send_signal(signal.SIGINT)  # detaches; the gateway lives on
    tracer.wait(10)

    published, early = order(trace.read_text(errors="replace").splitlines())

    assert published >= 3
    assert early == []


_SENT = re.compile(r"digest(?:\\.|[^0-9a-f])*([0-9a-f]{64})")
_SYNCED = re.compile(r"f(data)?sync\(\d+<[^>]*spool\.sqlite-wal>")
_TELLING = 16  # of a digest's letters; a batch's row may be cut in two after these


def order(lines: list[str]) -> tuple[int, list[str]]:
    """How many batches were sent, and those sent before their write was synced.

    A batch is told by its digest: in the file it lies compressed, its digest does not.
    """
    written: list[str] = []
    safe = ""
    sent: set[str] = set()
    early: list[str] = []
    for line in lines:
        if "spool.sqlite-wal" in line and "pwrite64(" in line:
            written.append(line)
        elif _SYNCED.search(line):
            safe += "".join(written)
            written.clear()
        elif "TCP" in line and "send" in line:
            fresh = [digest for digest in _SENT.findall(line) if digest not in sent]
            sent.update(fresh)
            early += [digest for digest in fresh if digest[:_TELLING] not in safe]
    return len(sent), early


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
