"""Load: a YAML file that a person wrote -> a frozen, checked model, or every mistake in it."""

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Generic, TypeVar

from pydantic import ValidationError

from documents.explain import explain
from documents.finding import DocumentInvalid, Finding, Problem
from documents.strict import Strict
from documents.tree import Tree, read_tree

M = TypeVar("M", bound=Strict)
Check = Callable[[M], Iterable[Problem]]


@dataclass(frozen=True, slots=True)
class Document(Generic[M]):
    """A model and the file that it came from, for checks that need more than one file."""

    model: M
    tree: Tree

    def finding(self, problem: Problem) -> Finding:
        """Where in the file a problem of the model stands."""
        message = problem.message
        if problem.other is not None:
            message = f"{message} (first in line {self.tree.line(problem.other)})"
        return replace(self.tree.finding(problem.path, message), warning=problem.warning)


def load(path: Path, model: type[M], check: Check[M] | None = None) -> M:
    """Read one document.

    Args:
        path: the file.
        model: its schema.
        check: what the schema cannot say, as a pure function of the model; it runs only on a file
            whose every value is right in itself.

    Raises:
        DocumentInvalid: with all mistakes of the file, in the order of its lines.
    """
    return load_document(path, model, check).model


def load_document(path: Path, model: type[M], check: Check[M] | None = None) -> Document[M]:
    """The same, keeping the lines."""
    tree = read_tree(path)
    document = Document(_validated(tree, model), tree)
    problems = check(document.model) if check else ()
    findings = [document.finding(problem) for problem in problems]
    if findings:
        raise DocumentInvalid(_in_order(findings))
    return document


def _validated(tree: Tree, model: type[M]) -> M:
    findings = list(tree.findings)
    try:
        # As JSON, because strict mode takes lists for tuples and texts for enums only from there.
        validated = model.model_validate_json(json.dumps(tree.value))
    except ValidationError as error:
        # What is no clean YAML at some key is said once, not again by the schema.
        known = {finding.key for finding in findings}
        explained = explain(error.errors(include_url=False), tree, model)
        findings += [finding for finding in explained if finding.key not in known]
    else:
        if not findings:
            return validated
    raise DocumentInvalid(_in_order(findings))


def _in_order(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    return tuple(sorted(findings, key=lambda finding: finding.line))
