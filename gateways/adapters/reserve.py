"""Reserve: room on a disk, kept by a file, for the moment when the disk is full."""

import os
from contextlib import suppress
from pathlib import Path

_SIZES = (4 << 20, 3 << 20, 2 << 20)  # bytes; the largest that leaves `_SPARE_BYTES` free
_SPARE_BYTES = 1 << 20  # what a write-ahead log may grow to


class Reserve:
    """A file of nothing, to be given up."""

    def __init__(self, path: Path) -> None:
        self._path = path

    @property
    def size(self) -> int:
        return self._path.stat().st_size if self._path.exists() else 0

    @property
    def is_whole(self) -> bool:
        return self.size >= _SIZES[0]

    def disk_free(self) -> int:
        """Bytes that the disk has left for us."""
        disk = os.statvfs(self._path.parent)
        return disk.f_bavail * disk.f_frsize

    def free(self) -> None:
        self._path.unlink(missing_ok=True)

    def restore(self) -> None:
        """Keep as much as leaves some room beside; on a full disk the smallest size, or nothing."""
        present = self.size
        room = self.disk_free() + present
        for size in _SIZES:
            if size <= present or (room - size < _SPARE_BYTES and size != _SIZES[-1]):
                continue
            with suppress(OSError), self._path.open("ab") as file:
                os.posix_fallocate(file.fileno(), 0, size)
                return
        if not present:
            self.free()
