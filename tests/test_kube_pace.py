"""How often an API server is asked, and how long one that is dead stays unnoticed."""

from __future__ import annotations

import itertools
import time

import pytest
from apiserver import FakeApiServer, Fault
from cluster_seen import SeenCluster
from kube_objects import service

from srv6kv.kube import api as kube_api
from srv6kv.kube import pace, watch
from srv6kv.kube.source import UNAVAILABLE

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
        reasons = {note.reason for told in seen.told for note in told.notes}
    gaps = [later - sooner for sooner, later in itertools.pairwise(came)]
    print(f"{len(came)} requests in {SECONDS:.0f} s, at least {min(gaps):.2f} s apart")

    assert 2 <= len(came) <= SECONDS
    assert min(gaps) > 0.95
    assert reasons == {UNAVAILABLE}
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

    print(f"{len(came)} requests in 2 s")
    assert len(came) <= 2 * 2 * (len(WATCHED) + 1)
    assert {"stays", "too"} <= seen.names()


def test_limits_of_silence() -> None:
    """A dead connection is found within 30 s: silence, and the turns of four resources that renew
    their watches; a quiet watch that lives ends before."""
    assert watch.QUIET_WATCH_SECONDS[1] < kube_api.SILENCE_SECONDS
    assert kube_api.SILENCE_SECONDS + 4 * 1.2 * pace.REQUEST_SECONDS < 30


def test_backoff() -> None:
    """A resource that fails waits longer each time, up to 15 s, never in step with others; what
    the server asks for is honoured as far as it is reasonable."""
    waits = [[pace.backoff(failures) for _ in range(50)] for failures in (1, 2, 3, 20)]

    assert [max(found) <= most for found, most in zip(waits, (2, 4, 8, 15), strict=True)]
    assert all(min(found) >= most / 2 for found, most in zip(waits, (2, 4, 8, 15), strict=True))
    assert all(len(set(found)) > 40 for found in waits)
    assert pace.backoff(1, asked=10.0) == 10.0
    assert pace.backoff(1, asked=100_000.0) == 15.0
