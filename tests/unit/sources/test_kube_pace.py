"""How often an API server is asked, and how long one that is dead stays unnoticed."""

from __future__ import annotations

import itertools
import time

import pytest
from apiserver import FakeApiServer, Fault
from cluster_seen import SeenCluster
from figures import Timed
from kube_objects import node, service, slice_of

from srv6kv.etcd.backoff import Backoff
from srv6kv.notes import Reason
from srv6kv.sources import api as kube_api
from srv6kv.sources import apiwatch, pace

WATCHED = ("services", "endpointslices", "nodes")
SECONDS = 5.0


@pytest.mark.parametrize("is_first", [True, False], ids=["at the start", "later"])
def test_outage(api: FakeApiServer, is_first: bool) -> None:
    """While nothing is answered, all resources together ask at most once a second; one note says
    so, and nothing is taken to be gone."""
    api.apply(service("stays"))
    if is_first:
        api.harm("*", "*", Fault(cut=0))
    with SeenCluster(api.kubeconfig) as seen:
        if not is_first:
            for plural in WATCHED:
                api.wait_for_request("watch", plural, 1)
            api.harm("*", "*", Fault(cut=0))
        since = time.monotonic() if not is_first else 0.0
        api.cut()
        seen.follow(SECONDS)
        came = [one.at for one in api.came("*", since=since)]
        passed = time.monotonic() - came[0]
        reasons = {note.reason for told in seen.reported for note in told.notes}
    gaps = [later - sooner for sooner, later in itertools.pairwise(came)]
    print(f"{len(came)} requests in {passed:.1f} s, at least {min(gaps):.2f} s apart")

    assert 2 <= len(came) <= passed + 1
    assert reasons == {Reason.API_UNAVAILABLE}
    assert seen.gone == []


BOOKMARK = b'{"type":"BOOKMARK","object":{"metadata":{"resourceVersion":"%d"}}}\n'
EXPIRED = b'{"type":"ERROR","object":{"kind":"Status","code":410}}\n'
OLD = b'{"type":"ADDED","object":{"metadata":{"name":"old","resourceVersion":"1"}}}\n'


@pytest.mark.parametrize(
    "body",
    [EXPIRED, BOOKMARK + b"\n" * kube_api.CHUNK_BYTES + EXPIRED, OLD, b"", BOOKMARK],
    ids=["expired", "expired after a bookmark", "older than the list", "nothing", "a bookmark"],
)
def test_watches_that_end_at_once(api: FakeApiServer, body: bytes) -> None:
    """A server that lists well and ends every watch as soon as it has begun is asked for each
    resource no more than a list and a watch a second; what it lists counts."""
    api.apply(service("stays"), service("too"))
    body = body.replace(b"%d", str(api.store.version).encode())
    api.harm("watch", "*", Fault(body=body))
    with SeenCluster(api.kubeconfig) as seen:
        seen.wait(lambda: seen.listed > 0)
        since = time.monotonic()
        seen.follow(2.0)
        came = api.came("*", since=since)
        passed = time.monotonic() - since

    print(f"{len(came)} requests in {passed:.1f} s")
    assert len(came) <= 2 * passed * (len(WATCHED) + 1)
    assert {"stays", "too"} <= seen.names()


def test_limits_of_silence() -> None:
    """A watch of a server that lives has a bookmark before it counts as silent: they are a minute
    apart, a quarter more at the most."""
    assert apiwatch.WATCH_SILENCE_SECONDS > 1.25 * 60


@pytest.mark.parametrize("is_forgotten", [True, False], ids=["410", "resumed"])
def test_after_an_outage(api: FakeApiServer, is_forgotten: bool, timed: Timed) -> None:
    """After an outage all that was missed is here, of every resource, soon after the first answer,
    although each had failed several times."""
    api.apply(service("stays"))
    with SeenCluster(api.kubeconfig) as seen:
        seen.wait(lambda: seen.listed > 0)
        api.wait_until_watched(*WATCHED)
        away = Fault(cut=0)
        api.harm("*", "*", away)
        api.cut()
        api.wait_for_suffering(away, 9)
        api.apply(service("missed"), node("missed"), slice_of("missed", []))
        if is_forgotten:
            api.store.compact()
        healed = time.monotonic()
        api.heal()
        seen.wait(lambda: all("missed" in name for name in last_names(seen)))
        done = time.monotonic()
        (first, *_) = (one.at for one in api.came("*", since=healed))
    timed("the first request after an outage", first - healed, 5.0)
    timed("all that was missed, after the first request", done - first, 1.0)


def last_names(seen: SeenCluster) -> list[str]:
    """All names of services, nodes and slices."""
    kinds = ("Service", "Node", "EndpointSlice")
    return [" ".join(seen.names(kind)) for kind in kinds]


def test_denied_while_it_starts(
    api: FakeApiServer, monkeypatch: pytest.MonkeyPatch, timed: Timed
) -> None:
    """A server that denies everything while it starts is asked on as one that is away, and no note
    says that a right is missing before that has lasted; a list follows its first answer."""
    monkeypatch.setattr(pace, "REQUEST_SECONDS", 0.1)
    monkeypatch.setattr(pace, "AWAY_BACKOFF_SECONDS", 0.4)
    monkeypatch.setattr(apiwatch, "STARTING_SECONDS", 3.0)
    api.apply(service("stays"))
    denied = Fault(status=403)
    api.harm("*", "*", denied)
    with SeenCluster(api.kubeconfig) as seen:
        api.wait_for_suffering(denied, 12)
        healed = time.monotonic()
        api.heal()
        seen.wait(lambda: seen.listed > 0)
        spent = time.monotonic() - healed
        for one in (*WATCHED, "pods"):
            api.wait_for_request("watch", one, 1)
        api.apply(*(service(f"s{n}") for n in range(3)))
        seen.wait(lambda: "s2" in seen.names())
        again = Fault(status=403)
        api.harm("*", "*", again)
        seen.source.relist()
        api.wait_for_suffering(again)
        lasted = seen.wait(
            lambda: any(note.reason == Reason.API_FORBIDDEN for note in seen.notes), 30
        )
    reasons = [[note.reason for note in told.notes] for told in seen.reported]

    assert {reason for found in reasons for reason in found} == {Reason.API_FORBIDDEN}
    assert lasted > 2.5
    timed("a list after the first answer", spent, 1.0)


def test_quiet_watches(api: FakeApiServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """While nothing happens to a resource but bookmarks, its watch goes on: one request for each in
    all that time, for 5 to 10 minutes. Time passes 100 times faster."""
    monkeypatch.setattr(apiwatch, "WATCH_SILENCE_SECONDS", 0.9)
    api.bookmark_seconds = 0.6
    with SeenCluster(api.kubeconfig) as seen:
        seen.wait(lambda: seen.listed > 0)
        api.wait_until_watched(*WATCHED)
        for number in range(30):
            api.apply(node(f"news{number}"))
            seen.follow(0.1)
        came = {plural: len(api.came("watch", plural)) for plural in WATCHED}
        (asked,) = (int(one.query["timeoutSeconds"]) for one in api.came("watch", "services"))

    assert came == dict.fromkeys(WATCHED, 1)
    assert 300 <= asked <= 600


def test_renewed_watches_keep_their_connections(
    api: FakeApiServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A watch that ends in good order is renewed over the same connection."""
    monkeypatch.setattr(apiwatch, "WATCH_SECONDS", (1, 1))
    monkeypatch.setattr(apiwatch, "SHORT_WATCH_SECONDS", 0.5)
    with SeenCluster(api.kubeconfig) as seen:
        seen.wait(lambda: seen.listed > 0)
        for plural in WATCHED:
            api.wait_for_request("watch", plural, 1)
        before = api.connections
        for plural in WATCHED:
            api.wait_for_request("watch", plural, 3)

        assert api.connections == before


def test_backoff() -> None:
    """A resource that fails waits longer each time, up to 15 s, each at times of its own; what the
    server asks for is honoured as far as it is reasonable."""
    backoffs = [Backoff(2.0) for _ in range(50)]
    waits = [[one.failed(pace.MOST_BACKOFF_SECONDS) for one in backoffs] for _ in range(20)]

    for found, most in ((waits[0], 2), (waits[1], 4), (waits[2], 8), (waits[-1], 15)):
        assert most / 2 <= min(found) <= max(found) <= most
        assert len(set(found)) > 40
    assert Backoff(2.0).failed(15.0, asked=10.0) == 10.0
    assert Backoff(2.0).failed(15.0, asked=100_000.0) == 15.0
