"""What is counted, and that docs/telemetry.md says what it means."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from srv6kv.errors import Unavailable
from srv6kv.etcd.values import KeyValue
from srv6kv.kube.model import Ref
from srv6kv.notes import Kind, Note, Reason, Subject
from srv6kv.telemetry.figures import change_of_models, models_of, service_states
from srv6kv.telemetry.health import is_ready
from srv6kv.telemetry.metrics import Telemetry, add, show
from srv6kv.telemetry.progress import Progress
from srv6kv.txn.transaction import FullKey, Operation, Transaction

DOCUMENT = (Path(__file__).parents[2] / "docs" / "telemetry.md").read_text()
TABLE = re.findall(r"^\| `(srv6kv_\w+)(?:\{([\w,]+)\})?` \| (\w+) \|", DOCUMENT, re.MULTILINE)
PREFIX = "/vnf-agent/n/"


def shown(telemetry: Telemetry) -> dict[str, str]:
    """Name, as it is scraped, to type of every metric."""
    return {
        metric.name + ("_total" if metric.type == "counter" else ""): metric.type
        for metric in telemetry.registry.collect()
    }


def test_every_metric_is_documented() -> None:
    """docs/telemetry.md names every metric that there is with its type, and no other."""
    documented = {name: kind for name, _, kind in TABLE}
    ours = {name: kind for name, kind in shown(Telemetry()).items() if name.startswith("srv6kv_")}

    assert documented == ours


def test_every_label_is_documented() -> None:
    """docs/telemetry.md names the labels of every metric, and none is of a single service."""
    telemetry = Telemetry()
    telemetry.sync_duration.labels("full").observe(1.0)
    telemetry.sync_failures.labels("read").inc()
    add(telemetry.policy_updates, {"grow": 1})
    add(telemetry.etcd_ops, {"put": 1, "delete": 1})
    add(telemetry.repairs, {"rewrite": 1})
    show(telemetry.keys, models_of([], PREFIX))
    show(telemetry.services, service_states(set(), [], []))
    show(telemetry.warnings, {"Malformed": 1})
    show(telemetry.agent_keys, {"CONFIGURED": 1})
    found = {
        metric.name: ",".join(name for name in sample.labels if name != "le")
        for metric in telemetry.registry.collect()
        for sample in metric.samples
        if metric.name.startswith("srv6kv_")
    }

    assert found == {name.removesuffix("_total"): labels for name, labels, _ in TABLE}


def test_the_metrics_of_the_process_are_documented() -> None:
    """docs/telemetry.md names what is told about the process."""
    others = [name for name in shown(Telemetry()) if not name.startswith("srv6kv_")]

    assert "process_resident_memory_bytes" in others
    assert [name for name in others if f"`{name}`" not in DOCUMENT] == []


def test_log_lines_are_documented() -> None:
    """docs/telemetry.md names every decision that progress tells of."""
    text = (Path(__file__).parents[2] / "srv6kv" / "telemetry/progress.py").read_text()
    names = set(re.findall(r'(?:WARNING|INFO|DEBUG|level), "([a-z ]+)"', text))
    names |= set(re.findall(r'logging\.INFO,\s+"([a-z ]+)"', text))

    assert {"sync", "warning", "etcd", "standby"} <= names
    assert [name for name in sorted(names) if f"`{name}`" not in DOCUMENT] == []


def test_two_controllers_do_not_count_into_one_another() -> None:
    """Each telemetry has metrics of its own."""
    one, other = Telemetry(), Telemetry()
    add(one.etcd_ops, {"put": 2, "delete": 1})

    assert one.registry.get_sample_value("srv6kv_etcd_ops_total", {"op": "put"}) == 2
    assert other.registry.get_sample_value("srv6kv_etcd_ops_total", {"op": "put"}) is None


def test_notes_by_reason() -> None:
    """The gauge follows the warnings that hold, and a reason without any is absent."""
    progress = Progress()
    registry = progress.telemetry.registry
    both = {
        Note(Subject(Kind.SERVICE, Ref("a", "b")), Reason.ADDRESS_DENIED, "x"),
        Note(Subject(Kind.SERVICE, Ref("a", "c")), Reason.ADDRESS_DENIED, "x"),
    }
    progress.notes(both | {Note(Subject(Kind.NODE, "n"), Reason.NODE_UNKNOWN, "x")})

    assert registry.get_sample_value("srv6kv_warnings", {"reason": "AddressDenied"}) == 2
    assert registry.get_sample_value("srv6kv_warnings", {"reason": "NodeUnknown"}) == 1

    progress.notes({Note(Subject(Kind.SERVICE, Ref("a", "c")), Reason.ADDRESS_DENIED, "x")})

    assert registry.get_sample_value("srv6kv_warnings", {"reason": "AddressDenied"}) == 1
    assert registry.get_sample_value("srv6kv_warnings", {"reason": "NodeUnknown"}) is None
    assert progress.state.warnings == {"AddressDenied": 1}


def test_services_by_state() -> None:
    """Each service is counted once, by whether it is steered and whether there is a note."""
    known = {Ref("d", name) for name in "abcdef"}
    steered = [Ref("d", "a"), Ref("d", "a"), Ref("d", "b"), Ref("d", "c")]
    notes = [
        Note(Subject(Kind.SERVICE, Ref("d", "b")), Reason.ADDRESS_DENIED, "x"),
        Note(Subject(Kind.SERVICE, Ref("d", "b")), Reason.NODE_UNKNOWN, "x"),
        Note(Subject(Kind.SERVICE, Ref("d", "d")), Reason.ADDRESS_DENIED, "x"),
        Note(Subject(Kind.SERVICE, Ref("d", "unknown")), Reason.MALFORMED, "x"),
        Note(Subject(Kind.ENDPOINT, "2001::1"), Reason.ADDRESS_DENIED, "x"),
    ]

    assert service_states(known, steered, notes) == {
        "rendered": 2,
        "degraded": 1,
        "denied": 1,
        "skipped": 2,
    }


def test_keys_by_model() -> None:
    """What transactions change adds up to what is there."""
    first = [
        ("config/vpp/srv6/v2/localsid/1::", 0),
        ("config/vpp/srv6/v2/policy/2::", 0),
        ("config/vpp/v2/route/vrf/0/dst/1::/128/gw/::", 0),
        ("config/something/else", 0),
    ]
    put = Transaction(tuple(Operation(FullKey(PREFIX + key), b"{}", guard) for key, guard in first))
    change = Transaction(
        (
            Operation(FullKey(PREFIX + first[0][0]), b"{ }", 7),
            Operation(FullKey(PREFIX + first[1][0]), None, 7),
            Operation(FullKey(PREFIX + "config/vpp/srv6/v2/policy/3::"), b"{}", 0),
            Operation(FullKey(PREFIX + first[2][0]), None, 7),
        )
    )
    there = [first[0][0], "config/vpp/srv6/v2/policy/3::", "config/something/else"]
    total = models_of([], PREFIX)
    total.update(change_of_models(put, PREFIX))
    total.update(change_of_models(change, PREFIX))

    assert total == models_of((PREFIX + key for key in there), PREFIX)
    assert total["localsid"] == total["policy"] == total["other"] == 1
    assert total["route"] == 0


@pytest.mark.parametrize(("ago", "seen"), [(5.0, 1.0), (-5.0, 0.0)])
def test_a_trigger_before_the_start_is_not_measured(ago: float, seen: float) -> None:
    """A change that was triggered before the start says nothing about us."""
    from clusters import settings

    from srv6kv.sync.reconciler import Reconciler

    progress = Progress()
    reconciler = Reconciler(settings("seed"), "node1", "n")
    reconciler.reset([KeyValue(FullKey(PREFIX + "config/x"), b"{}", 1)])
    progress.began -= 10
    when = progress.began + ago
    progress.synced(reconciler.plan(), 0.0, 1, [when], is_full=True)
    name = "srv6kv_network_programming_duration_seconds_count"

    assert progress.telemetry.registry.get_sample_value(name) == seen


def test_nothing_waits_before_the_cluster_is_there() -> None:
    """What changes before the first complete list does not make the process unhealthy."""
    progress = Progress()
    progress.queued()

    assert progress.state.waits_since is None

    progress.cluster(is_node_eligible=True)

    assert progress.state.waits_since is not None


def test_who_stands_by_stays_ready() -> None:
    """An outage of etcd does not take back that somebody else writes; nothing waits for us then."""
    progress = Progress()
    progress.cluster(is_node_eligible=True)
    progress.become_standby("other", "n")

    assert progress.state.waits_since is None

    progress.failed(Unavailable("away"))

    assert is_ready(progress.state)
    assert progress.state.trouble == "away"

    progress.writes(True)

    assert not is_ready(progress.state)
