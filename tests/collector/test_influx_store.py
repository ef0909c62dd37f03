"""What the InfluxDB store does with a server's moods.

The server is Debian's 1.6.7; answers that only 2.x gives are injected by the proxy, in 2.x's own
words: 413 (1.6.7 breaks the connection instead), 429, 503 with Retry-After, 422 for a partial
write, 401 and 404.
"""

from collections.abc import Callable, Iterator
from contextlib import closing

import pytest

from collector.adapters.influx import InfluxReadingStore
from collector.adapters.line_protocol import Lines, of_rejection
from collector.overlay import Unfit
from collector.store import (
    Count,
    Level,
    Rejection,
    Row,
    StoreAway,
    StoreFull,
    Tags,
)
from tests.servers.influx import InfluxServer, influx_server  # noqa: F401  a fixture
from tests.servers.influx_proxy import Answer, Delay, Fault, InfluxProxy, Reset, error_2x

JUNE_MS = 1_780_272_000_000
MINUTE_MS = 60_000
TAGS = Tags(
    district="120101",
    sector="hospital",
    institution="e001",
    building="e001-b1",
    circuit="总进线, 一层=1",
    meter="e001-main",
    energy="01000",
    gateway="gw-e001",
)


def row(minute: int, fault: str | None = None, **values: float) -> Row:
    at_ms = JUNE_MS + minute * MINUTE_MS
    return Row(meter="e001-main", at_ms=at_ms, values=values, fault=fault, tags=TAGS)


def rows(count: int) -> list[Row]:
    return [row(minute, voltage_l1_v=230.0 + minute) for minute in range(count)]


@pytest.fixture
def proxy(influx_server: InfluxServer) -> Iterator[InfluxProxy]:  # noqa: F811
    yield influx_server.proxy
    influx_server.proxy.forget()


@pytest.fixture
def store(
    influx_server: InfluxServer,  # noqa: F811
    proxy: InfluxProxy,
) -> Iterator[InfluxReadingStore]:
    proxy.forget()
    with closing(influx_server.new_store()) as opened:
        yield opened


def poison(*minutes: int, answer: Callable[[int], Answer]) -> Callable[[bytes], Fault | None]:
    """Refuse each request with one of these readings in it, as a server would."""
    marks = [b" %d" % (JUNE_MS + minute * MINUTE_MS) for minute in minutes]

    def judge(body: bytes) -> Fault | None:
        bad = sum(line.endswith(mark) for line in body.split(b"\n") for mark in marks)
        return answer(bad) if bad else None

    return judge


def conflict_422(dropped: int) -> Answer:
    return error_2x(
        422,
        "unprocessable entity",
        'failure writing points to database: partial write: field type conflict: input field "x" on'
        f' measurement "reading" is type integer, already exists as type float dropped={dropped}',
    )


def unparsable_400(_bad: int) -> Answer:
    return error_2x(400, "invalid", "unable to parse 'reading x': missing fields dropped=0")


# -- the line ----------------------------------------------------------------------------------


def test_a_reading_is_one_line_with_its_tags_escaped() -> None:
    first, second = Lines().of_rows(
        [row(0, voltage_l1_v=230.5, active_power_kw=-1), row(1, "short")]
    )

    assert first.decode() == (
        "reading,district=120101,sector=hospital,institution=e001,building=e001-b1,"
        "circuit=总进线\\,\\ 一层\\=1,meter=e001-main,energy=01000"
        " voltage_l1_v=230.5,active_power_kw=-1 1780272000000"
    )
    assert second.decode() == (
        "fault,district=120101,sector=hospital,institution=e001,building=e001-b1,"
        "circuit=总进线\\,\\ 一层\\=1,meter=e001-main,energy=01000,fault=short"
        " count=1 1780272060000"
    )


@pytest.mark.parametrize("value", [float("nan"), float("inf"), True, "x", None])
def test_what_is_no_number_never_becomes_a_line(value: float) -> None:
    with pytest.raises(Unfit):
        Lines().of_rows([row(0, voltage_l1_v=230.0, frequency_hz=value)])


def test_a_rejection_has_its_own_instant_below_the_millisecond() -> None:
    def kept(raw: str) -> bytes:
        return of_rejection(
            Rejection(
                meter="m 1",
                at_ms=JUNE_MS,
                quantity="voltage_l1_v",
                value=None,
                raw=raw,
                reason="not_finite",
                level=Level.REJECTED,
                gateway="gw",
            )
        )

    text, _, at_ns = kept("a").decode().rpartition(" ")

    assert text == (
        "rejection,meter=m\\ 1,quantity=voltage_l1_v,reason=not_finite,level=rejected"
        ' raw="a",gateway="gw"'
    )
    assert int(at_ns) // 1_000_000 == JUNE_MS
    assert kept("a") == kept("a")
    assert kept("a")[-20:] != kept("b")[-20:]


# -- the request -------------------------------------------------------------------------------

pytestmark = pytest.mark.server


def test_a_write_is_split_by_lines(store: InfluxReadingStore, proxy: InfluxProxy) -> None:
    store.write(rows(12_001))

    assert [body.count(b"\n") + 1 for body in proxy.writes] == [5_000, 5_000, 2_001]


def test_a_write_is_split_by_size(
    store: InfluxReadingStore, proxy: InfluxProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("collector.adapters.influx_bucket._MOST_BYTES", 1_000)

    store.write(rows(100))

    assert len(proxy.writes) > 10
    assert max(map(len, proxy.writes)) <= 1_000
    assert store.count() == Count(readings=100, values=100)


def test_a_write_names_bucket_organisation_precision_and_token(
    store: InfluxReadingStore, proxy: InfluxProxy
) -> None:
    store.write(rows(1))

    ((path, query, headers),) = proxy.requests
    assert path == "/api/v2/write"
    assert (query["org"], query["precision"]) == (["nenghao"], ["ms"])
    assert query["bucket"][0].startswith("b")
    assert headers["Authorization"] == "Token unused"
    assert "Content-Encoding" not in headers or headers["Content-Encoding"] == "identity"


def test_gzip_is_a_setting(influx_server: InfluxServer, proxy: InfluxProxy) -> None:  # noqa: F811
    with closing(influx_server.new_store(gzip=True)) as store:
        store.write(rows(100))

        assert proxy.writes[0][:2] == b"\x1f\x8b"
        assert store.count() == Count(readings=100, values=100)


# -- away --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fault", "seconds", "words"),
    [
        (error_2x(429, "too many requests", "limit", Retry_After="7"), 7.0, "429"),
        (error_2x(503, "unavailable", "queue full", Retry_After="30"), 30.0, "503"),
        (error_2x(503, "unavailable", "", Retry_After="Wed, 21 Oct 2026 07:28 GMT"), None, "503"),
        (error_2x(500, "internal error", "panic"), None, "panic"),
        (error_2x(401, "unauthorized", "unauthorized access"), None, "unauthorized"),
        (error_2x(403, "forbidden", "insufficient permissions"), None, "insufficient"),
        (error_2x(404, "not found", 'bucket "b" not found'), None, "not found"),
        (Answer(302, b"", {"Location": "http://127.0.0.1:9/login"}), None, "cannot write"),
        (Answer(502, b"<html>\xff bad gateway</html>"), None, "cannot write"),
        (Reset(), None, "cannot write"),
        (Reset(after_writing=True), None, "cannot write"),
    ],
    ids=["429", "503", "date", "500", "401", "403", "404", "302", "502", "reset", "taken"],
)
def test_a_server_that_cannot_now_is_away_and_nothing_is_lost(
    store: InfluxReadingStore, proxy: InfluxProxy, fault: Fault, seconds: float | None, words: str
) -> None:
    proxy.next.append(fault)

    with pytest.raises(StoreAway, match=words) as caught:
        store.write(rows(10))
    outcome = store.write(rows(10))

    assert caught.value.retry_after_s == seconds
    assert outcome.refused == ()
    assert store.count() == Count(readings=10, values=10)


def test_a_server_without_room_is_full(store: InfluxReadingStore, proxy: InfluxProxy) -> None:
    proxy.next.append(Answer(500, b'{"error":"write /wal/_00001.wal: no space left on device"}'))

    with pytest.raises(StoreFull, match="no space"):
        store.write(rows(1))


def test_a_server_that_is_down_is_away_for_writes_and_reads(
    store: InfluxReadingStore, proxy: InfluxProxy
) -> None:
    store.write(rows(1))
    proxy.down()
    try:
        with pytest.raises(StoreAway):
            store.write(rows(10))
        with pytest.raises(StoreAway):
            store.latest()
    finally:
        proxy.up()

    store.write(rows(10))
    assert store.count() == Count(readings=10, values=10)


def test_a_server_that_is_silent_is_away(influx_server: InfluxServer, proxy: InfluxProxy) -> None:  # noqa: F811
    with closing(influx_server.new_store(timeout_s=0.2)) as store:
        proxy.next.append(Delay(1.0))

        with pytest.raises(StoreAway, match=r"timed? ?out"):
            store.write(rows(1))


def test_a_bucket_that_is_missing_holds_the_rows(influx_server: InfluxServer) -> None:  # noqa: F811
    with closing(influx_server.new_store(bucket="nowhere")) as store:
        with pytest.raises(StoreAway, match="not found"):
            store.write(rows(10))
        with pytest.raises(StoreAway, match="not found"):
            store.latest()


def test_a_server_that_refuses_everything_for_no_line_holds_the_rows(
    store: InfluxReadingStore, proxy: InfluxProxy
) -> None:
    proxy.judge = lambda _body: error_2x(400, "invalid", "invalid org: nenghao")

    with pytest.raises(StoreAway, match=r"settings.*invalid org"):
        store.write(rows(10))


# -- a line it never takes ---------------------------------------------------------------------


def test_a_request_that_is_too_large_is_halved(
    store: InfluxReadingStore, proxy: InfluxProxy
) -> None:
    too_large = error_2x(413, "request too large", "cannot read data: points batch is too large")
    proxy.judge = lambda body: too_large if body.count(b"\n") >= 10 else None

    outcome = store.write(rows(100))

    assert outcome.refused == ()
    assert store.count() == Count(readings=100, values=100)


@pytest.mark.parametrize("answer", [conflict_422, unparsable_400, lambda _: unparsable_400(0)])
@pytest.mark.parametrize("bad", [(37,), (0, 1, 99), tuple(range(40, 60))])
def test_the_bad_lines_are_found_and_the_rest_is_stored(
    store: InfluxReadingStore,
    proxy: InfluxProxy,
    bad: tuple[int, ...],
    answer: Callable[[int], Answer],
) -> None:
    proxy.judge = poison(*bad, answer=answer)

    outcome = store.write(rows(100))

    assert [(one.row.at_ms - JUNE_MS) // MINUTE_MS for one in outcome.refused] == list(bad)
    assert all("unable to parse" in r.message or "conflict" in r.message for r in outcome.refused)
    assert outcome.stored_values == 100 - len(bad)
    assert store.count() == Count(readings=100 - len(bad), values=100 - len(bad))


def test_a_server_that_says_all_were_dropped_is_believed_at_once(
    store: InfluxReadingStore, proxy: InfluxProxy
) -> None:
    proxy.judge = lambda body: error_2x(
        422,
        "unprocessable entity",
        f"partial write: points beyond retention policy dropped={body.count(10) + 1}",
    )

    outcome = store.write(rows(100))

    assert len(outcome.refused) == 100
    assert len(proxy.requests) == 1


def test_a_real_type_conflict_refuses_one_row_and_says_why(
    store: InfluxReadingStore,
) -> None:
    store.bucket._post(b"reading,meter=x voltage_l1_v=1i %d" % JUNE_MS, 1, "ms")

    outcome = store.write([row(0, frequency_hz=50.0), row(1, voltage_l1_v=230.0)])

    assert [one.row for one in outcome.refused] == [row(1, voltage_l1_v=230.0)]
    assert "field type conflict" in outcome.refused[0].message
    assert store.readings(["e001-main"], None, 0, 2**41)[0].values == {"frequency_hz": 50.0}


def test_a_tag_the_protocol_cannot_write_refuses_its_row(store: InfluxReadingStore) -> None:
    bad = Row(
        meter="a\\",
        at_ms=JUNE_MS,
        values={"voltage_l1_v": 1.0},
        tags=Tags(**{n: getattr(TAGS, n) for n in TAGS.__struct_fields__} | {"meter": "a\\"}),
    )

    outcome = store.write([bad, row(0, voltage_l1_v=230.0)])

    assert [one.row for one in outcome.refused] == [bad]
    assert "cannot be a tag" in outcome.refused[0].message
    assert store.count() == Count(readings=1, values=1)


def test_a_loser_is_kept_even_when_the_server_falls_silent_in_between(
    store: InfluxReadingStore, proxy: InfluxProxy
) -> None:
    store.write([row(0, voltage_l1_v=230.0)])
    late = [row(0, voltage_l1_v=999.0), row(1, voltage_l1_v=231.0)]
    proxy.next.extend([Delay(0.0), Reset()])

    with pytest.raises(StoreAway):
        store.write(late, overlapping=True)
    store.write(late, overlapping=True)

    assert [one.value for one in store.rejections(0, 2**41)] == [999.0]
    assert [r.values for r in store.readings(["e001-main"], None, 0, 2**41)] == [
        {"voltage_l1_v": 230.0},
        {"voltage_l1_v": 231.0},
    ]


@pytest.mark.parametrize("body", [b"<html>login</html>", b'{"results": 3}', b"\xff"])
def test_an_answer_that_is_not_influxdbs_is_away(
    store: InfluxReadingStore, monkeypatch: pytest.MonkeyPatch, body: bytes
) -> None:
    class Page:
        status_code = 200
        content = body
        text = ""

    monkeypatch.setattr(store.bucket._reader, "post", lambda *_, **__: Page())

    with pytest.raises(StoreAway):
        store.latest()


def test_a_column_holds_an_instant_that_stands_in_two_series_once(
    store: InfluxReadingStore,
) -> None:
    lines = [
        b"reading,circuit=%b,meter=x volume_m3=%b %d" % (circuit, value, JUNE_MS + at_ms)
        for circuit, value, at_ms in (
            (b"a", b"1", 0),
            (b"a", b"2", 1),
            (b"b", b"2", 1),
            (b"a", b"3", 2),
            (b"b", b"3", 2),
        )
    ]
    assert store.bucket.send(lines, "ms") == {}

    (column,) = store.columns(["x"], ["volume_m3"], 0, 2**41)
    before = store.nearest("x", "volume_m3", JUNE_MS + 3, later=False, most=3)
    after = store.nearest("x", "volume_m3", JUNE_MS + 1, later=True, most=2)

    assert column.values.tolist() == [1.0, 2.0, 3.0]
    assert before is not None
    assert before.values.tolist() == [1.0, 2.0, 3.0]
    assert after is not None
    assert after.values.tolist() == [2.0, 3.0]
