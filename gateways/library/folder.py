"""Model library: a folder of meter models -> their content by model id. At the rim."""

from pathlib import Path
from typing import Any

import yaml

from gateways.strict import ContentInvalid

# libyaml is ten times faster; a Python without it reads the same.
_QUICK = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def load_models(folder: Path) -> dict[str, dict[str, Any]]:
    """The content of every `*.yaml` in `folder`, by file name without suffix, unchecked.

    Raises:
        ContentInvalid: a file is no YAML mapping.
    """
    return {file.stem: _load(file) for file in sorted(folder.glob("*.yaml"))}


def _load(file: Path) -> dict[str, Any]:
    text = file.read_text(encoding="utf-8")
    try:
        content = yaml.load(text, Loader=_QUICK)  # noqa: S506 - it is the safe loader
    except yaml.YAMLError as error:
        raise ContentInvalid(file.name, (), f"is not YAML: {_said(text, error)}") from error
    if not isinstance(content, dict):
        raise ContentInvalid(file.name, (), "a mapping is needed")
    return content


def _said(text: str, quick: yaml.YAMLError) -> yaml.YAMLError:
    # Said again by the pure parser: libyaml words its errors differently from version to version.
    try:
        yaml.safe_load(text)
    except yaml.YAMLError as error:
        return error
    return quick
