"""Memory: what a gateway has learnt of its meters, and keeps over a restart.

The port; `adapters/memory_file.py` is the real one. It may be lost at any time: everything in it is
learnt again, at the price of some refused requests, and of believing the devices that are there.
"""

from typing import Protocol

from msgspec import Struct, structs

from gateways.library.model import IdentityName
from gateways.reading.meter import Meter
from gateways.reading.terrain import Terrain
from metering.errors import TransientError

FORGET_MS = 7 * 86_400_000  # a hole is asked again after a week: the refusal may have been a mood


class Remembered(Struct, frozen=True, kw_only=True):
    """Everything that was learnt.

    Attributes:
        terrains: by model and firmware, as `kind_of` spells them.
        identities: what the device of each meter said about itself, by meter.
    """

    terrains: dict[str, Terrain] = {}
    identities: dict[str, dict[IdentityName, str]] = {}

    def knows(self, meter: str, identity: dict[IdentityName, str]) -> "Remembered":
        """With who was met at a meter's place."""
        return structs.replace(self, identities={**self.identities, meter: identity})

    def learnt(self, kind: str, terrain: Terrain) -> "Remembered":
        """With what a model and firmware taught."""
        return structs.replace(self, terrains={**self.terrains, kind: terrain})

    def terrain_of(self, meter: Meter, now_ms: int) -> Terrain:
        """What is known of a meter's registers, but for what is due to be asked again."""
        terrain = self.terrains.get(self.kind_of(meter), Terrain())
        return terrain.without_older_than(now_ms - FORGET_MS)

    def kind_of(self, meter: Meter) -> str:
        """Model and firmware: what one of a kind refuses, none of it is asked for."""
        firmware = self.identities.get(meter.id, {}).get(IdentityName.FIRMWARE, "")
        return f"{meter.model.id} {firmware}".strip()


class MemoryRefused(TransientError):
    """It could not be kept; what was learnt is still known until the process ends."""


class Memory(Protocol):
    """Where it is kept."""

    def load(self) -> Remembered:
        """What was saved last; nothing if there is none, or if it cannot be read any more."""
        ...

    def save(self, remembered: Remembered) -> None:
        """Keep it.

        Raises:
            MemoryRefused: not now.
        """
        ...


class Notebook:
    """What was learnt, shared by all buses of a gateway, on one event loop.

    Attributes:
        remembered: replaced whenever something is learnt.
        saved: what is kept already.
    """

    def __init__(self, remembered: Remembered) -> None:
        self.remembered = remembered
        self.saved = remembered

    @property
    def is_changed(self) -> bool:
        return self.remembered is not self.saved
