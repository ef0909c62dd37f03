"""The schema that editors read says what the parser says, and every model keeps to it."""

import copy
import json
from pathlib import Path

import pytest
import yaml

from gateways.library.document import Identity, Sentinels
from gateways.library.folder import load_models
from gateways.library.model import Format, IdentityName
from gateways.library.schema import model_schema, schema_text

FOLDER = Path(__file__).parents[3] / "config" / "meters"
MODELS = load_models(FOLDER)
SCHEMA = model_schema()

TYPES = {
    "object": lambda value: isinstance(value, dict),
    "array": lambda value: isinstance(value, list),
    "string": lambda value: isinstance(value, str),
    "boolean": lambda value: isinstance(value, bool),
    "integer": lambda value: isinstance(value, int) and not isinstance(value, bool),
    "number": lambda value: isinstance(value, int | float) and not isinstance(value, bool),
    "null": lambda value: value is None,
}
ABOUT = {"$schema", "$defs", "title", "description", "default"}


def fits(value, schema):
    """Whether `value` is valid; the part of JSON Schema that ours is written in, and no more."""
    rules = {
        "$ref": lambda ref: fits(value, SCHEMA["$defs"][ref.removeprefix("#/$defs/")]),
        "type": lambda kind: TYPES[kind](value),
        "enum": lambda words: value in words,
        "anyOf": lambda branches: any(fits(value, branch) for branch in branches),
        "items": lambda each: not isinstance(value, list) or all(fits(v, each) for v in value),
        "required": lambda keys: not isinstance(value, dict) or set(keys) <= set(value),
        "properties": lambda known: (
            not isinstance(value, dict)
            or all(fits(v, known[k]) for k, v in value.items() if k in known)
        ),
        "additionalProperties": lambda rest: (
            not isinstance(value, dict)
            or all(
                rest is not False and fits(v, rest)
                for k, v in value.items()
                if k not in schema.get("properties", {})
            )
        ),
    }
    return all(rules[rule](asked) for rule, asked in schema.items() if rule not in ABOUT)


@pytest.mark.parametrize("model", MODELS)
def test_every_model_keeps_to_the_schema(model):
    assert fits(MODELS[model], SCHEMA)


@pytest.mark.parametrize("model", MODELS)
def test_every_model_tells_editors_where_the_schema_is(model):
    first, _, _ = (FOLDER / f"{model}.yaml").read_text(encoding="utf-8").partition("\n")

    assert first == "# yaml-language-server: $schema=schema.json"


def test_the_file_is_up_to_date():
    stale = "run .venv/bin/python -m tests.gateways.library.test_schema"
    assert (FOLDER / "schema.json").read_text(encoding="utf-8") == schema_text(), stale


def test_the_file_is_json():
    assert json.loads(schema_text()) == SCHEMA


RIGHT = """
name: M1
maker: Maker
measures: water
confidence: high
sources: [a document]
table: input
options:
  unit: {choices: {m3: m³, litre: L}, default: m3, warning: look}
registers:
- {address: 0, quantity: volume_m3, scale: {option: unit, m3: 1, litre: 0.001}, rollover: width}
"""


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("fil",), 3),
        (("measures",), "electric"),
        (("table",), "coil"),
        (("registers",), {}),
        (("registers", 0, "adress"), 3),
        (("registers", 0, "address"), "3"),
        (("registers", 0, "quantity"), "volume"),
        (("registers", 0, "format"), "float16"),
        (("registers", 0, "scale"), {"m3": 1, "litre": 0.001}),
        (("registers", 0, "scale"), {"option": "unit", "m3": [1]}),
        (("registers", 0, "rollover"), "widht"),
        (("registers", 0, "priority"), "urgent"),
        (("registers", 0, "present"), 1),
        (("every_s",), {"gauges": 5}),
        (("limits",), {"registers": True}),
        (("sentinels",), {"unit16": [1]}),
        (("identity",), {"seriel": {"address": 0, "registers": 2}}),
        (("identity",), {"serial": {"registers": 2}}),
        (("options", "unit", "defualt"), "m3"),
        (("test_vectors",), [{"source": "s", "address": 0, "words": [0]}]),
    ],
)
def test_a_mistake_does_not_keep_to_the_schema(path, value):
    right = yaml.safe_load(RIGHT)
    wrong = copy.deepcopy(right)
    place = wrong
    for step in path[:-1]:
        place = place[step]

    place[path[-1]] = value

    assert fits(right, SCHEMA)
    assert not fits(wrong, SCHEMA)


def test_every_key_is_explained():
    structs = [schema for schema in SCHEMA["$defs"].values() if "properties" in schema]
    named = {
        ref["$ref"].removeprefix("#/$defs/") for s in structs for ref in s["properties"].values()
    }

    assert {name for name in named if not SCHEMA["$defs"][name].get("description")} == set()


def test_the_structs_of_the_file_name_what_the_model_names():
    assert set(Identity.__struct_fields__) == set(IdentityName)
    assert set(Sentinels.__struct_fields__) < set(Format)


if __name__ == "__main__":
    (FOLDER / "schema.json").write_text(schema_text(), encoding="utf-8")
