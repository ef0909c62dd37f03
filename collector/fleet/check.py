"""Check: the configuration folder -> every mistake in its files, or the fleet.

The folder holds `fleet/*.yaml`, one file a district, `meters/<model>.yaml`, and the
calendars.
"""

from collections.abc import Collection, Iterator, Sequence
from datetime import date
from pathlib import Path

from collector.fleet.calendar import check_calendar
from collector.fleet.compile import compile_fleet
from collector.fleet.consistency import ids, problems, unknown_models
from collector.fleet.cut import Models
from collector.fleet.document import FleetDocument
from collector.fleet.index import Fleet
from collector.fleet.limits import load_limits
from collector.fleet.places import places
from collector.fleet.seasons import check_seasons
from documents.finding import DocumentInvalid, Finding, KeyPath, Problem
from documents.load import Document, load_document
from documents.tree import read_mapping

_DISTRICT: KeyPath = ("district", "id")


def check_folder(folder: Path) -> tuple[Finding, ...]:
    """Every mistake in `folder`'s fleet files, calendars and limits, file by file.

    Empty if there is none. A folder without a fleet file is a mistake too: a check that looked at
    nothing must not pass.
    """
    calendars = (*check_calendar(folder), *check_seasons(folder))
    return (*_read_folder(folder)[1], *calendars, *_wrong_limits(folder))


def _wrong_limits(folder: Path) -> tuple[Finding, ...]:
    try:
        load_limits(folder)
    except DocumentInvalid as error:
        return error.findings
    return ()


def check_file(file: Path, models: Collection[str]) -> tuple[Finding, ...]:
    """Every mistake in one fleet file; `models` are the names of the meter models there are."""
    try:
        _load(file, models)
    except DocumentInvalid as error:
        return error.findings
    return ()


def load_documents(folder: Path) -> tuple[FleetDocument, ...]:
    """The fleet documents of `folder`, one a district, ordered by file name.

    Raises:
        DocumentInvalid: with everything that `check_folder` finds in the fleet files.
    """
    documents, findings = _read_folder(folder)
    if findings:
        raise DocumentInvalid(findings)
    return tuple(document.model for document in documents)


def load_models(folder: Path, documents: Sequence[FleetDocument]) -> Models:
    """The content of each meter model's file that `documents` name, as it is written.

    Raises:
        DocumentInvalid: a file is missing or no clean YAML.
    """
    named = {place.meter.model for document in documents for place in places(document)}
    return {model: read_mapping(folder / "meters" / f"{model}.yaml") for model in sorted(named)}


def load_fleet(folder: Path, *, day: date | None = None) -> Fleet:
    """The compiled fleet of `folder`; `day` as in `collector.fleet.cut.cut`.

    Raises:
        DocumentInvalid: with every mistake of the fleet files, or of a meter model or the limits.
    """
    documents = load_documents(folder)
    models = load_models(folder, documents)
    return compile_fleet(documents, models, day=day, limits=load_limits(folder))


def _read_folder(folder: Path) -> tuple[list[Document[FleetDocument]], tuple[Finding, ...]]:
    models = {file.stem for file in (folder / "meters").glob("*.yaml")}
    documents: list[Document[FleetDocument]] = []
    findings: list[Finding] = []
    for file in _fleet_files(folder):
        try:
            documents.append(_load(file, models))
        except DocumentInvalid as error:
            findings += error.findings
    if not documents and not findings:
        where = str(folder / "fleet")
        findings.append(Finding(file=where, line=0, key="", message="no fleet file (*.yaml) here"))
    return documents, (*findings, *_clashes(documents))


def _fleet_files(folder: Path) -> list[Path]:
    # `.yml` is taken as well: a district that is silently left out is worse than a second spelling.
    return sorted(file for end in ("yaml", "yml") for file in (folder / "fleet").glob(f"*.{end}"))


def _load(file: Path, models: Collection[str]) -> Document[FleetDocument]:
    def rules(document: FleetDocument) -> Iterator[Problem]:
        yield from problems(document)
        yield from unknown_models(document, models)

    return load_document(file, FleetDocument, rules)


def _clashes(documents: Sequence[Document[FleetDocument]]) -> Iterator[Finding]:
    """Ids that two files give away: one collector may read several districts."""
    owners: dict[tuple[str, str], Document[FleetDocument]] = {}
    for document in documents:
        named = {**ids(document.model), "district": [(document.model.district.id, _DISTRICT)]}
        clashes = [
            Problem(path, f"{kind} id '{name}' is used in {owner.tree.file} already")
            for kind, entries in named.items()
            for name, path in entries
            if (owner := owners.setdefault((kind, name), document)) is not document
        ]
        yield from sorted(map(document.finding, clashes), key=lambda finding: finding.line)
