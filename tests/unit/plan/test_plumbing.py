"""A bare agent with ``nodePlumbing: full``: all that packets need is made, and nothing twice."""

from __future__ import annotations

import pytest
from clusters import (
    CONFS,
    HTTP,
    Json,
    base_keys,
    endpoint,
    endpoint_slice,
    node,
    pod_keys,
    service,
    settings,
    settings_of,
    vrf_keys,
)
from dataplane import Delivered, Network, Outcome, ToHost
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from sidecar import Sidecar
from strategies import Scene, scenes

from srv6kv.plan.plan import Plumbing
from srv6kv.settings import Settings
from srv6kv.sync.reconciler import Reconciler

PODS = {"node1": ("2001:0:0:1::5", "2001:0:0:1::6"), "node2": ("2001:0:0:2::5", "2001:0:0:2::6")}
HOST_ENDS = {"node1": "2002::1:2", "node2": "2002::2:2"}
MANAGEMENT = {"node1": "fd00::101", "node2": "fd00::102"}
CLUSTER_IP = "2096::10"
WITH_TUNNELS = [name for name in sorted(CONFS) if settings(name).has_tunnels]


def _bare(number: int) -> dict[str, Json]:
    """Uplink, host interconnect and two pods: what others give; nothing else."""
    keys = {**base_keys(number, f"fe10:f00d::{number}")}
    for pod in PODS[f"node{number}"]:
        keys |= pod_keys(pod)
    return keys


def _cluster(*endpoints: Json) -> list[Json]:
    bodies = [node(1), node(2)]
    if endpoints:
        ports = (("http", "TCP", 8080),)
        bodies += [
            service("web", CLUSTER_IP, HTTP),
            endpoint_slice("web", endpoints, ports),
        ]
    return bodies


def _networks(*endpoints: Json) -> list[Network]:
    """Two bare nodes after their sidecars have run, under new and under old versions of VPP."""
    values = {
        f"node{number}": Sidecar(settings("seed"), f"node{number}")
        .wire(_bare(number))
        .put(*_cluster(*endpoints))
        .settle()
        .values()
        for number in (1, 2)
    }
    return [Network(values, lookup) for lookup in ("policy", "interface")]


@pytest.mark.parametrize("sender", ["node1", "node2"])
@pytest.mark.parametrize("name", ["node1", "node2"])
@pytest.mark.parametrize("is_host", [False, True])
def test_the_four_paths_of_a_service_work(sender: str, name: str, is_host: bool) -> None:
    """From a pod of either node to a pod or host of either node: each one is reached."""
    address = MANAGEMENT[name] if is_host else PODS[name][1]
    wanted: Outcome = ToHost(name) if is_host else Delivered(name, address, 8080)
    for network in _networks(endpoint(address, name)):
        assert network.trace(sender, PODS[sender][0], CLUSTER_IP, "TCP", 80) == {wanted}


@pytest.mark.parametrize("sender", ["node1", "node2"])
@pytest.mark.parametrize("name", ["node1", "node2"])
@pytest.mark.parametrize("from_host", [False, True])
def test_pods_and_hosts_reach_each_other(sender: str, name: str, from_host: bool) -> None:
    """Without a service too, from a pod or a host, on this node and through a tunnel."""
    source = None if from_host else PODS[sender][0]
    pod, host_end = PODS[name][1], HOST_ENDS[name]
    for network in _networks():
        assert network.trace(sender, source, pod, "TCP", 22) == {Delivered(name, pod, 22)}
        assert network.trace(sender, source, host_end, "TCP", 22) == {ToHost(name)}


def test_a_management_address_is_reached_through_the_tunnel() -> None:
    """Where the interconnect's routes lead from VPP to the host, other nodes reach it by them."""
    values = {}
    for number, name in enumerate(("node1", "node2"), start=1):
        address, end = MANAGEMENT[name], HOST_ENDS[name]
        route = {
            f"config/vpp/v2/route/if/tap-vpp2/vrf/0/dst/{address}/128/gw/{end}": {
                "dst_network": f"{address}/128",
                "next_hop_addr": end,
                "outgoing_interface": "tap-vpp2",
            }
        }
        sidecar = Sidecar(settings("seed"), name).wire({**_bare(number), **route})
        values[name] = sidecar.put(*_cluster()).settle().values()
    network = Network(values)

    found = network.trace("node1", PODS["node1"][0], MANAGEMENT["node2"], "TCP", 22)
    assert found == {ToHost("node2")}


@hypothesis_settings(
    derandomize=True,
    deadline=None,
    max_examples=120,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(st.sampled_from(WITH_TUNNELS).flatmap(scenes))
def test_whatever_the_cluster_tunnels_join_its_nodes(scene: Scene) -> None:
    """No agent has a plain route to another node's pods or host, and yet each one reaches them."""
    values = {name: scene.sidecar(name).settle().values() for name in scene.numbers}
    known = [name for name, ip in scene.ips.items() if ip is not None]
    for network in [Network(values, lookup) for lookup in ("policy", "interface")]:
        for sender in known:
            sources = [None, *scene.wired[sender][-1:]]
            for name in known:
                for pod in scene.wired[name]:
                    for source in sources:
                        found = network.trace(sender, source, pod, "TCP", 22)

                        assert found == {Delivered(name, pod, 22)}


# What was found and what was made -----------------------------------------------------------------

TABLE = "config/vpp/v2/vrf-table/id/{}/protocol/IPV6"
DEFAULT = "config/vpp/v2/route/vrf/1/dst/::/0/gw/::"
SUBNET = "config/vpp/v2/route/vrf/0/dst/2001:0:0:1::/64/gw/::"
ALL = tuple(sorted((TABLE.format(0), TABLE.format(1), DEFAULT, SUBNET)))


def _plumbing(sidecar: Sidecar) -> Plumbing:
    found = sidecar.plan()
    sidecar.commit(found)
    return found.plumbing


def test_a_bare_agent_gets_all_of_it() -> None:
    """Everything is made once, and found from then on."""
    sidecar = Sidecar(settings("seed"), "node1").wire(_bare(1)).put(*_cluster())

    assert _plumbing(sidecar) == Plumbing(made=ALL)
    assert _plumbing(sidecar) == Plumbing(found=ALL)
    assert _plumbing(sidecar.restarted().put(*_cluster())) == Plumbing(found=ALL)


def test_a_node_without_an_id_gets_the_route_to_its_pod_cidr() -> None:
    """Its address is annotated and its pods lie elsewhere: the host reaches them all the same."""
    body = node(1, annotations={"srv6kv.io/node-ip": "fe10:f00d::1"})
    body["spec"] = {"podCIDRs": ["2001:1::/64", "10.1.1.0/24"]}
    sidecar = Sidecar(settings("seed"), "node1").put(body)

    subnet = "config/vpp/v2/route/vrf/0/dst/2001:1::/64/gw/::"
    made = (TABLE.format(0), TABLE.format(1), DEFAULT, subnet)
    assert _plumbing(sidecar) == Plumbing(made=tuple(sorted(made)))


def test_what_others_made_is_found() -> None:
    """Only what is missing is made, and the rest is left as it is."""
    theirs = {**_bare(1), **vrf_keys()}
    sidecar = Sidecar(settings("seed"), "node1").wire(theirs).put(*_cluster())
    found = _plumbing(sidecar)

    assert found == Plumbing(tuple(key for key in ALL if key != SUBNET), (SUBNET,))
    assert str(found) == f"plumbing found=3 made=1: {SUBNET}"


def test_a_session_says_it_once() -> None:
    """The first plan after a read tells; later ones have nothing to add."""
    reconciler = Reconciler(settings("seed"), "node1", "n")
    for body in _cluster():
        reconciler.intake.apply((body["kind"], "", body["metadata"]["name"]), body)
    reconciler.reset(())
    first, second = (reconciler.report(reconciler.plan()) for _ in range(2))

    assert first == f"plumbing found=0 made=4: {', '.join(ALL)}"
    assert second == ""
    reconciler.reset(())
    assert reconciler.report(reconciler.plan()) == first


# MTU ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mtu", "uplink", "is_noted"),
    [
        (1450, None, True),
        (1421, None, True),
        (1420, None, False),
        (1450, 1530, False),
        (1450, 1529, True),
        (8920, 9000, False),
        (0, None, False),
    ],
)
def test_pods_leave_room_for_the_outer_headers(
    mtu: int, uplink: int | None, is_noted: bool
) -> None:
    """mtuSize and 80 bytes must fit into the uplink's MTU, which is 1500 unless its key says."""
    keys = base_keys(1, "fe10:f00d::1")
    keys["config/vpp/v2/interfaces/uplink"] |= {"mtu": uplink} if uplink else {}
    sidecar = Sidecar(_with_mtu(mtu), "node1").wire(keys).put(node(1))
    reasons = {note.reason for note in sidecar.desired().all_notes()}

    assert ("MtuTooLarge" in reasons) == is_noted


def _with_mtu(mtu: int) -> Settings:
    return settings_of({**CONFS["seed"], **({"mtuSize": mtu} if mtu else {})})


def test_an_uplink_that_is_not_known_is_no_matter() -> None:
    """Without an interface that has the node's address nothing is said; with one, at once."""
    sidecar = Sidecar(_with_mtu(1450), "node1").put(node(1)).settle()
    assert list(sidecar.renderer.desired.all_notes()) == []

    sidecar.wire(base_keys(1, "fe10:f00d::1")).plan_change()
    (note,) = sidecar.renderer.desired.all_notes()
    assert (str(note.subject), note.reason) == ("Node node1", "MtuTooLarge")
    assert "set mtuSize to 1420" in note.text
