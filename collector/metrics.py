"""Metrics: what the collector counts, for Prometheus and for the status.

Names follow Prometheus's conventions; reasons are the enums' words.
"""

from collections import deque

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

_PREFIX = "nenghao_collector"
_NEWEST = 50_000


class Metrics:
    """One process's counts, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.stored = self._counter("stored_values", "Values that became durable in the store")
        self.duplicates = self._counter("duplicate_values", "Values that were stored already")
        self.repeated = self._counter("repeated_batches", "Deliveries skipped, stored to the byte")
        self.forks = self._counter("forks", "Batches whose sequence was stored with other bytes")
        self.commits = self._counter("commits", "Commits published")
        self.lost_batches = self._counter("lost_batches", "Batches that gateways dropped unstored")
        self.foreign_topics = self._counter("foreign_topics", "Deliveries on topics not of ours")
        self.unreadable_states = self._counter(
            "unreadable_states", "States, and words about a link, that made no sense"
        )
        self._rejected = self._counter("rejected_values", "Values a gate rejected", "reason")
        self._suspect = self._counter(
            "suspect_values", "Values that live alerts did not see", "reason"
        )
        self._quarantined = self._counter("quarantined", "Deliveries set aside", "reason")
        self._alerts = self._counter("alert_transitions", "Alert transitions", "state")
        self._job_runs = self._counter("job_runs", "Runs of jobs that ended", "job", "outcome")
        self.latency = Latency(self.registry)
        self.inbox = Gauge(
            f"{_PREFIX}_inbox_deliveries", "Deliveries waiting", registry=self.registry
        )

    def _counter(self, name: str, help_text: str, *labels: str) -> Counter:
        return Counter(f"{_PREFIX}_{name}", help_text, labels, registry=self.registry)

    def rejected(self, reason: str) -> None:
        self._rejected.labels(reason).inc()

    def suspected(self, reason: str) -> None:
        self._suspect.labels(reason).inc()

    def quarantined(self, reason: str) -> None:
        self._quarantined.labels(reason).inc()

    def alerted(self, state: str) -> None:
        self._alerts.labels(state).inc()

    def ran(self, job: str, outcome: str) -> None:
        self._job_runs.labels(job, outcome).inc()

    def counts(self) -> dict[str, float]:
        """Every count by its name (and label), without the prefix; for the status and the demo."""
        return {
            _name(sample.name, sample.labels): sample.value
            for metric in self.registry.collect()
            for sample in metric.samples
            if not sample.name.endswith("_created")
        }


class Latency:
    """From the meter's answer to the durable store, in real seconds; exact for the newest."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._newest: deque[float] = deque(maxlen=_NEWEST)
        self._histogram = Histogram(
            f"{_PREFIX}_latency_seconds",
            "From the meter's answer to the durable store",
            buckets=(0.1, 0.25, 0.5, 1, 2, 5, 15, 60, 900, 86_400),
            registry=registry,
        )

    def observe(self, seconds: float) -> None:
        self._newest.append(seconds)
        self._histogram.observe(seconds)

    def quantiles_ms(self, *shares: float) -> tuple[float, ...]:
        """Of the newest readings; 0 where nothing was observed."""
        ordered = sorted(self._newest)
        if not ordered:
            return tuple(0.0 for _ in shares)
        last = len(ordered) - 1
        return tuple(round(ordered[round(share * last)] * 1000, 1) for share in shares)


def _name(name: str, labels: dict[str, str]) -> str:
    short = name.removeprefix(f"{_PREFIX}_").removesuffix("_total")
    return "/".join((short, *labels.values()))
