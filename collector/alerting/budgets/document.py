"""Budgets document: the shape of `config/budgets/*.yaml`, as a person writes it, and its compiling.

What each key means is said once, in the annotated example `config/budgets/heping.yaml`.
"""

from collections.abc import Iterator
from typing import Annotated

from pydantic import Field

from collector.alerting.budgets.budget import Budget, months_of, period_days
from collector.fleet.codes import Id
from collector.fleet.document import Positive, Text
from documents.finding import KeyPath, Problem
from documents.strict import Strict, matching

# What one of it is in the unit of settled days, by energy class.
_POWER = {"kWh": 1.0, "MWh": 1_000.0, "万kWh": 10_000.0}
_VOLUME = {"m³": 1.0, "万m³": 10_000.0}
_HEAT = {"GJ": 1.0}
UNITS: dict[str, dict[str, float]] = {
    "01": _POWER,
    "02": _VOLUME,
    "03": _VOLUME,
    "04": _HEAT,
    "05": _HEAT,
    "08": _VOLUME,
    "09": _VOLUME,
    "13": _POWER,
}
_ROUNDING = 0.001  # share of the amount by which the months may miss it

Period = Annotated[
    str,
    matching(
        "20[0-9]{2}(-Q[1-4]|-0[1-9]|-1[0-2])?",
        'a period like "2026", "2026-Q1" or "2026-03"',
    ),
]
Energy = Annotated[
    str,
    matching(
        "(01|13)([A-Z][0-9A-Z]{0,2})?|0[234589]",
        'the beginning of an energy code with a counter of its own (like "01", "01B", "02")',
    ),
]
NotNegative = Annotated[float, Field(ge=0)]


class BudgetSpec(Strict):
    institution: Id
    energy: Energy
    period: Period
    amount: Positive
    unit: Text
    source: Text
    profile: dict[str, NotNegative] | None = None


class BudgetsDocument(Strict):
    """One file."""

    budgets: Annotated[tuple[BudgetSpec, ...], Field(min_length=1)]


def compile_budget(spec: BudgetSpec) -> Budget:
    """A checked line, in the unit of settled days."""
    units = UNITS[spec.energy[:2]]
    first, last = period_days(spec.period)
    each = units[spec.unit]
    planned = spec.profile or {}
    return Budget(
        institution=spec.institution,
        energy=spec.energy,
        period=spec.period,
        first=first,
        last=last,
        amount=spec.amount * each,
        unit=next(iter(units)),
        source=spec.source,
        profile=tuple(
            (month, planned[f"{month:%Y-%m}"] * each) for month in months_of(spec.period) if planned
        ),
    )


def problems(document: BudgetsDocument) -> Iterator[Problem]:
    """What the schema cannot say of one file."""
    seen: dict[tuple[str, str, str], KeyPath] = {}
    for b, spec in enumerate(document.budgets):
        path: KeyPath = ("budgets", b)
        key = (spec.institution, spec.energy, spec.period)
        if key in seen:
            why = f"'{spec.institution}' has a budget of {spec.energy} for {spec.period} already"
            yield Problem((*path, "period"), why, other=seen[key])
        seen.setdefault(key, (*path, "period"))
        units = UNITS[spec.energy[:2]]
        if spec.unit not in units:
            why = f"one of {', '.join(units)} is needed for {spec.energy[:2]}, '{spec.unit}' came"
            yield Problem((*path, "unit"), why)
        if spec.profile is not None:
            yield from _of_profile(spec, spec.profile, (*path, "profile"))


def _of_profile(spec: BudgetSpec, profile: dict[str, float], path: KeyPath) -> Iterator[Problem]:
    needed = [f"{month:%Y-%m}" for month in months_of(spec.period)]
    for name in profile:
        if name not in needed:
            yield Problem((*path, name), f"{name} is no month of {spec.period}")
    lacking = [name for name in needed if name not in profile]
    if lacking:
        yield Problem(path, f"every month is needed; missing: {', '.join(lacking)}")
    elif abs(sum(profile.values()) - spec.amount) > _ROUNDING * spec.amount:
        came = f"{sum(profile.values()):,.10g} {spec.unit}"
        yield Problem(path, f"the months come to {came}, the amount is {spec.amount:,.10g}")
