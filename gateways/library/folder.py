"""Model library: a folder of meter models -> their content by model id. At the rim."""

from pathlib import Path
from typing import Any

import yaml

from gateways.strict import ContentInvalid


def load_models(folder: Path) -> dict[str, dict[str, Any]]:
    """The content of every `*.yaml` in `folder`, by file name without suffix, unchecked.

    Raises:
        ContentInvalid: a file is no YAML mapping.
    """
    return {file.stem: _load(file) for file in sorted(folder.glob("*.yaml"))}


def _load(file: Path) -> dict[str, Any]:
    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise ContentInvalid(file.name, (), f"is not YAML: {error}") from error
    if not isinstance(content, dict):
        raise ContentInvalid(file.name, (), "a mapping is needed")
    return content
