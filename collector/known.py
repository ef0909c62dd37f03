"""Known: names that somebody typed -> nothing if each is known, or what is wrong and what is near.

A name that nobody knows is never answered with nothing: whoever mistyped it would take that for an
answer.
"""

from collections.abc import Callable, Collection, Iterable
from difflib import SequenceMatcher, get_close_matches

from collector.fleet.index import Fleet, VirtualMeter
from collector.intervals import IntervalStore, Subject
from collector.settle.cells import Width
from collector.store import LAST_AT_MS, ReadingStore
from collector.tree.family import REST
from metering.errors import PermanentError
from metering.quantity import QUANTITIES

_LONGEST = 64  # characters of a name that are compared
_MOST = 3
_NEAR = 0.7
_APART = 0.05  # of likeness: who is that much less like is not meant
_FEW = 1000  # names that may all be looked at where none is near

_SUBJECTS = {
    Subject.METER: "表",
    Subject.BUILDING: "建筑",
    Subject.INSTITUTION: "单位",
    Subject.GATEWAY: "网关",
}


class NameUnknown(PermanentError):
    """Nobody knows what was named; the message, a line each, says what is near."""


class Names:
    """The names that an installation knows: those of its fleet, and those it has data of."""

    def __init__(self, fleet: Fleet, store: ReadingStore, intervals: IntervalStore) -> None:
        self._fleet = fleet
        self._store = store
        self._intervals = intervals
        parents = {entry.parent for entries in fleet.meters.values() for entry in entries}
        self._rests = {parent + REST for parent in parents if parent is not None}

    def demand_read(self, meters: Iterable[str]) -> None:
        """Each is a meter that readings may be there of.

        Raises:
            NameUnknown: one is not; a virtual one neither.
        """
        _demand(meters, self._fleet.meters, self._unread)

    def demand_settled(self, meters: Iterable[str]) -> None:
        """Each is a meter, a virtual meter or a remainder that intervals may be there of.

        Raises:
            NameUnknown: one is not.
        """
        fleet = self._fleet
        known = {*fleet.meters, *fleet.virtual_meters, *self._rests}
        _demand(meters, known, lambda meter: self._unsettled(meter, known))

    def demand_subjects(self, subject: Subject, ids: Iterable[str]) -> None:
        """Each is a meter, building, institution or gateway of the fleet.

        Raises:
            NameUnknown: one is not.
        """
        fleet = self._fleet
        known: dict[Subject, Collection[str]] = {
            Subject.METER: fleet.meters,
            Subject.BUILDING: fleet.buildings,
            Subject.INSTITUTION: fleet.institutions,
            Subject.GATEWAY: fleet.gateways,
        }
        demand(_SUBJECTS[subject], ids, known[subject])

    # What the fleet has no longer may still be in the store.

    def _unread(self, meter: str) -> str:
        virtual = self._fleet.virtual_meters.get(meter)
        if virtual is not None:
            return f"{made_of(virtual)}，没有自己的读数：请用这些表"
        return "" if self._store.latest([meter]) else unknown("表", meter, self._fleet.meters)

    def _unsettled(self, meter: str, known: Collection[str]) -> str:
        found = self._intervals.intervals([meter], Width.MONTH, 0, LAST_AT_MS)
        return "" if found else unknown("表", meter, known)


def demand(what: str, names: Iterable[str], known: Collection[str]) -> None:
    """Each is known.

    Raises:
        NameUnknown: one is not; `what` says what it was meant to be.
    """
    _demand(names, known, lambda name: unknown(what, name, known))


def demand_quantities(names: Iterable[str]) -> None:
    """Each is a quantity of the vocabulary.

    Raises:
        NameUnknown: one is not.
    """
    _demand(names, QUANTITIES, unknown_quantity)


def unknown_quantity(name: str) -> str:
    """What is told of a quantity that there is not."""
    return unknown("量", name, QUANTITIES)


def unknown(what: str, name: str, known: Collection[str]) -> str:
    """`没有表 'e001-mian'；最接近的是 e001-main`; of few names the nearest even if none is near."""
    word, names = name[:_LONGEST], sorted(known)
    near = get_close_matches(word, names, _MOST, _NEAR)
    if not near and len(names) <= _FEW:
        near = get_close_matches(word, names, _MOST, 0.0)
    likely = [one for one in near if _likeness(word, one) > _likeness(word, near[0]) - _APART]
    return f"没有{what} '{word}'" + (f"；最接近的是 {'、'.join(likely)}" if likely else "")


def _likeness(word: str, name: str) -> float:
    return SequenceMatcher(None, name, word).ratio()


def made_of(virtual: VirtualMeter) -> str:
    """`e001-hvac 是虚拟表，由 e001-ac、e001-chiller 合成`."""
    return f"{virtual.id} 是虚拟表，由 {'、'.join(part for part, _ in virtual.parts)} 合成"


def _demand(
    names: Iterable[str],
    known: Collection[str],
    wrong: Callable[[str], str],
) -> None:
    """Raise what is wrong with those that are not known, each once."""
    strange = dict.fromkeys(name for name in names if name not in known)
    lines = [told for name in strange if (told := wrong(name))]
    if lines:
        raise NameUnknown("\n".join(lines))
