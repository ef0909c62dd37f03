"""What every `SmallState` does: on a file, and in memory; with kill -9 and a full disk."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from collector.adapters.sql import (
    SCHEMA_VERSION,
    SqlSmallState,
    StateAway,
    StateInvalid,
    StateTooNew,
)
from collector.alerting.log import Judged
from collector.small_state import (
    GatewayRecord,
    Quarantined,
    Record,
    SmallState,
    StoredBatch,
)
from metering.batch import BatchKey
from metering.delivery.ranges import Ranges
from metering.delivery.receiver import EpochLedger
from metering.errors import TransientError
from tests.fakes.alerting import cleared, fired, firing

GATEWAY = "gw-e001"
EPOCH = "01JD0000000000000000000000"
NOW_MS = 1_780_272_000_000


@pytest.fixture(params=["file", "memory"])
def state(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[SmallState]:
    url = "sqlite://" if request.param == "memory" else url_of(tmp_path)
    with closing(SqlSmallState(url)) as opened:
        yield opened


def url_of(folder: Path) -> str:
    return f"sqlite:///{folder / 'state.sqlite'}"


def stored(sequence: int, digest: str = "a" * 64, received_ms: int = NOW_MS) -> StoredBatch:
    return StoredBatch(
        gateway=GATEWAY,
        key=BatchKey(EPOCH, sequence),
        digest=digest,
        received_ms=received_ms,
        readings=3,
    )


def ledger(through: int, **changed: object) -> EpochLedger:
    plain = EpochLedger(stored=Ranges.span(1, through), next=through + 1, named=True)
    return structs.replace(plain, **changed)


def recorded(through: int) -> Record:
    return Record(batches=[stored(through)], ledgers=[(GATEWAY, EPOCH, ledger(through))])


def aside(**changed: object) -> Quarantined:
    plain = Quarantined(
        gateway=GATEWAY,
        key=BatchKey(EPOCH, 7),
        digest="b" * 64,
        reason="undecodable",
        message="不是 JSON: \x00\n",
        received_ms=NOW_MS,
        content_type="application/json",
        payload=bytes(range(256)),
    )
    return structs.replace(plain, **changed)


def spoken(state: bytes = b"{}", link: str = "online") -> GatewayRecord:
    return GatewayRecord(
        gateway=GATEWAY, district="120101", state=state, state_ms=1, link=link, link_ms=2
    )


# -- what goes in comes out --------------------------------------------------------------------


def test_a_new_state_is_empty_and_answers_every_question(state: SmallState) -> None:
    assert state.ledgers() == {}
    assert state.digests([(GATEWAY, BatchKey(EPOCH, 1))]) == {}
    assert state.generation() == 1
    assert state.quarantine(9) == []
    assert state.gateways() == []
    assert state.forget_before(NOW_MS) == 0


spans = st.lists(
    st.tuples(st.integers(1, 2**53), st.integers(0, 9)).map(lambda s: (s[0], s[0] + s[1])),
    max_size=4,
).map(Ranges)


@given(
    kept=st.builds(
        EpochLedger,
        stored=spans,
        lost=spans,
        released=spans,
        next=st.integers(1, 2**53),
        named=st.booleans(),
    )
)
def test_a_ledger_comes_back_as_it_was(kept: EpochLedger) -> None:
    with closing(SqlSmallState("sqlite://")) as state:
        state.record(Record(ledgers=[(GATEWAY, EPOCH, EpochLedger())]))

        state.record(Record(ledgers=[(GATEWAY, EPOCH, kept), ("gw-a001", EPOCH, EpochLedger())]))

        assert state.ledgers() == {(GATEWAY, EPOCH): kept, ("gw-a001", EPOCH): EpochLedger()}


def test_a_record_of_nothing_changes_nothing(state: SmallState) -> None:
    state.record(Record())

    assert state.ledgers() == {}


def test_digests_are_found_by_gateway_and_key(state: SmallState) -> None:
    fork = stored(1, digest="c" * 64)
    foreign = structs.replace(stored(1), gateway="gw-a001", digest="d" * 64)
    state.record(Record(batches=[stored(1), fork, stored(2), foreign]))

    found = state.digests([(GATEWAY, BatchKey(EPOCH, sequence)) for sequence in (1, 2, 3)])

    assert found == {
        (GATEWAY, BatchKey(EPOCH, 1)): {"a" * 64, "c" * 64},
        (GATEWAY, BatchKey(EPOCH, 2)): {"a" * 64},
    }


def test_more_digests_are_found_than_one_query_takes(state: SmallState) -> None:
    keys = [(GATEWAY, BatchKey(EPOCH, sequence)) for sequence in range(1, 1002)]
    state.record(Record(batches=[stored(sequence) for sequence in range(1, 1002)]))

    assert len(state.digests(keys)) == 1001


def test_the_same_batch_again_changes_nothing(state: SmallState) -> None:
    state.record(Record(batches=[stored(1)]))

    state.record(Record(batches=[stored(1, received_ms=NOW_MS + 1), stored(2)]))

    assert state.forget_before(NOW_MS + 1) == 2


def test_what_is_set_aside_comes_back_to_the_byte_newest_first(state: SmallState) -> None:
    anonymous = aside(key=None, reason="no_identity", payload=b"")
    state.record(Record(quarantined=[aside(), anonymous]))

    newest, oldest = state.quarantine(9)

    assert structs.replace(oldest, number=0) == aside()
    assert structs.replace(newest, number=0) == anonymous
    assert newest.number > oldest.number > 0
    assert state.quarantine(1) == [newest]


def test_the_same_bytes_are_set_aside_once_for_each_reason(state: SmallState) -> None:
    state.record(Record(quarantined=[aside(), aside()]))
    state.record(Record(quarantined=[aside(received_ms=NOW_MS + 1), aside(reason="oversized")]))

    assert [kept.reason for kept in state.quarantine(9)] == ["oversized", "undecodable"]


def test_a_gateways_last_word_counts(state: SmallState) -> None:
    state.record(Record(gateways=[spoken()]))

    state.record(Record(gateways=[spoken(b'{"\xe4\xb8\xad":1}', "offline")]))

    assert state.gateways() == [spoken(b'{"\xe4\xb8\xad":1}', "offline")]


# -- alerts ------------------------------------------------------------------------------------


def test_steps_standing_alerts_and_how_far_was_judged_are_recorded_with_a_group(
    tmp_path: Path,
) -> None:
    first, second = firing(1), firing(2, rule="cold", group="cold")
    worse = structs.replace(second, worst=900.0)
    judged = Judged(gateway=GATEWAY, newest={"e001-main": NOW_MS}, late={"e001-light": (1, 2)})
    with closing(SqlSmallState(url_of(tmp_path))) as state:
        state.record(Record(steps=[fired(first), fired(second)]))
        state.record(Record(steps=[cleared(first, NOW_MS)], standing=[worse], judged=[judged]))

    with closing(SqlSmallState(url_of(tmp_path))) as again:
        assert again.alert_log.open_alerts() == [worse]
        assert [(one.number, one.alert.number) for one in again.alert_log.last_steps(9)] == [
            (3, 1),
            (2, 2),
            (1, 1),
        ]
        assert again.alert_log.judged() == [judged]


# -- rewind and forgetting ---------------------------------------------------------------------


def test_a_rewind_wants_again_what_came_since(state: SmallState) -> None:
    old, new = stored(1, received_ms=NOW_MS - 1), stored(2)
    quiet = ("gw-a001", EPOCH, ledger(5))
    state.record(Record(batches=[old, new], ledgers=[(GATEWAY, EPOCH, ledger(2)), quiet]))

    changed = state.rewind(NOW_MS, 2)

    assert changed == {(GATEWAY, EPOCH): ledger(2).without(Ranges.span(2, 2))}
    assert changed[GATEWAY, EPOCH].missing() == Ranges.span(2, 2)
    assert state.ledgers() == {**changed, ("gw-a001", EPOCH): ledger(5)}
    assert state.digests([(GATEWAY, BatchKey(EPOCH, n)) for n in (1, 2)]).keys() == {
        (GATEWAY, BatchKey(EPOCH, 1))
    }
    assert state.generation() == 2


def test_a_rewind_of_nothing_still_raises_the_generation(state: SmallState) -> None:
    assert state.rewind(NOW_MS, 7) == {}
    assert state.generation() == 7


def test_old_batches_are_forgotten_and_their_ranges_stay(state: SmallState) -> None:
    old = stored(1, received_ms=NOW_MS - 1)
    state.record(Record(batches=[old, stored(2)], ledgers=[(GATEWAY, EPOCH, ledger(2))]))

    assert state.forget_before(NOW_MS) == 1

    assert state.ledgers()[GATEWAY, EPOCH].stored == Ranges.span(1, 2)
    assert state.forget_before(NOW_MS) == 0


# -- the file ----------------------------------------------------------------------------------


def test_what_is_recorded_survives_a_restart(tmp_path: Path) -> None:
    with closing(SqlSmallState(url_of(tmp_path))) as state:
        state.record(recorded(3))
        state.rewind(NOW_MS + 1, 4)

    with closing(SqlSmallState(url_of(tmp_path))) as again:
        assert again.ledgers() == {(GATEWAY, EPOCH): ledger(3)}
        assert again.generation() == 4


def test_a_file_opened_twice_serves_both(tmp_path: Path) -> None:
    with (
        closing(SqlSmallState(url_of(tmp_path))) as first,
        closing(SqlSmallState(url_of(tmp_path))) as second,
    ):
        first.record(recorded(1))
        second.record(recorded(2))

        assert first.ledgers() == second.ledgers() == {(GATEWAY, EPOCH): ledger(2)}


def facts(tmp_path: Path, statement: str) -> list[tuple[object, ...]]:
    import sqlite3  # noqa: PLC0415 - behind the adapter's back, here only

    with closing(sqlite3.connect(tmp_path / "state.sqlite")) as connection, connection:
        return connection.execute(statement).fetchall()


def test_a_schema_of_a_later_version_is_refused_and_left_alone(tmp_path: Path) -> None:
    facts(tmp_path, "create table fact (name text primary key, value text not null)")
    facts(tmp_path, f"insert into fact values ('schema', '{SCHEMA_VERSION + 1}')")

    with pytest.raises(StateTooNew) as refused:
        SqlSmallState(url_of(tmp_path))

    assert str(refused.value) == (
        f"the small state has schema {SCHEMA_VERSION + 1}, this version knows {SCHEMA_VERSION}: "
        "run the version that wrote it, or a later one"
    )
    held_open = [file.readlink() for file in Path("/proc/self/fd").iterdir() if file.is_symlink()]
    assert tmp_path / "state.sqlite" not in held_open
    assert facts(tmp_path, "select name from sqlite_master where type = 'table'") == [("fact",)]


def test_a_file_that_is_no_database_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "state.sqlite").write_bytes(b"a spreadsheet, perhaps" * 100)

    with pytest.raises(StateAway):
        SqlSmallState(url_of(tmp_path))

    assert (tmp_path / "state.sqlite").read_bytes() == b"a spreadsheet, perhaps" * 100


def test_a_folder_that_is_not_there_is_named_as_away(tmp_path: Path) -> None:
    with pytest.raises(StateAway):
        SqlSmallState(f"sqlite:///{tmp_path}/nowhere/state.sqlite")


@pytest.mark.parametrize("url", ["state.sqlite", "", "mongodb://u:hush@host/x", "postgresql:/"])
def test_a_url_that_can_never_work_is_refused_without_its_password(url: str) -> None:
    with pytest.raises(StateInvalid, match="state_url cannot be used") as refused:
        SqlSmallState(url)

    assert "hush" not in str(refused.value)


def test_an_sqlite_file_is_durable_at_commit(tmp_path: Path) -> None:
    with (
        closing(SqlSmallState(url_of(tmp_path))) as state,
        state._database.engine.connect() as connection,
    ):
        pragmas = [
            connection.exec_driver_sql(f"pragma {name}").scalar()
            for name in ("journal_mode", "synchronous")
        ]

    assert pragmas == ["wal", 2]  # FULL


# -- kill -9 -----------------------------------------------------------------------------------

_RECORDER = """
import sys
from collector.adapters.sql import SqlSmallState
from tests.contracts.test_small_state import recorded, through_of
state = SqlSmallState(sys.argv[1])
through = through_of(state)
while True:
    through += 1
    state.record(recorded(through))
    print(through, flush=True)
"""


def through_of(state: SmallState) -> int:
    """How far the ledger and the batches go; they always agree."""
    known = state.ledgers().get((GATEWAY, EPOCH), EpochLedger())
    batches = state.digests([(GATEWAY, BatchKey(EPOCH, n)) for n in range(1, known.next + 2)])
    assert len(batches) == known.next - 1
    return known.next - 1


@pytest.mark.parametrize("records", [1, 2, 7, 20, 41])
def test_a_process_killed_in_the_middle_leaves_all_or_nothing(tmp_path: Path, records: int) -> None:
    root = Path(__file__).parents[2]
    for _ in range(2):
        with subprocess.Popen(
            [sys.executable, "-c", _RECORDER, url_of(tmp_path)],
            cwd=root,
            env=os.environ | {"PYTHONPATH": str(root)},
            stdout=subprocess.PIPE,
            text=True,
        ) as process:
            assert process.stdout is not None
            told = [int(process.stdout.readline()) for _ in range(records)]
            process.kill()
            told += [int(line) for line in process.stdout.read().split()]

        with closing(SqlSmallState(url_of(tmp_path))) as state:
            assert through_of(state) in (told[-1], told[-1] + 1)


# -- a full disk -------------------------------------------------------------------------------


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("a small tmpfs can only be mounted by root")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def fill(file: Path) -> None:
    """Take what room there is, to the last block."""
    with suppress(OSError), file.open("wb", buffering=0) as ballast:
        while True:
            ballast.write(b"x" * 1024)


@pytest.mark.server
def test_a_full_disk_is_waited_for_and_loses_nothing(small_disk: Path) -> None:
    with closing(SqlSmallState(url_of(small_disk))) as state:
        state.record(recorded(1))
        ballast = small_disk / "ballast"
        fill(ballast)
        big = aside(payload=b"y" * 100_000)

        with pytest.raises(StateAway) as full:
            state.record(structs.replace(recorded(2), quarantined=[big]))

        assert isinstance(full.value, TransientError)
        assert "full" in str(full.value)
        assert (through_of(state), state.quarantine(9)) == (1, [])
        ballast.unlink()
        state.record(structs.replace(recorded(2), quarantined=[big]))
        assert (through_of(state), len(state.quarantine(9))) == (2, 1)
