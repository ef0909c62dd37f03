"""Cut: a gateway's buses and models -> meters, and everything that is wrong with them at once.

The structure is checked by `gateways.reading.meter`, meter by meter, so that one mistake hides no
other.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from msgspec import Struct

from gateways.bus_url import BusUrl, BusUrlInvalid, Transport, parse_bus_url
from gateways.library.file import read_model
from gateways.reading.meter import BusEntry, Meter, build_meters, read_bus
from gateways.strict import ContentInvalid, Path, spell
from metering.errors import PermanentError

_HIGHEST_SERIAL_UNIT = 247  # Modbus over Serial Line V1.02, 2.2
_NAMED = 3  # meters that are called by name; of more it is said how many

Models = Mapping[str, Mapping[str, Any]]


class Mistake(Struct, frozen=True, kw_only=True):
    """One thing that is wrong, or, as a warning, has to be looked at.

    Attributes:
        key: where in the file; empty for the file as a whole.
        message: what was asked and what came.
        warning: the gateway would start all the same.
    """

    key: str
    message: str
    warning: bool = False


class CheckedBus(Struct, frozen=True, kw_only=True):
    """A bus that can be read, with those of its meters that are right."""

    entry: BusEntry
    url: BusUrl
    meters: tuple[Meter, ...]
    path: Path


class CheckedCut(Struct, frozen=True, kw_only=True):
    """What can be used, and what is wrong with the rest."""

    buses: tuple[CheckedBus, ...]
    mistakes: tuple[Mistake, ...]


def check_cut(buses: Sequence[Mapping[str, Any]], models: Models) -> CheckedCut:
    """Check every bus and meter of a cut.

    Args:
        buses: the cut's `buses`, as parsed.
        models: content of the meter models by id.
    """
    broken, mistakes = _broken_models(models)
    checked: list[CheckedBus] = []
    for index, content in enumerate(buses):
        bus, wrong = _check_bus(content, models, broken, ("buses", index))
        mistakes += wrong
        if bus is not None:
            checked.append(bus)
    mistakes += _shared_lines(checked)
    mistakes += _shared_names(checked)
    mistakes += _warnings(checked)
    return CheckedCut(buses=tuple(checked), mistakes=tuple(mistakes))


def _broken_models(models: Models) -> tuple[frozenset[str], list[Mistake]]:
    """A model that is wrong is told once, not by each of its 300 meters."""
    mistakes = {}
    for model_id, content in models.items():
        try:
            read_model(model_id, content)
        except ContentInvalid as error:
            key = spell(("models", model_id, *error.path))
            mistakes[model_id] = Mistake(key=key, message=error.message)
    return frozenset(mistakes), list(mistakes.values())


def _check_bus(
    content: Mapping[str, Any], models: Models, broken: frozenset[str], path: Path
) -> tuple[CheckedBus | None, list[Mistake]]:
    mistakes: list[Mistake] = []
    entries = content.get("meters", ())
    entries = entries if isinstance(entries, Sequence) else ()
    try:
        bare = read_bus({**content, "meters": []}, path)
        url = _url(bare.url, path)
    except PermanentError as error:
        mistakes.append(_mistake(error, path))
        # The meters are checked all the same, on a line that takes any unit.
        stand_in = {"url": "tcp://127.0.0.1", "meters": entries}
        return None, mistakes + _check_meters(stand_in, models, broken, path)[1]
    meters, wrong = _check_meters(content, models, broken, path)
    if url.transport is not Transport.TCP:
        wrong += _serial_units(meters, path)
    entry = read_bus({**content, "meters": []}, path)
    return CheckedBus(entry=entry, url=url, meters=tuple(meters), path=path), mistakes + wrong


def _url(url: str, path: Path) -> BusUrl:
    try:
        return parse_bus_url(url)
    except BusUrlInvalid as error:
        raise ContentInvalid("cut", (*path, "url"), str(error)) from error


def _check_meters(
    content: Mapping[str, Any], models: Models, broken: frozenset[str], path: Path
) -> tuple[list[Meter], list[Mistake]]:
    entries: Sequence[Any] = content["meters"]
    right: list[Meter] = []
    mistakes: list[Mistake] = []
    owners: dict[int, Any] = {}
    for index, entry in enumerate(entries):
        if isinstance(entry, Mapping) and entry.get("model") in broken:
            continue
        try:
            (meter,) = _built(content, [entry], models, (path, index))
            if meter.unit in owners:
                _built(content, [owners[meter.unit], entry], models, (path, index - 1))
        except PermanentError as error:
            mistakes.append(_mistake(error, (*path, "meters", index)))
            continue
        owners[meter.unit] = entry
        right.append(meter)
    return right, mistakes


def _built(
    content: Mapping[str, Any], entries: list[Any], models: Models, place: tuple[Path, int]
) -> tuple[Meter, ...]:
    """Some entries of a bus as meters; an error names the place that they have in the cut."""
    path, first = place
    try:
        return build_meters({**content, "meters": entries}, models, path)
    except ContentInvalid as error:
        below = len(path)
        if error.path[:below] != path or len(error.path) < below + 2:
            raise
        index = error.path[below + 1]
        assert isinstance(index, int)
        moved = (*path, "meters", first + index, *error.path[below + 2 :])
        raise ContentInvalid("cut", moved, error.message) from error


def _mistake(error: PermanentError, path: Path) -> Mistake:
    if isinstance(error, ContentInvalid) and error.path[: len(path)] == path:
        return Mistake(key=spell(error.path), message=error.message)
    return Mistake(key=spell(path), message=str(error))


def _serial_units(meters: Iterable[Meter], path: Path) -> list[Mistake]:
    return [
        Mistake(
            key=spell(path),
            message=f"{meter.id}: unit 1 to {_HIGHEST_SERIAL_UNIT} are possible on a serial line, "
            f"{meter.unit} came",
        )
        for meter in meters
        if not 1 <= meter.unit <= _HIGHEST_SERIAL_UNIT
    ]


def _warnings(buses: Iterable[CheckedBus]) -> list[Mistake]:
    """What the models warn of, once, with the meters that it concerns."""
    concerned: dict[tuple[str, str], list[str]] = {}
    for bus in buses:
        for meter in bus.meters:
            for warning in meter.model.warnings:
                concerned.setdefault((meter.model.id, warning), []).append(meter.id)
    return [
        Mistake(key=f"models.{model}", message=f"{named(meters)}: {warning}", warning=True)
        for (model, warning), meters in concerned.items()
    ]


def named(meters: Sequence[str]) -> str:
    """`a, b, c`, or of many the first, the last and how many."""
    if len(meters) <= _NAMED:
        return ", ".join(meters)
    return f"{meters[0]} … {meters[-1]} ({len(meters)})"


def _shared_lines(buses: Iterable[CheckedBus]) -> list[Mistake]:
    """A line has one owner: two pollers on it would answer each other's questions."""
    mistakes = []
    owners: dict[object, Path] = {}
    for bus in buses:
        url = bus.url
        line = (url.serial.device if url.serial else "", url.host, url.port)
        owner = owners.setdefault(line, bus.path)
        if owner != bus.path:
            message = f"{bus.entry.url} is already the line of {spell(owner)}"
            mistakes.append(Mistake(key=spell((*bus.path, "url")), message=message))
    return mistakes


def _shared_names(buses: Iterable[CheckedBus]) -> list[Mistake]:
    mistakes = []
    owners: dict[str, Path] = {}
    for bus in buses:
        for meter in bus.meters:
            owner = owners.setdefault(meter.id, bus.path)
            if owner != bus.path:
                message = f"meter {meter.id} is already on {spell(owner)}"
                mistakes.append(Mistake(key=spell(bus.path), message=message))
    return mistakes
