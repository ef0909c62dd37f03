"""`nenghao gateway check`: everything that is wrong, the plan, the bus time."""

import asyncio
import json

import pytest

from tests.gateways.commission.bench import MODELS, devices
from tests.nenghao.process import nenghao, run, typed


def cut(*buses):
    about = {"v": 1, "district": "120101", "store": "s", "gateway": "gw", "digest": "d"}
    used = {meter["model"] for bus in buses for meter in bus["meters"]} & set(MODELS)
    return {**about, "buses": list(buses), "models": {name: MODELS[name] for name in used}}


def bus(*meters, url="tcp://127.0.0.1:1", cycle_s=60):
    return {"url": url, "cycle_s": cycle_s, "meters": list(meters)}


def meter(unit, model="eastron_sdm120", **more):
    return {"id": f"m{unit}", "unit": unit, "model": model, **more}


@pytest.fixture
def written(tmp_path):
    """Write a cut, and settings if they are given; gives the file to check."""

    def write(content, settings=None):
        (tmp_path / "gw.json").write_text(json.dumps(content), encoding="utf-8")
        if settings is None:
            return tmp_path / "gw.json"
        (tmp_path / "gateway.yaml").write_text(settings, encoding="utf-8")
        return tmp_path / "gateway.yaml"

    return write


RIGHT = """
fleet: gw.json
broker: {url: "mqtt://127.0.0.1:1883"}
spool: {folder: spool}
"""


def test_a_gateway_that_is_right_is_exit_0_and_nothing_is_made(written, tmp_path):
    file = written(cut(bus(meter(1), meter(2))), RIGHT)

    checked = run("gateway", "check", file)

    assert checked.code == 0
    assert "配置无误" in checked.out
    assert not (tmp_path / "spool").exists()


def test_every_mistake_of_settings_secrets_cut_and_ports_comes_at_once(written, tmp_path):
    (tmp_path / "spool").write_text("a file, no folder")
    settings = """
fleet: gw.json
broker: {url: "mqtt://h:1883", username: u, password_env: NOT_SET_ANYWHERE, ca_file: none.pem}
spool: {folder: spool/deep}
"""
    content = cut(
        bus(meter(1), meter(1, "nothing"), {**meter(2), "unit": 1}),
        bus(meter(3), url="serial:///dev/ttyUSB77"),
    )

    checked = typed("gateway", "check", written(content, settings), "--json")

    assert checked.code == 1
    mistakes = {each["key"]: each["message"] for each in checked.document["mistakes"]}
    assert mistakes == {
        "spool.folder": f"{tmp_path / 'spool'} 不是文件夹 (is no folder)",
        "broker": "environment variable NOT_SET_ANYWHERE is not set or empty",
        "broker.ca_file": f"{tmp_path / 'none.pem'} 读不到 (cannot be read)",
        "buses[0].meters[1].model": "unknown model 'nothing', known: eastron_sdm120",
        "buses[0].meters[2].unit": "unit 1 is already m1's",
        "buses[1].url": "/dev/ttyUSB77 不存在：查 USB 和驱动 (there is no such port)",
    }
    (warning,) = checked.document["warnings"]
    assert "/dev/ttyUSB77 重启或重插后可能改号" in warning["message"]


def test_wrong_settings_do_not_hide_a_wrong_cut(written):
    settings = 'fleet: gw.json\nbroker: {url: "mqtt://h"}\nspool: {fodler: x}\n'

    checked = run("gateway", "check", written(cut(bus(meter(300))), settings), "--json")

    mistakes = [(each["line"], each["key"]) for each in checked.document["mistakes"]]
    assert checked.code == 1
    assert (3, "spool.fodler") in mistakes
    assert (0, "buses[0].meters[0].unit") in mistakes


def test_a_file_that_is_not_a_serial_port_is_told(written, tmp_path):
    (tmp_path / "port").write_text("")

    checked = run(
        "gateway", "check", written(cut(bus(meter(1), url=f"serial://{tmp_path}/port"))), "--json"
    )

    (mistake,) = checked.document["mistakes"]
    assert "port 不是串口" in mistake["message"]


@pytest.mark.parametrize("content", ["{", "[]", '{"v": 2}'])
def test_a_file_that_is_no_cut_is_told(tmp_path, content):
    file = tmp_path / "gw.json"
    file.write_text(content)

    checked = typed("gateway", "check", file, "--json")

    assert checked.code == 1
    assert "write it with 'nenghao fleet cut'" in checked.document["mistakes"][0]["message"]


def test_dozens_of_meters_must_meet_the_cycle_or_the_overrun_is_refused(written):
    meters = [meter(unit, "eastron_sdm630_v2") for unit in range(1, 33)]
    url = "rtu+tcp://127.0.0.1:1"

    slow = typed("gateway", "check", written(cut(bus(*meters, url=url, cycle_s=10))), "--json")
    enough = typed("gateway", "check", written(cut(bus(*meters, url=url, cycle_s=15))), "--json")

    (refused,), (taken,) = slow.document["buses"], enough.document["buses"]
    assert (slow.code, refused["enough"]) == (1, False)
    assert refused["worst_ms"] > refused["available_ms"] == 9000
    assert (enough.code, taken["enough"]) == (0, True)
    assert taken["share"] < 0.8


def test_an_overrun_says_which_cycle_would_be_long_enough(written):
    meters = [meter(unit, "eastron_sdm630_v2") for unit in range(1, 33)]
    url = "rtu+tcp://127.0.0.1:1"

    checked = run("gateway", "check", written(cut(bus(*meters, url=url, cycle_s=10))))

    assert "✗ 时间不够：周期至少 " in checked.out
    assert "9600 8N1 (假定)" in checked.out


def test_given_300_like_meters_the_plan_is_one_line_a_bus(written):
    first = [meter(unit) for unit in range(1, 151)]
    second = [{**meter(unit), "id": f"n{unit}"} for unit in range(1, 151)]
    content = cut(bus(*first), bus(*second, url="tcp://127.0.0.1:2"))

    checked = run("gateway", "check", written(content))

    assert len(content["models"]) == 1
    assert checked.code == 0
    assert "m1 … m150 (150)" in checked.out
    assert "n1 … n150 (150)" in checked.out
    assert len(checked.out.splitlines()) < 40


def test_the_plan_as_a_document_names_every_read(written):
    document = run("gateway", "check", written(cut(bus(meter(1)))), "--json").document

    (planned,) = document["buses"][0]["meters"]
    assert planned["blocks"][0] == {"table": "input", "address": 0, "count": 32}
    assert planned["read_over"] == sum(b["count"] for b in planned["blocks"]) - 28
    assert planned["turnaround_ms"] == 5
    assert not planned["measured"]


def test_the_turnaround_that_is_assumed_can_be_given(written):
    file = written(cut(bus(meter(1))))

    document = typed("gateway", "check", file, "--turnaround-ms", "50", "--json").document

    assert document["buses"][0]["average_ms"] == 150


def test_measured_turnarounds_are_used_for_the_meters_that_answer(written):
    fault = {"meter": "m2", "kind": "delay", "seconds": 0.02}

    async def inside():
        async with devices((2, "eastron_sdm120"), faults=[fault]) as url:
            file = written(cut(bus(meter(1), meter(2), url=f"{url}?timeout_ms=150")))
            return await nenghao("gateway", "check", file, "--measure", "--json")

    checked = asyncio.run(inside())

    silent, slow = checked.document["buses"][0]["meters"]
    assert (silent["measured"], silent["turnaround_ms"]) == (False, 5)
    assert slow["measured"]
    assert 20 < slow["turnaround_ms"] < 60
