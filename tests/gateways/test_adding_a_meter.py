"""The examples of `docs/adding-a-meter.md` are models."""

import re
from pathlib import Path

import pytest
import yaml

from gateways.library.file import read_model

PAGE = (Path(__file__).parents[2] / "docs" / "adding-a-meter.md").read_text(encoding="utf-8")
EXAMPLES = [yaml.safe_load(block) for block in re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)]


@pytest.mark.parametrize("number", range(len(EXAMPLES)))
def test_every_example_is_a_model(number):
    example = EXAMPLES[number]
    more = {"registers": example} if isinstance(example, list) else example

    assert read_model("example", {**EXAMPLES[0], **more}).registers
