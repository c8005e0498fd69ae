"""The tests' API server does what Kubernetes does, in the eyes of its official Python client.

With ``KUBEBUILDER_ASSETS`` the same tests run against a real kube-apiserver.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from kube_objects import node, pod, service, slice_of
from kubernetes import client, config, watch
from kubernetes.client.exceptions import ApiException
from objectstore import Json
from real_apiserver import ApiUnderTest

_NUMBERS = itertools.count(1)
FOREIGN = "service.kubernetes.io/service-proxy-name"


@pytest.fixture
def core(any_api: ApiUnderTest) -> Iterator[Any]:
    """The official client."""
    configuration = client.Configuration()
    config.load_kube_config(str(any_api.kubeconfig), client_configuration=configuration)
    with client.ApiClient(configuration) as connection:
        yield client.CoreV1Api(connection)


@pytest.fixture
def mark() -> dict[str, str]:
    """A label that no other test uses."""
    return {"test": f"t{next(_NUMBERS)}"}


def selector(mark: dict[str, str]) -> str:
    """What selects the objects with that label."""
    return f"test={mark['test']}"


def services(mark: dict[str, str], number: int) -> list[Json]:
    """So many services."""
    return [service(f"{mark['test']}-{index}", labels=mark) for index in range(number)]


def names(found: Any) -> list[str]:
    """The names in a list."""
    return [item.metadata.name for item in found.items]


def events(
    listing: Callable[..., Any], version: str, seconds: int = 1, **more: Any
) -> list[tuple[str, str, int]]:
    """What a watch saw until it ended: type, name and version."""
    stream = watch.Watch().stream(
        listing, resource_version=version, timeout_seconds=seconds, **more
    )
    return [
        (event["type"], event["raw_object"]["metadata"].get("name", ""), int(version_of(event)))
        for event in stream
    ]


def version_of(event: Any) -> str:
    """The version of an event, also of a bookmark, which the client leaves as it came."""
    return str(event["raw_object"]["metadata"]["resourceVersion"])


def test_list(any_api: ApiUnderTest, core: Any, mark: dict[str, str]) -> None:
    """A list has all objects that its selectors choose, and a version that is at least theirs."""
    mine, foreign = services(mark, 2)
    foreign["metadata"]["labels"] = {**mark, FOREIGN: "other"}
    any_api.apply(mine, foreign)
    everything = core.list_service_for_all_namespaces(label_selector=selector(mark))
    chosen = core.list_service_for_all_namespaces(label_selector=f"{selector(mark)},!{FOREIGN}")

    assert names(everything) == [mine["metadata"]["name"], foreign["metadata"]["name"]]
    assert names(chosen) == [mine["metadata"]["name"]]
    assert int(everything.metadata.resource_version) >= max(
        int(item.metadata.resource_version) for item in everything.items
    )


def test_pods_of_a_node(any_api: ApiUnderTest, core: Any, mark: dict[str, str]) -> None:
    """A field selector chooses the pods of one node."""
    here, there = (f"{mark['test']}-{where}" for where in ("here", "there"))
    any_api.apply(node(here), node(there), pod(here, here), pod(there, there))

    assert names(core.list_pod_for_all_namespaces(field_selector=f"spec.nodeName={here}")) == [here]


def test_pages(any_api: ApiUnderTest, core: Any, mark: dict[str, str]) -> None:
    """Pages are one list at one version, whatever changes while they are read."""
    listed = services(mark, 5)
    any_api.apply(*listed)
    found, version, rest = [], set(), None
    while True:
        page = core.list_service_for_all_namespaces(
            label_selector=selector(mark), limit=2, _continue=rest
        )
        found += names(page)
        version.add(page.metadata.resource_version)
        rest = page.metadata._continue
        if not rest:
            break
        if len(found) == 2:
            any_api.remove(listed[4])
            any_api.apply(service(f"{mark['test']}-9", labels=mark))

    assert found == [one["metadata"]["name"] for one in listed]
    assert len(version) == 1


def test_watch(any_api: ApiUnderTest, core: Any, mark: dict[str, str]) -> None:
    """A watch from a list's version sees every later change in order, each with a higher one, and
    ends when it was asked to."""
    (one,) = services(mark, 1)
    before = core.list_service_for_all_namespaces(limit=1).metadata.resource_version
    any_api.apply(one)
    any_api.apply({**one, "metadata": {**one["metadata"], "annotations": {"a": "b"}}})
    any_api.remove(one)
    seen = events(core.list_service_for_all_namespaces, before, label_selector=selector(mark))

    assert [kind for kind, _, _ in seen] == ["ADDED", "MODIFIED", "DELETED"]
    assert int(before) < seen[0][2] < seen[1][2] < seen[2][2]


def test_watch_resumes(any_api: ApiUnderTest, core: Any, mark: dict[str, str]) -> None:
    """A watch from the version of an event sees what came after it, and nothing twice."""
    listing, first = core.list_service_for_all_namespaces, services(mark, 2)
    before = listing(limit=1).metadata.resource_version
    any_api.apply(*first)
    seen = events(listing, before, label_selector=selector(mark))
    again = events(listing, str(seen[0][2]), label_selector=selector(mark))

    assert again == seen[1:]


def test_selected_watch(any_api: ApiUnderTest, core: Any, mark: dict[str, str]) -> None:
    """For a watch with a selector an object that is not chosen any more is deleted, and added when
    it is chosen again."""
    (one,) = services(mark, 1)
    other = {**one, "metadata": {**one["metadata"], "labels": {**mark, FOREIGN: "other"}}}
    before = core.list_service_for_all_namespaces(limit=1).metadata.resource_version
    any_api.apply(one)
    any_api.apply(other)
    any_api.apply({**other, "metadata": {**other["metadata"], "annotations": {"a": "b"}}})
    any_api.apply(one)
    wanted = f"{selector(mark)},!{FOREIGN}"
    seen = events(core.list_service_for_all_namespaces, before, label_selector=wanted)

    assert [kind for kind, _, _ in seen] == ["ADDED", "DELETED", "ADDED"]
    assert seen == sorted(seen, key=lambda event: event[2])


@pytest.mark.parametrize("wants", [True, False], ids=["wanted", "not wanted"])
def test_bookmarks(any_api: ApiUnderTest, core: Any, mark: dict[str, str], wants: bool) -> None:
    """A watch that asks for bookmarks gets some when something has changed, the last one shortly
    before it ends; other watches get none."""
    listing = core.list_service_for_all_namespaces
    before = listing(limit=1).metadata.resource_version
    one, other = services(mark, 2)
    any_api.apply(one)
    stream = watch.Watch().stream(
        listing,
        resource_version=before,
        timeout_seconds=any_api.shortest_watch,
        allow_watch_bookmarks=wants,
        label_selector=selector(mark),
    )
    first = next(stream)
    any_api.apply(other)
    rest = [(event["type"], int(version_of(event))) for event in stream]

    assert (first["type"], rest[0][0]) == ("ADDED", "ADDED")
    assert {kind for kind, _ in rest[1:]} == ({"BOOKMARK"} if wants else set())
    assert rest == sorted(rest, key=lambda seen: seen[1])


def test_watch_without_version(any_api: ApiUnderTest, core: Any, mark: dict[str, str]) -> None:
    """A watch from nowhere begins with what is there."""
    any_api.apply(*services(mark, 2))
    seen = events(core.list_service_for_all_namespaces, "", label_selector=selector(mark))

    assert [kind for kind, _, _ in seen] == ["ADDED", "ADDED"]


def test_watch_from_the_future(any_api: ApiUnderTest, core: Any, mark: dict[str, str]) -> None:
    """A watch that begins at a version that is not reached yet sees nothing, no bookmark either."""
    listing = core.list_service_for_all_namespaces
    future = str(int(listing(limit=1).metadata.resource_version) + 1_000_000)
    any_api.apply(*services(mark, 1))

    assert events(listing, future, any_api.shortest_watch, allow_watch_bookmarks=True) == []


def test_too_old(any_api: ApiUnderTest, core: Any, mark: dict[str, str]) -> None:
    """What the server has no history of any more is 410, in a watch and in a list's next page."""
    listing = core.list_service_for_all_namespaces
    any_api.apply(*services(mark, 3))
    page = listing(label_selector=selector(mark), limit=1)
    any_api.apply(*services(mark, 5))
    any_api.forget_history()
    with pytest.raises(ApiException) as watched:
        events(listing, page.metadata.resource_version)
    with pytest.raises(ApiException) as listed:
        listing(label_selector=selector(mark), limit=1, _continue=page.metadata._continue)

    assert watched.value.status == 410
    assert listed.value.status == 410


def test_slices(any_api: ApiUnderTest, core: Any, mark: dict[str, str]) -> None:
    """EndpointSlices are listed and watched like everything else."""
    listing = client.DiscoveryV1Api(core.api_client).list_endpoint_slice_for_all_namespaces
    before = listing(limit=1).metadata.resource_version
    any_api.apply(slice_of(mark["test"], ["2001:db8::1"], labels=mark))

    assert names(listing(label_selector=selector(mark))) == [f"{mark['test']}-1"]
    assert [kind for kind, _, _ in events(listing, before, label_selector=selector(mark))] == [
        "ADDED"
    ]


def test_wrong_token(any_api: ApiUnderTest, core: Any) -> None:
    """Who has no valid token gets 401."""
    core.api_client.configuration.refresh_api_key_hook = None
    core.api_client.configuration.api_key = {"BearerToken": "Bearer wrong"}
    with pytest.raises(ApiException) as refused:
        core.list_service_for_all_namespaces()

    assert refused.value.status == 401


def test_unknown_object(any_api: ApiUnderTest, core: Any, mark: dict[str, str]) -> None:
    """What is not there is 404, and what is there cannot be made again: 409."""
    (one,) = services(mark, 1)
    any_api.apply(one)
    with pytest.raises(ApiException) as missing:
        core.read_namespaced_service("nobody", "default")
    with pytest.raises(ApiException) as twice:
        core.create_namespaced_service("default", one)

    assert (missing.value.status, twice.value.status) == (404, 409)
