"""trace: what it makes of nodes whose keys say little, or say it in other words."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from clusters import endpoint, pod_keys, service, settings_of
from sidecar import Sidecar
from test_ipv4 import DUAL, POD, _keys4, _node, _slice4
from tracing import (
    CHAIN,
    CLIENT,
    LOCALSID,
    OWN,
    REMOTE,
    ROUTE,
    Values,
    end_of,
    hops,
    network_of,
    places,
    put,
    rendered,
    traced,
)

from srv6kv.trace import Network, Question, Site


def test_nodes_are_found_by_their_localsids() -> None:
    """Where neither keys nor manifests know a next hop, the node behind it has the localsid."""
    network = network_of(addresses=(), hosts=())
    trace = traced("2096::6457", network=network)

    assert end_of(trace).node == "node2"
    assert {hop.packet.outer.source for hop in hops(trace) if hop.packet.outer} == {"::"}


def test_pods_without_keys_of_a_cni() -> None:
    """A localsid and our own rules are enough where the CNI does not use etcd."""

    def unwire(values: Values) -> None:
        ours = ("config/vpp/srv6/", f"{ROUTE}vrf", CHAIN, "config/vpp/v2/vrf")
        for name in values:
            values[name] = {k: v for k, v in values[name].items() if k.startswith(ours)}

    assert end_of(traced("2096::6457", source=OWN, network=network_of(unwire))).address == REMOTE


def test_spellings_of_the_agent() -> None:
    """lowerCamel names, and those of agents before 3.0, are read as the agent reads them."""

    def respell(value: Any) -> Any:
        if isinstance(value, Mapping):
            return {_camel(name): respell(item) for name, item in value.items()}
        return [respell(item) for item in value] if isinstance(value, list) else value

    def change(values: Values) -> None:
        for name in values:
            values[name] = {key: respell(value) for key, value in values[name].items()}
        key = f"{LOCALSID}6666:0:0:2::7"
        values["node2"][key]["end_function_DX6"] = values["node2"][key].pop("endFunctionDx6")

    assert (
        traced("2096::6457", network=network_of(change)).path.ends()
        == traced("2096::6457").path.ends()
    )


def _camel(name: str) -> str:
    head, *rest = name.split("_")
    return head + "".join(part.capitalize() for part in rest)


def test_the_encap_source() -> None:
    """The agent's own key decides, if there is one."""
    key = "config/vpp/srv6/v2/srv6-global"
    network = network_of(put("node1", key, encap_source_address="fe10::1"))
    outer = hops(traced("2096::d765", network=network))[3].packet.outer

    assert outer is not None
    assert outer.source == "fe10::1"


def test_other_vrfs() -> None:
    """Ids of VRFs are those of the keys."""
    text = json.dumps([dict(site.values) for site in rendered()])
    for field in ('"vrf_id": 1', '"vrf": 1', '"installation_vrf_id": 1', '"via_vrf_id": 1'):
        text = text.replace(field, field[:-1] + "7")
    values = json.loads(text)
    network = Network(
        [replace(site, values=one) for site, one in zip(rendered(), values, strict=True)]
    )
    trace = traced("2096::6457", network=network)

    assert places(trace)[1:3] == ["node1 VRF 7", "node1 VRF 0"]
    assert end_of(trace).address == REMOTE


def test_ipv4() -> None:
    """DX4 and DT4 decapsulate IPv4 only, each family has its own tables, and the pod its rules."""
    values = _dual_values()
    network = Network([Site("node1", values)])
    question = Question("node1", "pod", "10.1.1.5", "10.96.0.10", "TCP", 80)
    trace = network.trace(question)

    assert end_of(trace).address == "10.1.1.5"
    assert trace.assumptions == (
        "Node node1: pod 10.1.1.5 takes in what has its own address as its source"
        " (net.ipv4.conf.all.accept_local)",
    )
    assert [hop.does for hop in hops(trace) if hop.kind == "localsid"] == [
        "DX4: decapsulates, to 10.1.1.5"
    ]
    dead = network.trace(replace(question, destination="10.96.0.11"))
    assert end_of(dead).why == "drop route 10.96.0.0/12"

    sid = next(key for key, value in values.items() if "end_function_dx4" in value)
    tunnel = {
        **values,
        sid: {**values[sid], "end_function_dx4": None, "end_function_dt4": {"vrf_id": 1}},
    }
    looked_up = Network([Site("node1", tunnel)]).trace(question)
    assert "DT4: decapsulates, looks up in VRF 1" in [hop.does for hop in hops(looked_up)]


def _dual_values() -> Mapping[str, Any]:
    sidecar = Sidecar(settings_of(DUAL), "node1").put(_node(1))
    sidecar.wire({**pod_keys(POD, "five"), **_keys4()})
    listed: dict[str, Any] = {
        "clusterIP": "2096::10",
        "clusterIPs": ["2096::10", "10.96.0.10"],
        "ipFamilies": ["IPv6", "IPv4"],
    }
    sidecar.put(service("web", "2096::10", **listed), _slice4(endpoint("10.1.1.5", "node1")))
    return sidecar.settle().values()


def test_pods_on_veth() -> None:
    """No Linux interface names VPP's end of a veth: neighbour and route do, as for ``run``. Those
    that no service lists are found too, and what is outside the pod VRF is no pod."""

    def change(values: Values) -> None:
        for node in values.values():
            for key in [key for key in node if key.startswith("config/linux/interfaces/")]:
                del node[key]["tap"]
            for key in [key for key in node if key.startswith(LOCALSID)]:
                if node[key].get("end_function_dx6", {}).get("next_hop") == CLIENT:
                    del node[key]
        outside = {"name": "outside", "vrf": 0}
        put("node1", "config/vpp/v2/interfaces/outside", **outside)(values)
        arp = {"interface": "outside", "ip_address": "2abc::2", "static": True}
        put("node1", "config/vpp/v2/arp/outside/2abc::2", **arp)(values)

    network = network_of(change)

    assert network.pods("node1") == network_of().pods("node1")
    assert traced("2096::6457", network=network).path.ends() == traced("2096::6457").path.ends()
