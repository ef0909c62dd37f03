"""Memory file: what was learnt of the meters <-> one small JSON file, replaced whole.

Written seldom: when a hole is found, or a device says something new about itself.
"""

import os
from pathlib import Path

import msgspec
import structlog

from gateways.reading.memory import MemoryRefused, Remembered

log = structlog.get_logger()


class MemoryFile:
    """Implements `gateways.reading.memory.Memory`."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def load(self) -> Remembered:
        """See `Memory.load`; what cannot be read is set aside and said, never a reason to stop."""
        try:
            return msgspec.json.decode(self._path.read_bytes(), type=Remembered)
        except FileNotFoundError:
            return Remembered()
        except (OSError, msgspec.MsgspecError, UnicodeDecodeError) as error:
            log.warning("memory.unreadable", file=str(self._path), error=str(error))
            return Remembered()

    def save(self, remembered: Remembered) -> None:
        """See `Memory.save`."""
        beside = self._path.with_name(self._path.name + ".new")
        try:
            with beside.open("wb") as file:
                file.write(msgspec.json.format(msgspec.json.encode(remembered)))
                file.flush()
                os.fsync(file.fileno())
            beside.replace(self._path)
        except OSError as error:
            raise MemoryRefused(f"{self._path}: {error.strerror}") from error
