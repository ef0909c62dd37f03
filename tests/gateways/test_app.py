"""The gateway as a process: wired from files, ended by a signal, refused in one clear sentence."""

import asyncio
import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from gateways.adapters.sqlite import SqliteSpool
from gateways.app import Gateway
from gateways.cut import CutInvalid, load_cut
from gateways.settings import GatewaySettings, load_settings
from link.broker import broker_of
from link.mqtt import Broker, Delivery, Link, LinkInvalid, Message
from metering.batch import Batch, BatchKey
from metering.delivery.ranges import Ranges
from metering.topic import GatewayTopic, Leaf
from metering.wire import State, decode_batch, decode_state
from nenghao.broker import EmbeddedBroker
from tests.fakes.box import MODEL, eventually
from tests.fakes.link import DISTRICT, GATEWAY, committed
from tests.servers.modbus import modbus_server

ROOT = Path(__file__).parents[2]
NOBODY = "mqtt://127.0.0.1:9"
TOPIC = GatewayTopic(DISTRICT, GATEWAY)


def cut_of(url: str, **changed: Any) -> dict[str, Any]:
    meters = [{"id": f"m{unit}", "model": "m1", "unit": unit} for unit in (1, 2)]
    cut = {
        "v": 1,
        "district": DISTRICT,
        "store": "heping-1",
        "gateway": GATEWAY,
        "digest": "abc",
        "buses": [{"url": url, "cycle_s": 1, "meters": meters}],
        "models": {"m1": MODEL},
    }
    return cut | changed


def write(folder: Path, cut: dict[str, Any], url: str = NOBODY, **settings: Any) -> Path:
    """The gateway's two files; returns its settings."""
    (folder / "cut.json").write_text(json.dumps(cut), encoding="utf-8")
    content: dict[str, Any] = {
        "fleet": "cut.json",
        "broker": {"url": url, "keepalive_s": 5},
        "spool": {"folder": "spool"},
        "trust_rtc": True,
        "drain_s": 5.0,
    }
    file = folder / "gateway.yaml"
    file.write_text(json.dumps(content | settings), encoding="utf-8")
    return file


# ---- the cut


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "No such file or directory"),
        (b"", "Input data was truncated"),
        (b"[]", "Expected `object`, got `array`"),
        (b'{"v": 1}', "Object missing required field `district`"),
        (b'"\xff"', "Expected `object`, got `str`"),
        (b'{"v": "\xff"}', "Expected `int`, got `str` - at `$.v`"),
        (
            json.dumps(cut_of("tcp://h", v=2)).encode(),
            "version 2 of a cut, 1 is understood here",
        ),
    ],
)
def test_a_cut_that_is_none_is_refused_with_its_file_and_the_way_out(
    content: bytes | None, words: str, tmp_path: Path
) -> None:
    file = tmp_path / "cut.json"
    if content is not None:
        file.write_bytes(content)

    with pytest.raises(CutInvalid) as invalid:
        load_cut(file)

    assert str(invalid.value) == f"{file}: {words}; write it with 'nenghao fleet cut'"


def test_a_cut_whose_text_is_no_utf8_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "cut.json"
    file.write_bytes(json.dumps(cut_of("tcp://h")).encode().replace(b"abc", b"\xff\xfe"))

    with pytest.raises(CutInvalid, match=r"cut\.json: .*utf-8.*; write it with"):
        load_cut(file)


def wire(file: Path) -> Gateway:
    settings = load_settings(file)
    cut = load_cut(file.parent / settings.fleet)
    return Gateway(settings, cut, broker_for(settings, file.parent), file.parent)


def broker_for(settings: GatewaySettings, folder: Path) -> Broker:
    return broker_of(settings.broker, client_id=GATEWAY, environ={}, folder=folder)


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"buses": [{"url": "tcp://h", "meter": []}]}, r"buses\[0\]"),
        (
            {
                "buses": [
                    {"url": "tcp://h", "meters": []},
                    {"url": "tcp://i", "meters": [{"id": "m", "model": "m9", "unit": 1}]},
                ]
            },
            r"buses\[1\]\.meters\[0\]\.model: unknown model 'm9'",
        ),
    ],
)
def test_a_cut_with_a_mistake_is_refused_before_the_spool_is_touched(
    changed: dict[str, Any], words: str, tmp_path: Path
) -> None:
    file = write(tmp_path, cut_of("tcp://h", **changed))

    async def scenario() -> None:
        with pytest.raises(CutInvalid, match=rf"/cut\.json: cut: {words}"):
            wire(file)

    asyncio.run(scenario())
    assert not (tmp_path / "spool").exists()


def test_a_refusal_after_the_spool_was_opened_closes_it(tmp_path: Path) -> None:
    broker = {"url": "mqtts://h", "ca_file": "no.pem"}
    file = write(tmp_path, cut_of("tcp://h"), broker=broker)

    async def scenario() -> None:
        with pytest.raises(LinkInvalid, match="certificate files"):
            wire(file)

    asyncio.run(scenario())
    assert not (tmp_path / "spool" / "spool.sqlite-wal").exists()


# ---- wired


class Centre:
    """Hears what a gateway says, through a real broker, and can answer."""

    def __init__(self, url: str) -> None:
        self.heard: list[Delivery] = []
        self.is_up = False
        self.link = Link(
            Broker(url=url, client_id="centre"),
            topics=tuple(TOPIC.leaf(leaf) for leaf in (Leaf.BATCH, Leaf.STATE, Leaf.LINK)),
            listener=self,
        )

    def up(self) -> None:
        self.is_up = True

    def down(self, reason: str) -> None:
        pass

    def delivered(self, delivery: Delivery) -> None:
        self.heard.append(delivery)
        self.link.acknowledge(delivery)

    def acknowledged(self, packet: int) -> None:
        pass

    def commit(self, epoch: str, through: int) -> None:
        word = committed(epoch, through)
        self.link.publish(Message(topic=word.topic, payload=word.payload, retain=True))

    def _on(self, leaf: Leaf) -> list[bytes]:
        return [one.payload for one in self.heard if one.topic == TOPIC.leaf(leaf)]

    def batches(self) -> list[Batch]:
        return [decode_batch(payload) for payload in self._on(Leaf.BATCH)]

    def states(self) -> list[State]:
        return [decode_state(payload) for payload in self._on(Leaf.STATE)]

    def words(self) -> list[bytes]:
        return self._on(Leaf.LINK)


@contextmanager
def embedded_broker(folder: Path) -> Iterator[EmbeddedBroker]:
    broker = EmbeddedBroker(folder)
    broker.start()
    try:
        yield broker
    finally:
        broker.stop()


@contextmanager
def centre_at(url: str) -> Iterator[Centre]:
    centre = Centre(url)
    centre.link.start()
    try:
        yield centre
    finally:
        centre.link.stop()


@pytest.mark.server
def test_a_gateway_reads_a_bus_keeps_sends_hears_its_commit_and_says_goodbye(
    tmp_path: Path,
) -> None:
    async def scenario(broker: EmbeddedBroker, centre: Centre) -> str:
        await eventually(lambda: centre.is_up)
        async with modbus_server() as meters:
            file = write(tmp_path, cut_of(meters.url), broker.url)
            gateway, stopping = wire(file), asyncio.Event()
            running = asyncio.create_task(gateway.run(stopping))
            await eventually(lambda: len(centre.batches()) >= 2)
            epoch = gateway.sender.present.epoch
            stopping.set()
            while not running.done():
                # A collector would commit what it stored; the drain waits for that.
                centre.commit(epoch, max(batch.sequence for batch in centre.batches()))
                await asyncio.sleep(0.02)
            await running
        await eventually(lambda: centre.words()[-1:] == [b"offline"])
        return epoch

    with embedded_broker(tmp_path / "broker") as broker, centre_at(broker.url) as centre:
        epoch = asyncio.run(scenario(broker, centre))

    first = centre.batches()[0]
    assert [(reading.meter, reading.values) for reading in first.readings] == [
        ("m1", {"voltage_l1_v": 10.0}),
        ("m2", {"voltage_l1_v": 10.0}),
    ]
    assert (first.epoch, first.sequence, first.gateway) == (epoch, 1, GATEWAY)
    assert centre.words() == [b"online", b"offline"]
    last = centre.states()[-1]
    assert (last.fleet, last.spool.backlog, set(last.meters)) == ("abc", 0, {"m1", "m2"})
    with closing(SqliteSpool(tmp_path / "spool")) as spool:
        (book,) = spool.books()
        assert book.committed == book.held == Ranges.span(1, last.epochs[-1].next - 1)


def test_a_spool_whose_damage_shows_at_the_start_is_renewed(tmp_path: Path) -> None:
    file = write(tmp_path, cut_of("tcp://127.0.0.1:1"))
    with closing(SqliteSpool(tmp_path / "spool")) as spool:
        spool.mint("01JD0000000000000000000000")
        spool._sql.execute("INSERT INTO unsealed VALUES (1, 'boot', 0, X'00')")

    async def scenario() -> None:
        gateway = wire(file)
        try:
            assert gateway.keeper.unsealed == 0
            assert gateway.sender.present.next == 1
        finally:
            await gateway._end()

    asyncio.run(scenario())
    assert (tmp_path / "spool" / "corrupt-1.sqlite").exists()


# ---- a process


def start(file: Path, **environ: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "nenghao", "gateway", "run", str(file)],
        cwd=ROOT,
        env=os.environ | environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def refusal(file: Path, **environ: str) -> str:
    """What a process that will not start says; its exit code is 1."""
    process = start(file, **environ)
    output, errors = process.communicate(timeout=30)
    assert (process.returncode, output) == (1, "")
    return errors.strip()


@pytest.mark.server
@pytest.mark.parametrize("sign", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_it_in_order_and_nothing_it_read_is_lost(
    sign: signal.Signals, tmp_path: Path
) -> None:
    async def scenario() -> str:
        async with modbus_server() as meters:
            process = start(write(tmp_path, cut_of(meters.url), drain_s=0.2))
            try:
                await eventually(lambda: len(meters.asked) >= 4, within_s=30)
                process.send_signal(sign)
                await eventually(lambda: process.poll() is not None, within_s=30)
            finally:
                process.kill()
                output, errors = process.communicate()
            assert (process.returncode, output) == (0, "")
            answered = len(meters.asked)
        with closing(SqliteSpool(tmp_path / "spool")) as spool:
            (book,) = spool.books()
            batches = [spool.load(BatchKey(book.epoch, n)) for n in book.held.ascending()]
        kept = [r for b in batches if b for r in decode_batch(b.payload).readings]
        assert len([reading for reading in kept if reading.values]) == answered
        return errors

    said = asyncio.run(scenario())
    events = [json.loads(line)["event"] for line in said.splitlines()]
    ours = [event for event in events if event.startswith(("gateway.", "agent."))]
    assert ours == ["gateway.started", "agent.drained", "gateway.stopped"]
    assert "Traceback" not in said


@pytest.mark.server
def test_meters_change_in_a_running_gateway_and_unchanged_buses_go_on(tmp_path: Path) -> None:
    """Acceptance pattern 20: applied or rolled back without a restart."""

    async def scenario() -> str:
        async with modbus_server() as kept, modbus_server() as changed:
            buses = [cut_of(kept.url)["buses"][0], cut_of(changed.url)["buses"][0]]
            buses[1]["meters"] = [{"id": "m3", "model": "m1", "unit": 3}]
            process = start(write(tmp_path, cut_of(kept.url, buses=buses), drain_s=0.2))
            cut = tmp_path / "cut.json"
            try:
                await eventually(lambda: len(kept.asked) > 2 and changed.asked, within_s=30)

                cut.write_text("{", encoding="utf-8")  # a bad file: everything goes on
                process.send_signal(signal.SIGHUP)
                before = len(changed.asked)
                await eventually(lambda: len(changed.asked) > before + 1, within_s=30)

                buses[1]["meters"].append({"id": "m4", "model": "m1", "unit": 4})
                cut.write_text(json.dumps(cut_of(kept.url, buses=buses)), encoding="utf-8")
                await eventually(lambda: 4 in {q.unit for q in changed.asked}, within_s=30)
                # Its own connection was never touched, the other bus's was opened anew.
                assert (kept.connections, changed.connections) == (1, 2)

                cut.write_text(json.dumps(cut_of(kept.url)), encoding="utf-8")  # a bus goes
                await eventually(lambda: not changed.open, within_s=30)
                before = len(kept.asked)
                await eventually(lambda: len(kept.asked) > before + 2, within_s=30)
                assert kept.connections == 1
            finally:
                process.terminate()
                _, errors = process.communicate(timeout=30)
            assert process.returncode == 0
            return errors

    said = [json.loads(line) for line in asyncio.run(scenario()).splitlines()]
    events = [one["event"] for one in said if one["event"].startswith("fleet.")]
    assert events == ["fleet.refused", "fleet.taken", "fleet.taken"]


def test_a_bus_that_is_named_twice_is_refused_before_it_is_polled_twice(tmp_path: Path) -> None:
    bus = cut_of("tcp://127.0.0.1:1")["buses"][0]

    said = refusal(write(tmp_path, cut_of("", buses=[bus, bus])))

    assert "cut.json: cut: buses[1]" in said
    assert "\n" not in said


def test_a_cut_that_cannot_be_used_is_one_clear_error(tmp_path: Path) -> None:
    file = write(tmp_path, cut_of("tcp://h"))
    (tmp_path / "cut.json").write_text("{", encoding="utf-8")

    assert refusal(file) == (
        f"{tmp_path}/cut.json: Input data was truncated; write it with 'nenghao fleet cut'"
    )


def test_a_mistake_inside_a_cut_is_one_clear_error(tmp_path: Path) -> None:
    meters = [{"id": m, "model": "m1", "unit": 7} for m in ("a", "b")]
    file = write(tmp_path, cut_of("", buses=[{"url": "tcp://h", "meters": meters}]))

    assert refusal(file) == (
        f"{tmp_path}/cut.json: cut: buses[0].meters[1].unit: unit 7 is already a's"
    )


def test_a_bus_that_cannot_be_spoken_to_is_one_clear_error(tmp_path: Path) -> None:
    said = refusal(write(tmp_path, cut_of("udp://h")))

    assert said.startswith(
        f"{tmp_path}/cut.json: cut: buses[0].url: udp://h: unknown scheme 'udp', known: "
    )
    assert "\n" not in said


def test_a_missing_secret_is_one_clear_error(tmp_path: Path) -> None:
    broker = {"url": NOBODY, "username": "gw", "password_env": "GATEWAY_PASSWORD"}
    file = write(tmp_path, cut_of("tcp://h"), broker=broker)

    assert refusal(file) == "environment variable GATEWAY_PASSWORD is not set or empty"


def test_mistakes_in_the_settings_are_said_all_at_once(tmp_path: Path) -> None:
    file = write(tmp_path, cut_of("tcp://h"), drain_s=99, spool={"folders": "spool"})

    assert refusal(file).splitlines() == [
        f"{file}:1: spool.folder: required, but missing",
        f"{file}:1: spool.folders: unknown key; did you mean 'folder'?",
        f"{file}:1: drain_s: a number of at most 60 is needed, the number 99 came",
    ]


def test_a_spool_that_cannot_be_made_is_one_clear_error(tmp_path: Path) -> None:
    file = write(tmp_path, cut_of("tcp://h"), spool={"folder": "cut.json/spool"})

    assert refusal(file) == f"spool folder {tmp_path}/cut.json/spool: Not a directory"


def test_running_a_gateway_imports_no_database_client_and_no_web_server(tmp_path: Path) -> None:
    file = tmp_path / "gateway.yaml"
    process = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "nenghao", "gateway", "run", str(file)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    imported = {
        found[1].strip().split(".")[0]
        for found in re.finditer(
            r"^import time: +\d+ \| +\d+ \|(.*)$", process.stderr, re.MULTILINE
        )
    }
    assert {"paho", "pymodbus", "zstandard", "gateways"} <= imported
    assert not imported & {
        *("duckdb", "sqlalchemy", "fastapi", "starlette", "uvicorn", "influxdb_client"),
        *("numpy", "pandas", "httpx", "apscheduler", "prometheus_client", "iotcore", "collector"),
    }


def test_what_a_process_knows_of_its_boot_is_the_same_after_a_restart() -> None:
    code = "from gateways.app import _boot; print(_boot())"

    def ask() -> str:
        return subprocess.run(
            [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
        ).stdout

    assert ask() == ask() != ""


@pytest.mark.server
def test_a_supervisor_hears_it_start_live_reload_and_stop_and_a_person_may_ask(
    tmp_path: Path,
) -> None:
    heard: list[str] = []
    asked: list[subprocess.CompletedProcess[str]] = []

    async def scenario() -> None:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
            manager.bind(str(tmp_path / "notify"))
            manager.setblocking(False)

            def hears(word: str) -> bool:
                with suppress(BlockingIOError):
                    while True:  # a full queue would lose words
                        heard.append(manager.recv(4096).decode())
                return any(word in message for message in heard)

            def ready_again() -> bool:
                hears("")
                reloading = next(n for n, message in enumerate(heard) if "RELOADING=1" in message)
                return "READY=1" in heard[reloading + 1 :]

            async with modbus_server() as meters:
                file = write(tmp_path, cut_of(meters.url), drain_s=0.2)
                environ = {"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "400000"}
                process = start(file, **environ)
                try:
                    await eventually(lambda: hears("WATCHDOG=1"), within_s=30)
                    await eventually(lambda: len(meters.asked) >= 4, within_s=30)
                    status = [sys.executable, "-m", "nenghao", "gateway", "status", str(file)]
                    asking = asyncio.ensure_future(
                        asyncio.to_thread(
                            subprocess.run,
                            [*status, "--json"],
                            cwd=ROOT,
                            capture_output=True,
                            text=True,
                            check=False,
                        )
                    )
                    await eventually(lambda: hears("") and asking.done(), within_s=60)
                    asked.append(asking.result())
                    process.send_signal(signal.SIGHUP)
                    await eventually(lambda: hears("RELOADING=1"), within_s=30)
                    await eventually(ready_again, within_s=30)
                    process.terminate()
                    await eventually(lambda: hears("STOPPING=1"), within_s=30)
                finally:
                    process.terminate()
                    process.communicate(timeout=30)

    asyncio.run(scenario())
    assert heard[0] == "READY=1"
    reloading = next(n for n, said in enumerate(heard) if said.startswith("RELOADING=1"))
    assert "READY=1" in heard[reloading:]
    (answer,) = asked
    document = json.loads(answer.stdout)
    assert answer.returncode == 1  # nobody listens at the broker's address
    assert (document["gateway"], document["link"]) == (GATEWAY, "down")
    assert set(document["meters"]) == {"m1", "m2"}
    assert document["buses"][0]["cycle_s"] == 1.0
