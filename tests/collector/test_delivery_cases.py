"""Bad input as folders: each holds a delivery and what becomes of it.

Every case runs beside good deliveries that must be stored, committed and acknowledged whatever
happens: a reason, a count, the bytes kept, the rest unharmed.

`delivery.json`: `topic`, `content_type`, `retained` and `properties` where they are not those of a
good batch (null: the property is missing). `payload` is one of

* `text`, `hex`: the bytes;
* `readings`: JSON that stands where a good batch has its readings;
* `batch`: keys that replace a good batch's;
* `repeat`: `[before, repeated, times, after]`;

and `zstd` compresses them (`sized`: the frame names its size; `unsized`: it does not).

`expected.json`: `reason` and `message` of the quarantine's entry (no `message` where a library's
words stand in it), `rows` and `rejections` in the store beyond the good ones, what is counted.
"""

import json
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import zstandard

from link.mqtt import Delivery
from metering.batch import BatchKey
from metering.delivery.ranges import Ranges
from metering.reading import Reading
from metering.wire import digest_of
from tests.fakes.centre import Centre
from tests.fakes.link import EPOCH, GATEWAY, SEALED_MS, batch, delivered, delivery

CASES = sorted(
    file.parent
    for file in (Path(__file__).parents[1] / "cases" / "deliveries").glob("*/delivery.json")
)
TOPIC = f"nenghao/1/120101/{GATEWAY}/batch"
GOOD = (
    '{"v":1,"gateway":"gw-e001","epoch":"01JD0000000000000000000000","sequence":1,'
    '"sealed_at":1780272000000,"clock":"synced","readings":%s}'
)
BEFORE, BAD, AFTER = 2, 1, 3


def good(sequence: int) -> Delivery:
    at_ms = SEALED_MS - sequence * 60_000
    said = Reading(meter="e001-main", at_ms=at_ms, values={"active_power_kw": 100.0 + sequence})
    return delivered(batch(said, sequence=sequence))


def read(case: Path, name: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((case / name).read_text(encoding="utf-8"))
    return content


def payload_of(spec: dict[str, Any]) -> bytes:
    match spec:
        case {"text": text}:
            body = text.encode()
        case {"hex": digits}:
            body = bytes.fromhex(digits)
        case {"readings": readings}:
            body = (GOOD % readings).encode()
        case {"batch": changed}:
            body = json.dumps(json.loads(GOOD % "[]") | changed).encode()
        case {"repeat": [before, repeated, times, after]}:
            body = (before + repeated * times + after).encode()
    match spec.get("zstd"):
        case "sized":
            return zstandard.ZstdCompressor().compress(body)
        case "unsized":
            return zstandard.ZstdCompressor(write_content_size=False).compress(body)
    return body


def delivery_of(case: Path) -> Delivery:
    spec = read(case, "delivery.json")
    payload = payload_of(spec["payload"])
    plain = {"epoch": EPOCH, "sequence": str(BAD), "digest": digest_of(payload)}
    properties = plain | spec.get("properties", {})
    return delivery(
        spec.get("topic", TOPIC),
        payload,
        content_type=spec.get("content_type"),
        retained=spec.get("retained", False),
        **{name: text for name, text in properties.items() if text is not None},
    )


@pytest.fixture
def centre() -> Iterator[Centre]:
    with closing(Centre()) as made:
        yield made


def outcome_of(centre: Centre, bad: Delivery) -> dict[str, Any]:
    """What became of it, in the words of `expected.json`."""
    kept = centre.state.quarantine(10)
    counts = centre.metrics.counts()
    return {
        "reason": kept[0].reason if kept else None,
        "message": kept[0].message if kept else None,
        "committed": BAD in centre.receiver.ledger(GATEWAY, EPOCH).stored,
        "acknowledged": bad in centre.link.acknowledged,
        "rows": len(centre.store.rows) - 2,
        "rejections": dict(Counter(str(one.reason) for one in centre.store.rejections(0, 2**60)))
        | dict(Counter(str(one.reason) for one in centre.store.rejections(-(2**60), 0))),
        "counts": {
            name: int(count)
            for name, count in sorted(counts.items())
            if count
            and name.startswith(("quarantined", "rejected", "unreadable", "foreign", "forks"))
        },
    }


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_bad_input_has_a_reason_and_harms_nothing_else(case: Path, centre: Centre) -> None:
    bad = delivery_of(case)

    centre.take(good(BEFORE), bad, good(AFTER))

    expected = read(case, "expected.json")
    outcome = outcome_of(centre, bad)
    assert {name: outcome[name] for name in expected} == expected
    assert {BEFORE, AFTER} <= set(centre.receiver.ledger(GATEWAY, EPOCH).stored.ascending())
    assert len(centre.link.acknowledged) == 3
    committed = {epoch.epoch: epoch for epoch in centre.link.commits()[-1].epochs}[EPOCH]
    assert not {BEFORE, AFTER} & set(Ranges.from_wire(committed.missing).ascending())
    for kept in centre.state.quarantine(10):
        assert kept.payload == bad.payload


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_bad_input_that_comes_again_changes_nothing(case: Path, centre: Centre) -> None:
    bad = delivery_of(case)
    centre.take(good(BEFORE), good(AFTER))
    centre.take(bad)
    rows, quarantine = dict(centre.store.rows), centre.state.quarantine(10)
    ledgers = centre.state.ledgers()
    rejections = centre.store.rejections(-(2**60), 2**60)

    for _ in range(2):
        centre.restart()
        centre.take(bad)

    assert centre.store.rows == rows
    assert centre.state.quarantine(10) == quarantine
    assert centre.state.ledgers() == ledgers
    assert centre.store.rejections(-(2**60), 2**60) == rejections


def test_there_are_cases() -> None:
    assert len(CASES) >= 50


def test_what_is_kept_names_its_batch(centre: Centre) -> None:
    bad = delivery(TOPIC, b"{", epoch=EPOCH, sequence="9", digest=digest_of(b"{"))

    centre.take(bad)

    assert [entry.key for entry in centre.state.quarantine(1)] == [BatchKey(EPOCH, 9)]
