"""A probe of real servers: who is there, which model fits, what is wrong with the others."""

import asyncio

import pytest

from gateways.adapters.modbus import open_bus
from gateways.commission.probe import probe_bus
from gateways.commission.sweep import LineClosed
from metering.clock import SystemClock
from tests.gateways.commission.bench import MODELS, QuietWatcher, bent, devices, task
from tests.servers.modbus import answer, modbus_server

CLOCK = SystemClock()


async def probed(url, **more):
    return await probe_bus(task(url, **more), lambda line: open_bus(line, CLOCK), QuietWatcher())


def probing(*entries, models=None, device=None, faults=(), speed=1.0, **more):
    """Probe simulated entries; `device` are contents that differ from the library's."""

    async def inside():
        async with devices(*entries, models=device, faults=faults, speed=speed) as url:
            return await probed(url, models=models, **more)

    return asyncio.run(inside())


def best(findings, place=0):
    return findings.found[place].fits[0]


# A flow and its totals: nothing in them that another map could not show as well.
UNTELLING = ("microsensor_mfe600c", "microsensor_mfe600h")


def test_too_little_evidence_is_not_taken_for_a_find():
    findings = probing((1, "microsensor_mfe600c"), models=["microsensor_mfe600c"])

    assert not best(findings).is_sure
    assert not findings.is_settled


def test_of_a_whole_library_each_model_is_recognised():
    entries = [
        (unit, model, {"direction": "export" if MODELS[model]["measures"] == "solar" else "import"})
        for unit, model in enumerate([m for m in MODELS if m not in UNTELLING], start=1)
    ]

    findings = probing(*entries, units=range(1, len(entries) + 1))

    found = {each.heard.unit: each.fits[0].variant for each in findings.found}
    assert {unit: variant.model.id for unit, variant in found.items()} == {
        unit: model for unit, model, _ in entries
    }
    assert {variant.english for variant in found.values()} == {""}
    assert findings.is_settled
    assert not findings.any_unit


@pytest.mark.parametrize(
    ("model", "change", "english", "misread"),
    [
        ("schneider_iem3155", {"offset": 1}, "address +1", None),
        ("schneider_iem3155", {"offset": -1}, "address -1", None),
        ("eastron_sdm120", {"word_order": "low_first"}, "word order low_first", "电压"),
        ("schneider_iem3155", {"word_order": "low_first"}, "word order low_first", "电压"),
        ("eastron_sdm120", {"table": "holding"}, "holding table", None),
        ("chint_dtsu666", {"offset": 1, "table": "input"}, "address +1, input table", None),
    ],
)
def test_given_a_wrong_order_or_address_when_commissioning_implausible_values_are_warned_of(
    model, change, english, misread
):
    findings = probing((1, model), device={model: bent(model, **change)}, models=[model])

    fit = best(findings)
    assert fit.variant.english.removeprefix("options scaling=plain, ") == english
    assert fit.score > 0.5
    assert not fit.is_as_filed
    assert not findings.is_settled
    if misread:
        assert misread in fit.contrast
        assert f"改用 {fit.variant.chinese} 得" in fit.contrast


def test_a_bent_meter_is_recognised_among_the_whole_library():
    device = bent("schneider_iem3155", offset=1, word_order="low_first")

    fit = best(probing((1, "schneider_iem3155"), device={"schneider_iem3155": device}))

    assert fit.variant.model.id == "schneider_iem3155"
    assert fit.variant.english == "word order low_first, address +1"


def test_a_choice_that_a_menu_changed_is_found_and_named():
    findings = probing((1, "eastron_sdm630_v2", {"options": {"register_order": "reversed"}}))

    fit = best(findings)
    assert fit.variant.options == {"register_order": "reversed"}
    assert "改用 选项 register_order=reversed 得 2" in fit.contrast
    assert findings.is_settled


def test_counters_that_rise_while_watched_speak_for_a_model():
    findings = probing((1, "eastron_sdm630_v2"), models=["eastron_sdm630_v2"], watch_s=1, speed=60)

    texts = [reason.text for reason in best(findings).plausibility.reasons if reason.good]
    assert any(text.startswith("1 s 内 正向有功电能 增加 ") for text in texts)


def test_only_who_answers_is_found_and_silence_is_nobody():
    findings = probing((3, "eastron_sdm120"), (9, "abb_b23_b24"), units=range(1, 12))

    assert [found.heard.unit for found in findings.found] == [3, 9]
    assert [found.heard.how for found in findings.found] == ["exception 2", "exception 2"]


def test_a_bus_with_nobody_on_it_is_not_settled():
    findings = probing((3, "eastron_sdm120"), units=(1, 2))

    assert findings.found == ()
    assert not findings.is_settled


@pytest.mark.parametrize("models", [None, ["eastron_sdm120"]])
def test_a_meter_that_refuses_everything_answers_and_fits_nothing(models):
    fault = {"meter": "m1", "kind": "exception", "code": 4}

    findings = probing((1, "eastron_sdm120"), faults=[fault], models=models)

    assert [(found.heard.how, found.fits) for found in findings.found] == [("exception 4", ())]
    assert not findings.is_settled


def test_a_device_that_answers_for_every_unit_is_looked_at_once():
    async def inside():
        async with modbus_server() as server:
            return await probed(server.url, units=range(1, 9))

    findings = asyncio.run(inside())

    assert findings.any_unit
    assert [found.heard.unit for found in findings.found] == [1]


def test_registers_that_hold_their_own_addresses_fit_no_model():
    async def inside():
        async with modbus_server() as server:
            return await probed(server.url)

    findings = asyncio.run(inside())

    assert not findings.is_settled


def test_a_probe_only_ever_reads():
    async def inside():
        async with modbus_server() as server:
            await probed(server.url, units=range(1, 5))
            return {question.function for question in server.asked}

    assert asyncio.run(inside()) == {3, 4}


async def refuse(question, writer):
    writer.write(question.frame(bytes([0x80 | question.function, 2])))


@pytest.mark.parametrize("behave", [answer, refuse])
def test_a_unit_is_not_asked_the_same_again(behave):
    async def inside():
        async with modbus_server() as server:
            server.behave = behave
            await probed(server.url)
            return [(q.unit, q.function, q.address, q.count) for q in server.asked]

    asked = asyncio.run(inside())

    assert len(asked) - len(set(asked)) <= 1  # the ping, which may be a model's register too


def test_a_bus_that_cannot_be_opened_is_told_as_such():
    with pytest.raises(LineClosed, match=r"127\.0\.0\.1:1 cannot be connected"):
        asyncio.run(probed("tcp://127.0.0.1:1"))


def test_a_server_that_closes_after_each_answer_is_probed_all_the_same():
    async def close(question, writer):
        writer.write(question.right())
        await writer.drain()
        writer.close()

    async def inside():
        async with modbus_server() as server:
            server.behave = close
            return await probed(server.url, units=(1, 2))

    findings = asyncio.run(inside())

    assert [found.heard.unit for found in findings.found] == [1, 2]


def test_a_gateway_that_hangs_up_on_unknown_units_hides_no_meter():
    async def hang_up(question, writer):
        if question.unit in (3, 5):
            writer.write(question.right())
        else:
            writer.close()

    async def inside():
        async with modbus_server() as server:
            server.behave = hang_up
            return await probed(server.url, units=(3, 4, 5), models=["eastron_sdm120"])

    findings = asyncio.run(inside())

    assert [found.heard.unit for found in findings.found] == [3, 5]


def test_each_stage_is_told_with_its_steps_and_ends_full():
    watcher = QuietWatcher()

    async def inside():
        async with devices((1, "eastron_sdm120"), (2, "abb_b23_b24")) as url:
            asked = task(url, units=(1, 2, 3), watch_s=1)
            await probe_bus(asked, lambda line: open_bus(line, CLOCK), watcher)

    asyncio.run(inside())

    assert [what for what, *_ in watcher.stages] == ["查找从站", "匹配型号", "观察计数"]
    assert all(steps == done for _, steps, done in watcher.stages)
