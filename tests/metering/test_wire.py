"""The wire contract: what is said comes back, and no bytes do harm."""

import hashlib
import json
import math
import time
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metering.batch import Batch, BatchKey
from metering.reading import Reading
from metering.wire import (
    Commit,
    EpochCommit,
    EpochHeld,
    MeterHealth,
    Range,
    SpoolState,
    State,
    WireInvalid,
    WireReason,
    decode_batch,
    decode_commit,
    decode_state,
    digest_of,
    encode,
)

EXAMPLE = """
{"v":1,"gateway":"gw-e001","epoch":"01JD3Z6Q9V8K7M5N4P3R2S1T0A","sequence":1832,
 "sealed_at":1763800001000,"clock":"synced",
 "readings":[{"meter":"e001-main","at":1763800000123,
              "values":{"active_power_kw":12.3,"energy_import_kwh":123456.78}},
             {"meter":"e001-ahu3","at":1763800000456,"fault":"timeout"}]}
"""

words = st.text(st.characters(codec="utf-8"), max_size=20)
times = st.integers(-(2**53), 2**53)
sequences = st.integers(1, 2**53)
counts = st.integers(0, 2**53)
ranges = st.builds(Range, sequences, sequences)
readings = st.builds(
    Reading,
    meter=words,
    at_ms=times,
    values=st.dictionaries(words, st.floats(allow_nan=False, allow_infinity=False), max_size=4),
    fault=st.none() | words,
)
batches = st.builds(
    Batch,
    v=st.just(1),
    gateway=words,
    epoch=words,
    sequence=sequences,
    sealed_at_ms=times,
    clock=words,
    readings=st.lists(readings, min_size=1, max_size=4).map(tuple),
)
states = st.builds(
    State,
    v=st.just(1),
    gateway=words,
    version=words,
    at_ms=times,
    fleet=words,
    clock=words,
    epochs=st.lists(
        st.builds(
            EpochHeld,
            epoch=words,
            oldest=sequences,
            next=sequences,
            dropped=st.lists(ranges, max_size=3).map(tuple),
            released=st.lists(ranges, max_size=3).map(tuple),
        ),
        max_size=3,
    ).map(tuple),
    meters=st.dictionaries(
        words, st.builds(MeterHealth, since_ms=times, fault=st.none() | words), max_size=3
    ),
    spool=st.builds(
        SpoolState, size=counts, backlog=counts, unsealed=counts, corrupt=counts, limit=counts
    ),
    stuck=st.lists(st.tuples(words, sequences), max_size=3).map(tuple),
    forks=counts,
)
commits = st.builds(
    Commit,
    v=st.just(1),
    store=words,
    generation=counts,
    now_ms=times,
    epochs=st.lists(
        st.builds(
            EpochCommit,
            epoch=words,
            through=counts,
            missing=st.lists(ranges, max_size=3).map(tuple),
        ),
        max_size=3,
    ).map(tuple),
)


def batch_with(**changes: object) -> bytes:
    """The example, one of its fields replaced by this JSON text."""
    fields = {name: json.dumps(value) for name, value in json.loads(EXAMPLE).items()}
    fields |= {name: str(text) for name, text in changes.items()}
    return ("{" + ",".join(f'"{name}":{text}' for name, text in fields.items()) + "}").encode()


def batch_with_value(text: str) -> bytes:
    values = f'{{"bad":{text},"active_power_kw":1.5}}'
    return batch_with(readings=f'[{{"meter":"m","at":1,"values":{values}}}]')


def reason_of(body: bytes) -> WireReason:
    with pytest.raises(WireInvalid) as refusal:
        decode_batch(body)
    return refusal.value.reason


def test_the_contracts_example_decodes():
    batch = decode_batch(EXAMPLE.encode())

    assert batch.key == BatchKey("01JD3Z6Q9V8K7M5N4P3R2S1T0A", 1832)
    assert (batch.v, batch.gateway, batch.sealed_at_ms, batch.clock) == (
        1,
        "gw-e001",
        1_763_800_001_000,
        "synced",
    )
    assert batch.readings == (
        Reading(
            meter="e001-main",
            at_ms=1_763_800_000_123,
            values={"active_power_kw": 12.3, "energy_import_kwh": 123456.78},
        ),
        Reading(meter="e001-ahu3", at_ms=1_763_800_000_456, fault="timeout"),
    )


def test_a_batch_is_written_as_the_contract_shows_it():
    batch = decode_batch(EXAMPLE.encode())

    assert json.loads(encode(batch)) == json.loads(EXAMPLE)


@given(batch=batches)
def test_a_batch_comes_back_as_it_was_said(batch):
    assert decode_batch(encode(batch)) == batch


@given(state=states)
def test_a_state_comes_back_as_it_was_said(state):
    assert decode_state(encode(state)) == state


@given(commit=commits)
def test_a_commit_comes_back_as_it_was_said(commit):
    assert decode_commit(encode(commit)) == commit


def test_a_range_is_a_pair_on_the_wire():
    word = Commit(
        v=1,
        store="s",
        generation=2,
        now_ms=3,
        epochs=(EpochCommit(epoch="E", through=9, missing=(Range(3, 7),)),),
    )

    assert json.loads(encode(word)) == {
        "v": 1,
        "store": "s",
        "generation": 2,
        "now": 3,
        "epochs": [{"epoch": "E", "through": 9, "missing": [[3, 7]]}],
    }


# ---- loose decoding: one absurd number does not cost its batch


@pytest.mark.parametrize(
    "text", ["null", "1e999", "-1e999", '"12"', '"NaN"', "true", "[1]", "{}", "9" * 400]
)
def test_a_value_that_is_no_finite_number_becomes_nan_and_the_rest_is_unharmed(text):
    batch = decode_batch(batch_with_value(text))

    assert math.isnan(batch.readings[0].values["bad"])
    assert batch.readings[0].values["active_power_kw"] == 1.5
    assert batch.sequence == 1832


@pytest.mark.parametrize("token", ["NaN", "Infinity", "-Infinity", "nan"])
def test_a_token_that_is_no_json_makes_the_batch_unreadable(token):
    assert reason_of(batch_with_value(token)) is WireReason.UNDECODABLE


def test_an_integer_becomes_a_float():
    value = decode_batch(batch_with_value("7")).readings[0].values["bad"]

    assert (value, type(value)) == (7.0, float)


def test_an_integer_becomes_a_float_beside_an_absurd_value_too():
    values = decode_batch(batch_with_value('null,"count":7')).readings[0].values

    assert (values["count"], type(values["count"])) == (7.0, float)


def test_fields_of_a_later_version_are_ignored():
    body = EXAMPLE.replace('"v":1', '"v":1,"new":{"a":[1]}').replace(
        '"fault":"timeout"', '"fault":"struck_by_lightning","new":1'
    )

    batch = decode_batch(body.encode())

    assert batch.readings[1].fault == "struck_by_lightning"


def test_the_last_of_two_equal_keys_counts():
    batch = decode_batch(EXAMPLE.replace('"v":1', '"v":1,"sequence":7').encode())

    assert batch.sequence == 1832


# ---- what is refused, and why


def test_another_version_is_told_apart_from_broken_bytes():
    assert reason_of(EXAMPLE.replace('"v":1', '"v":2').encode()) is WireReason.WRONG_VERSION
    assert reason_of(b'{"v":2,"nothing":"else"}') is WireReason.WRONG_VERSION
    assert reason_of(b'{"v":' + b"9" * 25 + b"}") is WireReason.WRONG_VERSION


def test_another_version_of_a_state_or_a_commit_is_told_too():
    for decode in (decode_state, decode_commit):
        with pytest.raises(WireInvalid) as refusal:
            decode(b'{"v":2}')
        assert refusal.value.reason is WireReason.WRONG_VERSION


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xff\xfe",
        b"null",
        b"[]",
        b'{"v":1}',
        b'{"v":"1"}',
        b'{"v":1.5}',
        b'{"v":' + b"9" * 5_000 + b"}",
        EXAMPLE.encode()[:-10],
        EXAMPLE.encode() + b"x",
        EXAMPLE.replace('"e001-main"', "7").encode(),
        EXAMPLE.replace('"e001-main"', '"\\ud800"').encode(),
        EXAMPLE.encode().replace(b"e001-main", b"\xed\xa0\x80"),
        batch_with(sequence=0),
        batch_with(sequence=-1),
        batch_with(sequence="1.5"),
        batch_with(sequence=2**53 + 1),
        batch_with(sealed_at=2**64),
        batch_with(readings='[{"meter":"m","at":99999999999999999999}]'),
    ],
)
def test_what_is_no_batch_is_refused(body):
    assert reason_of(body) is WireReason.UNDECODABLE


@pytest.mark.parametrize("decode", [decode_batch, decode_state, decode_commit])
def test_more_than_2_mib_is_refused_unread(decode):
    padding = b" " * (2 * 1024 * 1024)

    with pytest.raises(WireInvalid) as refusal:
        decode(padding + b"{")

    assert refusal.value.reason is WireReason.OVERSIZED


def test_2_mib_are_taken():
    body = EXAMPLE.encode()

    assert decode_batch(b" " * (2 * 1024 * 1024 - len(body)) + body).sequence == 1832


@pytest.mark.parametrize("decode", [decode_batch, decode_state, decode_commit])
@pytest.mark.parametrize(
    "body",
    [
        b"[" * 1_000_000,
        b'{"v":1,"x":' + b"[" * 1_000_000,
        b'{"v":1,"x":' * 150_000,
        b'{"v":1,"x":' + b"[" * 500_000 + b"]" * 500_000 + b"}",
    ],
)
def test_deep_nesting_is_refused(decode, body):
    with pytest.raises(WireInvalid) as refusal:
        decode(body)

    assert refusal.value.reason is WireReason.UNDECODABLE


def test_deep_nesting_in_a_value_is_refused():
    assert reason_of(batch_with_value("[" * 400_000 + "]" * 400_000)) is WireReason.UNDECODABLE


@given(body=st.binary(max_size=200))
def test_any_bytes_are_a_batch_or_refused(body):
    for decode in (decode_batch, decode_state, decode_commit):
        with suppress(WireInvalid):
            assert decode(body).v == 1


@given(
    batch=batches,
    cuts=st.lists(
        st.tuples(st.integers(0, 10_000), st.integers(0, 3), st.binary(max_size=4)), max_size=5
    ),
)
def test_a_damaged_batch_is_a_batch_or_refused(batch, cuts):
    body = encode(batch)
    for at, length, other in cuts:
        place = at % (len(body) + 1)
        body = body[:place] + other + body[place + length :]

    try:
        found = decode_batch(body)
    except WireInvalid:
        return
    assert found.v == 1
    assert 1 <= found.sequence <= 2**53
    for reading in found.readings:
        assert not any(math.isinf(value) for value in reading.values.values())
        assert -(2**53) <= reading.at_ms <= 2**53
        reading.meter.encode()


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | words,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3),
    max_leaves=8,
)


@given(
    fields=st.dictionaries(
        st.sampled_from(["v", "gateway", "epoch", "sequence", "sealed_at", "clock", "readings"]),
        json_values,
    )
)
def test_any_json_in_any_field_is_a_batch_or_refused(fields):
    body = json.dumps(json.loads(EXAMPLE) | fields).encode()

    with suppress(WireInvalid):
        assert isinstance(decode_batch(body), Batch)


@pytest.mark.parametrize(
    "body",
    [
        batch_with_value("null," + ",".join(f'"v{n}":{n}e-3' for n in range(100_000))),
        batch_with_value('null,"long":0.' + "1" * 2_000_000),
        batch_with_value('"' + "\\u0041" * 340_000 + '"'),
        batch_with(readings="[" + ",".join(['{"meter":"m","at":1}'] * 90_000) + ",7]"),
    ],
)
def test_the_worst_body_is_judged_in_bounded_time(body):
    assert len(body) <= 2 * 1024 * 1024
    begun = time.perf_counter()

    with suppress(WireInvalid):
        decode_batch(body)

    assert time.perf_counter() - begun < 2


def test_a_digest_is_sha_256_of_the_bytes_as_sent():
    assert digest_of(b"abc") == hashlib.sha256(b"abc").hexdigest()
