"""Model schema: the structs that read a model's file -> its JSON Schema, for editors.

Any value of a file may depend on an option (`{option: scaling, tenths: 0.1, plain: 1}`), so every
value has a definition of its own that allows both.
"""

import json
from typing import Any

import msgspec

from gateways.library.document import CONFIDENCE, MEASURES, Document, Line
from gateways.library.options import Option
from metering.quantity import QUANTITIES

Schema = dict[str, Any]

_DIALECT = "https://json-schema.org/draft/2020-12/schema"
_REF = "#/$defs/{name}"
# What the parser knows beyond the types of the structs.
_WORDS = {
    "Document.measures": MEASURES,
    "Document.confidence": CONFIDENCE,
    "Line.quantity": tuple(QUANTITIES),
}
_HELP = {
    "Document.name": "the maker's name for the type",
    "Document.maker": "who makes it",
    "Document.measures": "what it measures",
    "Document.confidence": "how sure the sources are",
    "Document.sources": "where each fact is from; at least one",
    "Document.table": "holding (function code 3) or input (4)",
    "Document.registers": "one line for each quantity",
    "Document.format": "how numbers lie in their registers, unless a register says else",
    "Document.word_order": "which register of a wide number comes first: ABCD or CDAB",
    "Document.shift": "added to every address of this file",
    "Document.generator": "it counts what it gives; its power is negative in this file",
    "Document.limits": "what one request may ask for",
    "Document.fill": "holes of up to so many registers are read over",
    "Document.ratio_on": "what is before the transformers, where the gateway multiplies",
    "Document.sentinels": 'raw numbers that mean "no value", by format',
    "Document.every_s": "how often a register is read that says nothing itself",
    "Document.identity": "where the device says who it is",
    "Document.notes": "what a reader should know; no program reads it",
    "Document.options": "what sources dispute, or a menu on the meter changes",
    "Document.test_vectors": "words that a document or a device shows, and what they mean",
    "Identity.serial": "its serial number",
    "Identity.firmware": "its software's version",
    "Identity.device": "the maker's word or number for its type",
    "IdentityLine.address": "zero-based, as on the wire",
    "IdentityLine.format": "of a number",
    "IdentityLine.registers": "of text: how many, two characters each",
    "IdentityLine.table": "if it is not the file's",
    "IdentityLine.word_order": "if it is not the file's",
    "IdentityLine.expect": "what devices of this model answer",
    "IdentityLine.note": "what a reader should know",
    "Limits.registers": "in one request, at most",
    "Limits.even": "whether first address and length have to be even",
    "Limits.connect_pause_ms": "how long it wants to be left alone after connecting to it",
    "Line.quantity": "a name of metering/quantity.py, which says its unit",
    "Line.address": "zero-based, as on the wire; or combine",
    "Line.combine": "the parts of a total that is split over registers",
    "Line.table": "if it is not the file's",
    "Line.format": "if it is not the file's",
    "Line.word_order": "if it is not the file's",
    "Line.scale": 'turns the number into the unit of its quantity; may be a fraction: "2500/9"',
    "Line.exponent": "the address of an int16 that holds a power of ten (SunSpec)",
    "Line.rollover": "where the counter returns to zero, in its unit; or width: of its registers",
    "Line.uncertain": "why to compare it with the display; becomes a warning",
    "Line.present": "false where a version of the device lacks it",
    "Line.every_s": "how often it is read; 0 for each cycle of its bus",
    "Line.priority": "what waits where the bus has no time for everything",
    "Line.note": "what a reader should know",
    "Option.choices": "what each choice means, by its name",
    "Option.default": "the choice while the meter says nothing",
    "Option.warning": "what to compare with the display while the default is in use",
    "Periods.gauge": "what moves freely, in seconds; 0 for each cycle",
    "Periods.counter": "what only grows, in seconds; 0 for each cycle",
    "Piece.address": "zero-based, as on the wire",
    "Piece.format": "if it is not the register's",
    "Piece.word_order": "if it is not the register's",
    "Piece.weight": "what one of it is worth in the sum",
    "Sentinels.uint16": "as unsigned numbers",
    "Sentinels.int16": "as signed numbers",
    "Sentinels.uint32": "as unsigned numbers",
    "Sentinels.int32": "as signed numbers",
    "Sentinels.uint64": "as unsigned numbers",
    "Sentinels.int64": "as signed numbers",
    "TestVector.source": "where it is shown",
    "TestVector.address": "of the first word",
    "TestVector.words": "as they come from the wire",
    "TestVector.expect": "values by quantity",
}


def model_schema() -> Schema:
    """The schema of a model's file."""
    _, components = msgspec.json.schema_components([Document, Line, Option], ref_template=_REF)
    definitions: dict[str, Schema] = {name: _plain(schema) for name, schema in components.items()}
    _open_doors(definitions["Document"]["properties"])
    for struct, schema in tuple(definitions.items()):
        for key, value in schema.get("properties", {}).items():
            name = f"{struct}.{key}"
            described = {**value, "description": _HELP[name]}
            if name in _WORDS:
                described["enum"] = list(_WORDS[name])
            depends = struct != "Option" and name != "Document.options"
            definitions[name] = _choosable(name, described) if depends else described
            schema["properties"][key] = {"$ref": _REF.format(name=name)}
    whole = {
        "$schema": _DIALECT,
        "title": "Meter model",
        "$ref": _REF.format(name="Document"),
        "$defs": dict(sorted(definitions.items())),
    }
    return json.loads(json.dumps(whole))  # type: ignore[no-any-return]  # tuples become lists


def schema_text() -> str:
    """The schema as the file that editors read."""
    return json.dumps(model_schema(), indent=1, ensure_ascii=False) + "\n"


def _plain(schema: Schema) -> Schema:
    """Without what a docstring says to programmers."""
    return {**schema, "description": schema.get("description", "").partition("\n")[0]}


def _open_doors(properties: dict[str, Schema]) -> None:
    """What the document leaves to other readers: its registers and its options."""
    properties["registers"]["items"] = {"$ref": _REF.format(name="Line")}
    properties["options"]["additionalProperties"] = {"$ref": _REF.format(name="Option")}


def _choosable(name: str, schema: Schema) -> Schema:
    """The schema, or a mapping from each choice of an option to it."""
    about: Schema = {key: schema.pop(key) for key in ("description", "default") if key in schema}
    chosen: Schema = {
        "type": "object",
        "properties": {"option": {"type": "string"}},
        "required": ["option"],
        "additionalProperties": {"$ref": _REF.format(name=name)},
    }
    return {**about, "anyOf": [schema, chosen]}
