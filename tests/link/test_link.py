"""The link against real brokers: Mosquitto, and the embedded one where it can keep up."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Protocol

import pytest
import structlog
from msgspec import structs

from link.mqtt import Broker, Delivery, Link, LinkDown, LinkInvalid, Message
from nenghao.broker import EmbeddedBroker
from tests.servers.mosquitto import Mosquitto, plain_config, required_program, start_mosquitto

pytestmark = pytest.mark.server

SOON_S = 10.0
TOPIC = "nenghao/1/120101/gw-e001/batch"
assert start_mosquitto  # a fixture


class AnyBroker(Protocol):
    url: str

    def start(self) -> None: ...

    def stop(self) -> None: ...

    def kill(self) -> None: ...

    def freeze(self) -> None: ...

    def thaw(self) -> None: ...


class Embedded(EmbeddedBroker):
    """The embedded broker, with the faults that Mosquitto's fixture has."""

    def kill(self) -> None:
        self._signal(signal.SIGKILL)
        self._broker._process.wait(SOON_S)
        self.stop()

    def freeze(self) -> None:
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._signal(signal.SIGCONT)

    def _signal(self, sign: signal.Signals) -> None:
        self._broker._process.send_signal(sign)


class Ear:
    """A listener that keeps what it is told."""

    def __init__(self) -> None:
        self.ups = 0
        self.downs: list[str] = []
        self.heard: list[Delivery] = []
        self.packets: list[int] = []

    def up(self) -> None:
        self.ups += 1

    def down(self, reason: str) -> None:
        self.downs.append(reason)

    def delivered(self, delivery: Delivery) -> None:
        self.heard.append(delivery)

    def acknowledged(self, packet: int) -> None:
        self.packets.append(packet)

    @property
    def payloads(self) -> list[bytes]:
        return [delivery.payload for delivery in self.heard]


def until(claim: Callable[[], object], within_s: float = SOON_S) -> None:
    give_up = time.monotonic() + within_s
    while not claim():
        assert time.monotonic() < give_up, "it did not come about"
        time.sleep(0.005)


def at(url: str, client: str = "collector", **changed: object) -> Broker:
    return structs.replace(Broker(url=url, client_id=client, keepalive_s=60), **changed)


@contextmanager
def linked(
    broker: Broker, *topics: str, will: Message | None = None, up: bool = True
) -> Iterator[tuple[Link, Ear]]:
    ear = Ear()
    link = Link(broker, topics=topics, will=will, listener=ear)
    link._client.reconnect_delay_set(1, 1)
    link.start()
    try:
        if up:
            until(lambda: ear.ups)
        yield link, ear
    finally:
        link.stop()


def say(payload: bytes, topic: str = TOPIC, **rest: object) -> Message:
    return Message(topic=topic, payload=payload, **rest)


def publish(link: Link, ear: Ear, *payloads: bytes, topic: str = TOPIC) -> None:
    """Hand them over, and wait until the broker has them."""
    packets = [link.publish(say(payload, topic)) for payload in payloads]
    until(lambda: set(packets) <= set(ear.packets))


@pytest.fixture(params=["mosquitto", "embedded"])
def broker(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[AnyBroker]:
    if request.param == "mosquitto":
        started = request.getfixturevalue("start_mosquitto")()
        yield started
        started.kill()
        return
    embedded = Embedded(tmp_path)
    embedded.start()
    yield embedded
    with suppress(ProcessLookupError):
        embedded.thaw()
    embedded.stop()


@pytest.fixture
def mosquitto(start_mosquitto: Callable[..., Mosquitto]) -> Iterator[Mosquitto]:
    started = start_mosquitto()
    yield started
    started.kill()


# -- what is said is heard ---------------------------------------------------------------------


def test_properties_and_content_type_make_the_round_trip(broker: AnyBroker) -> None:
    properties = (("epoch", "01JD"), ("sequence", "1"), ("注", "一号楼, a=1\\"))
    payload = bytes(range(256)) * 500

    with linked(at(broker.url), TOPIC) as (_, ear), linked(at(broker.url, "gw")) as (gateway, _):
        gateway.publish(say(payload, content_type="application/json+zstd", properties=properties))
        until(lambda: ear.heard)

        (heard,) = ear.heard
        assert (heard.topic, heard.payload, heard.retained) == (TOPIC, payload, False)
        assert heard.content_type == "application/json+zstd"
        assert heard.properties == dict(properties)


def test_a_plain_message_has_neither_properties_nor_a_content_type(broker: AnyBroker) -> None:
    with linked(at(broker.url), TOPIC) as (_, ear), linked(at(broker.url, "gw")) as (gateway, _):
        gateway.publish(say(b""))
        until(lambda: ear.heard)

        assert (ear.heard[0].payload, ear.heard[0].content_type) == (b"", None)
        assert ear.heard[0].properties == {}


def test_each_message_is_acknowledged_under_its_number(broker: AnyBroker) -> None:
    with linked(at(broker.url)) as (link, ear):
        packets = [link.publish(say(b"%d" % n)) for n in range(100)]
        until(lambda: len(ear.packets) == 100)

        assert sorted(ear.packets) == sorted(packets)
        assert len(set(packets)) == 100


def test_a_retained_message_is_heard_by_who_comes_later(broker: AnyBroker) -> None:
    with linked(at(broker.url, "gw")) as (gateway, said):
        packet = gateway.publish(say(b"state", retain=True))
        until(lambda: packet in said.packets)

    with linked(at(broker.url), TOPIC) as (_, ear):
        until(lambda: ear.heard)

        assert (ear.heard[0].payload, ear.heard[0].retained) == (b"state", True)


def test_retained_messages_come_again_at_every_connect(mosquitto: Mosquitto) -> None:
    with linked(at(mosquitto.url, "gw")) as (gateway, said):
        packet = gateway.publish(say(b"state", retain=True))
        until(lambda: packet in said.packets)

    with linked(at(mosquitto.url), TOPIC) as (link, ear):
        until(lambda: ear.heard)
        link.acknowledge(ear.heard[0])
        mosquitto.stop()
        mosquitto.start()
        until(lambda: len(ear.heard) == 2)

        assert [(one.payload, one.retained) for one in ear.heard] == [(b"state", True)] * 2


_CLIENT = """
import sys, time
from link.mqtt import Broker, Link, Message
class Ear:
    def up(self): print("up", flush=True)
    def down(self, reason): pass
    def delivered(self, delivery): pass
    def acknowledged(self, packet): pass
will = Message(topic=sys.argv[2], payload=b"offline", retain=True)
broker = Broker(url=sys.argv[1], client_id="gw", keepalive_s=60)
Link(broker, topics=(), will=will, listener=Ear()).start()
time.sleep(60)
"""


def test_the_last_will_is_said_when_a_process_is_killed(broker: AnyBroker) -> None:
    root = Path(__file__).parents[2]
    with (
        linked(at(broker.url), TOPIC) as (_, ear),
        subprocess.Popen(
            [sys.executable, "-c", _CLIENT, broker.url, TOPIC],
            env=os.environ | {"PYTHONPATH": str(root)},
            stdout=subprocess.PIPE,
        ) as process,
    ):
        assert process.stdout is not None
        assert b"up\n" in iter(process.stdout.readline, b"")  # among its log
        process.kill()

        until(lambda: ear.heard)
        assert ear.payloads == [b"offline"]


def test_who_says_goodbye_leaves_its_last_words_and_no_will(broker: AnyBroker) -> None:
    will = say(b"offline")
    with linked(at(broker.url), TOPIC) as (_, ear):
        with linked(at(broker.url, "gw"), will=will) as (gateway, _):
            gateway.stop(last_words=say(b"goodbye"))
        until(lambda: ear.heard)
        with linked(at(broker.url, "other")) as (other, said):
            publish(other, said, b"afterwards")
        until(lambda: len(ear.heard) == 2)

        assert ear.payloads == [b"goodbye", b"afterwards"]


# -- the session -------------------------------------------------------------------------------


def test_what_came_while_away_is_delivered_on_return(broker: AnyBroker) -> None:
    with linked(at(broker.url), TOPIC):
        time.sleep(0.1)  # the subscription has no answer of its own to wait for
    with linked(at(broker.url, "gw")) as (gateway, said):
        publish(gateway, said, b"1", b"2", b"3")

    with linked(at(broker.url), TOPIC) as (_, ear):
        until(lambda: len(ear.heard) == 3)

        assert ear.payloads == [b"1", b"2", b"3"]


def test_what_is_not_acknowledged_comes_again_and_what_is_does_not(broker: AnyBroker) -> None:
    with linked(at(broker.url), TOPIC) as (link, ear):
        with linked(at(broker.url, "gw")) as (gateway, said):
            publish(gateway, said, b"1", b"2")
        until(lambda: len(ear.heard) == 2)
        link.acknowledge(ear.heard[0])
        flush(link, ear)

    with linked(at(broker.url), TOPIC) as (link, again):
        until(lambda: again.heard)

        assert again.payloads == [b"2"]


def flush(link: Link, ear: Ear) -> None:
    """What was handed to paho before is at the broker once this is acknowledged."""
    publish(link, ear, b"", topic="flush")


def test_an_acknowledgement_of_an_old_connection_is_not_sent_on_the_new_one(
    mosquitto: Mosquitto,
) -> None:
    with linked(at(mosquitto.url), TOPIC) as (link, ear):
        with linked(at(mosquitto.url, "gw")) as (gateway, said):
            publish(gateway, said, b"1")
        until(lambda: ear.heard)
        mosquitto.stop()
        mosquitto.start()
        until(lambda: len(ear.heard) == 2)
        old, new = ear.heard
        assert (old.packet, old.connection + 1) == (new.packet, new.connection)

        link.acknowledge(old)
        flush(link, ear)

    with linked(at(mosquitto.url), TOPIC) as (link, again):
        until(lambda: again.heard)
        assert again.payloads == [b"1"]
        link.acknowledge(again.heard[0])
        flush(link, again)

    with linked(at(mosquitto.url), TOPIC) as (link, at_last):
        flush(link, at_last)
        assert at_last.heard == []


def test_what_was_published_without_qos_is_heard_and_its_acknowledgement_breaks_nothing(
    broker: AnyBroker,
) -> None:
    with linked(at(broker.url), TOPIC) as (link, ear), linked(at(broker.url, "gw")) as (other, _):
        other._client.publish(TOPIC, b"by hand", qos=0)
        until(lambda: ear.heard)

        link.acknowledge(ear.heard[0])
        flush(link, ear)

        assert (ear.payloads, ear.ups, ear.downs) == ([b"by hand"], 1, [])


def test_no_more_is_under_way_than_asked_for(broker: AnyBroker) -> None:
    few = at(broker.url, receive_maximum=5)
    with linked(few, TOPIC) as (link, ear):
        with linked(at(broker.url, "gw")) as (gateway, said):
            publish(gateway, said, *(b"%d" % n for n in range(15)))
        until(lambda: len(ear.heard) >= 5)
        flush(link, ear)
        under_way = len(ear.heard)

        for taken in range(15):
            until(lambda place=taken: len(ear.heard) > place)
            link.acknowledge(ear.heard[taken])

        if isinstance(broker, Mosquitto):  # the embedded one has its own window, 100
            assert under_way == 5
        assert ear.payloads == [b"%d" % n for n in range(15)]


# -- the broker goes and comes back ------------------------------------------------------------


def test_it_comes_back_by_itself_and_subscribes_again(broker: AnyBroker) -> None:
    with linked(at(broker.url), TOPIC) as (link, ear):
        broker.kill()
        until(lambda: ear.downs)
        assert not link.is_up
        broker.start()
        until(lambda: ear.ups == 2)

        with linked(at(broker.url, "gw")) as (gateway, _):
            until(lambda: gateway.publish(say(b"again")) and ear.heard)
        assert link.is_up
        assert set(ear.payloads) == {b"again"}


def test_while_it_is_down_nothing_is_taken_and_nothing_is_queued(broker: AnyBroker) -> None:
    with linked(at(broker.url)) as (link, ear):
        broker.kill()
        until(lambda: ear.downs)

        with pytest.raises(LinkDown):
            link.publish(say(b"lost", retain=True))
        broker.start()
        until(lambda: ear.ups == 2)
        flush(link, ear)

        with linked(at(broker.url, "other"), TOPIC) as (other, heard):
            flush(other, heard)
            assert heard.heard == []


def test_what_slips_in_while_it_falls_is_refused_and_not_queued(mosquitto: Mosquitto) -> None:
    with linked(at(mosquitto.url)) as (link, ear):
        mosquitto.kill()
        until(lambda: ear.downs)

        link._up = True  # as for a thread that looked just before it fell
        with pytest.raises(LinkDown):
            link.publish(say(b"lost", retain=True))
        link._up = False
        mosquitto.start()
        until(lambda: ear.ups == 2)
        flush(link, ear)

        with linked(at(mosquitto.url, "other"), TOPIC) as (other, heard):
            flush(other, heard)
            assert heard.heard == []


def test_what_was_unanswered_when_it_fell_is_not_sent_again(mosquitto: Mosquitto) -> None:
    with linked(at(mosquitto.url)) as (link, ear):
        mosquitto.freeze()
        for n in range(30):  # more than paho keeps under way
            link.publish(say(b"%d" % n, retain=True))
        mosquitto.kill()
        until(lambda: ear.downs)
        mosquitto.start()
        until(lambda: ear.ups == 2)
        flush(link, ear)

        with linked(at(mosquitto.url, "other"), TOPIC) as (other, heard):
            flush(other, heard)
            assert heard.heard == []


def test_a_broker_that_is_not_there_yet_is_waited_for_and_it_is_said_once(
    start_mosquitto: Callable[..., Mosquitto],
) -> None:
    started = start_mosquitto()
    started.kill()

    with (
        structlog.testing.capture_logs() as logs,
        linked(at(started.url), up=False) as (link, ear),
    ):
        with pytest.raises(LinkDown):
            link.publish(say(b""))
        time.sleep(2.5)
        started.start()
        until(lambda: ear.ups)

    assert [(one["event"], one.get("error")) for one in logs[:2]] == [
        ("link.unreachable", "[Errno 111] Connection refused"),
        ("link.up", None),
    ]
    started.kill()


def test_before_the_broker_greets_nothing_is_taken(mosquitto: Mosquitto) -> None:
    mosquitto.freeze()  # the kernel still takes the connection
    with linked(at(mosquitto.url), up=False) as (link, ear):
        until(link._client.socket)

        with pytest.raises(LinkDown):
            link.publish(say(b"too early"))

        mosquitto.thaw()
        until(lambda: ear.ups)


def test_half_a_link_is_noticed_and_comes_back(mosquitto: Mosquitto) -> None:
    with linked(at(mosquitto.url, keepalive_s=1), TOPIC) as (link, ear):
        mosquitto.freeze()
        until(lambda: ear.downs, within_s=5)
        assert not link.is_up

        mosquitto.thaw()
        until(lambda: link.is_up)
        flush(link, ear)


def test_it_can_be_stopped_while_the_broker_is_frozen(mosquitto: Mosquitto) -> None:
    with linked(at(mosquitto.url)) as (link, _):
        mosquitto.freeze()
        for n in range(30):
            link.publish(say(b"%d" % n))

        began = time.monotonic()
        link.stop()

        assert time.monotonic() - began < 5
        mosquitto.thaw()


def test_who_is_evicted_twice_stands_back(mosquitto: Mosquitto) -> None:
    with linked(at(mosquitto.url, "gw")) as (link, ear):
        for times in (1, 2):
            assert link._client._reconnect_min_delay == 1
            with linked(at(mosquitto.url, "gw")) as (other, _):
                until(lambda place=times: len(ear.downs) == place)
                other._client.reconnect_delay_set(60, 60)  # it does not fight back
            if times == 1:
                until(lambda: ear.ups == 2)

        assert (link._client._reconnect_min_delay, link._client._reconnect_max_delay) == (60, 120)


def test_who_stayed_long_enough_before_comes_back_at_once(mosquitto: Mosquitto) -> None:
    with linked(at(mosquitto.url, "gw")) as (link, ear):
        for times in (1, 2, 3):
            link._up_since_ms -= 5_000
            mosquitto.stop()
            until(lambda place=times: len(ear.downs) == place)
            assert link._client._reconnect_min_delay == 1
            mosquitto.start()
            until(lambda place=times: ear.ups == place + 1)


# -- who may speak -----------------------------------------------------------------------------


def test_user_and_password_open_the_door_and_a_wrong_one_is_said(
    start_mosquitto: Callable[..., Mosquitto],
) -> None:
    def prepare(folder: Path) -> None:
        program = required_program("mosquitto_passwd", "mosquitto")
        subprocess.run(
            [program, "-c", "-b", str(folder / "users"), "gw", "geheim 密"],
            check=True,
            capture_output=True,
        )
        (folder / "users").chmod(0o644)

    config = "listener {port} 127.0.0.1\nallow_anonymous false\npassword_file {folder}/users\n"
    guarded = start_mosquitto(config, prepare)

    with linked(at(guarded.url, username="gw", password="geheim 密")) as (link, ear):
        flush(link, ear)
    with (
        structlog.testing.capture_logs() as logs,
        linked(at(guarded.url, username="gw", password="wrong"), up=False) as (link, ear),
    ):
        until(lambda: logs)
        assert (link.is_up, ear.ups) == (False, 0)

    assert logs[0] == {
        "event": "link.refused",
        "log_level": "warning",
        "broker": guarded.url,
        "reason": "Not authorized",
    }
    guarded.kill()


def make_authority(folder: Path, name: str = "ca") -> None:
    """A certificate authority and a server's certificate for loopback, by openssl's command."""
    openssl = required_program("openssl", "openssl")

    def run(*arguments: str) -> None:
        subprocess.run([openssl, *arguments], cwd=folder, check=True, capture_output=True)

    curve = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    run("req", "-x509", *curve, "-keyout", f"{name}.key", "-out", f"{name}.pem",
        "-days", "2", "-subj", f"/CN={name}")  # fmt: skip
    (folder / "extensions").write_text("subjectAltName=IP:127.0.0.1,DNS:localhost\n")
    run("req", *curve, "-keyout", f"{name}-server.key", "-out", "server.csr",
        "-subj", "/CN=127.0.0.1")  # fmt: skip
    run("x509", "-req", "-in", "server.csr", "-CA", f"{name}.pem", "-CAkey", f"{name}.key",
        "-CAcreateserial", "-out", f"{name}-server.pem", "-days", "2",
        "-extfile", "extensions")  # fmt: skip
    for file in folder.iterdir():
        file.chmod(0o644)


TLS = """
listener {port} 127.0.0.1
allow_anonymous true
cafile {folder}/ca.pem
certfile {folder}/ca-server.pem
keyfile {folder}/ca-server.key
"""


@pytest.mark.filterwarnings("ignore::ResourceWarning")  # paho leaves the refused socket to the GC
def test_tls_with_an_authority_of_ones_own(
    start_mosquitto: Callable[..., Mosquitto],
    tmp_path: Path,
) -> None:
    secured = start_mosquitto(TLS, make_authority)
    url = secured.url.replace("mqtt:", "mqtts:")
    make_authority(tmp_path, "stranger")

    with linked(at(url, ca_file=str(secured.folder / "ca.pem")), TOPIC) as (link, ear):
        link.publish(say(b"secret" * 30_000))
        until(lambda: ear.heard)
        assert ear.payloads == [b"secret" * 30_000]
    with (
        structlog.testing.capture_logs() as logs,
        linked(at(url, ca_file=str(tmp_path / "stranger.pem")), up=False) as (link, _),
    ):
        until(lambda: logs)
        assert not link.is_up

    assert logs[0]["event"] == "link.unreachable"
    assert "certificate verify failed" in logs[0]["error"]
    secured.kill()


def test_a_client_certificate_opens_a_door_that_asks_for_one(
    start_mosquitto: Callable[..., Mosquitto],
) -> None:
    secured = start_mosquitto(TLS + "require_certificate true\n", make_authority)
    url = secured.url.replace("mqtt:", "mqtts:")
    trusted = at(url, ca_file=str(secured.folder / "ca.pem"))
    known = structs.replace(
        trusted,
        certificate_file=str(secured.folder / "ca-server.pem"),
        key_file=str(secured.folder / "ca-server.key"),
    )

    with linked(known) as (link, ear):
        flush(link, ear)
    with linked(trusted, up=False) as (link, ear):
        time.sleep(0.3)
        assert ear.ups == 0
    secured.kill()


# -- what can never work -----------------------------------------------------------------------


@pytest.mark.parametrize(
    "url",
    [
        "127.0.0.1:1883",
        "http://127.0.0.1",
        "mqtt://",
        "mqtt://:1883",
        "mqtt://h:0x10",
        "mqtt://h:70000",
        "mqtt://[::1",
        "",
    ],
)
def test_an_address_that_can_never_work_is_refused_before_anything_starts(url: str) -> None:
    with pytest.raises(LinkInvalid) as refused:
        Link(at(url), topics=(), listener=Ear())

    assert str(refused.value) == f"broker {url!r}: mqtt://HOST[:PORT] or mqtts://HOST[:PORT]"


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("mqtt://h", ("h", 1883)),
        ("mqtts://h", ("h", 8883)),
        ("mqtt://h:1", ("h", 1)),
        ("mqtt://[::1]:1884", ("::1", 1884)),
    ],
)
def test_an_address_has_its_schemes_port_unless_it_names_one(
    url: str, address: tuple[str, int]
) -> None:
    assert at(url).address() == address


def test_certificate_files_that_are_missing_are_refused(tmp_path: Path) -> None:
    with pytest.raises(LinkInvalid, match=r"broker mqtts://h: certificate files: .*No such file"):
        Link(at("mqtts://h", ca_file=str(tmp_path / "no.pem")), topics=(), listener=Ear())


def test_stopping_before_the_start_or_twice_is_fine() -> None:
    link = Link(at("mqtt://127.0.0.1:1"), topics=(), listener=Ear())

    link.stop()
    link.start()
    link.stop()
    link.stop()


def test_the_plain_configuration_is_one_that_persists() -> None:
    assert "persistence true" in plain_config()
