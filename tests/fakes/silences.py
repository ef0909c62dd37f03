"""A `SilenceBook` in memory, held to the same contract as the real one."""

from msgspec import structs

from collector.alerting.notice import Silence


class FakeSilenceBook:
    """Keeps silences in a dict."""

    def __init__(self) -> None:
        self._silences: dict[int, Silence] = {}

    def add_silence(self, silence: Silence) -> Silence:
        kept = structs.replace(silence, number=len(self._silences) + 1)
        self._silences[kept.number] = kept
        return kept

    def silences(self, *, at_ms: int | None = None, limit: int = 100) -> list[Silence]:
        return [
            silence
            for silence in reversed(self._silences.values())
            if at_ms is None
            or (
                silence.start_ms <= at_ms < silence.end_ms
                and (silence.ended_ms is None or at_ms < silence.ended_ms)
            )
        ][:limit]

    def expire_silence(self, number: int, at_ms: int) -> Silence | None:
        silence = self._silences.get(number)
        if silence is not None and silence.ended_ms is None:
            silence = self._silences[number] = structs.replace(silence, ended_ms=at_ms)
        return silence
