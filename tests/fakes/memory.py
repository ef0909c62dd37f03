"""What a gateway learnt, kept in memory."""

from gateways.reading.memory import MemoryRefused, Remembered


class FakeMemory:
    """Implements `gateways.reading.memory.Memory`.

    Attributes:
        kept: what was saved last.
        refuses: whether saving fails.
    """

    def __init__(self, kept: Remembered | None = None) -> None:
        self.kept = kept or Remembered()
        self.refuses = False

    def load(self) -> Remembered:
        return self.kept

    def save(self, remembered: Remembered) -> None:
        if self.refuses:
            raise MemoryRefused("no room")
        self.kept = remembered
