"""The faults of design section 5 that befall a gateway's box, each done for real."""

import json
import re
import shutil
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path

import pytest

from nenghao.demo.processes import Part
from tests.e2e.conftest import MakeWorld, get, settle_and_reckon, wait_until
from tests.torture.servers import program
from tests.torture.world import World

pytestmark = [pytest.mark.server, pytest.mark.timeout(240)]


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
    logs = (world.folder / "twin.log", world.folder / "logs" / "gw-d001.log")

    twin.start()
    wait_until(
        "one of them stands back",
        lambda: any('"evicted": true' in log.read_text() for log in logs),
    )
    twin.stop()
    world.parts.gateways["gw-d001"].stop()
    for box in (world.parts.gateways["gw-d001"], twin):
        box.start()
        time.sleep(4)
        box.stop()
    world.parts.gateways["gw-d001"].start()

    world.more_spools.append("twin")
    settle_and_reckon(world)


def test_a_full_spool_drops_its_oldest_and_says_so(make_world: MakeWorld) -> None:
    """The disk fills while the broker is away: the newest stay, the rest is counted as lost."""
    world = make_world()
    world.start()
    assert world.broker is not None
    gateway, spool = world.parts.gateways["gw-e001"], world.folder / "spool" / "gw-e001"
    wait_until("a spool is there", (spool / "spool.sqlite").exists)
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
        log = world.folder / "logs" / "gw-e001.log"
        wait_until("the spool drops its oldest", lambda: "spool.dropped" in log.read_text())
        time.sleep(3)  # and goes on
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
    wait_until(
        "five batches are sent",
        lambda: trace.exists() and order(trace.read_text(errors="replace").splitlines())[0] >= 5,
    )
    tracer.send_signal(signal.SIGINT)  # detaches; the gateway lives on
    tracer.wait(10)

    published, early = order(trace.read_text(errors="replace").splitlines())

    assert published >= 5
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
