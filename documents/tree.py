"""Tree: a YAML file -> plain values, the line of each, and what YAML itself would have misread.

Only the YAML that reads the same everywhere is accepted: no tags, no anchors, no key twice, and
numbers that every YAML version agrees on. `yes`, `no`, `on`, `off` and dates are texts; only
`true` and `false` are booleans. `02000` is 1024 in YAML 1.1 and 2000 in YAML 1.2, so it is refused.
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import yaml

from documents.finding import DocumentInvalid, Finding, KeyPath, spell

Value = str | int | float | bool | list["Value"] | dict[str, "Value"] | None

# libyaml is ten times faster; a Python without it reads the same.
_QUICK = getattr(yaml, "CBaseLoader", yaml.BaseLoader)

_WORDS: dict[str, bool | None] = {
    "true": True,
    "false": False,
    "null": None,
    "~": None,
    "": None,
}
_DEEPEST = 50  # levels; no document that a person writes comes near

# More than 19 digits is no count of anything: it is read as a float.
_WHOLE = re.compile(r"[-+]?(0|[1-9][0-9]{0,18}|0x[0-9a-fA-F]{1,16})")
_NUMBER = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_LEADING_ZERO = re.compile(r"[-+]?0[0-9_]+")
_PLAIN_TAGS = tuple(f"tag:yaml.org,2002:{kind}" for kind in ("str", "seq", "map"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Tree:
    """What a file says and where.

    Attributes:
        file: the file as it was asked for.
        value: mappings, lists and scalars.
        lines: the 1-based line of every key and list entry, of the value itself where it is scalar.
        texts: unquoted scalars as they were written, so that an error can quote `02000`.
        findings: what is wrong with the YAML; `value` is then the best guess, so that the rest of
            the file can still be checked.
    """

    file: str
    value: Value
    lines: Mapping[KeyPath, int]
    texts: Mapping[KeyPath, str]
    findings: tuple[Finding, ...]

    def line(self, path: KeyPath) -> int:
        """The line of `path`, or of the nearest thing around it that is in the file."""
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path, 1)

    def finding(self, path: KeyPath, message: str) -> Finding:
        return Finding(file=self.file, line=self.line(path), key=spell(path), message=message)


def read_tree(path: Path) -> Tree:
    """Read one file.

    Raises:
        DocumentInvalid: the file cannot be opened, is not UTF-8, or is no YAML at all.
    """
    file = str(path)
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise _unreadable(file, f"cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise _unreadable(file, "is not UTF-8; save it as UTF-8 (not GBK)") from error
    return parse(text, file=file)


def read_mapping(path: Path) -> dict[str, Value]:
    """Read one file whose schema is someone else's business.

    Raises:
        DocumentInvalid: it is no clean YAML, or not a mapping.
    """
    tree = read_tree(path)
    if tree.findings:
        raise DocumentInvalid(tree.findings)
    if not isinstance(tree.value, dict):
        raise DocumentInvalid((tree.finding((), "the file must be a mapping (key: value)"),))
    return tree.value


def parse(text: str, *, file: str) -> Tree:
    """Read a text as if it stood in `file`; raises as `read_tree` does."""
    try:
        _refuse_depth(text, file)
        root = yaml.compose(text, Loader=_QUICK)
    except yaml.YAMLError:
        raise DocumentInvalid((_not_yaml(text, file),)) from None
    reader = _Reader(file)
    value = None if root is None else reader.value(root, (), root)
    return Tree(
        file=file,
        value=value,
        lines=reader.lines,
        texts=reader.texts,
        findings=tuple(reader.findings),
    )


def _refuse_depth(text: str, file: str) -> None:
    # YAML's composer recurses; libyaml's takes the whole process with it when the stack is full.
    depth = 0
    for event in yaml.parse(text, Loader=_QUICK):
        depth += isinstance(event, yaml.CollectionStartEvent)
        depth -= isinstance(event, yaml.CollectionEndEvent)
        if depth > _DEEPEST:
            line = event.start_mark.line + 1 if event.start_mark else 0
            why = f"nested more than {_DEEPEST} levels deep"
            raise DocumentInvalid((Finding(file=file, line=line, key="", message=why),))


def _unreadable(file: str, why: str) -> DocumentInvalid:
    return DocumentInvalid((Finding(file=file, line=0, key="", message=why),))


def _not_yaml(text: str, file: str) -> Finding:
    # Said again by the pure parser: libyaml words its errors differently from version to version.
    try:
        yaml.compose(text, Loader=yaml.BaseLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        why = "; ".join(part for part in (error.problem, _hint(text, mark)) if part)
        line = mark.line + 1 if mark else 1
        return Finding(file=file, line=line, key="", message=f"is not YAML: {why}")
    except yaml.YAMLError as error:
        why = str(error).splitlines()[0]
        return Finding(file=file, line=0, key="", message=f"is not YAML: {why}")
    return Finding(file=file, line=0, key="", message="is not YAML")


def _hint(text: str, mark: yaml.error.Mark | None) -> str:
    line = text.splitlines()[mark.line] if mark and mark.line < len(text.splitlines()) else ""
    return "indent with spaces, not tabs" if "\t" in line else ""


class _Reader:
    """Walks YAML's nodes once, collecting lines, texts and findings on the way."""

    def __init__(self, file: str) -> None:
        self._file = file
        self._seen: set[int] = set()
        self.lines: dict[KeyPath, int] = {}
        self.texts: dict[KeyPath, str] = {}
        self.findings: list[Finding] = []

    def value(self, node: yaml.Node, path: KeyPath, key: yaml.Node) -> Value:
        """The value of `node`, which stands at `path` behind `key`."""
        repeated = id(node) in self._seen
        own_line = isinstance(node, yaml.ScalarNode) and not repeated
        self.lines[path] = (node if own_line else key).start_mark.line + 1
        if repeated:
            # One node twice in the tree is how YAML's composer shows an alias.
            self._find(path, "anchors and aliases (&, *) are not allowed; write the value out")
            return None
        self._seen.add(id(node))
        if node.tag not in _PLAIN_TAGS:
            self._find(path, f"tags ({_short_tag(node.tag)}) are not allowed; leave it out")
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, path)
        if isinstance(node, yaml.SequenceNode):
            entries = cast("list[yaml.Node]", node.value)
            return [self.value(entry, (*path, i), entry) for i, entry in enumerate(entries)]
        return self._scalar(cast("yaml.ScalarNode", node), path)

    def _mapping(self, node: yaml.MappingNode, path: KeyPath) -> dict[str, Value]:
        mapping: dict[str, Value] = {}
        for key, value in cast("list[tuple[yaml.Node, yaml.Node]]", node.value):
            if not isinstance(key, yaml.ScalarNode):
                self._find(path, "a key must be a text, a list or mapping came", key)
                continue
            name = str(key.value)
            if name in mapping:
                first = self.lines[(*path, name)]
                self._find((*path, name), f"key given twice, first in line {first}", key)
                continue
            if not key.style and (why := _ambiguous(name)):
                self._find((*path, name), why, key)
            mapping[name] = self.value(value, (*path, name), key)
        return mapping

    def _scalar(self, node: yaml.ScalarNode, path: KeyPath) -> Value:
        text = str(node.value)
        if node.style:  # quoted or block: a text, whatever it looks like
            return text
        self.texts[path] = text
        if why := _ambiguous(text):
            self._find(path, why)
            return text
        return resolve(text)

    def _find(self, path: KeyPath, message: str, node: yaml.Node | None = None) -> None:
        line = node.start_mark.line + 1 if node else self.lines[path]
        self.findings.append(Finding(file=self._file, line=line, key=spell(path), message=message))


def resolve(text: str) -> str | int | float | bool | None:
    """What an unquoted scalar means."""
    if text in _WORDS:
        return _WORDS[text]
    if _WHOLE.fullmatch(text):
        return int(text, 0)
    return float(text) if _NUMBER.fullmatch(text) else text


def _ambiguous(text: str) -> str:
    """Why an unquoted scalar cannot be read safely; empty if it can."""
    if _LEADING_ZERO.fullmatch(text):
        return (
            f'{text} has a leading zero, which YAML may read as octal; write "{text}" in quotes '
            "if it is a code, without the zero if it is a number"
        )
    if _NUMBER.fullmatch(text) and not math.isfinite(float(text)):
        return f'{text} is not a finite number; write "{text}" in quotes if it is a code'
    return ""


def _short_tag(tag: str) -> str:
    return tag.replace("tag:yaml.org,2002:", "!!")
