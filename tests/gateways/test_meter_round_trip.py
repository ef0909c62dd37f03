"""Every model, with every choice of every option: what the simulator serves is what is decoded.

Encoder and decoder are written apart; both read the same model, which the cases hold to the
vendor's facts.
"""

from functools import cache
from pathlib import Path
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import convert

from gateways.library.folder import load_models
from gateways.reading.decode import Decoded
from gateways.reading.meter import MeterEntry, build_meter
from gateways.simulator.encode import RegisterEncoder
from metering.quantity import QUANTITIES, Kind

MODELS = load_models(Path(__file__).parents[2] / "config" / "meters")
CHOICES = [
    (model, options)
    for model, content in MODELS.items()
    for options in [
        {},
        *(
            {option: choice}
            for option, entry in content.get("options", {}).items()
            for choice in entry["choices"]
        ),
    ]
]
# What a meter of a building may show, within what the narrowest register of any model holds.
PLAUSIBLE = {
    "V": (0, 450),
    "A": (0, 300),
    "kW": (0, 30),
    "kvar": (0, 30),
    "kVA": (0, 60),
    "1": (0, 1),
    "Hz": (45, 65),
    "°C": (0, 120),
    "K": (0, 80),
    "m/s": (0, 12),
    "m³/h": (0, 900),
    "kPa": (0, 1600),
    "%": (0, 40),
    "kWh": (0, 4_000_000),
    "kvarh": (0, 4_000_000),
    "m³": (0, 4_000_000),
    "GJ": (0, 4_000_000),
}
SHOWN_IN_BITS = 24  # of a float32, the narrowest float
STEPS = 1  # a register is rounded or cut to its last step


@cache
def made(model, choice):
    entry = {"id": "m", "model": model, "unit": 1, "options": dict(choice)}
    meter = build_meter(convert(entry, MeterEntry), MODELS[model])
    return meter, [(r, RegisterEncoder(r, meter.wiring)) for r in meter.model.registers]


def step_of(register):
    """What the last digit of the register is worth, in the quantity's unit."""
    smallest = min((part.weight for part in register.parts if not part.format.is_float), default=0)
    power = 10 if register.exponent else 1  # the simulator serves tens at most
    return float(abs(register.scale)) * smallest * power


@pytest.mark.parametrize(
    ("model", "options"),
    CHOICES,
    ids=lambda value: "-".join(value.values()) or "default" if isinstance(value, dict) else value,
)
@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 1 << 32))
def test_what_is_served_is_decoded_and_near_what_was_true(model, options, seed):
    meter, registers = made(model, tuple(options.items()))
    chance = Random(seed)
    words, served, true = {}, {}, {}
    for register, encoder in registers:
        quantity = QUANTITIES[register.quantity]
        lowest, highest = PLAUSIBLE[quantity.unit]
        value = chance.uniform(lowest, highest)
        answer = encoder.serve(
            -value if register.scale < 0 and quantity.kind is Kind.GAUGE else value
        )
        words |= {(register.table, address): word for address, word in answer.words}
        served[encoder.quantity], true[encoder.quantity] = answer.value, value

    decoded = meter.decoder.decode(
        (block, [words.get((block.table, a), 0xFFA5) for a in range(block.address, block.end)])
        for block in meter.blocks
    )

    assert decoded == Decoded(served)
    for register, encoder in registers:
        value = true[encoder.quantity]
        lost = STEPS * step_of(register) + value / (1 << (SHOWN_IN_BITS - 1))
        assert abs(abs(served[encoder.quantity]) - value) <= lost, encoder.quantity
