"""HttpServer: the API on a socket, in a thread of its own."""

import socket
import threading

import uvicorn
from fastapi import FastAPI

from metering.errors import PermanentError


class PortTaken(PermanentError):
    """The API's port is somebody else's."""


class HttpServer:
    """Bound when made, so that the address is known (and refused) before anything else starts."""

    def __init__(self, api: FastAPI, host: str, port: int) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            self._socket.bind((host, port))
            self._socket.listen()  # until somebody listens, a second one may bind as well
        except OSError as error:
            self._socket.close()
            raise PortTaken(
                f"the API cannot listen on {host}:{port}: {error.strerror}; set api.port"
            ) from error
        config = uvicorn.Config(api, log_config=None, access_log=False, lifespan="off")
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(
            target=self._server.run, kwargs={"sockets": [self._socket]}, name="api", daemon=True
        )

    @property
    def url(self) -> str:
        host, port = self._socket.getsockname()[:2]
        return f"http://{host}:{port}"

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        if self._thread.is_alive():
            self._server.should_exit = True
            self._thread.join(timeout=5)
        self._socket.close()
