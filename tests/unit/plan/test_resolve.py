"""What is left out of etcd, and what stays there, when something cannot be written."""

from __future__ import annotations

import json

from clusters import endpoint, endpoint_slice, node, pod_keys, service, settings
from sidecar import Sidecar

from srv6kv.ligato.keys import LOCALSID, POLICY, STEERING

POD = "2001:0:0:1::5"


def _sidecar() -> Sidecar:
    return Sidecar(settings("seed"), "node1").put(node(1), node(2)).wire(pod_keys(POD))


def test_a_policy_larger_than_a_request_is_left_out() -> None:
    """A service that grows beyond what etcd takes keeps the keys that it has, with a note."""
    few = [endpoint(f"2001:0:0:2::{n:x}", "node2") for n in range(2, 4)]
    many = [endpoint(f"2001:0:0:2::{n:x}", "node2") for n in range(2, 20_000)]
    sidecar = _sidecar().put(service("web", "2096::10"), endpoint_slice("web", few)).settle()
    before = sidecar.owned()
    found = sidecar.put(endpoint_slice("web", many)).plan()

    assert found.transactions == ()
    assert [("Service default/web", "InvalidValue")] == [
        (str(n.subject), n.reason) for n in found.notes
    ]
    assert sidecar.owned() == before


def test_a_localsid_on_a_route_of_others_is_left_out() -> None:
    """A SID that is a /128 route of its own VRF already is not written, nor is its service."""
    sidecar = _sidecar().put(
        service("web", "2096::10"), endpoint_slice("web", [endpoint(POD, "node1")])
    )
    key = "config/vpp/v2/route/if/x/vrf/1/dst/6666:0:0:1::5/128/gw/fe80::1"
    value = {"vrf_id": 1, "dst_network": "6666:0:0:1::5/128", "outgoing_interface": "x"}
    found = sidecar.wire({key: value}).plan()

    assert {"InvalidValue"} == {note.reason for note in found.notes}
    assert not [
        key
        for key in found.values
        if key.startswith((f"{STEERING}forK8sService", f"{POLICY}5555:"))
        or key == f"{LOCALSID}6666:0:0:1::5"
    ]


def test_somebody_who_uses_our_bsid_does_not_move_it() -> None:
    """A steering of others into a policy of ours changes nothing of ours."""
    sidecar = _sidecar().put(
        service("web", "2096::10"), endpoint_slice("web", [endpoint(POD, "node1")])
    )
    sidecar.settle()
    theirs = {
        "name": "theirs",
        "policy_bsid": "5555::10",
        "l3_traffic": {"installation_vrf_id": 1, "prefix_address": "2096::1/128"},
    }

    assert sidecar.wire({f"{STEERING}theirs": theirs}).plan().transactions == ()
    kept = json.loads(sidecar.owned()[f"{STEERING}forK8sService-default-web"])
    assert kept["policy_bsid"] == "5555::10"
