"""One reading by the agent's own path, and what speaks against it."""

import asyncio

import pytest

from gateways.adapters.modbus import open_bus
from gateways.commission.read import read_once
from gateways.commission.variants import variants
from gateways.reading.meter import build_meters
from metering.clock import SystemClock
from metering.reading import Fault
from tests.gateways.commission.bench import MODELS, bent, devices

CLOCK = SystemClock()


def reading(model, *, device=None, faults=(), unit=1, read_as=None, **entry):
    """What `read_once` makes of one simulated meter."""

    async def inside():
        served = {model: device} if device else None
        async with devices((1, model, entry), models=served, faults=faults) as url:
            named = read_as or model
            content = {"id": "m", "model": named, "unit": unit, **entry}
            (meter,) = build_meters({"url": url, "meters": [content]}, MODELS)
            bus = open_bus(f"{url}?timeout_ms=150", CLOCK)
            try:
                others = variants(named, MODELS[named])
                return await read_once(bus, meter, CLOCK, others)
            finally:
                await bus.close()

    return asyncio.run(inside())


@pytest.mark.parametrize("model", [m for m in MODELS if MODELS[m]["measures"] == "electricity"])
def test_every_electricity_meter_of_the_library_reads_soundly(model):
    result = reading(model)

    assert result.missing == ()
    assert result.plausibility.is_plausible
    assert result.reading.fault is None


def test_each_line_says_where_its_value_came_from():
    result = reading("eastron_sdm630_v2")

    lines = {line.quantity: line for line in result.lines}
    frequency = lines["frequency_hz"]
    assert (frequency.table, frequency.address) == ("input", 0x46)
    assert frequency.words[0] in ("0x4247", "0x4248")  # 49.99 Hz or 50.01 Hz
    assert len(frequency.words) == 2
    assert result.is_sound


def test_of_a_wrong_word_order_the_right_one_is_suggested_from_the_same_words():
    device = bent("eastron_sdm120", word_order="low_first")

    result = reading("eastron_sdm120", device=device)

    assert not result.is_sound
    assert "改用 字序 low_first 得 2" in result.suggestion
    assert result.lines[0].doubts


def test_a_wrong_choice_is_suggested_by_its_name():
    result = reading(
        "chint_dtsu666",
        device={
            **MODELS["chint_dtsu666"],
            "options": {
                **MODELS["chint_dtsu666"]["options"],
                "scaling": {**MODELS["chint_dtsu666"]["options"]["scaling"], "default": "plain"},
            },
        },
    )

    assert not result.is_sound
    assert "改用 选项 scaling=plain 得 2" in result.suggestion


def test_a_silent_meter_is_a_trouble_with_the_block_that_was_asked():
    result = reading("eastron_sdm120", unit=7)

    (trouble,) = result.troubles
    assert (trouble.fault, trouble.code) == (Fault.TIMEOUT, None)
    assert (trouble.block.table, trouble.block.address) == ("input", 0)
    assert len(result.missing) == 14
    assert not result.is_sound


def test_a_refused_block_is_told_with_its_exception():
    result = reading("eastron_sdm120", read_as="eastron_sdm630_v2")

    assert {(trouble.fault, trouble.code) for trouble in result.troubles} == {("exception", 2)}
    assert not result.is_sound


def test_a_value_that_is_no_number_is_missing():
    fault = {"meter": "m1", "kind": "nan", "quantities": ["frequency_hz"]}

    result = reading("eastron_sdm120", faults=[fault])

    assert result.missing == ("frequency_hz",)
    assert result.reading.fault == Fault.NOT_FINITE
    assert not result.is_sound


def test_a_turned_meter_is_read_under_the_names_behind_it():
    result = reading("eastron_sdm120", direction="export")

    addresses = {line.quantity: line.address for line in result.lines}
    assert addresses["energy_export_kwh"] == 0x48
    assert addresses["energy_import_kwh"] == 0x4A
    assert result.missing == ()


def test_voltages_behind_transformers_are_judged_by_their_ratio():
    ratio = {"ct": 20, "pt": 100, "applied_by": "gateway"}

    result = reading("schneider_iem3155", ratio=ratio)

    texts = [text for line in result.lines for text in line.doubts if "应为" in text]
    assert [text.rpartition("应为 ")[2] for text in texts] == ["40000 V 左右"] * 3 + [
        "23000 V 左右"
    ] * 3
