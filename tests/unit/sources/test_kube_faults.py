"""What an API server answers wrongly, late or never changes nothing that is known."""

from __future__ import annotations

import pytest
from apiserver import FakeApiServer, Fault
from cluster_seen import Follow, is_followed, services
from figures import Timed

from srv6kv.kube import parse
from srv6kv.kube.model import Gap
from srv6kv.notes import Reason
from srv6kv.sources import api as kube_api
from srv6kv.sources import apiwatch, bodies
from srv6kv.sources.known import BACK_SECONDS

pytestmark = pytest.mark.usefixtures("quick")
ALL = len([resource for resource in bodies.resources("n") if resource.kind in parse.KINDS])


@pytest.mark.parametrize(
    "fault",
    [
        Fault(status=500),
        Fault(status=503, headers={"Retry-After": "2"}),
        Fault(status=429, headers={"Retry-After": "1"}),
        Fault(status=200, body=b"<html><body>Sign in</body></html>"),
        Fault(body=b'{"kind":"Status","apiVersion":"v1","status":"Failure","code":500}'),
        Fault(body=b'{"kind":"ServiceList","apiVersion":"v1","metadata":{"resourceVersion":"9"}}'),
        Fault(body=b'{"kind":"PodList","metadata":{"resourceVersion":"9"},"items":[]}'),
        Fault(body=b'{"kind":"ServiceList","metadata":{},"items":[]}'),
        Fault(body=b'{"kind":"ServiceList","metadata":{"resourceVersion":""},"items":[]}'),
        Fault(body=b'{"kind":"ServiceList","metadata":{"resourceVersion":"9"},"items":{}}'),
        Fault(body=b""),
        Fault(body=b"\xff\xfe{}"),
        Fault(body=b"[" * 100_000),
        Fault(cut=0),
        Fault(cut=80),
    ],
    ids=lambda fault: f"{fault.status} {fault.cut} {(fault.body or b'')[:40]!r}",
)
def test_wrong_lists(api: FakeApiServer, follow: Follow, fault: Fault) -> None:
    """What is no list is asked for again and never taken for an empty one."""
    api.apply(*services("stays"))
    seen = follow(api)
    seen.wait(lambda: seen.listed > 0)
    fault.times = 2
    api.harm("list", "services", fault)
    number = seen.source.relist()
    seen.wait(lambda: any(note.reason == Reason.API_UNAVAILABLE for note in seen.notes))
    seen.wait(lambda: seen.listed >= number and not seen.notes)

    assert seen.names() == {"stays"}
    assert seen.gone == []


def test_empty_list(api: FakeApiServer, follow: Follow, timed: Timed) -> None:
    """Null items are an empty list, as for other clients; a list that is empty once deletes
    nothing, and two in a row are believed."""
    api.apply(*services("one", "two"))
    seen = follow(api)
    seen.wait(lambda: seen.listed > 0)
    body = b'{"kind":"ServiceList","metadata":{"resourceVersion":"%d"},"items":null}'
    api.harm("list", "services", Fault(body=body % api.store.version, times=1))
    number = seen.source.relist()
    seen.wait(lambda: seen.listed >= number)
    is_followed(api, seen, "three")

    assert seen.gone == []

    api.harm("list", "services", Fault(body=body % api.store.version, times=2))
    seen.source.relist()
    spent = seen.wait(lambda: not seen.names())

    timed("an empty list is accepted", spent, 5.0)


def test_shortened_list(api: FakeApiServer, follow: Follow) -> None:
    """What is missing in one list and there in the next was never gone."""
    api.apply(*services("one", "two", "three"))
    seen = follow(api)
    seen.wait(lambda: seen.listed > 0)
    api.harm("list", "services", Fault(keep=lambda one: one["metadata"]["name"] == "two", times=1))
    before = len(api.came("list", "services"))
    seen.source.relist()
    api.wait_for_request("list", "services", before + 2)
    is_followed(api, seen, "four")

    assert seen.names() == {"one", "two", "three", "four"}
    assert seen.gone == []


def test_unnamed_items(api: FakeApiServer, follow: Follow) -> None:
    """An item without a name may be any object: nothing is taken to be gone, and a note says so."""
    api.apply(*services("one", "two"))
    seen = follow(api)
    seen.wait(lambda: seen.listed > 0)
    body = b'{"kind":"ServiceList","metadata":{"resourceVersion":"%d"},"items":[{"metadata":{}}]}'
    api.harm("list", "services", Fault(body=body % api.store.version, times=2))
    for _ in range(2):
        number = seen.source.relist()
        seen.wait(lambda number=number: seen.listed >= number)  # type: ignore[misc]

    assert seen.gone == []
    assert seen.reported[-1].gaps == {Gap("Service")}
    assert [note.reason for note in seen.notes] == ["Malformed"]


def test_poison_in_a_watch(api: FakeApiServer, follow: Follow) -> None:
    """An event that makes no sense does not hide those behind it."""
    seen = follow(api)
    seen.wait(lambda: seen.listed > 0)
    api.wait_for_request("watch", "services", 1)
    api.harm("watch", "services", Fault(line=lambda _line: b'{"type":"WHAT"}\n'))
    api.cut()
    api.apply(*services("poison"))
    seen.wait(lambda: "poison" in seen.names(), 30)
    api.heal()
    api.apply(*services("behind"))
    seen.wait(lambda: "behind" in seen.names(), 30)

    assert seen.gone == []


def test_silent_connections(
    api: FakeApiServer, follow: Follow, monkeypatch: pytest.MonkeyPatch, timed: Timed
) -> None:
    """Connections that are open but dead are found, and nothing that changed meanwhile is lost.

    The limit is 90 s; here it is 2 s.
    """
    monkeypatch.setattr(apiwatch, "WATCH_SILENCE_SECONDS", 2.0)
    seen = follow(api)
    seen.wait(lambda: seen.listed > 0)
    api.wait_for_request("watch", "services", 1)
    api.mute()
    api.apply(*services("unheard"))
    spent = seen.wait(lambda: "unheard" in seen.names())

    timed("a dead connection is found, of 2 s of silence", spent, 2.5)
    assert len([one for one in api.came("list") if one.query["limit"] != "1"]) == ALL


def test_frozen_server(api: FakeApiServer, follow: Follow, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that takes connections and answers nothing is one that is away."""
    monkeypatch.setattr(kube_api, "SILENCE_SECONDS", 1.0)
    api.apply(*services("stays"))
    seen = follow(api)
    seen.wait(lambda: seen.listed > 0)
    api.harm("*", "*", Fault(hold=True))
    api.cut()
    seen.wait(lambda: any(note.reason == Reason.API_UNAVAILABLE for note in seen.notes))
    api.heal()
    is_followed(api, seen, "later")

    assert seen.gone == []


def test_time_goes_back(api: FakeApiServer, follow: Follow) -> None:
    """A server that is restored from a backup is noticed; what the backup has not is not taken to
    be gone at once, and what comes back was never gone."""
    api.apply(*services("old"))
    version = api.store.version
    api.apply(*services("new", "newer"))
    seen = follow(api)
    seen.wait(lambda: seen.listed > 0)
    api.wait_for_request("watch", "services", 1)
    api.store.restore(version)
    api.cut()
    api.apply(*services("other"))
    seen.source.relist()
    seen.wait(lambda: "other" in seen.names())
    seen.follow(1.5)

    assert BACK_SECONDS >= 30
    assert seen.names() == {"old", "new", "newer", "other"}
    assert seen.gone == []

    api.apply(*services("new", "newer"))
    is_followed(api, seen, "later")

    assert seen.gone == []


def test_restored_server_is_believed(
    api: FakeApiServer, follow: Follow, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a restored server leaves out for half a minute is gone; here the half minute is 2 s."""
    monkeypatch.setattr("srv6kv.sources.known.BACK_SECONDS", 2.0)
    api.apply(*services("old"))
    version = api.store.version
    api.apply(*services("new", "newer"))
    seen = follow(api)
    seen.wait(lambda: seen.listed > 0)
    api.wait_for_request("watch", "services", 1)
    api.store.restore(version)
    seen.source.relist()
    spent = seen.wait(lambda: seen.names() == {"old"})
    is_followed(api, seen, "later")

    assert spent > 2.0


def test_watch_in_the_future(
    api: FakeApiServer, follow: Follow, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that was restored without any connection breaking sends nothing any more on old
    watches; that is found, and it is listed anew."""
    monkeypatch.setattr(apiwatch, "SHORT_WATCH_SECONDS", 0.5)
    monkeypatch.setattr(apiwatch, "WATCH_SILENCE_SECONDS", 1.0)
    api.apply(*services("old"))
    seen = follow(api)
    seen.wait(lambda: seen.listed > 0)
    api.wait_for_request("watch", "services", 1)
    version = api.store.version
    for index in range(5):
        api.apply(*services(f"new{index}"))
    seen.wait(lambda: "new4" in seen.names())
    api.store.restore(version)
    api.cut()
    api.apply(*services("unheard"))
    seen.wait(lambda: "unheard" in seen.names())

    assert seen.gone == []
