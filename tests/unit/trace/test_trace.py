"""trace: what each hop decides, what the packet looks like there, and where it ends."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from tracing import (
    CHAIN,
    CLIENT,
    LOCALSID,
    OWN,
    POLICY,
    REMOTE,
    ROUTE,
    STEERING,
    TAP,
    Values,
    end_of,
    hops,
    keys_of,
    network_of,
    places,
    pop,
    put,
    traced,
)

from srv6kv.trace import Question
from srv6kv.trace.hops import End, Outer

# The four paths ---------------------------------------------------------------------------------


def test_pod_here() -> None:
    """Steering, policy, the route to the pod VRF, localsid and the pod's rule, by their keys."""
    trace = traced("2096::d765")

    assert keys_of(trace) == [
        f"{STEERING}forK8sService-default-myservice",
        f"{POLICY}5555::d765",
        f"{ROUTE}vrf/0/dst/6666:0:0:1::5/128/gw/::",
        f"{LOCALSID}6666:0:0:1::5",
        f"{CHAIN}default-myservice-a-DNAT-a",
    ]
    assert places(trace) == [
        f"node1 pod {CLIENT}",
        "node1 VRF 1",
        "node1 VRF 0",
        "node1 VRF 0",
        "node1 VRF 1",
        f"node1 pod {OWN}",
        f"node1 pod {OWN}",
    ]
    assert (end_of(trace).kind, end_of(trace).address, end_of(trace).port) == ("pod", OWN, 8080)


def test_pod_there() -> None:
    """The node SID brings it to the other node, End makes the pod SID the destination."""
    trace = traced("2096::6457")
    outers = dict.fromkeys(hop.packet.outer for hop in hops(trace))

    assert list(outers) == [
        None,
        Outer("fe10:f00d::1", "7766:f00d::2", ("7766:f00d::2", "6666:0:0:2::7"), 1),
        Outer("fe10:f00d::1", "6666:0:0:2::7", ("7766:f00d::2", "6666:0:0:2::7"), 0),
    ]
    assert end_of(trace) == End(
        "pod",
        "node2",
        REMOTE,
        8080,
        reply=f"2096::6457 to {CLIENT}: tunnel 8888:f00d::1 from node2,"
        f" ends at 7777:f00d::1 on node1, to pod {CLIENT}",
    )


@pytest.mark.parametrize(
    ("address", "port", "node", "outer"),
    [
        ("2096::5ce9", 2379, "node1", Outer("fe10:f00d::1", "6655::1")),
        (
            "2096::beef",
            9100,
            "node2",
            Outer("fe10:f00d::1", "6655::1", ("7766:f00d::2", "6655::1"), 0),
        ),
    ],
)
def test_a_host(address: str, port: int, node: str, outer: Outer) -> None:
    """A host gets the packet as it was; one segment needs no routing header."""
    trace = traced(address, port)

    assert hops(trace)[-2].packet.outer == outer
    assert hops(trace)[-1].packet == hops(trace)[0].packet
    assert (end_of(trace).kind, end_of(trace).node) == ("host", node)


def test_every_list_is_a_branch() -> None:
    """Each with its share of the weight."""
    key = f"{POLICY}5555::a"

    def heavier(values: Values) -> None:
        values["node1"][key]["segment_lists"][1]["weight"] = 3

    trace = traced("2096::a", 53, protocol="UDP", network=network_of(heavier))

    assert [(way.weight, way.of, way.end.address) for way in trace.path.ways()] == [
        (1, 4, "2001:0:0:1::2"),
        (3, 4, "2001:0:0:1::3"),
    ]
    policy = next(hop for hop in hops(trace) if hop.kind == "policy")
    assert [branch.text for branch in policy.branches] == [
        "< 6666:0:0:1::2 >",
        "< 6666:0:0:1::3 >",
    ]


def test_a_pod_that_uses_its_own_service() -> None:
    """Its own rule keeps the connection untracked; without that rule it would be lost."""
    key, builtin = f"{CHAIN}default-myservice-a-NOTRACK-a", f"{CHAIN}default-myservice-a-OUTPUT"
    trace = traced("2096::d765", source=OWN)
    lost = traced("2096::d765", source=OWN, network=network_of(pop("node1", builtin)))

    assert key in keys_of(trace)
    assert (end_of(trace).address, end_of(lost).kind) == (OWN, "dropped")


def test_a_pod_that_calls_itself() -> None:
    """What is for an address of its own does not leave the pod."""
    trace = traced(OWN, 5000, source=OWN)

    assert (keys_of(trace), end_of(trace).port) == ([], 5000)


# Without a service ------------------------------------------------------------------------------


def test_a_pod_there_by_its_address() -> None:
    """The tunnel to the other node's pods, which ends in its pod VRF."""
    trace = traced(REMOTE, 9)

    assert f"{POLICY}8888:f00d::2" in keys_of(trace)
    assert f"{LOCALSID}7777:f00d::2" in keys_of(trace)
    assert [hop.packet.outer for hop in hops(trace)[4:6]] == [
        Outer("fe10:f00d::1", "7777:f00d::2")
    ] * 2
    assert end_of(trace).reply == (
        f"{REMOTE} to {CLIENT}: tunnel 8888:f00d::1 from node2,"
        f" ends at 7777:f00d::1 on node1, to pod {CLIENT}"
    )


def test_a_host_uses_pods() -> None:
    """Here by plain routes, there by the tunnel."""
    here, there = (traced(to, 9, "host", "2002::1:2") for to in (OWN, REMOTE))

    assert [hop.packet.outer for hop in hops(here)] == [None] * len(hops(here))
    assert end_of(here).reply == f"{OWN} to 2002::1:2: plain routes, to the host of node1"
    assert f"{LOCALSID}7777:f00d::2" in keys_of(there)
    assert "tunnel 9999:f00d::1 from node2, ends at 7799:f00d::1 on node1" in end_of(there).reply


def test_a_host_uses_a_host() -> None:
    """There by the tunnel to the other host and a route that the CNI has; here without VPP."""
    here, there = (traced(to, 9, "host", "2002::1:2") for to in ("fd00::101", "fd00::102"))

    assert end_of(here) == End(
        "host",
        "node1",
        why="without VPP",
        reply="fd00::101 to 2002::1:2: plain routes, to the host of node1",
    )
    assert f"{LOCALSID}7799:f00d::2" in keys_of(there)
    assert "not in the keys" in hops(there)[-2].does
    assert (end_of(there).kind, end_of(there).node) == ("host", "node2")


def test_kube_proxy_chooses_for_a_host() -> None:
    """A branch for each endpoint; without one nobody gets the packet."""
    question = Question("node1", "host", "2002::1:2", "2096::d765", "TCP", 80)
    chosen = network_of().trace(question, [(OWN, 8080), (REMOTE, 8080)])
    none = network_of().trace(question, [])

    assert [(way.weight, way.of, way.end.address) for way in chosen.path.ways()] == [
        (1, 2, OWN),
        (1, 2, REMOTE),
    ]
    assert chosen.path.kind == "choice"
    assert end_of(none).why == "kube-proxy has no endpoint for it"


def test_a_host_has_no_way_to_a_service_address() -> None:
    """Where kube-proxy has not chosen, VPP does not know it in the main VRF."""
    assert end_of(traced("2096::d765", sender="host")).why == "no route in VRF 0"


# Outside, and nobody ----------------------------------------------------------------------------


def test_outside() -> None:
    """A load balancer's address is steered in the main VRF, a ClusterIP is not."""
    trace = traced("2001:db8::80", sender="outside", source="")

    assert [end.address for end in trace.path.ends()] == [OWN, REMOTE]
    assert places(trace)[:2] == ["node1 outside", "node1 VRF 0"]
    assert trace.path.ends()[0].reply.startswith(
        "to the client outside by the network's own routes"
    )
    assert not traced("2096::d765", sender="outside", source="").is_delivered


def test_no_endpoint() -> None:
    """A ClusterIP dies at the drop route, the load balancer's address at the discard SID."""
    inside, outside = traced("2096::e"), traced("2001:db8::e", sender="outside")

    assert keys_of(inside) == [f"{ROUTE}vrf/1/dst/2096::/110/gw/::"]
    assert end_of(inside).why == "drop route 2096::/110"
    assert keys_of(outside)[-1] == f"{ROUTE}vrf/0/dst/7766::dead/128/gw/::"
    assert end_of(outside).why == "discard SID: no endpoint"


@pytest.mark.parametrize(
    ("change", "kind", "why"),
    [
        (pop("node2", f"{LOCALSID}7766:f00d::2"), "dropped", "no route in VRF 0"),
        (pop("node2", f"{LOCALSID}6666:0:0:2::7"), "dropped", "it goes round in circles"),
        (
            pop("node2", f"{ROUTE}vrf/0/dst/6666:0:0:2::7/128/gw/::"),
            "dropped",
            "no route in VRF 0",
        ),
        (pop("node1", f"{POLICY}5555::6457"), "dropped", "drop route 2096::/110"),
        (
            put("node1", f"{POLICY}5555::6457", segment_lists=[]),
            "dropped",
            "its policy has no segment list",
        ),
        (
            put("node1", f"{POLICY}5555::6457", segment_lists=[{"segments": ["7766:f00d::2"]}]),
            "dropped",
            "End without a segment left",
        ),
        (
            put("node2", f"{LOCALSID}7766:f00d::2", base_end_function=None, end_function_dt6={}),
            "dropped",
            "decapsulation with segments left",
        ),
        (
            pop("node2", f"config/vpp/v2/arp/{TAP}/{REMOTE}"),
            "dropped",
            f"no static neighbour {REMOTE} on {TAP}",
        ),
        (
            pop("node2", f"config/vpp/v2/interfaces/{TAP}"),
            "dropped",
            f"nothing is behind interface {TAP}",
        ),
        (
            pop("node2", f"{CHAIN}default-podthere-a-PREROUTING"),
            "dropped",
            "the pod does not answer for 2096::6457 port 80",
        ),
        (
            put(
                "node1", f"{ROUTE}vrf/0/dst/7766:f00d::2/128/gw/fe10:f00d::2", next_hop_addr="fe::9"
            ),
            "left",
            "route 7766:f00d::2/128 by fe::9",
        ),
        (
            put("node1", f"{ROUTE}vrf/0/dst/7766:f00d::2/128/gw/fe10:f00d::2", type="MULTI"),
            "unknown",
            "route type MULTI",
        ),
        (
            put("node1", f"{POLICY}5555::6457", spray_behaviour=True),
            "unknown",
            "policy 5555::6457 sprays",
        ),
        (
            put("node2", f"{LOCALSID}6666:0:0:2::7", end_function_dx6=None, end_function_dx2={}),
            "unknown",
            "the end function of localsid 6666:0:0:2::7",
        ),
        (
            put("node2", f"{CHAIN}default-podthere-a-PREROUTING", rules=["-j REJECT"]),
            "unknown",
            "rule '-j REJECT'",
        ),
    ],
)
def test_what_is_wrong_is_said(change: Callable[[Values], object], kind: str, why: str) -> None:
    """A key that is missing, wrong or of no known kind ends the way, and the end says why."""
    end = end_of(traced("2096::6457", network=network_of(change)))

    assert (end.kind, end.why, end.reply) == (kind, why, "")


@pytest.mark.parametrize(
    ("port", "reached"), [(19_999, None), (20_000, 20_000), (20_050, 20_050), (20_100, None)]
)
def test_a_rule_of_many_ports_keeps_the_port(port: int, reached: int | None) -> None:
    """As ip6tables does with DNAT to an address without a port."""
    rule = f"-d 2096::6457/128 -p tcp -m tcp --dport 20000:20099 -j DNAT --to-destination {REMOTE}"
    network = network_of(put("node2", f"{CHAIN}default-podthere-a-PREROUTING", rules=[rule]))
    end = end_of(traced("2096::6457", port, network=network))

    assert (end.kind, end.port) == (("pod", reached) if reached else ("dropped", 0))


@pytest.mark.parametrize("copy", ["a", "b"])
def test_one_copy_of_the_rules_is_enough(copy: str) -> None:
    """While the agent makes the other one again it is empty."""
    there, empty = (
        f"{CHAIN}default-podthere-a-DNAT-{one}" for one in (copy, {"a": "b"}.get(copy, "a"))
    )
    trace = traced("2096::6457", network=network_of(put("node2", empty, rules=[])))

    assert end_of(trace).address == REMOTE
    assert there in keys_of(trace)


def test_a_chain_that_jumps_to_itself_holds_nothing_up() -> None:
    """Only a built-in chain is followed; what another writer made of a copy is said."""
    key = f"{CHAIN}default-podthere-a-DNAT-a"
    end = end_of(traced("2096::6457", network=network_of(put("node2", key, rules=["-j srv6kv-a"]))))

    assert (end.kind, end.why) == ("unknown", "rule '-j srv6kv-a'")


def test_a_circle_ends() -> None:
    """Two VRFs that send a packet to each other do not hold trace."""

    def turn(values: Values) -> None:
        value = {"type": "INTER_VRF", "dst_network": "2003::/64", "next_hop_addr": "::"}
        values["node1"][f"{ROUTE}vrf/0/dst/2003::/64/gw/::"] = {**value, "via_vrf_id": 1}

    assert end_of(traced("2003::1", network=network_of(turn))).why == "it goes round in circles"


@pytest.mark.parametrize("segments", [[], ["x"], [7]])
def test_a_policy_that_the_agent_would_refuse_is_named(segments: list[object]) -> None:
    """Its steering waits for it, so the packet meets what is behind."""
    key = f"{POLICY}5555::6457"
    network = network_of(put("node1", key, segment_lists=[{"segments": segments}]))
    found = traced("2096::6457", network=network)

    assert end_of(found).why == "drop route 2096::/110"
    assert [note.startswith(f"Node node1: {key}: ") for note in found.assumptions] == [True]


def test_a_value_that_cannot_be_read_is_named() -> None:
    """It counts as absent; what does not need it goes on."""
    key = f"{LOCALSID}6666:0:0:1::5"
    network = network_of(put("node1", key, sid=7))

    assert end_of(traced("2096::d765", network=network)).kind == "dropped"
    assert [
        note.partition(": Expected")[0]
        for note in traced("2096::6457", network=network).assumptions
    ] == [f"Node node1: {key}"]
