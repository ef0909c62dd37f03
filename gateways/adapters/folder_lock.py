"""FolderLock: one gateway in a spool folder; whoever ends, by kill -9 too, gives it up."""

import fcntl
from pathlib import Path

from gateways.spool.port import SpoolTaken


class FolderLock:
    """Held from when it is made until it is released, or until the process is no more."""

    def __init__(self, folder: Path) -> None:
        """Take it.

        Raises:
            SpoolTaken: another process has it.
        """
        self._file = (folder / "lock").open("ab")
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            self._file.close()
            raise SpoolTaken(
                f"another gateway works in the spool folder {folder}: stop it first"
            ) from error

    def release(self) -> None:
        self._file.close()
