"""Folder: `config/rules/*.yaml` and the fleet -> rules in force, or every mistake in the files."""

from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

from msgspec import Struct

from collector.alerting.rule import Rule
from collector.alerting.rules.against import against
from collector.alerting.rules.compile import compile_rule, ids_of
from collector.alerting.rules.document import RulesDocument
from collector.alerting.rules.problems import problems
from collector.fleet.index import Fleet
from collector.fleet.seasons import HEATING_FILE, TERMS_FILE, Season, load_season
from documents.finding import DocumentInvalid, Finding, Problem
from documents.load import Document, load_document

RULES = "rules"


class RuleBook(Struct, frozen=True, kw_only=True):
    """What a folder's rules say.

    Attributes:
        rules: of the files that have no mistake, by file and place; levels of one matter together.
        findings: mistakes and warnings, file by file.
    """

    rules: tuple[Rule, ...]
    findings: tuple[Finding, ...]

    @property
    def errors(self) -> tuple[Finding, ...]:
        return tuple(finding for finding in self.findings if not finding.warning)


def load_rules(config: Path, fleet: Fleet) -> tuple[Rule, ...]:
    """The rules of a configuration folder; none if it has no folder `rules`.

    Raises:
        DocumentInvalid: with every mistake in the files; warnings do not stop anybody.
    """
    book = read_rules(config, fleet)
    if book.errors:
        raise DocumentInvalid(book.errors)
    return book.rules


def read_rules(
    config: Path, fleet: Fleet | None, budgeted: Collection[str] | None = None
) -> RuleBook:
    """Read every file and hold it against the fleet.

    Args:
        config: the configuration folder.
        fleet: None where it is wrong itself: rules are then looked at alone.
        budgeted: the institutions that have a budget, if that is known.
    """
    documents: list[Document[RulesDocument]] = []
    findings: list[Finding] = []
    for file in rule_files(config):
        try:
            documents.append(load_document(file, RulesDocument, problems))
        except DocumentInvalid as error:
            findings += error.findings
    seasons = _seasons(config)
    for document in documents:
        found = [*_never(document.model, seasons)]
        if fleet is not None:
            found += against(document.model, fleet, budgeted)
        findings += sorted(map(document.finding, found), key=lambda finding: finding.line)
    return RuleBook(
        rules=tuple(
            rule
            for document in documents
            for spec in document.model.rules
            for rule in compile_rule(spec)
        ),
        findings=(*findings, *_clashes(documents)),
    )


def rule_files(config: Path) -> list[Path]:
    """The files, in order of their names."""
    folder = config / RULES
    # `.yml` is taken as well: rules that are silently left out are worse than a second spelling.
    return sorted(file for end in ("yaml", "yml") for file in folder.glob(f"*.{end}"))


def _seasons(config: Path) -> dict[str, tuple[Path, Season]]:
    """By the key of `when` that asks for them; a file that is wrong is said elsewhere."""
    found: dict[str, tuple[Path, Season]] = {}
    for key, file in (("heating", HEATING_FILE), ("term", TERMS_FILE)):
        try:
            found[key] = (file, load_season(config / file))
        except DocumentInvalid:
            continue
    return found


def _never(document: RulesDocument, seasons: dict[str, tuple[Path, Season]]) -> Iterator[Problem]:
    """Rules that ask for a season of which nobody knows anything."""
    for r, spec in enumerate(document.rules):
        for key, (file, season) in seasons.items():
            if getattr(spec.when, key) is not None and season == Season():
                why = f"these hours never hold: {file.as_posix()} says nothing of any day"
                yield Problem(("rules", r, "when", key), why)


def _clashes(documents: Sequence[Document[RulesDocument]]) -> Iterator[Finding]:
    """Ids that two files give away."""
    owners: dict[str, Document[RulesDocument]] = {}
    for document in documents:
        for r, spec in enumerate(document.model.rules):
            others = [
                (name, owner)
                for name in ids_of(spec)
                if (owner := owners.setdefault(name, document)) is not document
            ]
            for name, owner in others[:1]:
                why = f"rule '{name}' is in {owner.tree.file} already"
                yield document.finding(Problem(("rules", r, "id"), why))
