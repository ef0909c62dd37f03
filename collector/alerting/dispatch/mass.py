"""Mass: more new alerts of one family than a person can read -> the chain of one digest."""

from collections import Counter
from collections.abc import Iterable

from msgspec import structs

from collector.alerting.dispatch.memory import Mass, Tracked
from collector.alerting.dispatch.need import Need
from collector.alerting.dispatch.sitting import Sitting
from collector.alerting.notify.content import Cause
from collector.alerting.notify.settings import MassSettings

PREFIX = "mass/"


def family_of(settings: MassSettings, group: str) -> str:
    """The name of the groups that count as one, or the group itself."""
    for name, groups in settings.together.items():
        if any(_is(group, one) for one in groups):
            return name
    return group


def family_of_chain(chain: str) -> str:
    """Of which family a mass digest is; empty for any other chain."""
    return chain.split("/")[1] if chain.startswith(PREFIX) else ""


def regroup(sitting: Sitting, needs: Iterable[Need]) -> list[Need]:
    """The same needs; new alerts of a mass outage in its chain instead of their own."""
    found = list(needs)
    new = [need for need in found if need.cause is Cause.NEW]
    counts = _counts(sitting, new)
    moved = {id(need): _moved(sitting, need, counts) for need in new}
    _forget(sitting)
    return [moved.get(id(need), need) for need in found]


def _counts(sitting: Sitting, new: Iterable[Need]) -> Counter[tuple[str, str]]:
    """How many are to be told, or were told and fired within the window, by family and receiver."""
    settings = sitting.settings.mass
    since_ms = sitting.now_ms - settings.window_ms
    counts = Counter(
        (family_of(settings, tracked.group), receiver)
        for tracked in sitting.memory.alerts.values()
        if tracked.seen_ms > since_ms
        for receiver, told in tracked.told.items()
        if not told.escalated
    )
    for need in new:
        tracked = sitting.memory.alerts[need.alert.number]
        counts[family_of(settings, tracked.group), need.receiver] += 1
    return counts


def _moved(sitting: Sitting, need: Need, counts: Counter[tuple[str, str]]) -> Need:
    settings, now_ms = sitting.settings.mass, sitting.now_ms
    tracked = sitting.memory.alerts[need.alert.number]
    family = family_of(settings, tracked.group)
    own = tracked.mass.get(need.receiver)
    if own is None:
        own = _joined(sitting, tracked, family, need.receiver, counts)
    if own is None:
        return need
    mass = sitting.memory.masses.get(f"{family}/{need.receiver}")
    going_on = mass is not None and mass.chain == own
    due_ms = mass.born_ms + settings.wait_ms if mass is not None and going_on else now_ms
    return structs.replace(need, chain=own, due_ms=due_ms)


def _joined(
    sitting: Sitting,
    tracked: Tracked,
    family: str,
    receiver: str,
    counts: Counter[tuple[str, str]],
) -> str | None:
    """The chain of the mass outage that goes on, or begins; None where there is none."""
    settings, now_ms = sitting.settings.mass, sitting.now_ms
    masses = sitting.memory.masses
    name = f"{family}/{receiver}"
    mass = masses.get(name)
    if mass is None:
        if counts[family, receiver] <= settings.more_than:
            return None
        mass = Mass(chain=f"{PREFIX}{name}/{now_ms}", born_ms=now_ms, last_ms=now_ms)
        masses[name] = mass
    mass.last_ms = now_ms
    tracked.mass[receiver] = mass.chain
    return mass.chain


def _forget(sitting: Sitting) -> None:
    """A mass outage to which nothing was added for a while is over: what comes now is new."""
    since_ms = sitting.now_ms - sitting.settings.mass.window_ms
    masses = sitting.memory.masses
    for name in [name for name, mass in masses.items() if mass.last_ms <= since_ms]:
        del masses[name]


def _is(group: str, wanted: str) -> bool:
    return group.startswith(wanted[:-1]) if wanted.endswith("*") else group == wanted
