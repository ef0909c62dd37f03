"""Ranks of the ways to read a unit, and what they say of each other."""

from gateways.commission.fit import Fit, ambiguity, contrast, rival, touchstone
from gateways.commission.plausible import judge
from gateways.commission.variants import Variant, variants
from gateways.library.file import read_model
from gateways.library.model import Table
from tests.gateways.commission.bench import MODELS

SDM120 = variants("eastron_sdm120", MODELS["eastron_sdm120"])
PLAIN = SDM120[0]
SWAPPED = next(variant for variant in SDM120 if variant.english == "word order low_first")


def fit(variant: Variant, share: float = 1, **values: float) -> Fit:
    return Fit(variant=variant, values=values, plausibility=judge(values), share=share)


RIGHT = {"voltage_l1_v": 230.4, "frequency_hz": 50.0, "current_l1_a": 10.0}
WRONG = {"voltage_l1_v": 0.0, "frequency_hz": 2e-41, "current_l1_a": 3e20}


def test_what_is_misread_is_told_with_what_it_would_be():
    text = contrast(WRONG, judge(WRONG), fit(SWAPPED, **RIGHT))

    assert text == "A相电压 0.0 V；改用 字序 low_first 得 230.4 V"


def test_the_better_supported_way_ranks_first():
    ranked = sorted([fit(PLAIN, **WRONG), fit(SWAPPED, **RIGHT)], key=lambda each: each.rank)

    assert [each.variant.english for each in ranked] == ["word order low_first", ""]


def test_of_equals_the_file_as_it_is_ranks_first():
    ranked = sorted([fit(SWAPPED, **RIGHT), fit(PLAIN, **RIGHT)], key=lambda each: each.rank)

    assert ranked[0].variant is PLAIN


def test_what_is_not_answered_lowers_the_score():
    assert fit(PLAIN, share=0.5, **RIGHT).score == fit(PLAIN, **RIGHT).score / 2


def test_what_only_the_display_can_decide_is_asked_with_both_values():
    one = fit(PLAIN, **RIGHT, energy_import_kwh=1200.0)
    other = fit(SWAPPED, **RIGHT, energy_import_kwh=78_643_200.0)

    assert ambiguity([one, other]) == (
        "“按型号文件”和“字序 low_first”读来一样可信，请与表面核对正向有功电能："
        "1200.000 kWh 还是 78643200.000 kWh"
    )


def test_two_models_with_one_map_are_told_apart_by_their_plates():
    other = variants("eastron_sdm230", MODELS["eastron_sdm230"])[0]

    assert ambiguity([fit(PLAIN, **RIGHT), fit(other, **RIGHT)]) == (
        "eastron_sdm120 和 eastron_sdm230 读来一样可信，请看铭牌："
        "Eastron SDM120-Modbus 还是 Eastron SDM230-Modbus"
    )


def test_a_clear_winner_leaves_nothing_to_ask():
    assert ambiguity([fit(PLAIN, **RIGHT), fit(SWAPPED, **WRONG)]) == ""
    assert ambiguity([fit(PLAIN, **RIGHT)]) == ""
    assert ambiguity([]) == ""


def test_voltage_tells_most_about_an_electricity_meter_and_temperature_about_heat():
    heat = read_model("tuf2000m", MODELS["tuf2000m"])

    assert touchstone(PLAIN.model).quantity == "voltage_l1_v"
    assert touchstone(heat).quantity == "supply_temperature_c"


def words(**floats: int) -> dict[tuple[Table, int], int]:
    return {(Table.INPUT, int(place[1:], 16)): word for place, word in floats.items()}


def test_known_words_are_tried_in_every_way_without_asking_again():
    # 230.4 V, 10.0 A, 2.3 kW, 2.304 kVA, 0.0 kvar, 1.0, 50.0 Hz, 1200.5 kWh, low word first.
    known = words(
        x0=0x6666,
        x1=0x4366,
        x6=0x0000,
        x7=0x4120,
        xC=0xC000,
        xD=0x450F,
        x12=0x0000,
        x13=0x4510,
        x18=0x0000,
        x19=0x0000,
        x1E=0x0000,
        x1F=0x3F80,
        x46=0x0000,
        x47=0x4248,
        x48=0x1000,
        x49=0x4496,
        x4A=0x0000,
        x4B=0x0000,
        x4C=0x0000,
        x4D=0x0000,
    )

    found = rival(known, SDM120)

    assert found is not None
    assert found.variant.english == "word order low_first"
    assert found.values["voltage_l1_v"] == 230.39999389648438
    assert found.values["energy_import_kwh"] == 1200.5


def test_words_that_make_no_sense_in_any_way_suggest_nothing():
    assert rival(words(x0=0xFFFF, x1=0xFFFF), SDM120) is None
    assert rival({}, SDM120) is None
