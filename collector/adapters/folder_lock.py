"""Folder lock: a folder -> it is one process's alone, and others are told where that one answers.

The lock is the kernel's, so it ends with its process however that dies. What stands in the file
counts only while somebody holds the lock: it was written by whoever holds it.
"""

import fcntl
from pathlib import Path

from metering.errors import PermanentError

_NAME = "lock"


class AlreadyRunning(PermanentError):
    """Another process works in this folder.

    Attributes:
        url: where its API answers; empty while it is starting.
    """

    def __init__(self, message: str, url: str) -> None:
        super().__init__(message)
        self.url = url


class FolderLock:
    """Held from when it is made until it is closed.

    Raises:
        AlreadyRunning: another process, or another of this one, holds it.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / _NAME
        self._file = path.open("a+b")
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self._file.close()
            url = path.read_text(encoding="utf-8").strip()
            raise AlreadyRunning(
                f"another collector works in {folder}: stop it first", url
            ) from error
        self.tell("")

    def tell(self, url: str) -> None:
        """Say where the API answers."""
        self._file.seek(0)
        self._file.truncate()
        self._file.write(url.encode())
        self._file.flush()

    def close(self) -> None:
        """Let go of it; twice is fine."""
        self._file.close()
