"""Explain: pydantic's errors -> ours: what was asked, what came, what to do.

**Source** of the error types: pydantic's documentation, "Validation Errors".
"""

import re
from collections.abc import Iterable, Mapping

from pydantic import BaseModel
from pydantic_core import ErrorDetails

from documents.finding import Finding, KeyPath
from documents.nearest import known_keys, suggestion
from documents.tree import Tree, Value, resolve

# What is needed, by pydantic's error type; `{…}` is filled from the error's context.
_NEEDED = {
    "string_type": "a text",
    "string_too_short": "a text of at least {min_length} character(s)",
    "string_too_long": "a text of at most {max_length} character(s)",
    "string_pattern_mismatch": "a text of the form {pattern}",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "finite_number": "a finite number",
    "greater_than": "a number above {gt}",
    "greater_than_equal": "a number of at least {ge}",
    "less_than": "a number below {lt}",
    "less_than_equal": "a number of at most {le}",
    "bool_type": "true or false",
    "path_type": "a path",
    "list_type": "a list",
    "tuple_type": "a list",
    "set_type": "a list",
    "dict_type": "a mapping (key: value)",
    "model_type": "a mapping (key: value)",
    "model_attributes_type": "a mapping (key: value)",
    "none_required": "nothing (null)",
    "enum": "one of {expected}",
    "literal_error": "one of {expected}",
    "union_tag_invalid": "{discriminator}: one of {expected_tags}",
}
_NUMBERS = ("int_type", "int_from_float", "float_type")
_LONG = 60  # characters of a wrong text worth repeating


def explain(errors: Iterable[ErrorDetails], tree: Tree, model: type[BaseModel]) -> list[Finding]:
    """One finding for each key path; what a union's branches say about one value is joined."""
    messages: dict[KeyPath, list[str]] = {}
    for error in errors:
        path = _path_in(tree.value, error)
        message = _message(error, path, tree, model)
        said = messages.setdefault(path, [])
        if message and message not in said:
            said.append(message)
    return [tree.finding(path, "; or ".join(said)) for path, said in messages.items() if said]


def _path_in(value: Value, error: ErrorDetails) -> KeyPath:
    """The error's place without the steps that are pydantic's own (union branches, `[key]`)."""
    path: KeyPath = ()
    for step in error["loc"]:
        if _has(_at(value, path), step):
            path = (*path, step)
    if error["type"] == "missing" and isinstance(error["loc"][-1], str):
        path = (*path, error["loc"][-1])
    return path


def _has(value: Value, step: str | int) -> bool:
    if isinstance(value, list):
        return isinstance(step, int) and step < len(value)
    return isinstance(value, dict) and step in value


def _message(error: ErrorDetails, path: KeyPath, tree: Tree, model: type[BaseModel]) -> str:
    """Our words for one error; empty where pydantic only repeats what it said of an entry."""
    context = error.get("ctx", {})
    value = _at(tree.value, path)
    match error["type"]:
        case "missing" if isinstance(error["loc"][-1], str):
            message = "required, but missing"
        case "missing":  # a fixed tuple names the first entry that it lacks
            message = _too_few(value, int(error["loc"][-1]) + 1)
        case "too_short":
            message = _too_few(value, int(context["min_length"]))
        case "too_long":
            message = f"entries: at most {context['max_length']} possible, {_count(value)} came"
        case "extra_forbidden":
            meant = suggestion(str(path[-1]), known_keys(model, path[:-1]))
            message = "; ".join(filter(None, ("unknown key", meant)))
        case "value_error" | "assertion_error":
            message = str(context["error"])
        case kind:
            needed = _NEEDED[kind].format(**_readable(context)) if kind in _NEEDED else error["msg"]
            message = _wrong(kind, needed, value, tree.texts.get(path))
    return message


def _wrong(kind: str, needed: str, value: Value, text: str | None) -> str:
    return f"{needed} is needed, {_came(value, text)} came{_remedy(kind, needed, value, text)}"


def _too_few(value: Value, needed: int) -> str:
    # pydantic counts only the entries that are right in themselves, so it may miss some.
    came = _count(value)
    return f"entries: at least {needed} needed, {came} came" if came < needed else ""


def _count(value: Value) -> int:
    return len(value) if isinstance(value, list | dict) else 0


def _readable(context: Mapping[str, object]) -> dict[str, object]:
    return {
        key: f"{value:g}" if isinstance(value, float) else value for key, value in context.items()
    }


def _remedy(kind: str, needed: str, value: Value, text: str | None) -> str:
    if kind == "string_type" and isinstance(value, int | float):
        return f'; write it in quotes: "{text}"'
    if kind in _NUMBERS and isinstance(value, str) and isinstance(resolve(value), int | float):
        return "; write it without quotes"
    if kind in ("enum", "literal_error") and isinstance(value, str):
        meant = suggestion(value, re.findall(r"'([^']*)'", needed))
        return f"; {meant}" if meant.startswith("did you mean") else ""
    return ""


def _came(value: Value, text: str | None) -> str:
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list):
        return "a list"
    if value is None:
        return "nothing"
    if isinstance(value, str):
        return f"'{value[:_LONG]}…'" if len(value) > _LONG else f"'{value}'"
    return text if isinstance(value, bool) and text else f"the number {text or value}"


def _at(value: Value, path: KeyPath) -> Value:
    """What stands at `path`; nothing, where the path leads out of the file."""
    for step in path:
        if isinstance(value, dict):
            value = value.get(str(step))
        elif isinstance(value, list):
            value = value[int(step)]
    return value
