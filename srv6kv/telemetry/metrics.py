"""The metrics of one controller (docs/telemetry.md), in a registry of its own.

Rule: nothing here follows the number of services: no label names one.
"""

from __future__ import annotations

import platform
from collections import Counter as Tally
from collections.abc import Collection, Iterable, Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector

from srv6kv import __version__
from srv6kv.agent.needs import Means

TXN_BUCKETS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
SYNC_BUCKETS = (*TXN_BUCKETS, 10.0, 20.0, 60.0)
PROGRAMMING_BUCKETS = (0.25, 0.5, *range(1, 60), *range(60, 120, 5), *range(120, 301, 30))
"""Those of kube-proxy, so that its dashboards fit."""


class Telemetry:
    """What is counted and measured; safe to use from several threads.

    Attributes:
        registry: what ``/metrics`` shows.
    """

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self._make_sync_metrics()
        self._make_etcd_metrics()
        self._make_state_metrics()

    def _make_sync_metrics(self) -> None:
        self._sync_seconds = Histogram(
            "srv6kv_sync_duration_seconds",
            "From planning to the last answer of etcd.",
            ["kind"],
            buckets=SYNC_BUCKETS,
            registry=self.registry,
        )
        self._programming = Histogram(
            "srv6kv_network_programming_duration_seconds",
            "From the trigger time of an EndpointSlice to the commit that contains its change.",
            buckets=PROGRAMMING_BUCKETS,
            registry=self.registry,
        )
        self._last_sync = self._gauge(
            "sync_last_timestamp_seconds", "When etcd was last found or brought in sync."
        )
        self._last_queued = self._gauge(
            "sync_last_queued_timestamp_seconds", "When a change was last taken in."
        )
        self._noops = self._counter("sync_noop", "Syncs that had nothing to write.")
        self._failures = self._counter("sync_failures", "Sessions and tries that ended.", "stage")
        self._policies = self._counter(
            "policy_updates", "Policies written or deleted, by what happened to them.", "effect"
        )

    def _make_etcd_metrics(self) -> None:
        self._ops = self._counter("etcd_ops", "Operations committed.", "op")
        self._txn_seconds = Histogram(
            "srv6kv_etcd_txn_duration_seconds",
            "Time until etcd has answered a transaction, or has not.",
            buckets=TXN_BUCKETS,
            registry=self.registry,
        )
        self._conflicts = self._counter(
            "etcd_txn_conflicts", "Transactions that etcd refused because a guard did not hold."
        )
        self._comparisons = self._counter(
            "full_comparisons", "Times that everything in etcd was read once more and compared."
        )
        self._unreported = self._counter(
            "unreported_changes", "Changes in etcd that no watch has reported."
        )
        self._foreign_edits = self._counter(
            "foreign_edits", "Changes of our keys by another writer."
        )

    def _make_state_metrics(self) -> None:
        info = self._gauge("build_info", "1; the versions are labels.", "version", "python")
        info.labels(__version__, platform.python_version()).set(1)
        self._services = self._gauge("services", "Services known, by what became of them.", "state")
        self._keys = self._gauge("keys", "Keys of ours in etcd.", "model")
        self._warnings = self._gauge("warnings", "Warnings that hold now.", "reason")
        self._agent_keys = self._gauge(
            "agent_keys", "Keys of ours in etcd, by the state that the agent says.", "state"
        )
        self._repair = self._gauge("repair_needed", "1 while repair is needed, else 0.", "means")
        self.show_agent({}, ())
        self._is_writer = self._gauge("is_writer", "1 while the writer key is ours, else 0.")

    def _gauge(self, name: str, text: str, *labels: str) -> Gauge:
        return Gauge(f"srv6kv_{name}", text, labels, registry=self.registry)

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(f"srv6kv_{name}", text, labels, registry=self.registry)

    def queued(self, when: float) -> None:
        """A change was taken in at that Unix time."""
        self._last_queued.set(when)

    def synced(self, when: float, seconds: float, *, is_full: bool, has_written: bool) -> None:
        """Desired and actual are equal since that Unix time; it took so many seconds."""
        self._sync_seconds.labels("full" if is_full else "partial").observe(seconds)
        self._last_sync.set(when)
        if not has_written:
            self._noops.inc()

    def programmed(self, seconds: Iterable[float]) -> None:
        """Changes are in etcd so many seconds after what triggered them."""
        for one in seconds:
            self._programming.observe(one)

    def failed(self, stage: str) -> None:
        """A session, or the try to begin one, ended with an error."""
        self._failures.labels(stage).inc()

    def policies_changed(self, effects: Mapping[str, int]) -> None:
        """So many policies were created, grew, shrank, were replaced or removed."""
        for effect, number in effects.items():
            self._policies.labels(effect).inc(number)

    def answered(self, seconds: float, *, is_conflict: bool = False) -> None:
        """A transaction was tried."""
        self._txn_seconds.observe(seconds)
        if is_conflict:
            self._conflicts.inc()

    def committed(self, puts: int, deletes: int) -> None:
        """A transaction was committed."""
        self._ops.labels("put").inc(puts)
        self._ops.labels("delete").inc(deletes)

    def compared(self, unreported: int) -> None:
        """Everything was read once more, and so many changes had not been reported."""
        self._comparisons.inc()
        self._unreported.inc(unreported)

    def edited(self, number: int) -> None:
        """Count changes of our keys by another writer."""
        self._foreign_edits.inc(number)

    def show_writer(self, is_writer: bool) -> None:
        """Whether the writer key is ours."""
        self._is_writer.set(is_writer)

    def show_keys(self, keys: Tally[str]) -> None:
        """How many keys of each model are in etcd."""
        for model, number in keys.items():
            self._keys.labels(model).set(number)

    def show_services(self, states: Mapping[str, int]) -> None:
        """How many services are in each state."""
        for state, number in states.items():
            self._services.labels(state).set(number)

    def show_warnings(self, reasons: Mapping[str, int]) -> None:
        """Set how many warnings hold by reason; a reason without any is absent."""
        self._warnings.clear()
        for reason, number in reasons.items():
            self._warnings.labels(reason).set(number)

    def show_agent(self, states: Mapping[str, int], needed: Collection[str]) -> None:
        """How many keys are in each state, nothing if there is none to be had; and the means of
        repair that are needed."""
        self._agent_keys.clear()
        for state, number in states.items():
            self._agent_keys.labels(state).set(number)
        for means in Means:
            self._repair.labels(means).set(means in needed)
