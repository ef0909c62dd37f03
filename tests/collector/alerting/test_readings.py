"""Rows -> observations: which rules see what of a meter's readings, and what they leave aside."""

from collections.abc import Mapping

import pytest
from msgspec import structs

from collector.alerting.evaluate.readings import Readings
from collector.alerting.log import Judged
from collector.alerting.observation import Observation
from collector.alerting.rule import Above, Below, Outside, Rate, Rule, Scope, When
from collector.fleet.index import Sector
from collector.store import Row
from collector.validate import tags_of
from metering.reading import Reading
from tests.fakes.alerting import MINUTE_MS, START_MS, always_open, at, threshold
from tests.fakes.centre import example_fleet

FLEET = example_fleet()
NOBODY: Mapping[str, frozenset[str]] = {}


def row(minute: float, meter: str = "e001-main", **values: float) -> Row:
    entry = FLEET.entry(meter, at(minute))
    assert entry is not None
    return Row(meter=meter, at_ms=at(minute), values=values, tags=tags_of(entry))


def seen(
    *rows: Row,
    rules: list[Rule],
    watching: Mapping[str, frozenset[str]] = NOBODY,
    now: float = 10,
) -> list[Observation]:
    readings = Readings(rules, FLEET, always_open)
    return list(readings.look(rows, watching, at(now)))


def told(found: list[Observation]) -> list[tuple[str, str, float]]:
    return [(one.rule, one.verdict, one.value) for one in found]


def rule(condition: object, **changed: object) -> Rule:
    return structs.replace(threshold(), condition=condition, **changed)


WATCHED = {"e001-main": frozenset({"hot"})}


# -- verdicts ------------------------------------------------------------------------------------


def test_above_is_met_between_and_clear() -> None:
    rows = [row(n, active_power_kw=v) for n, v in enumerate([500.1, 500.0, 400.1, 400.0])]

    found = seen(*rows, rules=[threshold()], watching=WATCHED)

    assert [one.verdict for one in found] == ["met", "between", "between", "clear"]
    assert [one.limit for one in found] == [500.0, 500.0, 500.0, 400.0]
    assert {(one.unit, one.energy_unit, one.every_ms) for one in found} == {("kW", "kWh", 60_000)}


def test_below_is_met_between_and_clear() -> None:
    low = rule(Below(quantity="frequency_hz", limit=49.5, resolves=49.8))
    rows = [row(n, frequency_hz=v) for n, v in enumerate([49.4, 49.5, 49.79, 49.8])]

    found = seen(*rows, rules=[low], watching=WATCHED)

    assert [one.verdict for one in found] == ["met", "between", "between", "clear"]
    assert [one.limit for one in found] == [49.5, 49.5, 49.5, 49.8]


def test_outside_of_a_band_is_met_on_either_side_until_well_inside() -> None:
    band = rule(Outside(quantity="frequency_hz", low=49.5, high=50.5, margin=0.2))
    values = [49.4, 49.6, 49.7, 50.0, 50.3, 50.4, 50.6]
    rows = [row(n, frequency_hz=v) for n, v in enumerate(values)]

    found = seen(*rows, rules=[band], watching=WATCHED)

    assert [one.verdict for one in found] == [
        *("met", "between", "clear", "clear", "clear", "between", "met"),
    ]
    assert [found[0].limit, found[-1].limit] == [49.5, 50.5]


def test_a_rate_is_met_by_a_move_in_either_direction_within_its_time() -> None:
    rate = rule(Rate(quantity="supply_temperature_c", limit=10.0, within_ms=3 * MINUTE_MS))
    values = [20.0, 25.0, 29.0, 31.0, 31.0, 31.0, 31.0, 20.5]
    rows = [row(n, supply_temperature_c=v) for n, v in enumerate(values)]

    assert told(seen(*rows, rules=[rate])) == [("hot", "met", 11.0), ("hot", "met", -10.5)]


def test_a_share_of_the_rated_value_is_the_circuits_own() -> None:
    """e001-main is rated 1200 kW."""
    share = rule(Above(quantity="active_power_kw", limit=0.9, resolves=0.8, share_of_rated=True))

    found = seen(row(1, active_power_kw=1080.1), rules=[share])

    assert [(one.value, one.limit) for one in found] == [(1080.1, 1080.0)]
    assert seen(row(1, active_power_kw=1079.9), rules=[share]) == []


def test_a_circuit_without_a_rated_value_has_no_share_of_it() -> None:
    share = rule(Above(quantity="frequency_hz", limit=0.1, resolves=0.1, share_of_rated=True))

    assert seen(row(1, frequency_hz=50.0), rules=[share]) == []


# -- who is concerned, and when ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("scope", "count"),
    [
        (Scope(), 1),
        (Scope(sectors=frozenset({Sector.SCHOOL})), 0),
        (Scope(exempt=frozenset({Sector.HOSPITAL})), 0),
        (Scope(meters=frozenset({"e001-main"})), 1),
        (Scope(gateways=frozenset({"gw-a001"})), 0),
        (Scope(energies=("01",), mains_only=True), 1),
        (Scope(energies=("02",)), 0),
    ],
)
def test_a_rule_sees_the_meters_in_its_scope(scope: Scope, count: int) -> None:
    found = seen(row(1, active_power_kw=900.0), rules=[threshold(scope=scope)])

    assert len(found) == count


def test_clear_readings_are_told_only_to_rules_that_watch() -> None:
    other = threshold("other")
    quiet = row(1, active_power_kw=100.0)

    assert seen(quiet, rules=[threshold(), other]) == []
    assert told(seen(quiet, rules=[threshold(), other], watching=WATCHED)) == [
        ("hot", "clear", 100.0)
    ]


def test_outside_of_its_hours_it_is_as_if_nothing_was_read() -> None:
    asked: list[tuple[When, int, Sector | None]] = []

    def open_at(when: When, at_ms: int, sector: Sector | None) -> bool:
        asked.append((when, at_ms, sector))
        return at_ms == at(2)

    night = When(from_min=1320, to_min=300)
    readings = Readings([threshold(when=night)], FLEET, open_at)
    rows = [row(1, active_power_kw=900.0), row(2, active_power_kw=901.0)]

    found = list(readings.look(rows, NOBODY, at(3)))

    assert told(found) == [("hot", "met", 901.0)]
    assert asked[0] == (night, at(1), Sector.HOSPITAL)


def test_what_was_not_read_says_nothing() -> None:
    assert seen(row(1, frequency_hz=50.0), row(2), rules=[threshold()], watching=WATCHED) == []


def test_rules_that_are_not_about_readings_are_left_aside() -> None:
    from collector.alerting.rule import Silent  # noqa: PLC0415 - only here

    silent = rule(Silent(of="meter", cycles=3, at_least_ms=0))

    assert seen(row(1, active_power_kw=900.0), rules=[silent]) == []


def test_the_fleets_entry_in_force_at_the_time_of_the_reading_counts() -> None:
    (entry,) = FLEET.meters["e001-main"]
    moved = (
        structs.replace(entry, valid_to_ms=at(5)),
        structs.replace(entry, energy="02000", valid_from_ms=at(5)),
    )
    fleet = structs.replace(FLEET, meters=FLEET.meters | {"e001-main": moved})
    readings = Readings([threshold(scope=Scope(energies=("01",)))], fleet, always_open)
    rows = [row(4, active_power_kw=900.0), row(6, active_power_kw=900.0)]

    found = list(readings.look(rows, NOBODY, at(7)))

    assert [one.at_ms for one in found] == [at(4)]


# -- how far -------------------------------------------------------------------------------------


def test_a_reading_of_the_same_instant_is_judged_and_an_older_one_is_late() -> None:
    readings = Readings([threshold()], FLEET, always_open)
    rows = [row(n, active_power_kw=900.0 + n) for n in (5, 5, 4)]

    found = list(readings.look(rows, NOBODY, at(6)))

    assert [one.at_ms for one in found] == [at(5), at(5)]
    (late,) = readings.late()
    assert late.spans == {"e001-main": (at(4), at(4))}
    assert (late.gateway, late.back_ms) == ("gw-e001", at(6))


def test_a_backlog_that_comes_newest_first_is_noted_as_one_span() -> None:
    readings = Readings([threshold()], FLEET, always_open)
    for minute in (100, 99, 98, 50, 51):
        found = readings.look([row(minute, active_power_kw=900.0)], NOBODY, at(1000 + minute))
        assert list(found) == []

    (late,) = readings.late()
    assert late.spans == {"e001-main": (at(50), at(100))}
    assert late.back_ms == at(1050)


def test_how_far_was_judged_survives_a_restart() -> None:
    before = Readings([threshold()], FLEET, always_open)
    list(before.look([row(5, active_power_kw=100.0)], NOBODY, at(6)))
    list(before.look([row(2, active_power_kw=100.0)], NOBODY, at(6)))

    kept = before.judged(["gw-e001", "gw-a001"])
    after = Readings([threshold()], FLEET, always_open, kept)
    found = list(after.look([row(4, active_power_kw=900.0)], NOBODY, at(6)))

    assert kept == [
        Judged(
            gateway="gw-e001",
            newest={"e001-main": at(5)},
            late={"e001-main": (at(2), at(2))},
        )
    ]
    assert found == []
    assert after.late()[0].spans == {"e001-main": (at(2), at(4))}


def test_a_rate_goes_on_after_a_restart_from_what_was_judged_before() -> None:
    rate = rule(Rate(quantity="supply_temperature_c", limit=10.0, within_ms=3 * MINUTE_MS))
    before = Readings([rate], FLEET, always_open)
    list(before.look([row(5, supply_temperature_c=20.0)], NOBODY, at(6)))
    after = Readings([rate], FLEET, always_open, before.judged(["gw-e001"]))
    stored = [
        Reading(meter="e001-main", at_ms=at(minute), values={"supply_temperature_c": value})
        for minute, value in ((5, 20.0), (6, 99.0))
    ]

    after.warm(stored)
    found = list(after.look([row(7, supply_temperature_c=31.0)], NOBODY, at(7)))

    assert (after.within_ms, told(found)) == (3 * MINUTE_MS, [("hot", "met", 11.0)])
    assert Readings([threshold()], FLEET, always_open).within_ms == 0


def test_a_span_that_grew_while_it_was_judged_stays() -> None:
    readings = Readings([threshold()], FLEET, always_open)
    list(readings.look([row(2, active_power_kw=1.0)], NOBODY, at(100)))
    span = readings.late()[0].spans["e001-main"]
    list(readings.look([row(1, active_power_kw=1.0)], NOBODY, at(100)))

    readings.is_judged("gw-e001", "e001-main", span)
    assert readings.late()[0].spans == {"e001-main": (at(1), at(2))}
    readings.is_judged("gw-e001", "e001-main", (at(1), at(2)))
    assert readings.late() == []


def test_where_no_rule_is_nothing_is_kept() -> None:
    readings = Readings([], FLEET, always_open)
    list(readings.look([row(2, active_power_kw=1.0)], NOBODY, at(100)))

    assert readings.judged(["gw-e001"]) == readings.late() == []


def test_the_clock_of_these_tests_begins_in_june() -> None:
    assert START_MS == 1_780_272_000_000
