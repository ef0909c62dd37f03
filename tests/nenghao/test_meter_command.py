"""`nenghao meter`, as an installer uses it: real processes, real sockets."""

import asyncio
from shutil import copy

import pytest

from tests.gateways.commission.bench import MODELS, bent, devices
from tests.nenghao.process import ROOT, nenghao, run, typed


def against(words, *entries, models=None, **more):
    """Run a command against simulated meters; `URL` in `words` is their bus."""

    async def inside():
        async with devices(*entries, models=models, **more) as url:
            return await nenghao(*(word.replace("URL", url) for word in words))

    return asyncio.run(inside())


# ---- models


def test_the_library_is_listed_with_what_an_installer_asks_first():
    listed = run("meter", "models")

    assert listed.code == 0
    row = next(line for line in listed.out.splitlines() if "chint_dtsu666 " in line)
    for word in ("CHINT 正泰 DTSU666", "电", "中", "27", "scaling"):
        assert word in row


def test_the_library_as_a_document_has_every_model_with_options_and_warnings():
    document = typed("meter", "models", "--json").document

    models = {model["id"]: model for model in document["models"]}
    assert set(models) == set(MODELS)
    assert document["mistakes"] == []
    chint = models["chint_dtsu666"]
    assert chint["maker"] == "CHINT 正泰"
    assert chint["confidence"] == "medium"
    assert "voltage_l1_v" in chint["quantities"]
    assert chint["options"]["scaling"]["default"] == "tenths"
    assert chint["warnings"][0].startswith("option scaling is 'tenths' by default: ")


def test_one_model_is_shown_with_its_registers_plan_and_sources():
    shown = run("meter", "models", "tuf2000m")
    document = typed("meter", "models", "tuf2000m", "--json").document

    assert shown.code == 0
    assert "读取计划 (2 次请求): holding 0x0000+20, holding 0x0020+4" in shown.out
    assert "来源: http://www.nv2118.com/post/488.html" in shown.out
    assert document["blocks"][0] == {"table": "holding", "address": 0, "count": 20}
    flow = document["registers"][0]
    assert (flow["quantity"], flow["addresses"], flow["unit"]) == ("flow_m3_h", [0], "m³/h")


def test_a_mistyped_model_is_answered_with_the_nearest_one():
    refused = typed("meter", "models", "eastron_sdm630_v")

    assert refused.code == 2
    assert refused.out == ""
    assert "unknown model 'eastron_sdm630_v', did you mean 'eastron_sdm630_v2'?" in refused.err


def test_a_broken_model_file_is_told_and_hides_no_other(tmp_path):
    folder = tmp_path / "meters"
    folder.mkdir()
    (folder / "broken.yaml").write_text("name: x\n")
    copy(ROOT / "config" / "meters" / "eastron_sdm120.yaml", folder / "right.yaml")

    listed = typed("meter", "models", "--json", "--config", tmp_path)

    assert listed.code == 1
    assert [model["id"] for model in listed.document["models"]] == ["right"]
    assert listed.document["mistakes"] == ["broken: object missing required field `maker`"]


def test_a_folder_without_models_is_a_usage_error(tmp_path):
    refused = run("meter", "models", "--config", tmp_path)

    assert refused.code == 2
    assert "no meter models in" in refused.err


def test_the_schema_of_a_models_file_is_one_document():
    document = run("meter", "schema").document

    assert document["$schema"] == "https://json-schema.org/draft/2020-12/schema"


# ---- read


def test_one_reading_is_a_table_in_chinese_with_units_and_exit_0():
    read = against(["meter", "read", "eastron_sdm630_v2", "URL?unit=1"], (1, "eastron_sdm630_v2"))

    assert read.code == 0
    assert read.err == ""
    row = next(line for line in read.out.splitlines() if "frequency_hz" in line)
    assert "频率" in row
    assert " Hz" in row
    assert "37 个数值，未见异常" in read.out
    assert "0x" not in read.out


def test_raw_adds_the_address_and_the_words_in_hex():
    words = ["meter", "read", "eastron_sdm120", "URL?unit=1", "--raw"]

    read = against(words, (1, "eastron_sdm120"))

    row = next(line for line in read.out.splitlines() if "frequency_hz" in line)
    assert "input 0x0046" in row
    assert "0x424" in row


def test_a_reading_as_a_document_names_values_registers_and_judgement():
    words = ["meter", "read", "eastron_sdm120", "URL?unit=1", "--json"]

    document = against(words, (1, "eastron_sdm120")).document

    assert document["sound"] is True
    assert document["fault"] is None
    assert set(document["values"]) == {r["quantity"] for r in document["registers"]}
    assert 220 < document["values"]["voltage_l1_v"] < 240
    assert document["registers"][0]["words"][0].startswith("0x43")


def test_ratio_and_direction_are_applied_as_the_gateway_applies_them():
    meter = (1, "eastron_sdm120")
    words = ["meter", "read", "eastron_sdm120", "URL?unit=1", "--json"]

    plain = against(words, meter).document["values"]
    turned = against([*words, "--ct", "80", "--pt", "1", "--direction", "export"], meter).document[
        "values"
    ]

    assert turned["active_power_kw"] / plain["active_power_kw"] == pytest.approx(-80, rel=0.05)
    assert turned["energy_export_kwh"] / plain["energy_import_kwh"] == pytest.approx(80, rel=0.01)


def test_a_wrong_word_order_is_called_out_with_the_right_one_and_exit_1():
    device = {"eastron_sdm120": bent("eastron_sdm120", word_order="low_first")}

    read = against(
        ["meter", "read", "eastron_sdm120", "URL?unit=1"], (1, "eastron_sdm120"), models=device
    )

    assert read.code == 1
    assert "改用 字序 low_first 得 2" in read.out


def test_a_disputed_option_is_warned_of_until_somebody_has_chosen():
    meter = (1, "chint_dtsu666")
    words = ["meter", "read", "chint_dtsu666", "URL?unit=1"]

    open_one = against(words, meter)
    chosen = against([*words, "--option", "scaling=tenths"], meter)

    warning = "! 警告 option scaling is 'tenths' by default: sources differ"
    assert warning in open_one.out
    assert warning not in chosen.out


def test_a_silent_meter_says_what_to_check_first_and_exit_1():
    read = against(
        ["meter", "read", "eastron_sdm120", "URL?unit=9&timeout_ms=150"], (1, "eastron_sdm120")
    )

    assert read.code == 1
    assert "无应答：先查从站地址，再查波特率和校验位、A/B 线是否接反" in read.out
    assert "没有读到任何数值" in read.out


def test_a_refusal_is_explained_by_its_code():
    read = against(["meter", "read", "eastron_sdm630_v2", "URL?unit=1"], (1, "eastron_sdm120"))

    assert read.code == 1
    assert "没有此地址（异常码 2）：型号不符？" in read.out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["eastron_sdm120", "tcp://h"], "which meter? add the unit"),
        (["eastron_sdm120", "tpc://h?unit=1"], "unknown scheme 'tpc'"),
        (["eastron_sdm1", "tcp://h?unit=1"], "did you mean 'eastron_sdm120'?"),
        (["eastron_sdm120", "tcp://h?unit=1", "--option", "x"], "name=choice is needed"),
        (["chint_dtsu666", "tcp://h?unit=1", "--option", "scaling=x"], "unknown choice 'x'"),
        (["eastron_sdm120", "tcp://h?unit=1", "--direction", "up"], "direction"),
        (["eastron_sdm120", "tcp://h?unit=1", "--ct", "0"], "ct and pt must be above 0"),
    ],
)
def test_what_was_typed_wrongly_is_a_usage_error(words, message):
    refused = typed("meter", "read", *words)

    assert refused.code == 2
    assert message in refused.err
    assert refused.out == ""


# ---- probe


def test_a_probe_names_unit_model_reasons_and_what_to_write_down():
    words = ["meter", "probe", "URL", "--units", "1-3", "--watch-s", "0", "--timeout-ms", "150"]

    probed = against(words, (2, "eastron_sdm630_v2", {"options": {"register_order": "reversed"}}))

    assert probed.code == 0
    assert "改用 选项 register_order=reversed 得 2" in probed.out
    assert (
        "写入配置 {model: eastron_sdm630_v2, unit: 2, options: {register_order: reversed}}"
        in probed.out
    )
    assert probed.err == ""


def test_a_probe_as_a_document_ranks_with_reasons():
    words = ["meter", "probe", "URL", "--units", "1-2", "--watch-s", "0", "--timeout-ms", "150"]

    document = against([*words, "--json"], (2, "eastron_sdm120")).document

    (found,) = document["found"]
    assert (found["unit"], found["how"], found["url"]) == (2, "exception 2", document["url"])
    best = found["fits"][0]
    assert (best["model"], best["variant"], best["as_filed"]) == ("eastron_sdm120", "", True)
    assert any(reason["text"].startswith("频率 ") for reason in best["reasons"])
    assert document["settled"] is True


def test_a_wrong_address_found_by_a_probe_is_exit_1_with_its_name():
    device = {"schneider_iem3155": bent("schneider_iem3155", offset=1)}
    words = ["meter", "probe", "URL", "--units", "1", "--watch-s", "0"]

    probed = against(
        [*words, "--model", "schneider_iem3155"], (1, "schneider_iem3155"), models=device
    )

    assert probed.code == 1
    assert "地址 +1 不是选项：核对型号，或另写一个型号文件" in probed.out


def test_a_bus_that_cannot_be_opened_says_what_to_check_first():
    probed = typed("meter", "probe", "serial:///dev/nothing-is-here", "--units", "1")
    document = typed("meter", "probe", "tcp://127.0.0.1:1", "--units", "1", "--json").document

    assert probed.code == 1
    assert "总线打不开：查 IP 和端口（串口：设备名、占用、权限）" in probed.out
    assert (document["settled"], document["found"]) == (False, [])


def test_an_empty_bus_says_what_to_check_first():
    words = ["meter", "probe", "URL", "--units", "5-6", "--timeout-ms", "100"]

    probed = against(words, (1, "eastron_sdm120"))

    assert probed.code == 1
    assert "没有从站应答：先查 A/B 线是否接反、表是否通电" in probed.out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["tcp://h", "--units", "9-1"], "--units 9-1"),
        (["tcp://h", "--units", "x"], "--units: whole numbers above 0 are needed"),
        (["serial:///dev/x", "--parities", "Q"], "--parities: N, E or O"),
        (["serial:///dev/x", "--baudrates", "96OO"], "--baudrates: whole numbers"),
        (["tcp://h", "--model", "none"], "unknown model 'none'"),
        (["h:502"], "unknown scheme"),
    ],
)
def test_a_probe_typed_wrongly_is_a_usage_error(words, message):
    refused = typed("meter", "probe", *words)

    assert refused.code == 2
    assert message in refused.err
