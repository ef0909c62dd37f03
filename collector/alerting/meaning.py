"""Meaning: `config/severity.yaml` -> what each of the four colours asks of whom, and how soon."""

from pathlib import Path
from typing import Annotated

from msgspec import Struct
from pydantic import Field

from collector.alerting.severity import Severity
from collector.fleet.document import Text
from documents.finding import DocumentInvalid, Finding
from documents.load import load
from documents.strict import Strict

FILE = "severity.yaml"

Word = Annotated[str, Field(min_length=1, max_length=6)]


class MeaningSpec(Strict):
    word: Word
    meaning: Text
    who: Text
    within: Text
    source: Text


class SeverityDocument(Strict):
    """All four, so that none is left to guess."""

    blue: MeaningSpec
    yellow: MeaningSpec
    orange: MeaningSpec
    red: MeaningSpec


class Meaning(Struct, frozen=True, kw_only=True):
    """One colour, in Chinese.

    Attributes:
        word: for a title: "提示".
        meaning: what kind of matter it is.
        who: should act.
        within: how soon, as people say it.
    """

    severity: Severity
    word: str
    meaning: str
    who: str
    within: str


def load_meanings(config: Path) -> dict[Severity, Meaning]:
    """What `severity.yaml` of a configuration folder says; empty without the file.

    Raises:
        DocumentInvalid: with every mistake in it.
    """
    file = config / FILE
    if not file.exists():
        return {}
    document = load(file, SeverityDocument)
    return {colour: _meaning(colour, getattr(document, colour.value)) for colour in Severity}


def check_meanings(config: Path) -> tuple[Finding, ...]:
    """Every mistake in the file; a configuration may do without it."""
    try:
        load_meanings(config)
    except DocumentInvalid as error:
        return error.findings
    return ()


def _meaning(colour: Severity, spec: MeaningSpec) -> Meaning:
    return Meaning(
        severity=colour,
        word=spec.word,
        meaning=spec.meaning,
        who=spec.who,
        within=spec.within,
    )
