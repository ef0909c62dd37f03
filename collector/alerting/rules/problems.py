"""Problems: one file of rules -> what its schema cannot say: numbers that contradict each other."""

from collections.abc import Iterator
from itertools import pairwise

from collector.alerting.names import FIGURES
from collector.alerting.rules.compile import ids_of
from collector.alerting.rules.conditions import (
    CONDITIONS,
    AboveSpec,
    ConditionSpec,
    ConsumedSpec,
    OutsideSpec,
    QualitySpec,
)
from collector.alerting.rules.document import RulesDocument, RuleSpec
from collector.alerting.rules.levels import LevelSpec
from collector.alerting.rules.words import minute_of
from collector.alerting.severity import Severity
from collector.fleet.index import Sector
from documents.finding import KeyPath, Problem

_ROUNDING = 1e-9
_HIGHEST_SHARE = 10.0  # beyond that per cent was meant


def problems(document: RulesDocument) -> Iterator[Problem]:
    """Everything, in any order; the loader sorts by line."""
    seen: dict[str, KeyPath] = {}
    for r, spec in enumerate(document.rules):
        path: KeyPath = ("rules", r)
        taken = [name for name in ids_of(spec) if seen.setdefault(name, path) != path]
        for name in taken[:1]:
            why = f"rule '{name}' is here already"
            yield Problem((*path, "id"), why, other=(*seen[name], "id"))
        yield from _of_when(spec, path)
        given = spec.conditions()
        if len(given) == 1:
            yield from _of_rule(spec, path)
        else:
            came = " and ".join(given) or "none"
            yield Problem(path, f"exactly one of {', '.join(CONDITIONS)} is needed, {came} came")


def _of_when(spec: RuleSpec, path: KeyPath) -> Iterator[Problem]:
    when, scope = spec.when, spec.scope
    if minute_of(when.start) == minute_of(when.end):
        why = f"these hours never hold: from {when.start} to {when.end}"
        yield Problem((*path, "when", "to"), why)
    if when.term is not None:
        left = frozenset(scope.sectors or Sector) - frozenset(scope.exempt or ())
        if Sector.SCHOOL not in left:
            why = "term concerns schools alone, and none is in scope"
            yield Problem((*path, "when", "term"), why)


def _of_rule(spec: RuleSpec, path: KeyPath) -> Iterator[Problem]:
    key, said = spec.condition()
    if isinstance(said, QualitySpec) and said.of not in FIGURES[said.figure].of:
        of = ", ".join(FIGURES[said.figure].of)
        yield Problem((*path, key, "of"), f"'{said.figure}' is told of {of}; '{said.of}' came")
    if spec.hold and said.by_day:
        yield Problem((*path, "for"), f"for does not go with {key}, which is judged by the day")
    wrong = [found for colour in spec.colours for found in _of_level(spec, colour, path)]
    yield from wrong
    if not wrong:
        yield from _of_order(spec, path)
        for colour in spec.colours:
            yield from _of_number(spec, colour, path)
            yield from _of_way_back(spec, colour, path)


def _of_level(spec: RuleSpec, colour: Severity, path: KeyPath) -> Iterator[Problem]:
    """A level that lacks its number, or says what means nothing here."""
    key, said = spec.condition()
    level, here = spec.level(colour), _at(colour, path)
    needed = " or ".join(said.forms)
    numbers = {"limit": level.limit, "times": level.times, "band": level.band}
    came = [name for name, number in numbers.items() if number is not None]
    if not set(came) & set(said.forms):
        instead = " and ".join(came) or "none"
        yield Problem(here, f"{needed} is needed with {key}, {instead} came")
    useless = [name for name in came if name not in said.forms and len(came) > 1]
    if level.resolves is not None and not isinstance(said, AboveSpec):
        useless.append("resolves")
    if level.in_a_row is not None and said.row(level) is None:
        useless.append("in_a_row")
    if level.hold is not None and said.by_day:
        useless.append("for")
    for name in useless:
        yield Problem((*here, name), f"{name} does not go with {key}")


def _of_order(spec: RuleSpec, path: KeyPath) -> Iterator[Problem]:
    """A worse colour has to be met later: by a number further out, or after a longer time."""
    for mild, bad in pairwise(spec.colours):
        if not _is_further(spec, mild, bad):
            why = f"{bad.value} has to lie beyond {mild.value}, or to last longer"
            yield Problem(_at(bad, path), why, other=_at(mild, path))


def _is_further(spec: RuleSpec, mild: Severity, bad: Severity) -> bool:
    _, said = spec.condition()
    one, other = spec.level(mild), spec.level(bad)
    step = _step(said, one, other)
    if step is None or step:
        return step is None or step > 0
    longer = (said.row(other) or 0) - (said.row(one) or 0)
    return longer > 0 or spec.hold_of(bad) > spec.hold_of(mild)


def _step(said: ConditionSpec, mild: LevelSpec, bad: LevelSpec) -> float | None:
    """By how much the worse level lies further out; None where the two cannot be compared."""
    if mild.band is not None and bad.band is not None:
        (low, high), (lower, higher) = mild.band, bad.band
        return -1.0 if lower > low or higher < high else (low - lower) + (higher - high)
    sign = -1 if said.is_below else 1
    for one, other in ((mild.times, bad.times), (mild.limit, bad.limit)):
        if one is not None and other is not None:
            return sign * (other - one)
    return None


def _of_number(spec: RuleSpec, colour: Severity, path: KeyPath) -> Iterator[Problem]:
    """Per cent where a share of 1 is meant, and a limit on the side where nothing ever is."""
    _, said = spec.condition()
    limit = spec.level(colour).limit
    if limit is None:
        return
    here = (*_at(colour, path), "limit") if spec.is_long(colour) else _at(colour, path)
    highest = 1.0 if isinstance(said, QualitySpec) else _HIGHEST_SHARE
    if said.is_share and limit > highest:
        yield Problem(
            here, f"a share of 1 is needed, {limit:g} came; {limit:g} % is {limit / 100:g}"
        )
    elif isinstance(said, ConsumedSpec) and said.is_signed and said.falls and limit >= 0:
        yield Problem(here, f"a fall is below 0, {limit:g} came; 30 % less is -0.3")
    elif limit < 0 and not said.is_signed:
        yield Problem(here, f"a number of at least 0 is needed, {limit:g} came")


def _of_way_back(spec: RuleSpec, colour: Severity, path: KeyPath) -> Iterator[Problem]:
    """What would never be clear again, or clear while it is met."""
    key, said = spec.condition()
    level = spec.level(colour)
    if isinstance(said, OutsideSpec) and level.band is not None:
        low, high = level.band
        if 2 * said.hysteresis >= high - low - _ROUNDING:
            why = f"never clear again: {said.hysteresis:g} inside of [{low:g}, {high:g}]"
            yield Problem((*path, key, "hysteresis"), why)
    if not isinstance(said, AboveSpec) or level.limit is None:
        return
    if said.hysteresis is None and level.resolves is None:
        why = "hysteresis is needed (how far back it is clear again), or resolves at each level"
        yield Problem((*path, key), why)
    elif said.back * (said.resolves(level) - level.limit) < 0:
        side = "below" if said.back < 0 else "above"
        why = f"at or {side} the limit {level.limit:g} is needed, {said.resolves(level):g} came"
        yield Problem((*_at(colour, path), "resolves"), why)


def _at(colour: Severity, path: KeyPath) -> KeyPath:
    return (*path, "levels", colour.value)
