import json
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.fleet.bus_url import BusUrl, Line, parse_bus_url
from collector.fleet.check import check_folder, load_documents, load_fleet
from collector.fleet.codes import midnight_ms
from collector.fleet.compile import compile_fleet
from collector.fleet.cut import UnknownGateway, cut, digest
from collector.fleet.document import FleetDocument
from collector.fleet.index import Direction, Fleet, MeterEntry, Sector
from documents.finding import DocumentInvalid
from documents.load import load

EXAMPLE = Path(__file__).parents[2] / "config" / "fleet" / "heping.yaml"
MODELS = (
    "acrel_adl3000",
    "chint_dtsu666",
    "eastron_sdm630_v2",
    "microsensor_mfe600h",
    "schneider_iem3155",
    "sunspec_inverter_103",
    "suto_s430_gas",
    "tuf2000m",
)
CONTENT = {model: {"name": model} for model in MODELS}


@pytest.fixture(scope="module")
def heping():
    return load(EXAMPLE, FleetDocument)


@pytest.fixture(scope="module")
def fleet(heping):
    return compile_fleet([heping], CONTENT)


def folder(path, *files):
    (path / "fleet").mkdir()
    (path / "meters").mkdir()
    for model in MODELS:
        (path / "meters" / f"{model}.yaml").write_text(f"name: {model}\n", encoding="utf-8")
    for name, text in files:
        (path / "fleet" / name).write_text(text, encoding="utf-8")
    return path


def example():
    return EXAMPLE.read_text(encoding="utf-8")


def at(text):
    return int(datetime.fromisoformat(text).timestamp()) * 1000


# The example district


def test_the_example_has_no_mistake(tmp_path):
    assert check_folder(folder(tmp_path, ("heping.yaml", example()))) == ()


def test_the_example_is_what_it_says(fleet):
    assert fleet.stores == {"120101": "heping-1"}
    assert {key: len(gateway.meters) for key, gateway in fleet.gateways.items()} == {
        "gw-e001": 14,
        "gw-d001": 10,
        "gw-a001": 8,
    }
    assert [institution.sector for institution in fleet.institutions.values()] == [
        Sector.HOSPITAL,
        Sector.SCHOOL,
        Sector.GOVERNMENT,
    ]
    assert fleet.buildings["e001-b1"].area_m2 == 21000
    assert fleet.virtual_meters["e001-hvac"].parts == (("e001-chiller", 1), ("e001-ahu3", 1))


def test_an_entry_carries_what_stands_around_it(fleet):
    assert fleet.entry("e001-main", at("2026-01-01T00:00+08:00")) == MeterEntry(
        meter="e001-main",
        gateway="gw-e001",
        district="120101",
        institution="e001",
        sector=Sector.HOSPITAL,
        building="e001-b1",
        circuit="总进线",
        energy="01000",
        parent=None,
        model="acrel_adl3000",
        direction=Direction.IMPORT,
        limits={"frequency_hz": (49, 51), "power_factor": (-1, 1)},
        rated={"active_power_kw": 1200},
        cycle_s=60,
        valid_from_ms=1735660800000,
        valid_to_ms=None,
        multiplier=400,
        ranges={"frequency_hz": (49, 51), "power_factor": (-1, 1)},
    )


def test_generation_is_export(fleet):
    assert fleet.entry("d001-pv", at("2026-01-01T00:00+08:00")).direction is Direction.EXPORT


# Entries in time


def test_a_day_begins_in_shanghai():
    assert midnight_ms(date(2026, 1, 1)) == at("2025-12-31T16:00+00:00") == 1767196800000


@given(st.dates(date(1970, 1, 1), date(2100, 1, 1)))
def test_every_day_has_24_hours(day):
    assert midnight_ms(day + timedelta(days=1)) - midnight_ms(day) == 86_400_000
    assert datetime.fromtimestamp(midnight_ms(day) / 1000, UTC).hour == 16


@pytest.mark.parametrize(
    ("instant", "rated"),
    [
        ("2024-12-31T23:59:59+08:00", None),
        ("2025-01-01T00:00:00+08:00", 260),
        ("2026-02-28T23:59:59+08:00", 260),
        ("2026-03-01T00:00:00+08:00", 390),
        ("2030-01-01T00:00:00+08:00", 390),
    ],
)
def test_a_reading_is_judged_by_the_entry_of_its_time(fleet, instant, rated):
    entry = fleet.entry("a001-main", at(instant))

    assert (entry and entry.rated["active_power_kw"]) == rated


def test_nobody_knows_an_unknown_meter(fleet):
    assert fleet.entry("e001-none", at("2026-01-01T00:00+08:00")) is None


@given(
    begins=st.sets(st.integers(0, 50), min_size=1, max_size=6),
    end=st.integers(1, 20),
    instant=st.integers(-5, 80),
)
def test_the_newest_entry_that_has_begun_holds_unless_it_has_ended(begins, end, instant):
    ordered = sorted(begins)
    fleet = fleet_of(ordered, ends_after=end)

    entry = fleet.entry("m", instant)

    begun = [begin for begin in ordered if begin <= instant]
    if not begun or (begun[-1] == ordered[-1] and instant >= ordered[-1] + end):
        assert entry is None
    else:
        assert entry.valid_from_ms == begun[-1]


def fleet_of(begins, *, ends_after):
    ends = [*begins[1:], begins[-1] + ends_after]
    entries = tuple(
        MeterEntry(
            meter="m",
            gateway="g",
            district="120101",
            institution="i",
            sector=Sector.SCHOOL,
            building="b",
            circuit="c",
            energy="01000",
            parent=None,
            model="x",
            direction=Direction.IMPORT,
            limits={},
            rated={},
            cycle_s=60,
            valid_from_ms=begin,
            valid_to_ms=end,
        )
        for begin, end in zip(begins, ends, strict=True)
    )
    return Fleet(
        stores={},
        institutions={},
        buildings={},
        gateways={},
        meters={"m": entries},
        virtual_meters={},
    )


# The cut


def test_a_cut_is_the_gateways_own_part(heping):
    part = cut(heping, "gw-d001", CONTENT)

    assert {key: part[key] for key in ("v", "district", "store", "gateway")} == {
        "v": 1,
        "district": "120101",
        "store": "heping-1",
        "gateway": "gw-d001",
    }
    [bus] = part["buses"]
    assert (bus["url"], bus["cycle_s"]) == ("tcp://127.0.0.1:15021", 60)
    assert "start_offset_s" not in bus  # the gateway staggers its buses by itself
    assert [meter["id"] for meter in bus["meters"]][:3] == ["d001-main", "d001-light", "d001-air"]
    assert bus["meters"][0] == {
        "id": "d001-main",
        "model": "acrel_adl3000",
        "unit": 1,
        "ratio": {"ct": 160, "pt": 1, "applied_by": "gateway"},
        "direction": "import",
        "options": {},
    }


def test_a_cut_brings_the_models_it_needs_and_no_other(heping):
    part = cut(heping, "gw-a001", CONTENT)

    assert part["models"] == {
        model: {"name": model}
        for model in (
            "acrel_adl3000",
            "chint_dtsu666",
            "eastron_sdm630_v2",
            "schneider_iem3155",
            "tuf2000m",
        )
    }


def test_a_cut_survives_json(heping):
    part = cut(heping, "gw-e001", CONTENT)

    again = json.loads(json.dumps(part))

    assert again == part
    assert digest(again) == part["digest"]


def test_the_fleet_knows_the_digest_of_each_cut(heping, fleet):
    for gateway in fleet.gateways.values():
        assert gateway.digest == cut(heping, gateway.id, CONTENT)["digest"]
        assert len(gateway.digest) == 16


@pytest.mark.parametrize(
    ("old", "new", "changed"),
    [
        ("unit: 126", "unit: 125", True),
        ("model: sunspec_inverter_103", "model: eastron_sdm630_v2", True),
        ("tcp://127.0.0.1:15021", "tcp://127.0.0.1:15023", True),
        ("circuit: 屋顶光伏", "circuit: 屋面光伏", False),
        ("area_m2: 12500", "area_m2: 12600", False),
        ("tcp://127.0.0.1:15022", "tcp://127.0.0.1:15024", False),
    ],
)
def test_a_digest_changes_with_what_the_gateway_does_and_with_nothing_else(
    tmp_path, fleet, old, new, changed
):
    (tmp_path / "x.yaml").write_text(example().replace(old, new, 1), encoding="utf-8")

    part = cut(load(tmp_path / "x.yaml", FleetDocument), "gw-d001", CONTENT)

    assert (part["digest"] != fleet.gateways["gw-d001"].digest) is changed


@given(st.permutations(["v", "district", "store", "gateway", "buses", "models", "digest"]))
def test_a_digest_does_not_depend_on_the_order_of_keys(order):
    part = {key: {"a": [1, 2.5]} for key in order}

    assert digest(part) == digest(dict(sorted(part.items())))


def test_a_cut_takes_the_newest_entry(heping):
    assert ratio_of_the_mains(cut(heping, "gw-a001", CONTENT)) == [120]


def test_a_cut_of_a_day_takes_the_entry_of_that_day(heping):
    def ratio_on(day):
        return ratio_of_the_mains(cut(heping, "gw-a001", CONTENT, day=day))

    assert ratio_on(date(2024, 12, 31)) == []
    assert ratio_on(date(2026, 2, 28)) == [80]
    assert ratio_on(date(2026, 3, 1)) == [120]


def ratio_of_the_mains(part):
    meters = [meter for bus in part["buses"] for meter in bus["meters"]]
    return [meter["ratio"]["ct"] for meter in meters if meter["id"] == "a001-main"]


def test_a_retired_meter_is_polled_no_more(tmp_path):
    text = example().replace(
        'direction: export\n          valid_from: "2025-01-01"',
        'valid_from: "2025-01-01"\n          valid_to: "2026-01-01"',
    )
    root = folder(tmp_path, ("heping.yaml", text))

    fleet = load_fleet(root)

    assert "d001-pv" not in fleet.gateways["gw-d001"].meters
    assert fleet.entry("d001-pv", at("2025-12-31T23:59+08:00")) is not None
    assert fleet.entry("d001-pv", at("2026-01-01T00:00+08:00")) is None


def test_an_unknown_gateway_is_answered_with_the_nearest(heping):
    with pytest.raises(UnknownGateway, match="no gateway 'gw-e01'; did you mean 'gw-e001'"):
        cut(heping, "gw-e01", CONTENT)


# The folder


def test_a_folder_without_a_fleet_does_not_pass(tmp_path):
    [finding] = check_folder(tmp_path)

    assert str(finding) == f"{tmp_path}/fleet: no fleet file (*.yaml) here"


def test_every_file_of_the_folder_is_checked(tmp_path):
    broken = example().replace("area_m2", "arae_m2", 1)
    root = folder(tmp_path, ("a.yaml", broken), ("b.yml", "district: 5\n"))

    findings = check_folder(root)

    assert [Path(finding.file).name for finding in findings] == ["a.yaml"] * 2 + ["b.yml"] * 2
    with pytest.raises(DocumentInvalid) as raised:
        load_documents(root)
    assert raised.value.findings == findings


def test_a_model_without_a_file_is_a_mistake(tmp_path):
    root = folder(tmp_path, ("heping.yaml", example()))
    (root / "meters" / "sunspec_inverter_103.yaml").unlink()

    [finding] = check_folder(root)

    assert finding.message == "there is no meter model 'sunspec_inverter_103'; known here: " + (
        ", ".join(model for model in MODELS if model != "sunspec_inverter_103")
    )


def test_two_files_must_not_give_the_same_id_away(tmp_path):
    root = folder(tmp_path, ("a.yaml", example()), ("b.yaml", example()))

    findings = check_folder(root)

    assert str(findings[0]) == (
        f"{root}/fleet/b.yaml:8: district.id: district id '120101' is used in "
        f"{root}/fleet/a.yaml already"
    )
    # 3 institutions, 3 buildings, 3 gateways, 32 meters, 4 virtual meters, 1 district
    assert len(findings) == 46


def test_two_districts_make_one_fleet(tmp_path):
    other = (
        example()
        .replace("120101", "120102")
        .replace("e001", "e101")
        .replace("d001", "d101")
        .replace("a001", "a101")
    )
    root = folder(tmp_path, ("a.yaml", example()), ("b.yaml", other))

    fleet = load_fleet(root)

    assert len(fleet.gateways) == 6
    assert fleet.meters["e101-main"][0].district == "120102"


# Bus URLs


@pytest.mark.parametrize(
    ("url", "parsed"),
    [
        (
            "tcp://10.0.0.5:502",
            BusUrl(line=Line.TCP, place="10.0.0.5:502", settings={}),
        ),
        (
            "rtu+tcp://moxa:4001",
            BusUrl(line=Line.RTU_OVER_TCP, place="moxa:4001", settings={}),
        ),
        (
            "tcp://[fe80::1]:502?timeout_ms=300",
            BusUrl(line=Line.TCP, place="fe80::1:502", settings={"timeout_ms": "300"}),
        ),
        (
            "serial:///dev/serial/by-path/X?baudrate=9600&parity=N",
            BusUrl(
                line=Line.SERIAL,
                place="/dev/serial/by-path/X",
                settings={"baudrate": "9600", "parity": "N"},
            ),
        ),
    ],
)
def test_a_bus_url_is_taken_apart(url, parsed):
    assert parse_bus_url(url) == parsed


@pytest.mark.parametrize(
    "url",
    [
        "",
        "10.0.0.5:502",
        "tcp://10.0.0.5",
        "tcp://10.0.0.5:0",
        "tcp://10.0.0.5:99999",
        "tcp://10.0.0.5:502/x",
        "tcp://10.0.0.5:502?unit=1",
        "tcp://10.0.0.5:502?timeout_ms=0",
        "tcp://10.0.0.5:502?parity=N",
        "tcp://user@10.0.0.5:502",
        "serial:///ttyUSB0",
        "serial:///dev/ttyUSB0?baud=9600",
        "serial:///dev/ttyUSB0?baudrate=9601",
    ],
)
def test_what_is_no_bus_url_is_refused(url):
    with pytest.raises(ValueError, match=r"is needed|known|is one of|is a whole"):
        parse_bus_url(url)


def test_a_broadcast_is_no_unit_on_rtu():
    assert 0 not in parse_bus_url("rtu+tcp://moxa:4001").units
    assert 0 in parse_bus_url("tcp://10.0.0.5:502").units
