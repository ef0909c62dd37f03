"""Broker: a port and a folder -> a running embedded broker, for the demo and the tests.

rumqttd inside the iotcore wheel. Behind a URL, so that any broker replaces it. Its configuration is
a TOML file, since only that offers MQTT 5; the values below keep its defaults from losing data.
"""

import signal
import socket
from pathlib import Path

from iotcore import Broker  # noqa: TID251 - this is the adapter

_TOML = """\
id = 0

[router]
id = 0
max_connections = 1010
max_outgoing_packet_count = 200
max_segment_size = 104857600
max_segment_count = 10

[v5.1]
name = "v5-1"
listen = "{host}:{port}"
next_connection_delay_ms = 1

[v5.1.connections]
connection_timeout_ms = 60000
max_payload_size = 1048576
max_inflight_count = 100
dynamic_filters = true
"""


class EmbeddedBroker:
    """A real broker in a child process that ends with this one."""

    def __init__(self, folder: Path, *, host: str = "127.0.0.1", port: int = 0) -> None:
        """Prepare; port 0 takes a free one."""
        self._port = port or _free_port(host)
        folder.mkdir(parents=True, exist_ok=True)
        file = folder / "rumqttd.toml"
        file.write_text(_TOML.format(host=host, port=self._port), encoding="utf-8")
        self._broker = Broker(config_path=str(file))
        self.url = f"mqtt://{host}:{self._port}"

    def start(self) -> None:
        """Its process is not to hear Ctrl-C: whoever started it stops it, after all others."""
        usual = signal.signal(signal.SIGINT, signal.SIG_IGN)
        try:
            self._broker.start()
        finally:
            signal.signal(signal.SIGINT, usual)

    def stop(self) -> None:
        self._broker.stop()


def _free_port(host: str) -> int:
    with socket.socket() as free:
        free.bind((host, 0))
        return int(free.getsockname()[1])
