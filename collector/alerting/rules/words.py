"""Words: the names and marks that a rule's file may use, each checked by the registry.

A name that nobody knows is answered with the nearest one that somebody does.
"""

import re
from collections.abc import Collection
from typing import Annotated

from pydantic import AfterValidator

from collector.alerting.names import BUDGET_MEASURES, DERIVED, FIGURES, MEASURES, SIGNS
from documents.nearest import suggestion
from documents.strict import matching
from metering.quantity import QUANTITIES, Kind

_GAUGES = frozenset(name for name, one in QUANTITIES.items() if one.kind is Kind.GAUGE)
_WATCHED = _GAUGES | DERIVED.keys()
# A standard, a text, or practice, and how sure we are of it: the marks of the domain reference.
_MARK = re.compile(
    r".*engineering default.*|.+\[(source|unverified|implementations|default)(: .+)?\].*",
    re.DOTALL,
)
_HOUR = re.compile("([01][0-9]|2[0-4]):([0-5][0-9])")
_DAY_MINUTES = 1440


def _known(kind: str, known: Collection[str]) -> AfterValidator:
    def check(name: str) -> str:
        if name not in known:
            meant = suggestion(name, known)
            raise ValueError("; ".join(part for part in (f"unknown {kind}", meant) if part))
        return name

    return AfterValidator(check)


def _watched(name: str) -> str:
    if name in QUANTITIES and name not in _GAUGES:
        raise ValueError(f"'{name}' counts; a rule on readings watches a gauge, use consumed")
    return name


def _marked(source: str) -> str:
    if not _MARK.fullmatch(source):
        raise ValueError(
            "where the numbers come from is needed: 'engineering default', or a text with its "
            f"mark, like 'GB/T 12325-2008 [unverified: high]'; '{source}' came"
        )
    return source


def _minute(text: str) -> str:
    if not _HOUR.fullmatch(text) or minute_of(text) > _DAY_MINUTES:
        raise ValueError(f'an hour like "22:00", at most "24:00", is needed, \'{text}\' came')
    return text


def minute_of(text: str) -> int:
    """The minute of the day of an hour like "22:00"."""
    hour, minute = text.split(":")
    return int(hour) * 60 + int(minute)


WatchedQuantity = Annotated[
    str, AfterValidator(_watched), _known("quantity", _WATCHED | QUANTITIES.keys())
]
OwnGauge = Annotated[str, AfterValidator(_watched), _known("quantity", QUANTITIES.keys())]
MeasureName = Annotated[str, _known("measure", MEASURES)]
Figure = Annotated[str, _known("figure", FIGURES)]
BudgetMeasure = Annotated[str, _known("measure", BUDGET_MEASURES)]
SignName = Annotated[str, _known("sign", SIGNS)]
Source = Annotated[str, AfterValidator(_marked)]
HourText = Annotated[str, AfterValidator(_minute)]
EnergyPrefix = Annotated[
    str,
    matching(
        "[0-9]{2}([A-Z][0-9A-Z]{0,2}|000)?",
        'the beginning of an energy code (like "01", "01B", "01B10")',
    ),
]
