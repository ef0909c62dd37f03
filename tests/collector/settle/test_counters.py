"""Which counters of a meter are settled, and which of them counts."""

import msgspec
import pytest

from collector.fleet.index import Direction, MeterEntry
from collector.settle.counters import counter_of, settled_counters, unit_of
from tests.fakes.centre import example_fleet

MAIN = example_fleet().meters["e001-main"][0]


def entry(energy: str, direction: Direction = Direction.IMPORT) -> MeterEntry:
    return msgspec.structs.replace(MAIN, energy=energy, direction=direction)


@pytest.mark.parametrize(
    ("energy", "seen", "counter"),
    [
        ("01000", {"energy_import_kwh", "energy_export_kwh"}, "energy_import_kwh"),
        ("01B20", {"energy_total_kwh", "energy_export_kwh"}, "energy_total_kwh"),
        ("02000", {"volume_m3", "volume_reverse_m3"}, "volume_m3"),
        ("03000", {"volume_m3", "volume_standard_m3"}, "volume_standard_m3"),
        ("03000", {"volume_m3"}, "volume_m3"),
        ("04000", {"heat_energy_gj", "volume_m3"}, "heat_energy_gj"),
        ("05000", {"heat_energy_gj", "cold_energy_gj"}, "cold_energy_gj"),
        ("06000", {"cold_energy_gj"}, "cold_energy_gj"),
    ],
)
def test_the_class_of_the_energy_names_the_counter(
    energy: str, seen: set[str], counter: str
) -> None:
    assert counter_of(entry(energy), seen) == counter


def test_generation_is_counted_by_what_went_out() -> None:
    seen = {"energy_import_kwh", "energy_export_kwh"}

    assert counter_of(entry("01000", Direction.EXPORT), seen) == "energy_export_kwh"
    assert counter_of(entry("01000", Direction.EXPORT), {"energy_import_kwh"}) == (
        "energy_import_kwh"
    )


def test_a_meter_that_nobody_read_has_the_counter_of_its_class() -> None:
    assert counter_of(entry("01A00"), ()) == "energy_import_kwh"
    assert counter_of(entry("03000"), ()) == "volume_standard_m3"
    assert settled_counters(entry("04000"), ()) == ("heat_energy_gj",)


def test_the_one_that_counts_stands_first_and_phases_and_sums_are_left_out() -> None:
    seen = {
        "active_power_kw",
        "energy_import_l1_kwh",
        "energy_total_kwh",
        "reactive_energy_kvarh",
        "reactive_energy_total_kvarh",
        "energy_export_kwh",
        "energy_import_kwh",
    }

    assert settled_counters(entry("01000"), seen) == (
        "energy_import_kwh",
        "energy_export_kwh",
        "reactive_energy_kvarh",
    )


def test_a_sum_is_settled_where_its_parts_are_not_read() -> None:
    seen = {"energy_total_kwh", "reactive_energy_total_kvarh"}

    assert settled_counters(entry("01000"), seen) == (
        "energy_total_kwh",
        "reactive_energy_total_kvarh",
    )


def test_a_counter_is_in_its_quantitys_unit() -> None:
    assert (unit_of("energy_import_kwh"), unit_of("volume_m3")) == ("kWh", "m³")
