"""Library: meter models -> what an installer wants to know of them, as rows and as plain values."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from gateways.library.file import read_model
from gateways.library.folder import load_models
from gateways.library.model import MeterModel, Register
from gateways.library.options import read_options
from gateways.reading.plan import plan_blocks
from gateways.strict import ContentInvalid, nearest
from metering.errors import PermanentError
from metering.quantity import QUANTITIES
from metering.words import chinese

MEASURES = {"electricity": "电", "solar": "光伏", "water": "水", "heat": "热", "gas": "气"}
CONFIDENCE = {"high": "高", "medium": "中", "low": "低"}
Contents = Mapping[str, Mapping[str, Any]]


class LibraryMissing(PermanentError):
    """There are no meter models where they were looked for, or not the one that was asked for."""


def library(config: Path) -> dict[str, dict[str, Any]]:
    """The content of every model by id.

    Raises:
        LibraryMissing: the folder holds none.
        ContentInvalid: a file is no YAML mapping.
    """
    models = load_models(config / "meters")
    if not models:
        raise LibraryMissing(f"no meter models in {config / 'meters'}; name the folder by --config")
    return models


def chosen(models: Contents, wanted: Iterable[str]) -> dict[str, Mapping[str, Any]]:
    """Those that are wanted; all if none is named.

    Raises:
        LibraryMissing: there is no such model.
    """
    named = list(wanted) or list(models)
    for model_id in named:
        if model_id not in models:
            raise LibraryMissing(f"unknown model '{model_id}'{nearest(model_id, models)}")
    return {model_id: models[model_id] for model_id in named}


def checked(models: Contents) -> tuple[dict[str, MeterModel], list[str]]:
    """The models that are right, and what is wrong with the others."""
    right: dict[str, MeterModel] = {}
    wrong: list[str] = []
    for model_id, content in models.items():
        try:
            right[model_id] = read_model(model_id, content)
        except ContentInvalid as error:
            wrong.append(str(error))
    return right, wrong


def summary(model: MeterModel, content: Mapping[str, Any]) -> dict[str, Any]:
    """A model in the list, as plain values."""
    return {
        "id": model.id,
        "maker": content["maker"],
        "name": content["name"],
        "measures": model.measures,
        "confidence": content["confidence"],
        "quantities": [register.quantity for register in model.registers],
        "options": {
            name: {
                "choices": option.choices,
                "default": option.default,
                "warning": option.warning,
            }
            for name, option in read_options(model.id, content).items()
        },
        "warnings": list(model.warnings),
        "identity": [field.name.value for field in model.identity],
        "requests": len(plan_blocks(model.registers, model.limits, model.fill)),
    }


def summary_row(about: Mapping[str, Any]) -> tuple[str, ...]:
    """The same as a row of `SUMMARY_COLUMNS`."""
    return (
        about["id"],
        f"{about['maker']} {about['name']}",
        MEASURES[about["measures"]],
        CONFIDENCE[about["confidence"]],
        str(len(about["quantities"])),
        str(about["requests"]),
        ", ".join(about["options"]),
        ", ".join(about["identity"]) or "否",
        str(len(about["warnings"]) or ""),
    )


SUMMARY_COLUMNS = (
    "型号 model",
    "厂家和名称",
    "计量",
    "可信",
    "量",
    "请求",
    "选项 options",
    "自报身份",
    "警告",
)


def details(model: MeterModel, content: Mapping[str, Any]) -> dict[str, Any]:
    """One model in full, as plain values."""
    return {
        **summary(model, content),
        "sources": list(model.sources),
        "notes": list(content.get("notes", ())),
        "limits": {"registers": model.limits.registers, "even": model.limits.even},
        "fill": model.fill,
        "registers": [_register(register) for register in model.registers],
        "blocks": [
            {"table": block.table.value, "address": block.address, "count": block.count}
            for block in plan_blocks(model.registers, model.limits, model.fill)
        ],
    }


def _register(register: Register) -> dict[str, Any]:
    first = register.parts[0]
    return {
        "quantity": register.quantity,
        "unit": QUANTITIES[register.quantity].unit,
        "table": register.table.value,
        "addresses": [part.address for part in register.parts],
        "formats": [part.format.value for part in register.parts],
        "word_order": first.word_order.value,
        "scale": str(register.scale),
        "every_s": register.every_s,
        "priority": register.priority.value,
        "uncertain": register.uncertain,
    }


REGISTER_COLUMNS = ("量 quantity", "单位", "表", "地址", "格式", "字序", "倍率", "周期", "存疑")


def register_rows(model: MeterModel) -> Iterable[tuple[str, ...]]:
    for register in map(_register, model.registers):
        yield (
            f"{chinese(register['quantity'])} {register['quantity']}",
            register["unit"],
            register["table"],
            " ".join(f"0x{address:04X}" for address in register["addresses"]),
            " ".join(dict.fromkeys(register["formats"])),
            register["word_order"],
            register["scale"],
            f"{register['every_s']} s" if register["every_s"] else "每周期",
            "?" if register["uncertain"] else "",
        )
