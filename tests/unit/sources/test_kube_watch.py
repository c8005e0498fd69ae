"""An API server is followed: lists, watches, and what comes between them."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
from apiserver import FakeApiServer, Fault
from cluster_seen import Follow, SeenCluster, is_followed, services
from figures import Timed
from kube_objects import node, pod, service, slice_of
from real_apiserver import ApiUnderTest

from srv6kv.kube import parse
from srv6kv.sources import apiwatch, bodies
from srv6kv.sources.api import ApiServer

pytestmark = pytest.mark.usefixtures("quick")
ALL = len([resource for resource in bodies.resources("n") if resource.kind in parse.KINDS])
EXPIRED = {"type": "ERROR", "object": {"kind": "Status", "code": 410, "message": "too old"}}


def test_first_list_is_complete(any_api: ApiUnderTest, follow: Follow) -> None:
    """What is told first has all objects of all resources."""
    any_api.apply(node("first"), slice_of("first", []), *services("first"))
    seen = follow(any_api)
    seen.wait(lambda: bool(seen.objects))

    assert seen.listed == 1
    assert {
        ("Service", "default", "first"),
        ("EndpointSlice", "default", "first-1"),
        ("Node", "", "first"),
    } <= seen.objects.keys()


def test_changes(any_api: ApiUnderTest, follow: Follow, timed: Timed) -> None:
    """What is created, changed and deleted is reported."""
    seen = follow(any_api)
    seen.wait(lambda: seen.listed > 0)
    (one,) = services("changes")
    any_api.apply(one)
    spent = [seen.wait(lambda: "changes" in seen.names())]
    any_api.apply({**one, "metadata": {**one["metadata"], "annotations": {"a": "b"}}})
    key = ("Service", "default", "changes")
    spent.append(seen.wait(lambda: "annotations" in seen.objects[key]["metadata"]))
    any_api.remove(one)
    spent.append(seen.wait(lambda: "changes" not in seen.names()))
    timed("a change of the API server is reported", max(spent), 1.0)


def test_foreign_services(any_api: ApiUnderTest, follow: Follow) -> None:
    """A service that gets another proxy's label is gone, and comes back with its removal; slices
    of headless services are never sent."""
    seen = follow(any_api)
    headless = {"service.kubernetes.io/headless": ""}
    any_api.apply(*services("foreign"), slice_of("headless", [], labels=headless))
    seen.wait(lambda: "foreign" in seen.names())
    any_api.apply(service("foreign", labels={parse.PROXY_NAME: "other"}))
    seen.wait(lambda: "foreign" not in seen.names())
    any_api.apply(*services("foreign"))
    seen.wait(lambda: "foreign" in seen.names())

    assert "headless-1" not in seen.names("EndpointSlice")


def test_requests(api: FakeApiServer, follow: Follow) -> None:
    """The server is asked for what is needed and no more: selectors, pages, bookmarks."""
    seen = follow(api)
    api.wait_for_request("watch", "services", 1)
    api.wait_for_request("watch", "endpointslices", 1)
    (listed,) = api.came("list", "endpointslices")
    (watched,) = api.came("watch", "endpointslices")
    seen.wait(lambda: seen.listed > 0)

    assert listed.query == {
        "labelSelector": f"!{parse.HEADLESS}",
        "limit": "500",
    }
    assert watched.query["labelSelector"] == listed.query["labelSelector"]
    assert watched.query["allowWatchBookmarks"] == "true"
    assert int(watched.query["resourceVersion"]) == api.store.version
    assert api.came("list", "services")[0].query["labelSelector"] == f"!{parse.PROXY_NAME}"
    assert "labelSelector" not in api.came("list", "nodes")[0].query


def test_own_pods(api: FakeApiServer, tmp_path: Path) -> None:
    """Of pods the server is asked only for those of the own node."""
    api.apply(pod("here", "node1"), pod("there", "node2"))
    (pods,) = (one for one in bodies.resources("node1") if one.kind == "Pod")
    found = apiwatch.complete_list(ApiServer(api.kubeconfig), pods, lambda _answer: None)

    assert found.items.keys() == {("Pod", "default", "here")}


def test_pages(api: FakeApiServer, follow: Follow) -> None:
    """A long list comes in pages."""
    api.apply(*services(*(f"s{index}" for index in range(1101))))
    seen = follow(api)
    seen.wait(lambda: seen.listed > 0)

    assert len(seen.names()) == 1101
    assert [one.query.get("limit") for one in api.came("list", "services")] == ["500"] * 3


def test_pages_too_old(api: FakeApiServer, follow: Follow) -> None:
    """If a page comes too late, the list is asked for anew, at once as a whole; nothing is told of
    the half."""
    api.apply(*services(*(f"s{index}" for index in range(501))))
    api.harm("list", "services", Fault(times=0))
    real, pages = api.fault_of, []

    def forget(verb: str, plural: str) -> Fault | None:
        if (verb, plural) == ("list", "services"):
            pages.append(1)
            if len(pages) == 2:
                api.apply(*services("late"))
                api.store.compact()
        return real(verb, plural)

    api.fault_of = forget  # type: ignore[method-assign]
    seen = follow(api)
    seen.wait(lambda: seen.listed > 0)

    assert len(seen.names()) == 502
    assert [one.query.get("limit") for one in api.came("list", "services")] == ["500", "500", None]


def test_cut_watches(api: FakeApiServer, follow: Follow) -> None:
    """A watch that breaks off anywhere resumes where it was: nothing is lost, nothing is listed."""
    api.chunk_bytes = 7
    seen = follow(api)
    seen.wait(lambda: seen.listed > 0)
    api.wait_for_request("watch", "services", 1)
    for number, cut in enumerate((1, 40, 200)):
        api.harm("watch", "services", Fault(cut=cut, times=1))
        api.cut()
        is_followed(api, seen, f"cut{number}")

    assert len(api.came("list")) == ALL
    assert seen.gone == []


@pytest.mark.parametrize(
    "fault",
    [
        Fault(status=410, times=1),
        Fault(line=lambda _line: json.dumps(EXPIRED).encode() + b"\n", times=1),
    ],
    ids=["410", "error event"],
)
def test_too_old(api: FakeApiServer, follow: Follow, fault: Fault) -> None:
    """A watch that cannot resume is a new list, soon; only what is gone is told to be gone."""
    api.apply(*services("stays", "goes"))
    seen = follow(api)
    seen.wait(lambda: seen.listed > 0)
    api.wait_for_request("watch", "services", 1)
    api.harm("watch", "services", fault)
    api.stop()
    api.remove(service("goes"))
    api.start()
    api.apply(*services("comes"))
    seen.wait(lambda: seen.names() == {"stays", "comes"})

    assert seen.gone == [("Service", "default", "goes")]


def test_history_forgotten(any_api: ApiUnderTest, follow: Follow) -> None:
    """A server that restarts without its history is followed on."""
    any_api.apply(*services("forgotten", "kept"))
    seen = follow(any_api)
    seen.wait(lambda: {"forgotten", "kept"} <= seen.names())
    any_api.remove(service("forgotten"))
    any_api.forget_history()
    any_api.apply(*services("new"))
    seen.wait(lambda: "new" in seen.names() and "forgotten" not in seen.names(), 40)

    assert set(seen.gone) == {("Service", "default", "forgotten")}


def test_bookmarks_move_the_version(api: FakeApiServer, follow: Follow) -> None:
    """After a bookmark a watch resumes from it, so that a quiet one does not get too old."""
    api.bookmark_seconds = 0.1
    seen = follow(api)
    seen.wait(lambda: seen.listed > 0)
    api.wait_for_request("watch", "services", 1)
    for index in range(10):
        api.apply(node(f"other{index}"))
    seen.wait(lambda: "other9" in seen.names("Node"))
    seen.follow(0.5)
    version = api.store.version
    api.cut()
    api.wait_for_request("watch", "services", 2)

    assert int(api.came("watch", "services")[-1].query["resourceVersion"]) == version


def test_stop(api: FakeApiServer, no_thread_is_left: None, timed: Timed) -> None:
    """The threads of a source end with it, while its watches go on."""
    with SeenCluster(api.kubeconfig) as seen:
        seen.wait(lambda: seen.listed > 0)
        for plural in ("services", "endpointslices", "nodes"):
            api.wait_for_request("watch", plural, 1)
        started = time.monotonic()
    timed("the end of a source", time.monotonic() - started, 1.0)
