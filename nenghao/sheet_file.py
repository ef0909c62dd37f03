"""Sheet file: a CSV file on disk, gzipped or not -> its lines as bytes, and how far one is."""

import gzip
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, cast

from metering.errors import PermanentError

_GZIP = b"\x1f\x8b"
_LONGEST = 1 << 16  # bytes of a line that are looked at


class FileDamaged(PermanentError):
    """A compressed file that ends in the middle, or is none."""


class SheetFile:
    """An open file; iterate over it once."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        is_gzip = file.read(2) == _GZIP
        file.seek(0, 2)
        self.size = file.tell()
        file.seek(0)
        self._lines = cast("IO[bytes]", gzip.GzipFile(fileobj=file)) if is_gzip else file

    def read_bytes(self) -> int:
        """How far it was read, of `size`."""
        return self._file.tell()

    def __iter__(self) -> Iterator[bytes]:
        """Every line; of one that is longer than any can be, its beginning.

        Raises:
            FileDamaged: it cannot be unpacked from here on.
        """
        try:
            while line := self._lines.readline(_LONGEST):
                yield line
                while len(line) == _LONGEST and not line.endswith(b"\n"):
                    line = self._lines.readline(_LONGEST)
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise FileDamaged(f"压缩文件从这里起已损坏，读不出来 ({error})") from error


@contextmanager
def sheet_file(path: Path) -> Iterator[SheetFile]:
    with path.open("rb") as file:
        yield SheetFile(file)
