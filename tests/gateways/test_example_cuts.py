"""The two sides agree: every cut of the example district builds at the gateway."""

from pathlib import Path

import pytest

from gateways.reading.meter import build_meters
from nenghao.district import cuts_of, described_cuts

CONFIG = Path(__file__).parents[2] / "config"


@pytest.mark.parametrize("cuts", [list(cuts_of(CONFIG).values()), described_cuts(CONFIG)])
def test_every_cut_of_the_example_district_builds_its_meters(cuts: list[dict]) -> None:
    meters = {
        meter.id: meter
        for cut in cuts
        for bus in cut["buses"]
        for meter in build_meters(bus, cut["models"])
    }

    assert len(cuts) == 3
    assert len(meters) == 32
    assert all(meter.blocks for meter in meters.values())
