"""The metrics of one controller (docs/telemetry.md), in a registry of its own.

Rule: nothing here follows the number of services: no label names one.
"""

from __future__ import annotations

import platform
from collections.abc import Collection, Mapping
from functools import partial

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector

from srv6kv import __version__
from srv6kv.agent.needs import Means

TXN_BUCKETS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
SYNC_BUCKETS = (*TXN_BUCKETS, 10.0, 20.0, 60.0)
PROGRAMMING_BUCKETS = (0.25, 0.5, *range(1, 60), *range(60, 120, 5), *range(120, 301, 30))
"""Those of kube-proxy, so that its dashboards fit."""


class Telemetry:
    """What is counted and measured, each metric under its name; safe to use from several threads.

    Attributes:
        registry: what ``/metrics`` shows.
    """

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self._make_histograms()
        self._make_counters()
        self._make_gauges()

    def _make_histograms(self) -> None:
        histogram = partial(Histogram, namespace="srv6kv", registry=self.registry)
        self.sync_duration = histogram(
            "sync_duration_seconds",
            "From planning to the last answer of etcd.",
            ["kind"],
            buckets=SYNC_BUCKETS,
        )
        self.network_programming_duration = histogram(
            "network_programming_duration_seconds",
            "From the trigger time of an EndpointSlice to the commit that contains its change.",
            buckets=PROGRAMMING_BUCKETS,
        )
        self.etcd_txn_duration = histogram(
            "etcd_txn_duration_seconds",
            "Time until etcd has answered a transaction, or has not.",
            buckets=TXN_BUCKETS,
        )

    def _make_counters(self) -> None:
        counter = partial(Counter, namespace="srv6kv", registry=self.registry)
        self.sync_noop = counter("sync_noop", "Syncs that had nothing to write.")
        self.sync_failures = counter("sync_failures", "Sessions and tries that ended.", ["stage"])
        self.policy_updates = counter(
            "policy_updates", "Policies written or deleted, by what happened to them.", ["effect"]
        )
        self.etcd_ops = counter("etcd_ops", "Operations committed.", ["op"])
        self.etcd_txn_conflicts = counter(
            "etcd_txn_conflicts", "Transactions that etcd refused because a guard did not hold."
        )
        self.full_comparisons = counter(
            "full_comparisons", "Times that everything in etcd was read once more and compared."
        )
        self.unreported_changes = counter(
            "unreported_changes", "Changes in etcd that no watch has reported."
        )
        self.repairs = counter("repairs", "Repairs that run has made by itself.", ["means"])
        self.foreign_edits = counter("foreign_edits", "Changes of our keys by another writer.")

    def _make_gauges(self) -> None:
        gauge = partial(Gauge, namespace="srv6kv", registry=self.registry)
        info = gauge("build_info", "1; the versions are labels.", ["version", "python"])
        info.labels(__version__, platform.python_version()).set(1)
        self.sync_last_timestamp = gauge(
            "sync_last_timestamp_seconds", "When etcd was last found or brought in sync."
        )
        self.sync_last_queued_timestamp = gauge(
            "sync_last_queued_timestamp_seconds", "When a change was last taken in."
        )
        self.services = gauge("services", "Services known, by what became of them.", ["state"])
        self.keys = gauge("keys", "Keys of ours in etcd.", ["model"])
        self.warnings = gauge("warnings", "Warnings that hold now.", ["reason"])
        self.agent_keys = gauge(
            "agent_keys", "Keys of ours in etcd, by the state that the agent says.", ["state"]
        )
        self.repair_needed = gauge("repair_needed", "1 while repair is needed, else 0.", ["means"])
        self.show_repair(())
        self.agent_lost_vpp = gauge(
            "agent_lost_vpp", "1 while the agent has lost VPP and does not connect again, else 0."
        )
        self.is_writer = gauge("is_writer", "1 while the writer key is ours, else 0.")

    def show_repair(self, needed: Collection[str]) -> None:
        """Set the means of repair that are needed to 1, all others to 0."""
        show(self.repair_needed, {means: means in needed for means in Means})


def show(gauge: Gauge, numbers: Mapping[str, int]) -> None:
    """Set a gauge for these values of its label; other values keep what they have."""
    for label, number in numbers.items():
        gauge.labels(label).set(number)


def add(counter: Counter, numbers: Mapping[str, int]) -> None:
    """Count so many for these values of a counter's label."""
    for label, number in numbers.items():
        counter.labels(label).inc(number)
