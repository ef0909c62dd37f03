"""Probe: a bus -> who is on it and which models fit, with reasons. Reads only, never writes."""

import asyncio
from collections.abc import Sequence
from typing import Protocol

from msgspec import Struct

from gateways.commission.fit import Fit
from gateways.commission.image import Image
from gateways.commission.match import again, fits, steps_of
from gateways.commission.sweep import Heard, OpenBus, SweepLine, lines, sweep, varied
from gateways.commission.variants import Variant
from gateways.reading.plan import Block

_SHOWN = 5  # fits of a unit that are watched and told
_ALIKE = 4  # of fewer units asked it is no wonder if all of them answer
_OUTSIDERS = (247, 199)  # units that nobody gives to a meter


class Watcher(Protocol):
    """Who is told how far it is."""

    def begin(self, what: str, steps: int) -> None:
        """A stage of `steps` begins."""
        ...

    def step(self, steps: int) -> None:
        """So many more are done."""
        ...


class Task(Struct, frozen=True, kw_only=True):
    """What to probe.

    Attributes:
        url: the bus.
        units: whom to ask.
        baudrates, parities: of a serial port.
        candidates: for each model its variants, the file as it is first.
        named: the models were chosen by hand.
        pings: what to ask to find out who is there.
        watch_s: how long counters are given to rise; 0 for not at all.
        timeout_ms: of the sweep; none for the shortest that is sensible.
        read_timeout_ms: of a block, which takes longer than a ping.
    """

    url: str
    units: tuple[int, ...]
    baudrates: tuple[int, ...]
    parities: tuple[str, ...]
    candidates: tuple[tuple[Variant, ...], ...]
    named: bool
    pings: tuple[Block, ...]
    watch_s: float = 10
    timeout_ms: int | None = None
    read_timeout_ms: int = 500


class Found(Struct, frozen=True, kw_only=True):
    """A unit and the models that fit it, the best first."""

    heard: Heard
    fits: tuple[Fit, ...]


class Findings(Struct, frozen=True, kw_only=True):
    """What is on a bus.

    Attributes:
        found: who answered.
        noise: under which settings and units bytes came that made no sense.
        any_unit: every unit that was asked answered: one device that does not look at the unit.
    """

    found: tuple[Found, ...]
    noise: tuple[Heard, ...] = ()
    any_unit: bool = False

    @property
    def is_settled(self) -> bool:
        """Somebody answered, and the model of each is known, as the library has it."""
        return bool(self.found) and all(
            found.fits
            and found.fits[0].plausibility.is_plausible
            and found.fits[0].is_as_filed
            and found.fits[0].is_sure
            for found in self.found
        )


async def probe_bus(task: Task, open_bus: OpenBus, watcher: Watcher) -> Findings:
    """Find out who is on a bus and how to read them.

    Raises:
        LineClosed: the bus cannot be opened.
        BusUrlInvalid: the URL cannot be used.
    """
    ways = lines(task.url, task.baudrates, task.parities, task.timeout_ms)
    watcher.begin("查找从站", len(ways) * len(task.units))
    heard = await sweep(open_bus, ways, task.units, watcher.step, task.pings)
    sound = [each for each in heard if each.is_sound]
    noise = tuple(each for each in heard if not each.is_sound)
    any_unit = len(sound) == len(task.units) and await _looks_at_no_unit(task, ways, open_bus)
    found = await _matched(task, sound[:1] if any_unit else sound, open_bus, watcher)
    return Findings(found=found, noise=noise, any_unit=any_unit)


async def _looks_at_no_unit(task: Task, ways: Sequence[SweepLine], open_bus: OpenBus) -> bool:
    """Whether a device answers that does not look at the unit: then nobody's unit is answered."""
    if len(task.units) < _ALIKE:
        return False
    outsiders = [unit for unit in _OUTSIDERS if unit not in task.units]
    heard = await sweep(open_bus, ways, outsiders, lambda _: None, task.pings)
    return sum(each.is_sound for each in heard) == len(outsiders)


async def _matched(
    task: Task, sound: Sequence[Heard], open_bus: OpenBus, watcher: Watcher
) -> tuple[Found, ...]:
    if not sound:
        return ()
    slower = max(task.timeout_ms or 0, task.read_timeout_ms)
    bus = open_bus(varied(sound[0].url, timeout_ms=slower))
    now = asyncio.get_running_loop().time
    try:
        watcher.begin("匹配型号", len(sound) * steps_of(task.candidates))
        matched, times = [], []
        for each in sound:
            image = Image(bus, each.unit)
            found = await fits(image, task.candidates, all_of_them=task.named, step=watcher.step)
            matched.append(found[:_SHOWN])
            times.append(now())
        if task.watch_s and any(matched):
            watcher.begin("观察计数", max(1, round(task.watch_s)))
            await _wait(task.watch_s, watcher)
            for number, each in enumerate(sound):
                image = Image(bus, each.unit)
                elapsed_s = now() - times[number]
                matched[number] = [await again(image, fit, elapsed_s) for fit in matched[number]]
    finally:
        await bus.close()
    return tuple(
        Found(heard=each, fits=tuple(sorted(found, key=lambda fit: fit.rank)))
        for each, found in zip(sound, matched, strict=True)
    )


async def _wait(seconds: float, watcher: Watcher) -> None:
    whole = int(seconds)
    for _ in range(whole):
        await asyncio.sleep(1)
        watcher.step(1)
    await asyncio.sleep(seconds - whole)
