"""Folder: `config/budgets/*.yaml` and the fleet -> budgets, or every mistake in their files."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from msgspec import Struct

from collector.alerting.budgets.budget import Budget
from collector.alerting.budgets.document import (
    BudgetsDocument,
    BudgetSpec,
    compile_budget,
    problems,
)
from collector.fleet.index import Fleet
from documents.finding import DocumentInvalid, Finding, KeyPath, Problem
from documents.load import Document, load_document
from documents.nearest import suggestion

BUDGETS = "budgets"


class BudgetFile(Struct, frozen=True, kw_only=True):
    """What a folder's budgets say.

    Attributes:
        budgets: of the files that have no mistake, by file and place.
        findings: mistakes and warnings, file by file.
    """

    budgets: tuple[Budget, ...]
    findings: tuple[Finding, ...]


def load_budgets(config: Path, fleet: Fleet) -> tuple[Budget, ...]:
    """The budgets of a configuration folder; none if it has no folder `budgets`.

    Raises:
        DocumentInvalid: with every mistake in the files.
    """
    read = read_budgets(config, fleet)
    errors = tuple(finding for finding in read.findings if not finding.warning)
    if errors:
        raise DocumentInvalid(errors)
    return read.budgets


def read_budgets(config: Path, fleet: Fleet | None) -> BudgetFile:
    """Read every file and hold it against the fleet; None where that is wrong itself."""
    documents: list[Document[BudgetsDocument]] = []
    findings: list[Finding] = []
    folder = config / BUDGETS
    for file in sorted(file for end in ("yaml", "yml") for file in folder.glob(f"*.{end}")):
        try:
            documents.append(load_document(file, BudgetsDocument, problems))
        except DocumentInvalid as error:
            findings += error.findings
    for document in documents if fleet is not None else ():
        found = _against(document.model, fleet) if fleet is not None else ()
        findings += sorted(map(document.finding, found), key=lambda finding: finding.line)
    return BudgetFile(
        budgets=tuple(
            compile_budget(spec) for document in documents for spec in document.model.budgets
        ),
        findings=(*findings, *_clashes(documents)),
    )


def _against(document: BudgetsDocument, fleet: Fleet) -> Iterator[Problem]:
    for b, spec in enumerate(document.budgets):
        path: KeyPath = ("budgets", b)
        if spec.institution not in fleet.institutions:
            meant = suggestion(spec.institution, fleet.institutions)
            why = f"the fleet has no institution '{spec.institution}'"
            message = "; ".join(part for part in (why, meant) if part)
            yield Problem((*path, "institution"), message)
        elif not _is_measured(spec, fleet):
            why = f"no meter of '{spec.institution}' measures {spec.energy}"
            yield Problem((*path, "energy"), why, warning=True)


def _is_measured(spec: BudgetSpec, fleet: Fleet) -> bool:
    return any(
        entry.institution == spec.institution and entry.energy.startswith(spec.energy)
        for entries in fleet.meters.values()
        for entry in entries
    )


def _clashes(documents: Sequence[Document[BudgetsDocument]]) -> Iterator[Finding]:
    """Budgets that two files give."""
    owners: dict[tuple[str, str, str], Document[BudgetsDocument]] = {}
    for document in documents:
        for b, spec in enumerate(document.model.budgets):
            owner = owners.setdefault((spec.institution, spec.energy, spec.period), document)
            if owner is not document:
                what = f"'{spec.institution}', {spec.energy}, {spec.period}"
                why = f"the budget of {what} stands in {owner.tree.file} already"
                yield document.finding(Problem(("budgets", b, "period"), why))
