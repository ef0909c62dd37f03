"""`docs/meters.md` lists what the files say.

`python -m tests.gateways.test_meter_docs` writes its table anew.
"""

from pathlib import Path

from gateways.library.file import read_model
from gateways.library.folder import load_models

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "meters.md"
START, END = "test_meter_docs` -->\n", "<!-- end -->"
MODELS = load_models(ROOT / "config" / "meters")


def table():
    lines = [
        "| model | meter | measures | sure | check on site | choices | identity | requests |",
        "|---|---|---|---|---|---|---|---|",
    ]
    return "\n".join([*lines, *map(line, MODELS)]) + "\n"


def line(model):
    content, known = MODELS[model], read_model(model, MODELS[model])
    options = content.get("options", {})
    warned = [name for name, option in options.items() if "warning" in option]
    uncertain = [register.quantity for register in known.registers if register.uncertain]
    cells = [
        f"`{model}`",
        known.name,
        known.measures,
        content["confidence"],
        named([*warned, *uncertain]),
        named([name for name in options if name not in warned]),
        ", ".join(field.name for field in known.identity),
        requests(content.get("limits", {})),
    ]
    return f"| {' | '.join(cells)} |"


def named(words):
    return ", ".join(f"`{word}`" for word in words)


def requests(limits):
    asked = limits.get("registers", 125)
    if isinstance(asked, dict):
        asked = f"by `{asked['option']}`"
    parts = [str(asked)] if asked != 125 else []
    parts += ["even"] if limits.get("even") else []
    pause_ms = limits.get("connect_pause_ms")
    parts += [f"{pause_ms} ms after connecting"] if pause_ms else []
    return ", ".join(parts)


def between():
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(START)
    held, _, after = rest.partition(END)
    return before, held, after


def test_the_list_of_meters_is_fresh():
    assert between()[1] == table(), "run .venv/bin/python -m tests.gateways.test_meter_docs"


def test_what_is_left_out_has_no_file():
    left_out = between()[2].split("## Left out", 1)[1]

    assert [model for model in MODELS if f"`{model}`" in left_out] == []


if __name__ == "__main__":
    before, _, after = between()
    PAGE.write_text(f"{before}{START}{table()}{END}{after}", encoding="utf-8")
