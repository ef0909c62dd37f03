import gzip

import pytest

from gateways.simulator.load import HOUR_MS
from gateways.simulator.replay import read_replay
from gateways.strict import ContentInvalid

MIDNIGHT = 1_451_577_600_000  # 2016-01-01 00:00 +08:00


def write(path, text):
    path.write_text(text, encoding="utf-8")
    return path


def test_a_local_wall_clock_is_taken_as_ours(tmp_path):
    file = write(
        tmp_path / "a.csv",
        "timestamp_local,B1,B2\n"
        "2016-01-01 00:00:00,12.5,1\n"
        "2016-01-01 01:00:00,,2\n"
        "2016-01-01 02:00:00,7.5,3\n",
    )

    load = read_replay(file, {"m1": "B1"})["m1"]

    assert load.taken(MIDNIGHT) == 0
    assert load.taken(MIDNIGHT + HOUR_MS) == 12.5
    assert load.is_silent(MIDNIGHT + HOUR_MS)
    assert load.taken(MIDNIGHT + 3 * HOUR_MS) == 20.0


def test_utc_stays_utc(tmp_path):
    file = write(tmp_path / "a.csv", "timestamp_utc,B1\n2016-01-01 00:00:00,5\n")

    assert read_replay(file, {"m1": "B1"})["m1"].rate(MIDNIGHT + 8 * HOUR_MS) == 5.0


def test_a_compressed_file_is_read_and_a_missing_line_is_silence(tmp_path):
    file = tmp_path / "a.csv.gz"
    with gzip.open(file, "wt") as text:
        text.write("timestamp_local,B1\n2016-01-01 00:00:00,5\n2016-01-01 02:00:00,6\n")

    load = read_replay(file, {"m1": "B1"})["m1"]

    assert load.is_silent(MIDNIGHT + HOUR_MS)
    assert load.taken(MIDNIGHT + 3 * HOUR_MS) == 11.0


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("time,B1\n", "a.csv:1: the first column must be timestamp_local or timestamp_utc"),
        ("timestamp_utc,b1_1\n", "there is no column 'b1', did you mean 'b1_1'?"),
        ("timestamp_utc,b1\nyesterday,1\n", "a.csv:2: the line has no timestamp"),
        ("timestamp_utc,b1\n2016-01-01,much\n", "'much' is not a number"),
    ],
)
def test_a_file_that_cannot_be_read_says_why(tmp_path, text, message):
    with pytest.raises(ContentInvalid) as caught:
        read_replay(write(tmp_path / "a.csv", text), {"m1": "b1"})

    assert message in str(caught.value)
