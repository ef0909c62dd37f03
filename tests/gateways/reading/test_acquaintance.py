import pytest

from gateways.library.file import read_model
from gateways.library.model import IdentityName
from gateways.reading.acquaintance import Who, meet

SERIAL, FIRMWARE, DEVICE = IdentityName.SERIAL, IdentityName.FIRMWARE, IdentityName.DEVICE
MODEL = read_model(
    "m1",
    {
        "name": "M1",
        "maker": "Maker",
        "measures": "electricity",
        "confidence": "high",
        "sources": ["a document"],
        "table": "holding",
        "format": "uint16",
        "registers": [{"address": 10, "quantity": "voltage_l1_v"}],
        "identity": {"device": {"address": 0, "format": "uint16", "expect": [12, 13]}},
    },
)


@pytest.mark.parametrize(
    ("said", "known", "serial", "who", "expected"),
    [
        ({SERIAL: "7"}, {}, None, Who.FIRST, ""),
        ({SERIAL: "7"}, {SERIAL: "7"}, None, Who.SAME, ""),
        ({SERIAL: "8"}, {SERIAL: "7"}, None, Who.OTHER, "serial 7"),
        ({SERIAL: "8"}, {SERIAL: "7"}, "8", Who.SAME, ""),  # the fleet says: it was replaced
        ({SERIAL: "7"}, {SERIAL: "7"}, "8", Who.OTHER, "serial 8"),
        ({}, {SERIAL: "7"}, "7", Who.SAME, ""),  # who says nothing contradicts nothing
        ({DEVICE: "12"}, {DEVICE: "13"}, None, Who.OTHER, "device 13"),
        ({SERIAL: "7", DEVICE: "12"}, {SERIAL: "7", DEVICE: "13"}, None, Who.SAME, ""),
        ({FIRMWARE: "2", SERIAL: "7"}, {FIRMWARE: "1", SERIAL: "7"}, None, Who.SAME, ""),
    ],
)
def test_who_answers_is_judged_by_its_serial_number_first(said, known, serial, who, expected):
    meeting = meet(MODEL, said, known, serial)

    assert (meeting.who, meeting.expected) == (who, expected)


def test_a_type_that_the_model_does_not_know_is_a_doubt_and_no_refusal():
    meeting = meet(MODEL, {DEVICE: "99"}, {}, None)

    assert meeting.who is Who.FIRST
    assert meeting.doubt == "device 99: m1 says 12 or 13"
