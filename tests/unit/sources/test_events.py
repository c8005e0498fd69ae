"""Events about the own Node in the API server."""

from __future__ import annotations

from apiserver import FakeApiServer

from srv6kv.sources.api import ApiServer
from srv6kv.sources.events import MOST_TEXT, NodeEvents


def test_an_event_is_created(api: FakeApiServer) -> None:
    """It is about the Node, in the namespace in which the kubelet's are, and its text fits."""
    events = NodeEvents(ApiServer(api.kubeconfig), "node1")
    events.warn("Repaired", "VPP has restarted" + "x" * 5000).join()
    (event,) = api.store.now("events").values()

    assert event["involvedObject"] == {"kind": "Node", "name": "node1", "uid": "node1"}
    assert event["metadata"]["namespace"] == "default"
    assert (event["type"], event["reason"]) == ("Warning", "Repaired")
    assert event["message"].startswith("VPP has restarted")
    assert len(event["message"]) == MOST_TEXT
    assert event["firstTimestamp"].startswith("20")


def test_two_events_have_two_names(api: FakeApiServer) -> None:
    """One does not replace the other."""
    events = NodeEvents(ApiServer(api.kubeconfig), "node1")
    for _ in range(2):
        events.warn("Repaired", "VPP has restarted").join()

    assert len(api.store.now("events")) == 2


def test_who_may_not_create_them_goes_on(api: FakeApiServer) -> None:
    """A refusal is not reported, and nothing waits for it."""
    api.forbidden = {"events"}
    events = NodeEvents(ApiServer(api.kubeconfig), "node1")
    events.warn("Repaired", "VPP has restarted").join()

    assert [one.plural for one in api.requests] == ["events"]
    assert api.store.now("events") == {}
