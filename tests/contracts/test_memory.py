"""What every `gateways.reading.memory.Memory` does: one suite on the fake and on the file."""

import pytest

from gateways.adapters.memory_file import MemoryFile
from gateways.library.model import IdentityName, Table
from gateways.reading.memory import MemoryRefused, Remembered
from gateways.reading.terrain import Hole, Terrain
from tests.fakes.memory import FakeMemory

LEARNT = (
    Remembered()
    .learnt("m1 2.0", Terrain().learn([Hole(Table.INPUT, 12, 3)], 40, 1_000))
    .knows("e001-main", {IdentityName.SERIAL: "21070123"})
)


@pytest.fixture(params=["fake", "file"])
def memory(request, tmp_path):
    return FakeMemory() if request.param == "fake" else MemoryFile(tmp_path / "memory.json")


def test_at_first_nothing_is_known(memory):
    assert memory.load() == Remembered()


def test_what_was_saved_is_known_again(memory):
    memory.save(LEARNT)

    assert memory.load() == LEARNT


def test_what_is_saved_replaces_what_was(memory):
    memory.save(LEARNT)
    memory.save(Remembered())

    assert memory.load() == Remembered()


@pytest.mark.parametrize("bytes_", [b"", b"{", b"[]", b'{"terrains": 3}', b"\xff\xfe"])
def test_a_file_that_cannot_be_read_is_no_reason_to_stop(tmp_path, bytes_):
    file = tmp_path / "memory.json"
    file.write_bytes(bytes_)
    memory = MemoryFile(file)

    assert memory.load() == Remembered()
    memory.save(LEARNT)
    assert memory.load() == LEARNT


def test_a_folder_that_is_gone_is_a_refusal_and_no_crash(tmp_path):
    with pytest.raises(MemoryRefused, match="No such file or directory"):
        MemoryFile(tmp_path / "gone" / "memory.json").save(LEARNT)
