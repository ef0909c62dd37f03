"""Rules document: the shape of `config/rules/*.yaml`, as a person writes it.

What each key means is said once, in docs/rules.md.
"""

from typing import Annotated, Literal

from pydantic import Field

from collector.alerting.rules.conditions import ConditionKeys
from collector.alerting.rules.duration import Duration
from collector.alerting.rules.levels import Level, LevelSpec, Title
from collector.alerting.rules.words import EnergyPrefix, HourText, Source
from collector.alerting.severity import Severity
from collector.fleet.codes import DistrictCode, Id
from collector.fleet.document import Text
from collector.fleet.index import Sector
from collector.settle.day_class import DayClass
from documents.strict import Strict

Some = Field(min_length=1)


class ScopeSpec(Strict):
    """Where; the names are those of `collector.alerting.rule.Scope`."""

    districts: Annotated[tuple[DistrictCode, ...], Some] | None = None
    sectors: Annotated[tuple[Sector, ...], Some] | None = None
    exempt: Annotated[tuple[Sector, ...], Some] | None = None
    institutions: Annotated[tuple[Id, ...], Some] | None = None
    buildings: Annotated[tuple[Id, ...], Some] | None = None
    gateways: Annotated[tuple[Id, ...], Some] | None = None
    meters: Annotated[tuple[Id, ...], Some] | None = None
    energies: Annotated[tuple[EnergyPrefix, ...], Some] | None = None
    mains_only: bool = False
    phases: Literal[1, 3] | None = None


class WhenSpec(Strict):
    """In which hours; the names are those of `collector.alerting.rule.When`."""

    days: Annotated[tuple[DayClass, ...], Some] | None = None
    start: Annotated[HourText, Field(alias="from")] = "00:00"
    end: Annotated[HourText, Field(alias="to")] = "24:00"
    heating: bool | None = None
    term: bool | None = None


class RuleSpec(ConditionKeys):
    """One matter, with its levels; exactly one of the nine conditions."""

    id: Id
    title: Title
    levels: Annotated[dict[Severity, Level], Some]
    hold: Annotated[Duration, Field(alias="for")] = 0
    keep: Duration = 0
    scope: ScopeSpec = ScopeSpec()
    when: WhenSpec = WhenSpec()
    advice: Text
    source: Source
    page: bool = False

    def level(self, colour: Severity) -> LevelSpec:
        """A level in its long form."""
        said = self.levels[colour]
        if isinstance(said, LevelSpec):
            return said
        return LevelSpec(band=said) if isinstance(said, tuple) else LevelSpec(limit=said)

    def is_long(self, colour: Severity) -> bool:
        """Whether a level is written as a mapping."""
        return isinstance(self.levels[colour], LevelSpec)

    def hold_of(self, colour: Severity) -> int:
        """How long a level must be met, in ms."""
        own = self.level(colour).hold
        return self.hold if own is None else own

    @property
    def colours(self) -> tuple[Severity, ...]:
        """Those of its levels, the mildest first."""
        return tuple(sorted(self.levels, key=lambda colour: colour.rank))


class RulesDocument(Strict):
    """One file."""

    rules: Annotated[tuple[RuleSpec, ...], Some]
