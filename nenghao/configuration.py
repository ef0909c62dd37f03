"""Configuration: the folder -> every mistake in all of its files, file by file.

Fleet, models, calendars, limits, thresholds, rules, budgets, colours, and settings where they lie
beside them. A file whose name nobody reads, but nearly, is a mistake too: its numbers would
silently not hold.
"""

from collections.abc import Callable, Iterator
from difflib import get_close_matches
from functools import partial
from importlib import import_module
from pathlib import Path

from msgspec import Struct

from collector.alerting.budgets.folder import BudgetFile, read_budgets
from collector.alerting.meaning import check_meanings
from collector.alerting.rules.folder import RuleBook, read_rules
from collector.fleet.calendar import CALENDAR_FILE, OVERRIDE_FILE
from collector.fleet.check import check_folder, load_fleet
from collector.fleet.index import Fleet
from collector.fleet.limits import FILE as LIMITS
from collector.fleet.seasons import HEATING_FILE, TERMS_FILE
from collector.quality.thresholds import FILE as THRESHOLDS
from collector.quality.thresholds import load_thresholds
from documents.finding import DocumentInvalid, Finding
from documents.tree import read_tree
from gateways.library.file import read_model
from gateways.strict import ContentInvalid

# By file: the module that reads it, imported when there is one. The collector's needs numpy, which
# a gateway's box does not have.
_SETTINGS = {"collector.yaml": "collector.settings", "gateway.yaml": "gateways.settings"}
_CALENDARS = tuple(file.name for file in (CALENDAR_FILE, OVERRIDE_FILE, HEATING_FILE, TERMS_FILE))
_NEAR = 0.8


class Alarming(Struct, frozen=True, kw_only=True):
    """What a folder says of alerts.

    Attributes:
        fleet: None where it is wrong itself: nothing is held against it then.
        why: it is wrong: mistakes of the fleet, a meter model or the limits.
    """

    fleet: Fleet | None
    why: tuple[Finding, ...]
    book: RuleBook
    budgets: BudgetFile
    meanings: tuple[Finding, ...]

    @property
    def findings(self) -> tuple[Finding, ...]:
        return (*self.book.findings, *self.budgets.findings, *self.meanings)


def read_alarming(folder: Path) -> Alarming:
    """Rules, budgets and the meaning of colours, held against the fleet."""
    fleet, why = None, tuple[Finding, ...]()
    try:
        fleet = load_fleet(folder)
    except DocumentInvalid as error:
        why = error.findings
    budgets = read_budgets(folder, fleet)
    budgeted = {budget.institution for budget in budgets.budgets}
    return Alarming(
        fleet=fleet,
        why=why,
        book=read_rules(folder, fleet, budgeted),
        budgets=budgets,
        meanings=check_meanings(folder),
    )


def check_configuration(folder: Path) -> tuple[Finding, ...]:
    """Every mistake and warning in a configuration folder; empty if there is none."""
    found = [*check_folder(folder), *_models(folder)]
    read = read_alarming(folder)
    # A meter's model is looked at with its options when the fleet is compiled, and only there.
    found += [finding for finding in read.why if finding not in found]
    found += read.findings
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
        if file.name not in _CALENDARS:
            yield _unread(file, f"calendars are {', '.join(_CALENDARS)}")
    for file in _yaml_in(folder / "meters"):
        if file.suffix != ".yaml":
            yield _unread(file, f"a model's file is '{file.stem}.yaml'")


def _yaml_in(folder: Path) -> list[Path]:
    return sorted(file for end in ("yaml", "yml") for file in folder.glob(f"*.{end}"))


def _unread(file: Path, meant: str) -> Finding:
    return Finding(file=str(file), line=0, key="", message=f"nobody reads this file; {meant}")
