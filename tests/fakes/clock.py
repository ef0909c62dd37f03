"""A clock that only moves when it is told to."""


class FakeClock:
    """Implements `metering.clock.Clock`; wall time may run at another speed than real time."""

    def __init__(self, now_ms: int = 1_763_800_000_000, speed: float = 1.0) -> None:
        self._now_ms = now_ms
        self._monotonic_ms = 0.0
        self.speed = speed

    def now_ms(self) -> int:
        return self._now_ms

    def monotonic_ms(self) -> int:
        return int(self._monotonic_ms)

    def real_s(self, wall_ms: int) -> float:
        return wall_ms / 1000 / self.speed

    def pass_ms(self, wall_ms: int) -> None:
        self._now_ms += wall_ms
        self._monotonic_ms += wall_ms / self.speed
