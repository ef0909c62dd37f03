"""A `FindingBook` in memory, held to the same contract as the real one."""

from collections.abc import Sequence

from collector.findings import Finding


class FakeFindingBook:
    """Keeps each day's list."""

    def __init__(self) -> None:
        self._days: dict[int, list[Finding]] = {}

    def replace_findings(self, day_ms: int, findings: Sequence[Finding]) -> None:
        self._days[day_ms] = list(findings)

    def findings(self, start_ms: int, end_ms: int, institution: str | None = None) -> list[Finding]:
        found = [
            finding
            for day_ms, of_day in self._days.items()
            if start_ms <= day_ms < end_ms
            for finding in of_day
            if institution in (None, finding.institution)
        ]
        return sorted(found, key=lambda f: (f.day_ms, f.institution, f.kind, f.meter))
