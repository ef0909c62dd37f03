"""A surge is a real load: power, counter and the mains above it agree."""

import pytest

from gateways.simulator.fault import FaultKind, MeterFault, read_fault
from gateways.simulator.load import HOUR_MS, SumLoad, SurgedLoad
from gateways.strict import ContentInvalid


class Steady:
    """Ten an hour, for ever."""

    def rate(self, _at_ms: int) -> float:
        return 10.0

    rate_until = rate

    def taken(self, at_ms: int) -> float:
        return 10.0 * at_ms / HOUR_MS

    def given(self, _at_ms: int) -> float:
        return 0.0

    def gives(self) -> bool:
        return False

    def is_silent(self, _at_ms: int) -> bool:
        return False


def test_a_surge_adds_to_the_rate_between_its_instants_and_to_the_total_for_good() -> None:
    load = SurgedLoad(Steady(), [(HOUR_MS, 3 * HOUR_MS, 5.0)])

    assert [load.rate(h * HOUR_MS) for h in (0, 1, 2, 3)] == [10.0, 15.0, 15.0, 10.0]
    assert [load.taken(h * HOUR_MS) for h in (1, 2, 3, 10)] == [10.0, 25.0, 40.0, 110.0]
    assert load.rate_until(HOUR_MS) == 10.0
    assert load.rate_until(3 * HOUR_MS) == 15.0


def test_a_main_sums_the_surge_of_what_is_behind_it() -> None:
    main = SumLoad([SurgedLoad(Steady(), [(0, HOUR_MS, 5.0)]), Steady()], 0.0, 0)

    assert main.rate(0) == pytest.approx(25.0)
    assert main.taken(2 * HOUR_MS) == pytest.approx(45.0)


def test_a_surge_needs_its_instants_and_only_adds() -> None:
    entry = {"meter": "m", "kind": "surge", "extra": 5.0, "from": "2026-01-01T00:00+08:00"}

    with pytest.raises(ContentInvalid, match="needs its from and its to"):
        read_fault(entry)
    with pytest.raises(ContentInvalid, match="a surge only adds"):
        read_fault(entry | {"to": "2026-01-01T01:00+08:00", "extra": -1.0})
    assert read_fault(entry | {"to": "2026-01-01T01:00+08:00"}) == MeterFault(
        meter="m",
        kind=FaultKind.SURGE,
        from_ms=1_767_196_800_000,
        to_ms=1_767_200_400_000,
        extra=5.0,
    )
