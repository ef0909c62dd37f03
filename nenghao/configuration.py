"""Configuration: the folder -> every mistake in all of its files, file by file.

Fleet, models, calendar, limits, thresholds, and settings where they lie beside them. A file whose
name nobody reads, but nearly, is a mistake too: its numbers would silently not hold.
"""

from collections.abc import Callable, Iterator
from difflib import get_close_matches
from functools import partial
from importlib import import_module
from pathlib import Path

from collector.fleet.calendar import CALENDAR_FILE
from collector.fleet.check import check_folder
from collector.fleet.limits import FILE as LIMITS
from collector.quality.thresholds import FILE as THRESHOLDS
from collector.quality.thresholds import load_thresholds
from documents.finding import DocumentInvalid, Finding
from documents.tree import read_tree
from gateways.library.file import read_model
from gateways.strict import ContentInvalid

# By file: the module that reads it, imported when there is one. The collector's needs numpy, which
# a gateway's box does not have.
_SETTINGS = {"collector.yaml": "collector.settings", "gateway.yaml": "gateways.settings"}
_NEAR = 0.8


def check_configuration(folder: Path) -> tuple[Finding, ...]:
    """Every mistake in a configuration folder; empty if there is none."""
    found = [*check_folder(folder), *_models(folder)]
    found += _of(lambda: load_thresholds(folder))
    for name, module in _SETTINGS.items():
        if (folder / name).exists():
            found += _of(partial(import_module(module).load_settings, folder / name))
    return (*found, *_not_read(folder))


def _of(load: Callable[[], object]) -> tuple[Finding, ...]:
    try:
        load()
    except DocumentInvalid as error:
        return error.findings
    return ()


def _models(folder: Path) -> Iterator[Finding]:
    """Every model, whether a meter has it or not; of one file the first mistake of its content."""
    for file in sorted((folder / "meters").glob("*.yaml")):
        try:
            tree = read_tree(file)
        except DocumentInvalid as error:
            yield from error.findings
            continue
        yield from tree.findings
        if tree.findings:
            continue
        if not isinstance(tree.value, dict):
            yield tree.finding((), "the file must be a mapping (key: value)")
            continue
        try:
            read_model(file.stem, tree.value)
        except ContentInvalid as error:
            yield tree.finding(error.path, error.message)


def _not_read(folder: Path) -> Iterator[Finding]:
    """Files that look as if somebody meant them to be read."""
    known = [LIMITS, THRESHOLDS, *_SETTINGS]
    for file in _yaml_in(folder):
        near = get_close_matches(file.name, known, n=1, cutoff=_NEAR)
        if file.name not in known and near:
            yield _unread(file, f"did you mean '{near[0]}'?")
    for file in _yaml_in((folder / CALENDAR_FILE).parent):
        if file.name != CALENDAR_FILE.name:
            yield _unread(file, f"the calendar is '{CALENDAR_FILE.name}'")
    for file in _yaml_in(folder / "meters"):
        if file.suffix != ".yaml":
            yield _unread(file, f"a model's file is '{file.stem}.yaml'")


def _yaml_in(folder: Path) -> list[Path]:
    return sorted(file for end in ("yaml", "yml") for file in folder.glob(f"*.{end}"))


def _unread(file: Path, meant: str) -> Finding:
    return Finding(file=str(file), line=0, key="", message=f"nobody reads this file; {meant}")
