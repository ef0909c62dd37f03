"""Finding: what is wrong with a document -> where it stands and what to do, one line each."""

from dataclasses import dataclass

from metering.errors import PermanentError

KeyPath = tuple[str | int, ...]


def spell(path: KeyPath) -> str:
    """`("buses", 0, "url")` -> `buses[0].url`: the way a person would say it."""
    spelled = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path)
    return spelled.removeprefix(".")


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One mistake in one file.

    Attributes:
        file: the file as it was asked for.
        line: 1-based; 0 where the mistake has no line (the file cannot be read).
        key: the key path, empty for the file as a whole.
        message: what was asked, what came, what to do.
        warning: the document is taken all the same; somebody should look at it.
    """

    file: str
    line: int
    key: str
    message: str
    warning: bool = False

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" if self.line else self.file
        mark = "warning" if self.warning else ""
        return ": ".join(part for part in (place, mark, self.key, self.message) if part)


@dataclass(frozen=True, slots=True)
class Problem:
    """A mistake that a check found in a model, before it is known where that stands in the file.

    Attributes:
        path: the key path of the value at fault.
        message: what was asked, what came, what to do.
        other: the key path that the value clashes with, if it clashes; its line is added.
        warning: as in `Finding`.
    """

    path: KeyPath
    message: str
    other: KeyPath | None = None
    warning: bool = False


class DocumentInvalid(PermanentError):
    """A document has mistakes; `findings` holds all of them, in the order of the file."""

    def __init__(self, findings: tuple[Finding, ...]) -> None:
        super().__init__("\n".join(map(str, findings)))
        self.findings = findings
