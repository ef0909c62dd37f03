"""StatusSocket: whoever connects -> one JSON document of what the gateway is doing, and goodbye.

A unix socket in the spool's folder: no port, no password, and only the folder's user and group get
in. It answers from memory, so that it answers when the disk, the link and the buses do not.
"""

import asyncio
import os
import socket
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from metering.errors import PermanentError, TransientError

NAME = "status.sock"
_READERS = 0o660  # connecting needs the right to write
_PATH_MOST = 107  # bytes that fit into an address
_ANSWER_S = 5.0
_DOCUMENT_MOST = 16 << 20  # bytes; a state is a few hundred for each meter


class StatusAway(TransientError):
    """No gateway answers there now."""


class StatusRefused(PermanentError):
    """Something stands in the way of the socket: rights, or another file of its name."""


class StatusSocket:
    """Answers every connection."""

    def __init__(self, folder: Path, describe: Callable[[], bytes]) -> None:
        """Take the folder, which must be this process's alone: a socket in it is a dead one's."""
        self._path = folder / NAME
        self._describe = describe
        self._server: asyncio.Server | None = None

    async def open(self) -> None:
        """Listen.

        Raises:
            StatusRefused: the socket cannot be made there.
        """
        listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            _remove_dead(self._path)
            with _address(self._path) as address:
                listening.bind(address)
            self._path.chmod(_READERS)
            self._server = await asyncio.start_unix_server(self._answer, sock=listening)
        except OSError as error:
            listening.close()
            raise StatusRefused(f"{self._path}: {error.strerror or error}") from error

    async def close(self) -> None:
        if self._server is None:
            return
        self._server.close()
        await self._server.wait_closed()
        self._path.unlink(missing_ok=True)

    async def _answer(self, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, TimeoutError):  # who asked went away, or does not read
            async with asyncio.timeout(_ANSWER_S):
                writer.write(self._describe())
                await writer.drain()
                writer.close()
                await writer.wait_closed()
                return
        writer.transport.abort()


def ask_status(folder: Path, *, within_s: float = _ANSWER_S) -> bytes:
    """The document of the gateway that works in a spool folder.

    Raises:
        StatusAway: none runs there, or it hangs.
        StatusRefused: we may not ask.
    """
    path = folder / NAME
    try:
        with (
            socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as asking,
            _address(path) as address,
        ):
            asking.settimeout(within_s)
            asking.connect(address)
            return _everything(asking)
    except (FileNotFoundError, ConnectionRefusedError, NotADirectoryError) as error:
        raise StatusAway(f"no gateway runs with the spool folder {folder}") from error
    except TimeoutError as error:
        raise StatusAway(f"{path}: no answer within {within_s:g} s; the gateway hangs") from error
    except PermissionError as error:
        raise StatusRefused(f"{path}: only its user and group may ask; try sudo") from error
    except OSError as error:
        raise StatusAway(f"{path}: {error.strerror or error}") from error


def _everything(asking: socket.socket) -> bytes:
    document = bytearray()
    while len(document) < _DOCUMENT_MOST and (some := asking.recv(1 << 16)):
        document += some
    return bytes(document)


def _remove_dead(path: Path) -> None:
    with suppress(FileNotFoundError):
        if not stat.S_ISSOCK(path.lstat().st_mode):
            raise FileExistsError(0, "is in the way, and no socket")
        path.unlink()


@contextmanager
def _address(path: Path) -> Iterator[str]:
    """An address for the path, however long: by way of the folder's open handle."""
    if len(os.fsencode(path)) <= _PATH_MOST:
        yield str(path)
        return
    folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)
