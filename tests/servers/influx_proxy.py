"""InfluxDB 2's write address in front of a 1.x server, and 2.x's answers on demand.

`/api/v2/write?org&bucket&precision` becomes `/write?db&precision`; all else passes as it is. What
1.6.7 lacks (429, 503 with Retry-After, 413, 422 in 2.x's own JSON) is injected, so is a connection
that breaks.
"""

import json
import socket
import struct
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar
from urllib.parse import parse_qs, urlencode, urlsplit


@dataclass(frozen=True)
class Answer:
    """What the proxy says instead of asking the server."""

    status: int
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Reset:
    """The connection breaks; with `after_writing` the server has taken the request first."""

    after_writing: bool = False


@dataclass(frozen=True)
class Delay:
    """The server takes the request this much later."""

    seconds: float


Fault = Answer | Reset | Delay


def error_2x(status: int, code: str, message: str, **headers: str) -> Answer:
    """An error as InfluxDB 2.x words it."""
    body = json.dumps({"code": code, "message": message}).encode()
    headers = {name.replace("_", "-"): value for name, value in headers.items()}
    return Answer(status, body, {"Content-Type": "application/json; charset=utf-8"} | headers)


class InfluxProxy:
    """One proxy; `next` holds what the next writes meet, `judge` looks at each body after that."""

    def __init__(self, target: tuple[str, int]) -> None:
        self.next: deque[Fault] = deque()
        self.judge: Callable[[bytes], Fault | None] = lambda _body: None
        self.writes: list[bytes] = []
        self.requests: list[tuple[str, dict[str, list[str]], dict[str, str]]] = []
        self._target = target
        self._server: ThreadingHTTPServer | None = None
        self._port = 0
        self.up()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    def up(self) -> None:
        handler = type("Handler", (_Handler,), {"proxy": self, "target": self._target})
        self._server = _Server(("127.0.0.1", self._port), handler)
        self._port = self._server.server_port
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def down(self) -> None:
        """Refuse connections and break those that are open."""
        if self._server:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    def forget(self) -> None:
        """Forget what was injected and seen."""
        self.next.clear()
        self.judge = lambda _body: None
        self.writes.clear()
        self.requests.clear()

    def fault_for(self, body: bytes) -> Fault | None:
        return self.next.popleft() if self.next else self.judge(body)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    allow_reuse_address = True
    request_queue_size = 64

    def __init__(self, *args: object) -> None:
        self.open: set[socket.socket] = set()
        super().__init__(*args)  # type: ignore[arg-type]

    def process_request(self, request: socket.socket, client_address: object) -> None:
        self.open.add(request)
        super().process_request(request, client_address)  # type: ignore[arg-type]

    def shutdown_request(self, request: socket.socket) -> None:
        self.open.discard(request)
        super().shutdown_request(request)

    def server_close(self) -> None:
        super().server_close()
        for connection in list(self.open):
            reset(connection)

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that went away is no news."""


def reset(connection: socket.socket) -> None:
    """Break it at once: the other side sees "connection reset by peer"."""
    with suppress(OSError):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.shutdown(socket.SHUT_RD)
        connection.close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1
    proxy: ClassVar[InfluxProxy]
    target: ClassVar[tuple[str, int]]
    _upstream: HTTPConnection | None = None

    def do_GET(self) -> None:
        self._pass_on(b"")

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        parts = urlsplit(self.path)
        if parts.path != "/api/v2/write":
            self._pass_on(body)
            return
        query = parse_qs(parts.query)
        self.proxy.requests.append((parts.path, query, dict(self.headers)))
        fault = self.proxy.fault_for(body)
        self.path = "/write?" + urlencode(
            {"db": query["bucket"][0], "precision": query["precision"][0]}
        )
        if isinstance(fault, Answer):
            self._answer(fault)
            return
        if isinstance(fault, Reset):
            if fault.after_writing:
                self._ask(body)
            reset(self.connection)
            self.close_connection = True
            return
        if isinstance(fault, Delay):
            time.sleep(fault.seconds)
        self.proxy.writes.append(body)
        self._pass_on(body)

    def _pass_on(self, body: bytes) -> None:
        try:
            self._answer(self._ask(body))
        except (OSError, HTTPException):
            reset(self.connection)
            self.close_connection = True

    def _ask(self, body: bytes) -> Answer:
        self._upstream = self._upstream or HTTPConnection(*self.target)
        kept = ("Content-Type", "Content-Encoding", "Accept-Encoding")
        headers = {name: self.headers[name] for name in kept if name in self.headers}
        self._upstream.request(self.command, self.path, body or None, headers)
        response = self._upstream.getresponse()
        names = ("Content-Type", "Content-Encoding")
        headers = {name: response.headers[name] for name in names if name in response.headers}
        return Answer(response.status, response.read(), headers)

    def _answer(self, answer: Answer) -> None:
        with suppress(OSError):
            self.send_response(answer.status)
            for name, value in answer.headers.items():
                self.send_header(name, value)
            if answer.status != 204:
                self.send_header("Content-Length", str(len(answer.body)))
            self.end_headers()
            self.wfile.write(answer.body)
            self.wfile.flush()

    def finish(self) -> None:
        if self._upstream:
            self._upstream.close()
        with suppress(OSError, ValueError):
            super().finish()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  its own name
        """Quiet."""
