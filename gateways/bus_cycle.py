"""Bus cycle: all meters of a bus, once -> their readings, on time whatever one of them does."""

from collections.abc import Callable, Sequence

from msgspec import Struct

from gateways.meter import Meter
from gateways.patience import PROBE_SHARE, Heard, Patience
from gateways.poll import Bus, poll_meter
from metering.clock import Clock
from metering.reading import Fault, Reading


class CycleResult(Struct, frozen=True, kw_only=True):
    """What a cycle brought: readings in the order of asking, and the next cycle's patience.

    A meter that was not asked, because it is silent and not due, has no reading.
    """

    readings: tuple[Reading, ...]
    patience: Patience


def _tell_nobody(_reading: Reading) -> None:
    return


async def poll_cycle(
    bus: Bus,
    meters: Sequence[Meter],
    clock: Clock,
    patience: Patience,
    tell: Callable[[Reading], None] = _tell_nobody,
) -> CycleResult:
    """Ask every meter that is due, one after the other.

    Args:
        bus: the line they are on.
        meters: in the order to ask.
        clock: stamps the readings.
        patience: what the cycle before returned, `Patience(cycle_ms=…)` at first.
        tell: called with each reading as it comes, before the cycle ends.
    """
    by_id = {meter.id: meter for meter in meters}
    turn = patience.turn(by_id)
    readings: list[Reading] = []
    heard: dict[str, Heard] = {}

    async def ask(meter: str) -> None:
        from_ms = clock.monotonic_ms()
        reading = await poll_meter(bus, by_id[meter], clock)
        tell(reading)
        readings.append(reading)
        if reading.fault != Fault.DISCONNECTED:
            took_ms = clock.monotonic_ms() - from_ms
            heard[meter] = Heard(answered=reading.fault != Fault.TIMEOUT, took_ms=took_ms)

    for meter in turn.regular:
        await ask(meter)
    real_cycle_ms = clock.real_s(patience.cycle_ms) * 1000
    until_ms = clock.monotonic_ms() + real_cycle_ms * PROBE_SHARE
    for number, meter in enumerate(turn.probes):
        # One probe is always made, so that no meter is forgotten on a busy bus.
        if number and clock.monotonic_ms() >= until_ms:
            break
        await ask(meter)
    return CycleResult(readings=tuple(readings), patience=patience.after(heard, real_cycle_ms))
