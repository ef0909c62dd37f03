"""Sealing: readings in, batches out that fit, lose nothing and never change."""

import random

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from gateways.spool.seal import Sealer
from metering.batch import BatchKey, ClockState, Sealed
from metering.reading import Reading
from metering.wire import decode_batch, digest_of

AFTER = BatchKey("E1", 41)
KIB = 1024


def reading(number: int, size: int = 0) -> Reading:
    """A reading of about `size` bytes of JSON that do not compress."""
    noise = random.Random(number).randbytes(size // 2).hex()
    return Reading(meter=f"m{number}{noise}", at_ms=number, values={"active_power_kw": 1.5})


def seal(sealer: Sealer, readings: list[Reading]) -> list[tuple[Sealed, int]]:
    return list(sealer.seal(readings, AFTER, at_ms=7, clock=ClockState.COMMIT))


@pytest.fixture
def sealer() -> Sealer:
    return Sealer("gw-e001")


def test_readings_become_one_batch_under_the_next_sequence(sealer):
    readings = [reading(1), reading(2)]

    ((sealed, count),) = seal(sealer, readings)

    assert count == 2
    assert sealed.key == BatchKey("E1", 42)
    assert sealed.content_type == "application/json"
    batch = decode_batch(sealed.payload)
    assert batch.key == sealed.key
    assert (batch.v, batch.gateway, batch.sealed_at_ms, batch.clock) == (1, "gw-e001", 7, "commit")
    assert batch.readings == tuple(readings)


def test_no_readings_make_no_batch(sealer):
    assert seal(sealer, []) == []


def test_the_digest_is_that_of_the_bytes_as_sent():
    for compress in (None, zstandard.ZstdCompressor().compress):
        ((sealed, _count),) = seal(Sealer("gw-e001", compress), [reading(1)])

        assert sealed.digest == digest_of(sealed.payload)


def test_compressed_bytes_say_so_and_hold_the_same_batch():
    readings = [reading(n) for n in range(50)]

    ((sealed, _count),) = seal(Sealer("gw-e001", zstandard.ZstdCompressor().compress), readings)

    assert sealed.content_type == "application/json+zstd"
    assert len(sealed.payload) < 1_000
    body = zstandard.ZstdDecompressor().decompress(sealed.payload)
    assert decode_batch(body).readings == tuple(readings)


def test_too_many_readings_are_halved_until_they_fit(sealer):
    readings = [reading(n, 10 * KIB) for n in range(100)]  # 1 MiB

    batches = seal(sealer, readings)

    assert [count for _sealed, count in batches] == [25, 18, 14, 21, 22]
    assert all(len(sealed.payload) <= 256 * KIB for sealed, _count in batches)
    assert [sealed.key.sequence for sealed, _count in batches] == [42, 43, 44, 45, 46]


def test_what_compresses_well_is_bounded_by_its_decoded_size():
    readings = [Reading(meter="m" * 1_000, at_ms=n, values={}) for n in range(3_000)]  # 3 MB
    sealer = Sealer("gw-e001", zstandard.ZstdCompressor().compress)

    batches = seal(sealer, readings)

    assert len(batches) == 2
    for sealed, _count in batches:
        body = zstandard.ZstdDecompressor().decompress(sealed.payload)
        assert len(body) <= 2 * KIB * KIB
        decode_batch(body)


def test_one_reading_always_goes_however_large(sealer):
    batches = seal(sealer, [reading(1), reading(2, 300 * KIB), reading(3)])

    assert [count for _sealed, count in batches] == [1, 1, 1]


@settings(max_examples=30, deadline=None)
@given(sizes=st.lists(st.sampled_from([0, 1, 50, 120, 300]), max_size=12))
def test_every_reading_is_sealed_once_in_its_order_within_the_limits(sizes):
    readings = [reading(n, size * KIB) for n, size in enumerate(sizes)]

    batches = seal(Sealer("gw-e001"), readings)

    sealed_readings = [
        r for sealed, _count in batches for r in decode_batch(sealed.payload).readings
    ]
    assert sealed_readings == readings
    assert sum(count for _sealed, count in batches) == len(readings)
    for place, (sealed, count) in enumerate(batches):
        assert sealed.key == BatchKey("E1", 42 + place)
        assert count == 1 or len(sealed.payload) <= 256 * KIB
