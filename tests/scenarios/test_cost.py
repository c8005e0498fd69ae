"""What a change costs: what it touches, not what exists."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from clusters import Json, base_keys, endpoint, endpoint_slice, node, pod_keys, service, settings
from figures import Timed
from sidecar import Sidecar

from srv6kv.kube.model import KubeObject
from srv6kv.kube.parse import parse

ENDPOINTS = 10
LOCAL = [f"2001:0:0:1::{host:x}" for host in range(0x10, 0x10 + 20)]
REMOTE = [f"2001:0:0:2::{host:x}" for host in range(0x10, 0x10 + 200)]


def _cluster(services: int) -> Iterator[Json]:
    """Services of ten endpoints, one or two of them on node 1."""
    yield from (node(1, zone="z1"), node(2, zone="z2"))
    for number in range(services):
        yield service(f"s{number}", f"2096::{number + 1:x}")
        yield _slice(number, ENDPOINTS)


def _slice(number: int, endpoints: int) -> Json:
    listed = [endpoint(LOCAL[number % len(LOCAL)], "node1")]
    for index in range(endpoints - 1):
        listed.append(endpoint(REMOTE[(number * 7 + index) % len(REMOTE)], "node2"))
    return endpoint_slice(f"s{number}", listed)


def _parsed(bodies: Iterator[Json]) -> list[KubeObject]:
    return [parse(body["kind"], body) for body in bodies]


def _sidecar(services: int) -> Sidecar:
    sidecar = Sidecar(settings("seed"), "node1").wire(base_keys(1, "fe10:f00d::1"))
    for pod in LOCAL:
        sidecar.wire(pod_keys(pod))
    return sidecar.take(_parsed(_cluster(services)))


def test_a_thousand_services_take_less_than_a_second(timed: Timed) -> None:
    """Rendering and planning 1,000 services with 10 endpoints each takes less than a second."""
    sidecar = _sidecar(1000)
    start = time.process_time()
    desired = sidecar.desired()
    rendered = time.process_time()
    found = sidecar.plan()
    planned = time.process_time()

    assert len(desired.steered) == 1000
    assert sum(map(len, found.transactions)) > 2000
    timed("1,000 services are rendered and planned", planned - start, 2.0)
    timed("1,000 services are rendered", rendered - start, 1.0)


def _costs(services: int, body: Json) -> tuple[int, int]:
    """How many values a change made anew and how many keys it compared."""
    sidecar = _sidecar(services).settle()
    before = sidecar.renderer.rendered
    found = sidecar.put(body).plan_change()
    return sidecar.renderer.rendered - before, found.compared


@pytest.mark.parametrize("endpoints", [ENDPOINTS - 1, ENDPOINTS + 1, 0])
def test_an_endpoint_costs_the_same_in_any_cluster(endpoints: int) -> None:
    """One endpoint more or less renders and compares as much among 1,000 services as among 10."""
    few, many = (_costs(services, _slice(3, endpoints)) for services in (10, 1000))
    print(f"rendered and compared: {few}")

    assert few == many
    assert max(few) < 10


def test_a_new_service_costs_the_same_in_any_cluster() -> None:
    """A service that comes renders and compares as much among 1,000 services as among 10."""
    body = service("new", "2096::2:1")

    assert _costs(10, body) == _costs(1000, body)


@pytest.mark.parametrize(
    "body",
    [
        node(2, zone="z2", annotations={"unrelated": "yes"}),
        node(3, name="node2", zone="z2", part=2, addresses=["fd00::102"]),
        _slice(3, ENDPOINTS),
        service("s3", "2096::4"),
        endpoint_slice("nobody", [endpoint(REMOTE[0], "node2")], labels={"a": "b"}),
    ],
    ids=["node label", "same node", "same slice", "same service", "slice of no service"],
)
def test_what_no_packet_notices_renders_nothing(body: Json) -> None:
    """Labels, annotations and objects that say the same again make nothing anew."""
    assert _costs(10, body)[1] == 0
    rendered, _ = _costs(10, body)

    assert rendered == 0


def test_a_zone_costs_no_more_than_the_services() -> None:
    """A node's zone may change every service's endpoints; nothing is compared that did not."""
    sidecar = _sidecar(10).settle()
    before = sidecar.renderer.rendered
    found = sidecar.put(node(2, zone="z1")).plan_change()

    assert (found.transactions, found.compared) == ((), 0)
    assert sidecar.renderer.rendered - before < 110


@pytest.mark.parametrize("number", [1, -1], ids=["second", "last"])
def test_who_shares_an_address_costs_only_those_who_notice(number: int) -> None:
    """Endpoints of a service that has not the address are nothing to those that share it."""
    costs = []
    for services in (10, 100):
        status = {"loadBalancer": {"ingress": [{"ip": "fd20::5"}]}}
        sidecar = _sidecar(services)
        for index in range(services):
            port = [("http", "TCP", 80 + index)]
            body = service(f"s{index}", f"2096::{index + 1:x}", port, status=status)
            body["metadata"]["creationTimestamp"] = (
                f"2026-01-01T00:{index // 60:02}:{index % 60:02}Z"
            )
            sidecar.put(body)
        sidecar.settle()
        before = sidecar.renderer.rendered
        found = sidecar.put(_slice(number % services, ENDPOINTS + 1)).plan_change()
        costs.append((sidecar.renderer.rendered - before, found.compared))
    print(f"rendered and compared: {costs[0]}")

    assert costs[0] == costs[1]
    assert max(costs[0]) < 10


def _huge(slices: int, *, ready: bool = True) -> Iterator[Json]:
    """The slices of a service with a hundred remote endpoints each; the first endpoint of slice 7
    may not be ready."""
    for number in range(slices):
        listed = [
            endpoint(
                f"2001:0:0:2::{number:x}:{host:x}", "node2", ready=ready or (number, host) != (7, 0)
            )
            for host in range(100)
        ]
        yield endpoint_slice("huge", listed, name=f"huge-{number:03}")


@pytest.mark.parametrize(("slices", "is_refused"), [(20, False), (100, False), (200, True)])
def test_a_huge_service_costs_the_slice_that_changed(slices: int, is_refused: bool) -> None:
    """Of 2,000 endpoints or 20,000 as many are looked at as the slice has that changed; a policy
    that is too large is not even compared, before a change that makes it fit."""
    sidecar = _sidecar(3).put(service("huge", "2096::9:1"), *_huge(slices)).settle()
    services, target = sidecar.renderer.services, (1, "2096::9:1")
    assert sum("InvalidValue" in note.reason for note in sidecar.plan().notes) == is_refused
    before = services.looked_at
    for is_ready in (False, True):
        changed = [*_huge(8, ready=is_ready)][7]
        found = sidecar.put(changed).plan_change()
        sidecar.commit(found)

        assert len(found.transactions) == (not is_refused)
        assert len(sidecar.renderer.desired.steered[target].lists) == 100 * slices - (not is_ready)
        assert found.compared <= 2
    print(f"looked at {services.looked_at - before} endpoints of {100 * slices}")

    assert services.looked_at - before <= 4 * 100
    if is_refused:
        sidecar.remove(*[*_huge(slices)][100:])

        assert len(sidecar.plan_change().transactions) == 1


def test_a_change_costs_the_same_while_something_is_refused() -> None:
    """What lasts costs nothing: beside a service that is too large another's change compares what
    it touches."""
    sidecar = _sidecar(10).put(service("huge", "2096::9:1"), *_huge(200)).settle()
    before = sidecar.renderer.services.looked_at
    found = sidecar.put(_slice(3, ENDPOINTS + 1)).plan_change()

    assert found.compared <= 4
    assert sidecar.renderer.services.looked_at - before <= 2 * (ENDPOINTS + 1)
