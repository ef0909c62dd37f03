"""What a value may be: the quantity, the model's registers, the sector, the fleet."""

from fractions import Fraction
from itertools import product
from pathlib import Path

import msgspec
import pytest

from collector.fleet.check import check_folder, load_fleet
from collector.fleet.compile import compile_fleet
from collector.fleet.document import AppliedBy, FleetDocument, MeterSpec, RatioSpec
from collector.fleet.index import Direction, Fleet, MeterEntry, Tolerances
from collector.fleet.limits import LimitsDocument, load_limits, ranges_of, tolerances_of
from collector.fleet.registers import multiplier_of, spans_of
from collector.validate import Gate, Reason
from documents.load import load
from documents.tree import parse, read_mapping
from gateways.library.file import read_model
from gateways.library.model import Format, Register
from gateways.library.options import read_options
from gateways.reading import wiring
from metering.quantity import QUANTITIES
from metering.reading import Reading
from tests.fakes.link import SEALED_MS, batch

CONFIG = Path(__file__).parents[2] / "config"
MODELS = sorted(file.stem for file in (CONFIG / "meters").glob("*.yaml"))


@pytest.fixture(scope="module")
def fleet() -> Fleet:
    return load_fleet(CONFIG)


def meter(**changed: object) -> MeterSpec:
    plain = {
        "id": "m1",
        "code": "001",
        "model": "suto_s430_gas",
        "unit": 1,
        "energy": "01000",
        "circuit": "总进线",
        "valid_from": "2025-01-01",
    }
    return MeterSpec.model_validate(plain | changed, strict=False)


def refused(fleet: Fleet, name: str, **values: float) -> list[tuple[str, str]]:
    entry = fleet.meters[name][0]
    said = batch(Reading(meter=name, at_ms=SEALED_MS, values=values), gateway=entry.gateway)
    verdict = Gate(fleet).judge([said], now_ms=SEALED_MS)
    return [(one.quantity, one.reason) for one in verdict.rejections]


# -- the file ----------------------------------------------------------------------------------


def test_the_tolerances_of_the_file_are_those_that_hold_without_it() -> None:
    given = tolerances_of(load_limits(CONFIG))
    names = [name for name in Tolerances.__struct_fields__ if name != "jumps"]

    assert {name: getattr(given, name) for name in names} == {
        name: getattr(Tolerances(), name) for name in names
    }


def test_every_number_of_the_file_says_where_it_comes_from() -> None:
    document = load_limits(CONFIG)

    assert {name for name, spec in document.tolerances if spec is None} == set()
    assert all(spec.why for spec in (*document.ranges, *document.jumps))


def test_a_range_for_a_sector_goes_before_one_for_all() -> None:
    ranges = ranges_of(load_limits(CONFIG))

    assert ranges["hospital"]["supply_temperature_c"] == (-30, 220)
    assert ranges["school"]["supply_temperature_c"] == (-30, 150)
    assert ranges["hospital"]["frequency_hz"] == ranges["government"]["frequency_hz"]


def test_a_folder_without_limits_has_only_the_quantities_own(tmp_path: Path) -> None:
    assert load_limits(tmp_path) == LimitsDocument()


def test_a_mistake_in_the_limits_is_found_with_the_fleets(tmp_path: Path) -> None:
    (tmp_path / "fleet").mkdir()
    (tmp_path / "limits.yaml").write_text("rages: []\n", encoding="utf-8")

    messages = [str(finding) for finding in check_folder(tmp_path)]

    assert any("limits.yaml:1" in message and "ranges" in message for message in messages)


# -- the range that counts ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "values", "is_refused"),
    [
        ("e001-main", {"voltage_l12_v": 40_000.0}, False),  # a hospital may have 35 kV
        ("d001-main", {"voltage_l12_v": 40_000.0}, True),  # the sector's default
        ("d001-heat", {"supply_temperature_c": 170.0}, True),
        ("d001-heat", {"supply_temperature_c": 130.0}, False),
        ("e001-heat", {"supply_temperature_c": 150.0}, True),  # its own limits are narrower
        ("e001-water", {"flow_m3_h": -2.0}, True),
        ("e001-main", {"voltage_l1_v": 6553.4}, False),  # uint16 in tenths of a volt
        ("e001-main", {"voltage_l1_v": 6553.5}, True),  # all bits set
        ("e001-main", {"energy_import_kwh": 4294967294 * 0.01 * 400}, False),
        ("e001-main", {"energy_import_kwh": 4294967295 * 0.01 * 400}, True),
        ("e001-main", {"active_power_kw": -32767 * 0.001 * 400}, False),
        ("e001-main", {"active_power_kw": -32768 * 0.001 * 400}, True),
        ("a001-vrf", {"frequency_hz": 58.0}, True),
    ],
)
def test_a_value_has_to_lie_in_every_range(
    fleet: Fleet, name: str, values: dict[str, float], is_refused: bool
) -> None:
    wanted = [(quantity, Reason.OUT_OF_RANGE) for quantity in values] if is_refused else []

    assert refused(fleet, name, **values) == wanted


def entry_of(defaults: LimitsDocument, /, **changed: object) -> MeterEntry:
    """The gas meter of the example's hospital, changed."""
    document = load(CONFIG / "fleet" / "heping.yaml", FleetDocument)
    content = document.model_dump(mode="json", exclude_defaults=True)
    hospital = content["institutions"][0]["buildings"][0]["gateways"][0]
    (gas,) = (one for one in hospital["buses"][0]["meters"] if one["id"] == "e001-gas")
    gas |= changed
    again = FleetDocument.model_validate_json(msgspec.json.encode(content))
    models = {model: read_mapping(CONFIG / "meters" / f"{model}.yaml") for model in MODELS}
    return compile_fleet([again], models, limits=defaults).meters["e001-gas"][0]


def test_the_fleet_widens_the_sectors_default_but_nothing_else() -> None:
    limits = load_limits(CONFIG)

    wide = entry_of(limits, limits={"temperature_c": [-60, 200], "volume_m3": [0, 9e9]})

    assert ranges_of(limits)["hospital"]["temperature_c"] == (-50, 150)
    # int32 thousandths hold more; the quantity itself ends at 250
    assert wide.ranges["temperature_c"] == (-60, 200)
    # the register ends before
    assert wide.ranges["volume_m3"] == (0, 4294967294.5)
    assert entry_of(limits).ranges["temperature_c"] == (-50, 150)


def test_a_counter_ends_where_the_fleet_says_that_it_rolls_over() -> None:
    entry = entry_of(load_limits(CONFIG), rolls_over_at={"volume_m3": 1_000_000})

    assert entry.rolls_over_at == {"volume_m3": 1_000_000, "volume_reverse_m3": 4294967296}
    assert entry.ranges["volume_m3"] == (0, 1_000_000)


def test_what_rolls_over_is_no_business_of_the_gateways() -> None:
    document = load(CONFIG / "fleet" / "heping.yaml", FleetDocument)
    text = (CONFIG / "fleet" / "heping.yaml").read_text(encoding="utf-8")
    marked = text.replace(
        "rated: {flow_m3_h: 150}",
        "rated: {flow_m3_h: 150}\n          rolls_over_at: {volume_m3: 9}",
    )
    assert marked != text
    models = {model: read_mapping(CONFIG / "meters" / f"{model}.yaml") for model in MODELS}
    changed = FleetDocument.model_validate_json(msgspec.json.encode(parse(marked, file="x").value))

    assert compile_fleet([changed], models).gateways == compile_fleet([document], models).gateways


# -- registers, as the gateway understands them --------------------------------------------------


def expected_span(register: Register, how: wiring.Wiring) -> tuple[float | None, float | None]:
    """The two ends of what a register can hold, by the gateway's own understanding of it."""
    (part, *others) = register.parts
    if others or register.exponent or part.format.is_float:
        return None, None
    factor = wiring.factor(register, how)
    half = Fraction(1, 2)
    bits = 16 * part.format.registers
    if part.format.is_bcd:
        ends = (-half, 10 ** (bits // 4) - half)
    elif part.format in {Format.INT16, Format.INT32, Format.INT64}:
        ends = (half - 2 ** (bits - 1), 2 ** (bits - 1) - 1 - half)
    else:
        ends = (-half, 2**bits - 1 - half)
    low, high = sorted(float(end * factor) for end in ends)
    return low, high


@pytest.mark.usefixtures("uncounted")
@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("direction", list(Direction))
@pytest.mark.parametrize("applied_by", list(AppliedBy))
def test_registers_are_understood_as_the_gateway_understands_them(
    model: str, direction: Direction, applied_by: AppliedBy
) -> None:
    content = read_mapping(CONFIG / "meters" / f"{model}.yaml")
    declared = read_options(model, content)
    ratio = RatioSpec(ct=80, pt=2.5, applied_by=applied_by)
    for chosen in product(*(option.choices for option in declared.values())):
        options = dict(zip(declared, chosen, strict=True))
        spec = meter(model=model, options=options, direction=direction, ratio=ratio)
        theirs = read_model(model, content, options)
        turned = wiring.Direction.IMPORT if theirs.generator else wiring.Direction(direction)
        how = wiring.Wiring(
            ratio=wiring.Ratio(ct=80, pt=2.5, applied_by=wiring.AppliedBy(applied_by)),
            direction=turned,
        )
        named = {
            name: register
            for register in theirs.registers
            if (name := wiring.name_behind(register.quantity, turned))
        }

        spans = spans_of(content, spec)

        assert spans.keys() == named.keys()
        for name, register in named.items():
            span = spans[name]
            assert (span.lowest, span.highest) == expected_span(register, how), name
            if register.exponent is None and register.rollover is not None:
                factor = abs(wiring.factor(register, how)) / abs(register.scale)
                assert span.rolls_over_at == float(Fraction(register.rollover) * factor), name
            else:
                assert span.rolls_over_at is None, name
        energies = [r for n, r in named.items() if QUANTITIES[n].unit == "kWh"]
        for register in energies:
            factor = abs(wiring.factor(register, how)) / abs(register.scale)
            assert multiplier_of(content, spec) == factor


@pytest.mark.parametrize(
    "content",
    [
        {},
        {"registers": None},
        {"registers": [1, {"quantity": 5}, {"quantity": "volume_m3", "scale": "x/y"}]},
        {"registers": [{"quantity": "volume_m3", "format": "uint99", "rollover": "width"}]},
        {"registers": [{"quantity": "volume_m3", "combine": []}]},
        {"registers": [{"quantity": "volume_m3", "scale": {"option": "gone", "a": 1}}]},
    ],
)
def test_what_is_not_understood_bounds_nothing(content: dict[str, object]) -> None:
    spans = spans_of(content, meter())

    assert all((s.lowest, s.highest, s.rolls_over_at) == (None, None, None) for s in spans.values())
