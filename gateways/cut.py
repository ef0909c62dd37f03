"""Cut: a gateway's part of the fleet, as `nenghao fleet cut` wrote it, from its file."""

from pathlib import Path
from typing import Any

import msgspec

from gateways.reading.meter import read_bus
from metering.errors import PermanentError

_VERSION = 1
_WRITE_IT = "write it with 'nenghao fleet cut'"


class CutInvalid(PermanentError):
    """The gateway's part of the fleet cannot be used."""


class Cut(msgspec.Struct, frozen=True, kw_only=True):
    """A gateway's part of the fleet."""

    v: int
    district: str
    store: str
    gateway: str
    digest: str
    buses: tuple[dict[str, Any], ...]
    models: dict[str, dict[str, Any]]

    @property
    def owner(self) -> tuple[str, str, str]:
        """What a running gateway cannot change: its topic and whose commits it obeys."""
        return self.district, self.store, self.gateway

    def key(self, place: int) -> str:
        """Everything that a bus is made from, as text: equal for a bus that did not change."""
        bus = self.buses[place]
        entry = read_bus(bus, ("buses", place))
        models = {meter.model: self.models.get(meter.model) for meter in entry.meters}
        return msgspec.json.encode((bus, models), order="deterministic").decode()

    def offset_ms(self, place: int) -> int:
        """How long after the full cycle a bus starts; by itself, a second after the one before."""
        entry = read_bus(self.buses[place], ("buses", place))
        if entry.start_offset_s is not None:
            return entry.start_offset_s * 1000
        return place * min(1000, entry.cycle_s * 1000 // len(self.buses))


def load_cut(path: Path) -> Cut:
    """Read a cut.

    Raises:
        CutInvalid: it cannot be read or is not one.
    """
    try:
        cut = msgspec.json.decode(path.read_bytes(), type=Cut)
    except OSError as error:
        raise CutInvalid(f"{path}: {error.strerror}; {_WRITE_IT}") from error
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise CutInvalid(f"{path}: {error}; {_WRITE_IT}") from error
    if cut.v != _VERSION:
        raise CutInvalid(
            f"{path}: version {cut.v} of a cut, {_VERSION} is understood here; {_WRITE_IT}"
        )
    return cut
