"""The docs say what the code does: commands, settings, payloads, reasons, layers, names.

`python -m tests.test_docs` writes the table of quantities anew.
"""

import re
import tomllib
from collections.abc import Iterator
from enum import StrEnum
from itertools import chain, zip_longest
from pathlib import Path
from typing import Any, get_args

import pytest
import typer
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from collector.alerting.notify.document import NotifyDocument
from collector.api import make_api
from collector.metrics import Metrics
from collector.receive import PoisonReason
from collector.settings import CollectorSettings
from collector.settings import load_settings as load_collector
from collector.settle.rule import Rule
from collector.validate import Reason
from documents.tree import read_mapping
from gateways.settings import GatewaySettings
from gateways.settings import load_settings as load_gateway
from gateways.simulator.document import read_document
from metering.batch import ClockState
from metering.quantity import QUANTITIES
from metering.reading import Fault
from metering.wire import decode_batch, decode_commit, decode_state
from nenghao.__main__ import app
from nenghao.commands.simulate import make_simulation
from nenghao.demo.stage import free_ports
from tests.torture.servers import Server, program

ROOT = Path(__file__).parents[1]
CONTRACT = ROOT / "docs" / "data-contract.md"
OPERATING = ROOT / "docs" / "operating.md"
COMMISSIONING = ROOT / "docs" / "commissioning.md"
ALERTS = ROOT / "docs" / "alerts.md"
EDITING = ROOT / "docs" / "editing.md"
EXAMPLES = ROOT / "config" / "examples"
DOCS = tuple(sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")]))
# Made by running what the docs say, or named after something of the reader's.
NOT_OF_THE_TREE = (
    "CPU-s/M",
    "var/",
    "state.sqlite",
    "spool.sqlite",
    "gateway.yaml",
    "gw-e001.json",
)


def text(file: Path) -> str:
    return file.read_text(encoding="utf-8")


def between(content: str, start: str) -> str:
    """What stands after the comment that begins with `start`, up to the next `end`."""
    return content.split(f"<!-- {start}", 1)[1].split("-->", 1)[1].split("<!-- end -->", 1)[0]


def rows(table: str) -> list[list[str]]:
    """The cells of a table's lines, heading and rule left out."""
    lines = [line for line in table.strip().splitlines() if line.startswith("|")][2:]
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]


# ---- the store


def test_the_bits_of_rules_stand_in_the_data_contract_in_their_order() -> None:
    (line,) = (one for one in text(CONTRACT).splitlines() if one.startswith("Bits of `rules`"))

    assert re.findall(r"`(\w+)`", line)[1:] == [rule.value for rule in Rule]


# ---- commands


def commands(group: Any = None, path: str = "nenghao") -> Iterator[str]:
    group = group or typer.main.get_command(app)
    for name in group.list_commands(None):
        command = group.get_command(None, name)
        if hasattr(command, "list_commands"):
            yield from commands(command, f"{path} {name}")
        else:
            yield f"{path} {name}"


@pytest.mark.parametrize("command", tuple(commands()))
def test_every_command_is_in_the_readme_or_in_the_docs_of_its_users(command: str) -> None:
    told = "".join(map(text, (ROOT / "README.md", OPERATING, COMMISSIONING, EDITING)))

    assert re.search(rf"{command}\b", told)


def test_every_make_target_is_in_the_readme() -> None:
    phony = re.search(r"^\.PHONY: (.*)$", text(ROOT / "Makefile"), re.MULTILINE)
    assert phony

    named = set(re.findall(r"make ([a-z]+)", text(ROOT / "README.md")))

    assert set(phony[1].split()) - named == set()


def test_no_document_names_a_make_target_that_there_is_not() -> None:
    targets = set(re.findall(r"^([a-z]+):", text(ROOT / "Makefile"), re.MULTILINE))

    named = {
        name
        for file in DOCS
        for name in re.findall(r"(?:^|`)make ([a-z]+)", text(file), re.MULTILINE)
    }

    assert named - targets == set()


# ---- the contract


DECODERS = {"batch": decode_batch, "state": decode_state, "commit": decode_commit}


@pytest.mark.parametrize("kind", DECODERS)
def test_the_contracts_examples_are_decoded(kind: str) -> None:
    examples = re.findall(rf"^```json {kind}\n(.*?)^```", text(CONTRACT), re.DOTALL | re.MULTILINE)
    assert examples

    for example in examples:
        assert DECODERS[kind](example.encode()).v == 1


@pytest.mark.parametrize("kind", DECODERS)
def test_every_key_of_an_example_is_explained(kind: str) -> None:
    (example,) = re.findall(
        rf"^```json {kind}\n(.*?)^```", text(CONTRACT), re.DOTALL | re.MULTILINE
    )
    section = text(CONTRACT).split(f"## {kind.capitalize()}\n", 1)[1].split("\n## ", 1)[0]
    prose = re.sub(r"^```.*?^```", "", section, flags=re.DOTALL | re.MULTILINE)
    explained = set(re.findall(r"[a-z_]+", " ".join(re.findall(r"`([^`]+)`", prose))))
    of_somebody = set(re.findall(r'"(\w+(?:_k\w+|-\w+))":', example))  # meters, quantities

    keys = set(re.findall(r'"([^"]+)":', example))

    assert keys - explained - of_somebody == set()


def quantity_table() -> str:
    lines = ["| name | unit | kind | lowest | highest |", "|---|---|---|---|---|"]
    lines += [
        f"| `{q.name}` | {q.unit} | {q.kind} | {q.lowest:,g} | {q.highest:,g} |"
        for q in QUANTITIES.values()
    ]
    return "\n" + "\n".join(lines) + "\n"


def write_quantity_table() -> None:
    content = text(CONTRACT)
    CONTRACT.write_text(
        content.replace(f"-->{between(content, 'quantities')}<!--", f"-->{quantity_table()}<!--"),
        encoding="utf-8",
    )


def test_the_table_of_quantities_is_fresh() -> None:
    stale = "run .venv/bin/python -m tests.test_docs"
    assert between(text(CONTRACT), "quantities") == quantity_table(), stale


@pytest.mark.parametrize("words", [Fault, Reason, PoisonReason, ClockState])
def test_every_word_of_the_contract_is_in_it(words: type[StrEnum]) -> None:
    missing = [word.value for word in words if f"`{word.value}`" not in text(CONTRACT)]

    assert missing == []


# ---- settings


def settings_of(model: type[BaseModel], path: str = "") -> dict[str, FieldInfo]:
    """Every key that a file may hold, by its dotted path; `[]` where there may be several.

    What may stand within itself is not looked into there.
    """
    found: dict[str, FieldInfo] = {}
    for field_name, field in model.model_fields.items():
        name = field.alias or field_name
        inner = [part for part in models_in(field.annotation) if part is not model]
        if not inner:
            found[path + name] = field
        several = "tuple" in str(field.annotation)
        for part in inner:
            found |= settings_of(part, f"{path}{name}{'[]' if several else ''}.")
    return found


def models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in get_args(annotation):
        yield from models_in(argument)


def default_of(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    if field.default is None:
        return "none"
    return str(field.default).lower() if isinstance(field.default, bool) else str(field.default)


@pytest.mark.parametrize(
    ("service", "model"), [("gateway", GatewaySettings), ("collector", CollectorSettings)]
)
def test_every_setting_is_explained_with_its_default(service: str, model: type[BaseModel]) -> None:
    explained = {
        key.strip("`"): default
        for key, default, _ in rows(between(text(OPERATING), f"settings: {service}"))
    }

    assert explained == {key: default_of(field) for key, field in settings_of(model).items()}


def notify_settings() -> dict[str, str]:
    """Every key of `notify.yaml` with its default; of routes and matches only the first level."""
    found = {}
    for key, field in settings_of(NotifyDocument).items():
        name = re.sub(r"(^|\.)(match|covers|source|target)\..*", r"\1\2", key)
        name = re.sub(r"(_s|after_min)\.(blue|yellow|orange|red)$", r"\1", name)
        found.setdefault(name, default_of(field) if name == key else "")
    return found


def test_every_setting_of_notification_is_explained_with_its_default() -> None:
    explained = {
        key.strip("`"): default
        for key, default, _ in rows(between(text(ALERTS), "settings: notify"))
    }
    settings = notify_settings()

    assert set(explained) == set(settings)
    numbers = {key: default for key, default in settings.items() if default[:1].isdigit()}
    assert {key: explained[key] for key in numbers} == numbers
    required = {key for key, default in settings.items() if default == "required"}
    assert {key for key in required if explained[key] != "required"} == set()


def test_the_example_gateway_is_one() -> None:
    settings = load_gateway(EXAMPLES / "gateway.yaml")

    assert settings.broker.url == "mqtt://127.0.0.1:18830"


def test_the_example_collector_is_one_and_finds_the_example_fleet() -> None:
    settings = load_collector(EXAMPLES / "collector.yaml")

    assert (EXAMPLES / settings.config / "fleet" / "heping.yaml").is_file()
    assert settings.store.kind == "duckdb"


def test_the_example_simulation_is_one_and_serves_the_example_district() -> None:
    document = read_document(read_mapping(EXAMPLES / "simulate.yaml"))
    assert document.log is not None

    simulation = make_simulation(document, EXAMPLES)

    assert [bus.url for bus in simulation.buses] == [
        "tcp://127.0.0.1:15020",
        "tcp://127.0.0.1:15021",
        "tcp://127.0.0.1:15022",
    ]


def test_the_examples_meet_at_one_broker() -> None:
    listener = re.search(r"^listener (\d+) (\S+)$", text(EXAMPLES / "mosquitto.conf"), re.MULTILINE)
    assert listener
    url = f"mqtt://{listener[2]}:{listener[1]}"

    assert load_gateway(EXAMPLES / "gateway.yaml").broker.url == url
    assert load_collector(EXAMPLES / "collector.yaml").broker.url == url


@pytest.mark.server
def test_mosquitto_takes_the_example(tmp_path: Path) -> None:
    (port,) = free_ports(1)
    file = tmp_path / "mosquitto.conf"
    example = text(EXAMPLES / "mosquitto.conf")
    here = example.replace("18830", str(port)).replace("var/example/", f"{tmp_path}/")
    file.write_text(f"{here}\nuser root\n")  # else, started by root, it may not write to tmp_path
    broker = Server([program("mosquitto"), "-c", str(file)], tmp_path / "log", port)

    broker.start()
    broker.stop()

    assert (tmp_path / "mosquitto.db").is_file()
    # "Client <unknown> …" is who looked whether it is up.
    log = text(tmp_path / "log").replace("<unknown>", "")
    assert not re.search("error|unknown|deprecated", log, re.IGNORECASE)


# ---- the API


def test_every_metric_is_explained() -> None:
    explained = set(
        re.findall(r"^\| `([a-z_]+?)(?:_total)?(?:\{\w+\})?`", text(OPERATING), re.MULTILINE)
    )
    prefix = "nenghao_collector_"

    names = {metric.name.removeprefix(prefix) for metric in Metrics().registry.collect()}

    assert names - explained == set()


def test_every_path_of_the_api_is_explained() -> None:
    api = make_api(None, None, None, None, Metrics())  # type: ignore[arg-type]  # nobody asks it
    explained = set(re.findall(r"^\| `(?:POST )?(/[a-z]+)", text(OPERATING), re.MULTILINE))

    assert set(api.openapi()["paths"]) - explained == set()


# ---- layers, names, links


PACKAGES = ("packages", "gateways", "collector", "metering")
ROOMS = ("gateways.reading", "gateways.library", "gateways.line", "gateways.spool")


@pytest.mark.parametrize(("heading", "names"), [("Layers", PACKAGES), ("Rooms", ROOMS)])
def test_the_table_of_layers_is_what_import_linter_enforces(
    heading: str, names: tuple[str, ...]
) -> None:
    contracts = tomllib.loads(text(ROOT / "pyproject.toml"))["tool"]["importlinter"]["contracts"]
    layers = {
        contract.get("containers", ["packages"])[0]: contract["layers"]
        for contract in contracts
        if contract["type"] == "layers"
    }
    section = text(ROOT / "ARCHITECTURE.md").split(f"\n## {heading}\n", 1)[1].split("\n## ", 1)[0]
    columns = [layers[name] for name in names]

    table = [[cell.replace("\\|", "|") for cell in row] for row in rows(section)]

    assert table == [list(row) for row in zip_longest(*columns, fillvalue="")]


def links() -> Iterator[tuple[Path, str]]:
    for file in DOCS:
        for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", text(file)):
            if "://" not in target:
                yield file, target


def test_every_link_between_files_leads_somewhere() -> None:
    broken = [
        f"{file.relative_to(ROOT)} -> {target}"
        for file, target in links()
        if not (file.parent / target).exists()
    ]

    assert broken == []


NAMED = re.compile(r"`((?:[a-zA-Z_.][\w.-]*/)+[\w.-]*|[\w-]+\.(?:py|yaml|toml|txt|md|conf))`")


def test_no_document_names_a_path_that_there_is_not() -> None:
    missing = [
        f"{file.relative_to(ROOT)}: {name}"
        for file in DOCS
        for name in NAMED.findall(text(file))
        if not name.startswith(NOT_OF_THE_TREE) and not is_in_tree(name)
    ]

    assert missing == []


def is_in_tree(name: str) -> bool:
    if name.startswith(("application/", "nenghao/1/")):
        return True  # a content type, a topic
    return (ROOT / name).exists() or ("/" not in name and any(ROOT.glob(f"[!.]*/**/{name}")))


def test_no_document_names_a_test_that_there_is_not() -> None:
    tests = chain.from_iterable(
        re.findall(r"^def (test_\w+)", text(file), re.MULTILINE)
        for file in (ROOT / "tests").glob("**/*.py")
    )
    files = {file.stem for file in (ROOT / "tests").glob("**/*.py")}

    named = {name for file in DOCS for name in re.findall(r"\btest_\w+", text(file))}

    assert named - set(tests) - files == set()


def test_every_decision_is_listed_and_says_what_it_must() -> None:
    listed = text(ROOT / "ARCHITECTURE.md")

    for file in sorted((ROOT / "docs" / "decisions").glob("*.md")):
        assert f"docs/decisions/{file.name}" in listed
        for part in ("**Status:**", "**Context.**", "**Decision.**", "**Consequences.**"):
            assert part in text(file), f"{file.name} has no {part}"


if __name__ == "__main__":
    write_quantity_table()
