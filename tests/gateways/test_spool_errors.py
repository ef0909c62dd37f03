"""What SQLite's errors mean for a spool: only damage may cost the file its place."""

import sqlite3

import pytest

from gateways.adapters.sqlite_errors import Meaning, meaning_of

PLENTY = 1 << 30


def error(code: int | None) -> sqlite3.DatabaseError:
    found = sqlite3.OperationalError("as it came")
    if code is not None:
        found.sqlite_errorcode = code
    return found


@pytest.mark.parametrize(
    ("code", "meaning"),
    [
        (sqlite3.SQLITE_FULL, Meaning.FULL),
        (sqlite3.SQLITE_IOERR_WRITE, Meaning.FULL),
        (sqlite3.SQLITE_IOERR_SHMSIZE, Meaning.FULL),
        (sqlite3.SQLITE_IOERR_TRUNCATE, Meaning.FULL),
        (sqlite3.SQLITE_BUSY, Meaning.PASSING),
        (sqlite3.SQLITE_BUSY_SNAPSHOT, Meaning.PASSING),
        (sqlite3.SQLITE_LOCKED, Meaning.PASSING),
        (sqlite3.SQLITE_PERM, Meaning.PASSING),
        (sqlite3.SQLITE_READONLY, Meaning.PASSING),
        (sqlite3.SQLITE_READONLY_DIRECTORY, Meaning.PASSING),
        (sqlite3.SQLITE_CANTOPEN, Meaning.PASSING),
        (sqlite3.SQLITE_PROTOCOL, Meaning.PASSING),
        (sqlite3.SQLITE_NOMEM, Meaning.PASSING),
        (sqlite3.SQLITE_IOERR_FSYNC, Meaning.PASSING),
        (sqlite3.SQLITE_IOERR_READ, Meaning.DAMAGED),
        (sqlite3.SQLITE_IOERR_SHORT_READ, Meaning.DAMAGED),
        (sqlite3.SQLITE_IOERR_DATA, Meaning.DAMAGED),
        (sqlite3.SQLITE_IOERR_CORRUPTFS, Meaning.DAMAGED),
        (sqlite3.SQLITE_CORRUPT, Meaning.DAMAGED),
        (sqlite3.SQLITE_CORRUPT_INDEX, Meaning.DAMAGED),
        (sqlite3.SQLITE_NOTADB, Meaning.DAMAGED),
        (sqlite3.SQLITE_ERROR, Meaning.DAMAGED),  # no such table
        (sqlite3.SQLITE_CONSTRAINT_UNIQUE, Meaning.DAMAGED),
        (None, Meaning.DAMAGED),  # text that is no UTF-8
    ],
)
def test_an_error_with_room_on_the_disk(code, meaning):
    assert meaning_of(error(code), disk_free=PLENTY) is meaning


@pytest.mark.parametrize(
    ("code", "meaning"),
    [
        (sqlite3.SQLITE_IOERR_FSYNC, Meaning.FULL),
        (sqlite3.SQLITE_CANTOPEN, Meaning.FULL),
        (sqlite3.SQLITE_CORRUPT, Meaning.DAMAGED),
    ],
)
def test_an_error_that_says_nothing_means_a_full_disk_where_the_disk_is_full(code, meaning):
    assert meaning_of(error(code), disk_free=0) is meaning
