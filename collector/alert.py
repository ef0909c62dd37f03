"""Alert: rows -> transitions of one threshold rule. Pure; the alert issue makes it whole.

Evaluated on the time of the reading: an older reading than the last one judged changes nothing, so
a replayed past wakes nobody. Rejected values never come here.
"""

from collections.abc import Iterable
from enum import StrEnum

from msgspec import Struct

from collector.small_state import AlertEntry
from collector.store import Row


class AlertState(StrEnum):
    """The states that one threshold without a duration can be in."""

    FIRING = "firing"
    RESOLVED = "resolved"


class Rule(Struct, frozen=True, kw_only=True):
    """A threshold with hysteresis: fires above `fires_above`, resolves below `resolves_below`."""

    id: str
    quantity: str
    fires_above: float
    resolves_below: float
    meters: frozenset[str] | None = None  # None: every meter


class AlertBook:
    """Which alerts fire, by (rule, meter)."""

    def __init__(self, rules: Iterable[Rule], firing: dict[tuple[str, str], AlertEntry]) -> None:
        self._rules = tuple(rules)
        self._firing = dict(firing)
        self._judged_ms = {key: entry.at_ms for key, entry in firing.items()}

    @property
    def firing(self) -> tuple[AlertEntry, ...]:
        return tuple(self._firing.values())

    def observe(self, rows: Iterable[Row], *, now_ms: int) -> list[AlertEntry]:
        """Transitions that `rows` cause, in the order of their readings."""
        if not self._rules:
            return []
        entries: list[AlertEntry] = []
        for row in sorted(rows, key=lambda row: row.at_ms):
            for rule in self._rules:
                value = row.values.get(rule.quantity)
                concerned = rule.meters is None or row.meter in rule.meters
                if value is not None and concerned:
                    entries.extend(self._judge(rule, row, value, now_ms))
        return entries

    def _judge(self, rule: Rule, row: Row, value: float, now_ms: int) -> list[AlertEntry]:
        key = (rule.id, row.meter)
        if row.at_ms <= self._judged_ms.get(key, -1):
            return []
        self._judged_ms[key] = row.at_ms
        if key not in self._firing and value > rule.fires_above:
            entry = _entry(rule, row, value, AlertState.FIRING, now_ms)
            self._firing[key] = entry
            return [entry]
        if key in self._firing and value < rule.resolves_below:
            del self._firing[key]
            return [_entry(rule, row, value, AlertState.RESOLVED, now_ms)]
        return []


def _entry(rule: Rule, row: Row, value: float, state: AlertState, now_ms: int) -> AlertEntry:
    return AlertEntry(
        rule=rule.id,
        meter=row.meter,
        state=state,
        at_ms=row.at_ms,
        value=value,
        bound=rule.fires_above if state is AlertState.FIRING else rule.resolves_below,
        recorded_ms=now_ms,
    )
