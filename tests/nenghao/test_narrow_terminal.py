"""At 80 columns, the example district: what somebody copies stands there in one piece."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from rich.cells import cell_len

from collector.editing.period import instant_ms
from nenghao.centre import centre
from tests.nenghao.process import run, typed

CONFIG = Path(__file__).parents[2] / "config"
COUNTER = "energy_import_kwh"
SIGNED = ("--author", "王芳", "--reason", "抄表核对，与配电间抄表本一致")


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two days of two meters, with entries, verified."""
    path = tmp_path_factory.mktemp("narrow") / "collector.yaml"
    path.write_text(
        f"config: {CONFIG}\nfolder: data\nbroker: {{url: 'mqtt://127.0.0.1:9'}}\n"
        "store: {kind: duckdb, path: data/readings.duckdb}\napi: {host: 127.0.0.1, port: 0}\n",
        encoding="utf-8",
    )
    start_ms = instant_ms("2026-10-01T00:00", assume_shanghai=True)
    readings = [
        {"meter": meter, "at": start_ms + n * 3_600_000, "values": {COUNTER: 1000.0 + 40.25 * n}}
        for n in range(49)
        for meter in ("e001-main", "e001-emergency-light")
    ]
    with centre(path, None) as collector:
        collector.ask("POST", "/import/readings", json=readings)
    typed("settle", "--settings", path)
    said = ("correct", "interval", "e001-emergency-light", "--settings", path, *SIGNED)
    typed(*said, "--from", "2026-10-01", "--value", "900.5")
    typed(*said, "--from", "2026-10-02T08:00", "--to", "2026-10-02T12:15", "--value", "150")
    typed("entry", "undo", "1", "--settings", path, *SIGNED)
    typed("verify", "--day", "2026-10-02", "--settings", path)
    return path


COMMANDS = [
    ("entry", "list"),
    ("total", "--from", "2026-10"),
    ("total", "--from", "2026-10-02", "--width", "1h"),
    ("verify", "--day", "2026-10-02", "--stored"),
    ("job", "list"),
]
LIBRARY = [
    ("meter", "models"),
    ("meter", "models", "chint_dtsu666_energy_401e"),
    ("meter", "models", "acrel_adl3000"),
]
_NAMES = ("meter", "quantity", "id", "code", "institution", "name")


def names_in(document: object) -> Iterator[str]:
    """Every id that a JSON document names."""
    if isinstance(document, list):
        for one in document:
            yield from names_in(one)
    elif isinstance(document, dict):
        for key, value in document.items():
            if (
                key in _NAMES
                and isinstance(value, str)
                and value.isascii()
                and value != "*"
                and " " not in value
            ):
                yield value
            elif key not in ("options", "absent"):
                yield from names_in(value)


def test_ids_are_in_one_piece(file: Path) -> None:
    for words in COMMANDS:
        _check(*words, "--settings", file)


@pytest.mark.parametrize("words", LIBRARY)
def test_models_and_quantities_are_in_one_piece(words: tuple[str, ...]) -> None:
    _check(*words)


def _check(*words: object) -> None:
    document = json.loads(typed(*words, "--json").out)
    told = run(*words, columns=80)

    names = set(names_in(document))
    assert names
    assert {name for name in names if name not in told.out} == set()
    tables = [line for line in told.out.splitlines() if line.startswith(("┃", "│", " ", "─"))]
    assert max(map(cell_len, tables), default=0) <= 80
