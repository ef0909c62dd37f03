"""SQLite's errors -> what they mean for a spool: a full disk, a passing trouble, or damage.

Source: https://sqlite.org/rescode.html
"""

import sqlite3
from enum import Enum, auto


class Meaning(Enum):
    """What is wrong with a spool's file."""

    FULL = auto()
    PASSING = auto()  # the file is sound, but cannot be used now
    DAMAGED = auto()


_FULL = {
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_IOERR_WRITE,
    sqlite3.SQLITE_IOERR_SHMSIZE,
    sqlite3.SQLITE_IOERR_TRUNCATE,
}
_UNREADABLE = {
    sqlite3.SQLITE_IOERR_READ,
    sqlite3.SQLITE_IOERR_SHORT_READ,
    sqlite3.SQLITE_IOERR_DATA,
    sqlite3.SQLITE_IOERR_CORRUPTFS,
}
_PASSING = {  # by the low byte
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_PERM,
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_PROTOCOL,
    sqlite3.SQLITE_NOMEM,
    sqlite3.SQLITE_IOERR,
}
_NO_ROOM_BYTES = 64 << 10  # with less free, an error that says nothing means a full disk


def meaning_of(error: sqlite3.DatabaseError, *, disk_free: int) -> Meaning:
    """Judge an error by its extended code; what nothing else explains is damage.

    Args:
        disk_free: bytes free on the file's disk.
    """
    code = getattr(error, "sqlite_errorcode", None)  # text that is no UTF-8 comes without one
    if code in _FULL:
        return Meaning.FULL
    if code is None or code in _UNREADABLE or code & 0xFF not in _PASSING:
        return Meaning.DAMAGED
    return Meaning.FULL if disk_free < _NO_ROOM_BYTES else Meaning.PASSING
