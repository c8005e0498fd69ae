"""When changes of slices were triggered, and which of them count."""

from __future__ import annotations

from typing import Any

import pytest
from clusters import Json, endpoint, endpoint_slice, identity, node, settings

from srv6kv.cluster.cluster import Dirt
from srv6kv.cluster.intake import MOST_TIMES, Triggers, unix_time
from srv6kv.kube.model import Ref
from srv6kv.kube.parse import TRIGGERED
from srv6kv.sync.reconciler import Reconciler


def annotated(when: str, pod: str = "2001:0:0:2::5") -> Json:
    """A slice of one endpoint whose change was triggered then."""
    body = endpoint_slice("web", [endpoint(pod, "node2")])
    body["metadata"]["annotations"] = {TRIGGERED: when}
    return body


def at(second: int) -> str:
    """A time as Go writes it, in nanoseconds."""
    return f"2026-11-22T10:00:{second:02d}.123456789Z"


@pytest.fixture
def reconciler() -> Reconciler:
    """A node's state with nothing in it."""
    return Reconciler(settings("seed"), "node1", "n")


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1970-01-01T00:00:01Z", 1.0),
        ("1970-01-01T00:00:01.5Z", 1.5),
        ("1970-01-01T00:00:01.123456789Z", 1.123456),
        ("1970-01-01T01:00:01+01:00", 1.0),
        ("1970-01-01T00:00:01", None),
        ("1970-01-01", None),
        ("now", None),
        ("", None),
        ("9999-99-99T00:00:00Z", None),
        ("0001-01-01T00:00:00Z", -62135596800.0),
    ],
)
def test_times(text: str, seconds: float | None) -> None:
    """A time with its zone counts, with a fraction of any length; nothing else does."""
    assert unix_time(text) == seconds


def test_only_changes_count(reconciler: Reconciler) -> None:
    """A slice counts each time that it changes, but not if its annotation is all that differs."""
    take, intake = reconciler.intake.apply, reconciler.intake
    take(identity(annotated(at(1))), annotated(at(1)))
    take(identity(annotated(at(2))), annotated(at(2)))

    assert intake.triggers.drain() == [unix_time(at(1))]

    reconciler.plan()
    take(identity(annotated(at(3))), annotated(at(3)))

    assert reconciler.cluster.dirt == Dirt()
    assert intake.triggers.drain() == []

    other = "2001:0:0:2::6"
    take(identity(annotated(at(4), other)), annotated(at(4), other))
    take(identity(annotated(at(5))), annotated(at(5)))

    assert intake.triggers.drain() == [unix_time(at(4)), unix_time(at(5))]
    assert intake.triggers.drain() == []


def test_a_malformed_time_is_no_error(reconciler: Reconciler) -> None:
    """A slice with a time that is none is used all the same, without a note."""
    body = annotated("soon")
    reconciler.intake.apply(identity(body), body)

    assert list(reconciler.intake.notes()) == []
    assert reconciler.cluster.slices
    assert reconciler.intake.triggers.drain() == []


def test_a_slice_that_goes_takes_its_times_along(reconciler: Reconciler) -> None:
    """What waits when a slice is deleted is not measured."""
    body = annotated(at(1))
    reconciler.intake.apply(identity(body), body)
    reconciler.intake.apply(identity(body), None)

    assert reconciler.intake.triggers.drain() == []


def test_times_do_not_pile_up() -> None:
    """However long nothing can be written, only so many times are kept."""
    triggers = Triggers()
    for number in range(MOST_TIMES + 10):
        triggers.add(Ref("d", f"s{number % 7}"), at(1))

    assert len(triggers.drain()) == MOST_TIMES

    triggers.add(Ref("d", "s"), at(2))

    assert triggers.drain() == [unix_time(at(2))]


@pytest.mark.parametrize(
    ("change", "eligible"),
    [
        ({}, True),
        ({"spec": {"taints": [{"key": "other", "effect": "NoSchedule"}]}}, True),
        ({"spec": {"taints": [{"key": "ToBeDeletedByClusterAutoscaler"}]}}, False),
        ({"metadata": {"deletionTimestamp": "2026-11-22T10:00:00Z"}}, False),
        (None, False),
    ],
)
def test_own_node(reconciler: Reconciler, change: Json | None, eligible: bool) -> None:
    """The own Node gets no traffic before it was seen, if it is marked as going, or is gone."""
    body: dict[str, Any] = node(1)
    reconciler.intake.apply(identity(node(2)), node(2))

    assert not reconciler.own_node.is_eligible

    reconciler.intake.apply(identity(body), body)

    assert reconciler.own_node.is_eligible

    if change is not None:
        marked = {**body, **{name: {**body[name], **more} for name, more in change.items()}}
        reconciler.intake.apply(identity(body), marked)
    else:
        reconciler.intake.apply(identity(body), None)

    assert reconciler.own_node.is_eligible is eligible
