"""Served log: what simulated meters answered -> JSON lines, for tests to compare with the store.

One line per usable answer: `{"at":1763800000123,"meter":"e001-main","values":{…}}`, the values as a
correct reader must see them. On disk within 0.2 s, so that a test that kills everything else still
has the truth.
"""

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO

import msgspec

from metering.clock import Clock

FLUSH_S = 0.2


class ServedLog:
    """Appends to a file, from one event loop.

    Its times are those of the meters' world, or by `stamps` those of clocks that were set.
    """

    def __init__(self, path: Path, stamps: Clock | None = None) -> None:
        self._file: BinaryIO = path.open("ab")
        self._stamps = stamps
        self._encoder = msgspec.json.Encoder()
        self._lines: list[bytes] = []
        self._due: asyncio.TimerHandle | None = None

    def record(self, at_ms: int, meter: str, values: Mapping[str, float]) -> None:
        if self._stamps is not None:
            at_ms = self._stamps.now_ms()
        line = {"at": at_ms, "meter": meter, "values": values}
        self._lines.append(self._encoder.encode(line))
        if self._due is None:
            self._due = asyncio.get_running_loop().call_later(FLUSH_S, self.flush)

    def flush(self) -> None:
        """Write out what was recorded."""
        if self._due is not None:
            self._due.cancel()
            self._due = None
        if self._lines:
            self._file.write(b"\n".join(self._lines) + b"\n")
            self._file.flush()
            self._lines.clear()

    def close(self) -> None:
        self.flush()
        self._file.close()
