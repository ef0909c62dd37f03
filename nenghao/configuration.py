"""Configuration: the collector's folder -> every mistake in all of its files, the fleet first."""

from pathlib import Path

from msgspec import Struct

from collector.alerting.budgets.folder import BudgetFile, read_budgets
from collector.alerting.meaning import check_meanings
from collector.alerting.rules.folder import RuleBook, read_rules
from collector.fleet.check import check_folder, load_fleet
from collector.fleet.index import Fleet
from documents.finding import DocumentInvalid, Finding


class Alarming(Struct, frozen=True, kw_only=True):
    """What a folder says of alerts.

    Attributes:
        fleet: None where it is wrong itself: nothing is held against it then.
        why: it is wrong: mistakes of the fleet, a meter model or the limits.
    """

    fleet: Fleet | None
    why: tuple[Finding, ...]
    book: RuleBook
    budgets: BudgetFile
    meanings: tuple[Finding, ...]

    @property
    def findings(self) -> tuple[Finding, ...]:
        return (*self.book.findings, *self.budgets.findings, *self.meanings)


def read_alarming(folder: Path) -> Alarming:
    """Rules, budgets and the meaning of colours, held against the fleet."""
    fleet, why = None, tuple[Finding, ...]()
    try:
        fleet = load_fleet(folder)
    except DocumentInvalid as error:
        why = error.findings
    budgets = read_budgets(folder, fleet)
    budgeted = {budget.institution for budget in budgets.budgets}
    return Alarming(
        fleet=fleet,
        why=why,
        book=read_rules(folder, fleet, budgeted),
        budgets=budgets,
        meanings=check_meanings(folder),
    )


def check_configuration(folder: Path) -> tuple[Finding, ...]:
    """Every mistake and warning: fleet, calendars, limits, rules, budgets, colours."""
    found = check_folder(folder)
    read = read_alarming(folder)
    # A meter's model is looked at when the fleet is compiled, and only there.
    models = tuple(finding for finding in read.why if finding not in found)
    return (*found, *models, *read.findings)
