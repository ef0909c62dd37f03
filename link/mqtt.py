"""Link: a broker's URL -> a connection that comes back by itself.

The one module that speaks paho, for both sides. paho is a pipe here: it keeps nothing across a
reconnect (the spool owns identity and re-sending), and it is never believed about being connected
beyond its own callbacks. Callbacks run on paho's thread and must return at once.
"""

import ssl
import sys
import threading
import time
from typing import Any, Protocol
from urllib.parse import urlsplit

import structlog
from msgspec import Struct
from paho.mqtt import client as paho  # noqa: TID251 - this is the adapter
from paho.mqtt.enums import CallbackAPIVersion  # noqa: TID251 - this is the adapter
from paho.mqtt.packettypes import PacketTypes  # noqa: TID251 - this is the adapter
from paho.mqtt.properties import Properties  # noqa: TID251 - this is the adapter

from metering.errors import PermanentError, TransientError

log = structlog.get_logger()

_SCHEMES = {"mqtt": 1883, "mqtts": 8883}
_RETRY_S = (1, 30)
_EVICTED_RETRY_S = (60, 120)
_EVICTION_MS = 5_000  # dropped this soon after connecting: someone else uses our client id
_IN_FLIGHT = 20  # Mosquitto's default receive-maximum; beyond it a broker may close the link
_PACKET_LIMIT = 1 << 20


class LinkDown(TransientError):
    """The broker cannot be reached now."""


class LinkInvalid(PermanentError):
    """A broker URL or credential file that can never work."""


class Broker(Struct, frozen=True, kw_only=True):
    """Where the broker is and who we are there.

    Attributes:
        url: `mqtt://host:1883` or `mqtts://host:8883`.
        client_id: names the persistent session; one live connection per id.
        session_expiry_s: how long the broker keeps the session while we are away.
        receive_maximum: unacknowledged deliveries that the broker may have under way to us.
    """

    url: str
    client_id: str
    username: str | None = None
    password: str | None = None
    ca_file: str | None = None
    certificate_file: str | None = None
    key_file: str | None = None
    keepalive_s: int = 30
    session_expiry_s: int = 7 * 86_400
    receive_maximum: int = 100

    def address(self) -> tuple[str, int]:
        """Host and port.

        Raises:
            LinkInvalid: the URL names none.
        """
        try:
            parts = urlsplit(self.url)
            host, port = parts.hostname, parts.port
        except ValueError:  # a port that is no number, a bracket that does not close
            parts, host, port = None, None, None
        if parts is None or parts.scheme not in _SCHEMES or not host:
            raise LinkInvalid(f"broker {self.url!r}: mqtt://HOST[:PORT] or mqtts://HOST[:PORT]")
        return host, port or _SCHEMES[parts.scheme]


class Message(Struct, frozen=True, kw_only=True):
    """Something to say. `properties` become MQTT 5 user properties."""

    topic: str
    payload: bytes
    retain: bool = False
    content_type: str | None = None
    properties: tuple[tuple[str, str], ...] = ()


class Delivery(Struct, frozen=True, kw_only=True):
    """Something heard, to be acknowledged once it is durable.

    Attributes:
        retained: the broker kept it; it may be old.
        connection: which connection brought it; an acknowledgement is only good on the same one.
    """

    topic: str
    payload: bytes
    retained: bool
    content_type: str | None
    properties: dict[str, str]
    connection: int
    packet: int


class Listener(Protocol):
    """Who is told what happens on a link; called on paho's thread, must return at once."""

    def up(self) -> None:
        """Connected, and subscribed to the topics."""
        ...

    def down(self, reason: str) -> None:
        """The connection fell; it comes back by itself."""
        ...

    def delivered(self, delivery: Delivery) -> None:
        """A message came; `Link.acknowledge` it once it is durable."""
        ...

    def acknowledged(self, packet: int) -> None:
        """The broker has the message that `publish` numbered."""
        ...


class Link:
    """A persistent MQTT 5 session at a broker."""

    def __init__(
        self,
        broker: Broker,
        *,
        topics: tuple[str, ...],
        will: Message | None = None,
        listener: Listener,
    ) -> None:
        """Prepare; nothing is opened before `start`.

        Args:
            topics: subscribed at every connect, QoS 1.
            will: what the broker says for us when the link falls.

        Raises:
            LinkInvalid: the broker's URL or a certificate file cannot be used.
        """
        self._broker = broker
        self._address = broker.address()
        self._topics = topics
        self._listener = listener
        self._connection = 0
        self._up_since_ms = 0
        self._evictions = 0
        self._up = False
        self._unreachable = False
        # Held where a connection ends and where it is acknowledged on: what paho is given before
        # it knows of the end goes with that connection, what came after would reach the next one.
        self._ending = threading.Lock()
        self._client = self._make_client(will)

    def _make_client(self, will: Message | None) -> paho.Client:
        client = paho.Client(
            CallbackAPIVersion.VERSION2,
            client_id=self._broker.client_id,
            protocol=paho.MQTTv5,
            manual_ack=True,
        )
        client.username = self._broker.username
        client.password = self._broker.password
        client.max_inflight_messages_set(_IN_FLIGHT)
        client.reconnect_delay_set(*_RETRY_S)
        if will is not None:
            client.will_set(will.topic, will.payload, qos=1, retain=will.retain)
        if self._broker.url.startswith("mqtts:"):
            self._secure(client)
        client.on_connect = self._connected
        client.on_connect_fail = self._failed
        client.on_disconnect = self._disconnected
        client.on_message = self._delivered
        client.on_publish = self._published
        return client

    def _secure(self, client: paho.Client) -> None:
        try:
            context = ssl.create_default_context(cafile=self._broker.ca_file)
            if self._broker.certificate_file:
                context.load_cert_chain(self._broker.certificate_file, self._broker.key_file)
        except OSError as error:
            raise LinkInvalid(f"broker {self._broker.url}: certificate files: {error}") from error
        client.tls_set_context(context)

    def start(self) -> None:
        """Connect in the background, for as long as it takes."""
        host, port = self._address
        connect = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]  # paho's own gap
        connect.SessionExpiryInterval = self._broker.session_expiry_s
        connect.ReceiveMaximum = self._broker.receive_maximum
        connect.MaximumPacketSize = _PACKET_LIMIT
        self._client.connect_async(
            host,
            port,
            keepalive=self._broker.keepalive_s,
            clean_start=False,
            properties=connect,
        )
        self._client.loop_start()

    def stop(self, last_words: Message | None = None) -> None:
        """Say goodbye and close. The session stays at the broker."""
        if last_words is not None and self._up:
            self._send(last_words).wait_for_publish(timeout=2)
        self._client.disconnect()
        self._client.loop_stop()

    @property
    def is_up(self) -> bool:
        return self._up

    def publish(self, message: Message) -> int:
        """Hand a message to the broker, QoS 1; returns the number `acknowledged` will name.

        Raises:
            LinkDown: not connected now; nothing was queued.
        """
        if not self._up:
            raise LinkDown(f"broker {self._broker.url} is not connected")
        info = self._send(message)
        if info.rc is not paho.MQTT_ERR_SUCCESS:
            raise LinkDown(f"broker {self._broker.url}: {paho.error_string(info.rc)}")
        return info.mid

    def _send(self, message: Message) -> paho.MQTTMessageInfo:
        return self._client.publish(
            message.topic,
            message.payload,
            qos=1,
            retain=message.retain,
            properties=_properties(message),
        )

    def acknowledge(self, delivery: Delivery) -> None:
        """PUBACK. After a reconnect the broker delivers again, so an old one is let be.

        What somebody published with QoS 0 has no packet number: brokers close the link on a PUBACK
        for it.
        """
        with self._ending:
            if delivery.packet and self._up and delivery.connection == self._connection:
                self._client.ack(delivery.packet, 1)

    # ---- paho's callbacks, on its thread

    def _connected(
        self, client: paho.Client, _userdata: Any, _flags: Any, reason: Any, _properties: Any
    ) -> None:
        if reason.is_failure:
            log.warning("link.refused", broker=self._broker.url, reason=str(reason))
            return
        # What was unanswered on the old connection is the sender's to send again, not paho's.
        client.drop_out_messages()
        self._connection += 1
        self._up_since_ms = time.monotonic_ns() // 1_000_000
        self._up = True
        self._unreachable = False
        if self._topics:
            client.subscribe([(topic, 1) for topic in self._topics])
        log.info("link.up", broker=self._broker.url, client=self._broker.client_id)
        self._listener.up()

    def _disconnected(
        self, client: paho.Client, _userdata: Any, _flags: Any, reason: Any, _properties: Any
    ) -> None:
        with self._ending:
            was_up, self._up = self._up, False
        client.drop_out_messages()
        if not was_up:
            return
        lasted_ms = time.monotonic_ns() // 1_000_000 - self._up_since_ms
        self._evictions = self._evictions + 1 if lasted_ms < _EVICTION_MS else 0
        evicted = self._evictions >= 2  # noqa: PLR2004 - "twice", design section 5 rule 2
        client.reconnect_delay_set(*(_EVICTED_RETRY_S if evicted else _RETRY_S))
        tell = log.warning if reason.is_failure else log.info
        tell("link.down", broker=self._broker.url, reason=str(reason), evicted=evicted)
        self._listener.down(str(reason))

    def _failed(self, _client: paho.Client, _userdata: Any) -> None:
        """Nobody answered; paho calls this while it handles the error, and tries again."""
        if not self._unreachable:
            self._unreachable = True
            log.warning("link.unreachable", broker=self._broker.url, error=str(sys.exception()))

    def _delivered(self, _client: paho.Client, _userdata: Any, message: paho.MQTTMessage) -> None:
        properties = message.properties
        self._listener.delivered(
            Delivery(
                topic=message.topic,
                payload=bytes(message.payload),
                retained=message.retain,
                content_type=getattr(properties, "ContentType", None),
                properties=dict(getattr(properties, "UserProperty", ())),
                connection=self._connection,
                packet=message.mid,
            )
        )

    def _published(
        self, _client: paho.Client, _userdata: Any, packet: int, reason: Any, _properties: Any
    ) -> None:
        if reason.is_failure:
            log.warning("link.publish_refused", packet=packet, reason=str(reason))
            return
        self._listener.acknowledged(packet)


def _properties(message: Message) -> Properties | None:
    """None where there are none: paho's empty ones cost more than the rest of the message."""
    if not message.content_type and not message.properties:
        return None
    properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]  # paho's own gap
    if message.content_type:
        properties.ContentType = message.content_type
    if message.properties:
        properties.UserProperty = list(message.properties)
    return properties
