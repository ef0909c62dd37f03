"""Model options: a model's file and one meter's choices -> the file with the choices made.

What sources dispute, or what a menu on the meter changes, is an option with a name, a default and a
warning. A value that depends on one is written `{option: scaling, tenths: 0.1, plain: 1}`.
"""

from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from gateways.strict import ContentInvalid, Path, convert, nearest


class Option(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One thing that an installer may have to choose.

    Attributes:
        choices: what each choice means, by its name.
        default: the name that holds where the meter says nothing.
        warning: what to compare with the display while the default is in use.
    """

    choices: dict[str, str]
    default: str
    warning: str | None = None


def read_options(name: str, content: Mapping[str, Any]) -> dict[str, Option]:
    """The options that a model's file declares."""
    declared = content.get("options", {})
    if not isinstance(declared, Mapping):
        raise ContentInvalid(name, ("options",), f"a mapping is needed, {declared!r} came")
    options: dict[str, Option] = {}
    for key, entry in declared.items():
        path = ("options", str(key))
        options[key] = option = convert(name, entry, Option, path)
        _check_choice(name, option, option.default, (*path, "default"))
    return options


def apply_options(
    name: str, content: Mapping[str, Any], chosen: Mapping[str, Any]
) -> tuple[dict[str, Any], tuple[str, ...]]:
    """The content with every choice made, and the warnings of the defaults that nobody confirmed.

    Raises:
        ContentInvalid: an option or choice is unknown, or a value leaves a choice out.
    """
    options = read_options(name, content)
    for key, choice in chosen.items():
        if key not in options:
            raise ContentInvalid(
                name, ("options", key), f"unknown option '{key}'{nearest(key, options)}"
            )
        _check_choice(name, options[key], choice, ("options", key))
    choices = {key: str(chosen.get(key, option.default)) for key, option in options.items()}
    resolver = _Resolver(name, options, choices)
    applied = {
        key: value if key == "options" else resolver.resolve(value, (key,))
        for key, value in content.items()
    }
    warnings = tuple(
        f"option {key} is '{option.default}' by default: {option.warning}"
        for key, option in options.items()
        if option.warning and key not in chosen
    )
    return applied, warnings


class _Resolver:
    """Replaces every `{option: …}` in a tree by the value of the choice made."""

    def __init__(
        self, name: str, options: Mapping[str, Option], choices: Mapping[str, str]
    ) -> None:
        self._name = name
        self._options = options
        self._choices = choices

    def resolve(self, value: Any, path: Path) -> Any:
        if isinstance(value, list | tuple):
            return [self.resolve(item, (*path, index)) for index, item in enumerate(value)]
        if not isinstance(value, Mapping):
            return value
        if "option" in value:
            return self._choose(value, path)
        return {key: self.resolve(item, (*path, str(key))) for key, item in value.items()}

    def _choose(self, value: Mapping[str, Any], path: Path) -> Any:
        key = value["option"]
        option = self._options.get(key)
        if option is None:
            raise ContentInvalid(
                self._name, path, f"unknown option '{key}'{nearest(str(key), self._options)}"
            )
        for choice in option.choices:
            if choice not in value:
                raise ContentInvalid(self._name, path, f"no value for the choice '{choice}'")
        for choice in value.keys() - {"option"}:
            _check_choice(self._name, option, choice, path)
        return self.resolve(value[self._choices[key]], path)


def _check_choice(name: str, option: Option, choice: object, path: Path) -> None:
    if choice not in option.choices:
        meant = nearest(str(choice), option.choices)
        raise ContentInvalid(name, path, f"unknown choice '{choice}'{meant}")
