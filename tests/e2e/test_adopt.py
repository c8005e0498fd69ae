"""Taking over what Contiv's renderer wrote, on the recorded clusters."""

from __future__ import annotations

import json
from typing import Any

import pytest
from clusters import Json
from contivs import CASES, CHAIN, FORWARD, LOOPBACK, NOTED, Node, canonical, contivs
from history import POLICY, STEERING, differences, violations
from podchains import chain_keys

from srv6kv.ligato import keys

every_case = pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])


@every_case
def test_adoption_ends_where_run_would_have_begun(case: Json) -> None:
    """With loopbacks cleared the state is what run makes of the node; run then writes nothing."""
    node = Node(case, contivs(case))
    found = node.adopt(strips_loopbacks=True)

    assert differences(node.state, node.fresh()) == []
    assert node.leftover() == []
    assert found.lost == ()
    assert NOTED in node.noted
    assert b"port-forward" not in node.noted[NOTED]


@every_case
def test_what_both_write_alike_is_not_touched(case: Json) -> None:
    """Steerings and BSIDs stay; a key that would get the same bytes is not written at all."""
    before = contivs(case)
    node = Node(case, before)
    found = node.adopt()
    touched = set(node.changed())
    steered = {key: value for key, value in before.items() if key.startswith(STEERING)}

    assert {key: node.state[key] for key in steered} == steered
    assert touched.isdisjoint(found.kept)
    assert set(found.kept) >= steered.keys()
    assert {key for key in before if key.startswith(POLICY)} <= node.state.keys()
    assert touched == {*found.changed, *found.added, *found.removed}


@every_case
def test_every_state_on_the_way_is_sound(case: Json) -> None:
    """Between any two operations each steering has its policy, each policy its local localsids."""
    node = Node(case, contivs(case))
    node.adopt()

    assert violations(node.revisions, case["agent"]) == []


@every_case
def test_a_chain_of_contivs_goes_right_before_ours_comes(case: Json) -> None:
    """A deleted chain empties the built-in one: never after ours of the same place is there. The
    copies of the rules, to which it jumps, are there before."""
    node = Node(case, contivs(case))
    node.adopt()
    order = node.changed()
    for index, key in enumerate(order):
        if key.startswith(FORWARD):
            container, _, place = key.removeprefix(FORWARD).rpartition("-")
            ours = {k: i for i, k in enumerate(order) if k.startswith(CHAIN)}
            sandboxes = {k.removeprefix(CHAIN).rpartition("-")[0]: k for k in ours}
            names = [name for name in sandboxes if container.startswith(name)]
            for name in names:
                *copies, output, prerouting = (ours[k] for k in chain_keys(name))
                builtin = {"OUTPUT": output, "PREROUTING": prerouting}[place]

                assert max(copies) < index < builtin < index + 3


@every_case
def test_the_cnis_keys_stay(case: Json) -> None:
    """Without --loopbacks no key that the CNI gave the agent is touched, and the rest is named."""
    before = contivs(case)
    node = Node(case, before)
    found = node.adopt()

    assert set(case["agent"]).isdisjoint(node.changed())
    assert {key for key in case["agent"] if before[key] != canonical(case["agent"][key])} == set(
        found.loopbacks
    )


@pytest.fixture
def case() -> Json:
    """A recorded cluster in which Contiv has redirected ports."""
    return next(case for case in CASES if any(key.startswith(FORWARD) for key in case["expected"]))


@every_case
def test_an_adoption_that_ends_anywhere_is_finished_by_the_next(case: Json) -> None:
    """Whatever part of the operations was done, adopting again ends in the same state."""
    whole = Node(case, contivs(case))
    whole.adopt()
    changes = [change for _, done in whole.revisions[1:] for change in done]
    for count in sorted({0, 1, len(changes) // 2, max(len(changes) - 1, 0)}):
        half = Node(case, contivs(case))
        half.noted = dict(whole.noted)
        for change in changes[:count]:
            half.put(change.key, change.value)
        half.adopt()

        assert differences(half.state, whole.state) == []
        assert half.leftover() == []


def test_adopting_twice_changes_nothing(case: Json) -> None:
    """What is adopted needs no adoption."""
    node = Node(case, contivs(case))
    node.adopt()
    found = node.adopt()

    assert (found.plan.transactions, found.changed, found.added, found.removed) == ((), (), (), ())


@pytest.mark.parametrize(
    "rules",
    [
        ["-d 2096::1/128 -p tcp -m tcp --dport 80 -j ACCEPT"],
        ["-d 2096::1/128 -p tcp -m tcp --dport 80 -j REDIRECT --to-ports 8080", "-j LOG"],
        [7],
        "none",
    ],
)
def test_a_chain_with_other_rules_stays(case: Json, rules: Any) -> None:
    """Only what reads like Contiv's redirections goes."""
    before = contivs(case)
    key = next(key for key in before if key.startswith(FORWARD))
    value = json.loads(before[key]) | {"rules": rules}
    node = Node(case, before | {key: canonical(value)})
    node.adopt()

    assert node.state[key] == canonical(value)


@pytest.mark.parametrize("value", [b"{", b"7", b'{"ip_addresses":7}', b'{"ip_addresses":[7]}'])
def test_a_loopback_that_cannot_be_read_stays(case: Json, value: bytes) -> None:
    """A broken value of the CNI is nothing to be taken off from."""
    key = f"{LOOPBACK}broken"
    node = Node(case, contivs(case) | {key: value})

    assert key not in node.adopt(strips_loopbacks=True).loopbacks
    assert node.state[key] == value


@pytest.mark.parametrize(
    "key",
    [
        "config/linux/iptables/v2/rulechain/port-forward-PREROUTING",
        "config/linux/iptables/v2/rulechain/port-forward-c-INPUT",
        "config/linux/iptables/v2/rulechain/my-port-forward-c-OUTPUT",
        "config/vpp/srv6/v2/steering/forK8sSFC-chain",
        "config/vpp/srv6/v2/steering/forNodeToNodeTunneling-lookupInMyVRF",
        "config/linux/interfaces/v2/interface/linux-loop-c",
    ],
)
def test_what_only_looks_like_contivs_stays(case: Json, key: str) -> None:
    """Other forms of keys belong to others."""
    node = Node(case, contivs(case) | {key: b"{}"})
    node.adopt(strips_loopbacks=True)

    assert node.state[key] == b"{}"


def test_tunnels_of_contiv_3_1_give_way_to_ours(case: Json) -> None:
    """Its one steering for all nodes leaves its prefix in the step that steers it into ours."""
    fresh = Node(case, {}).fresh()
    ours = next(key for key in fresh if key.endswith("-and-lookupInPodVRF"))
    value = json.loads(fresh[ours])
    old = f"{STEERING}forNodeToNodeTunneling-lookupInPodVRF"
    policy = f"{POLICY}{value['policy_bsid']}"
    ((end,),) = (item["segments"] for item in json.loads(fresh[policy])["segment_lists"])
    kept = {key: fresh[key] for key in fresh if key == policy or f"/dst/{end}/128/" in key}
    body = value | {"name": old.removeprefix(STEERING)}
    node = Node(case, contivs(case) | kept | {old: canonical(body)})
    node.adopt()
    order = node.changed()

    assert order.index(ours) == order.index(old) + 1
    assert old not in node.state
    assert violations(node.revisions, case["agent"]) == []


def test_a_second_address_of_contivs_moves_to_its_own_key(case: Json) -> None:
    """Defect D1: of two addresses only one is steered, under the name that is the ClusterIP's."""
    body = next(item for item in case["objects"] if item["kind"] == "Service")
    name = f"{body['metadata']['namespace']}-{body['metadata']['name']}"
    key = f"{STEERING}forK8sService-{name}"
    before = contivs(case)
    value = json.loads(before[key])
    value["l3_traffic"]["prefix_address"] = "2096::ffff/128"
    status = {"loadBalancer": {"ingress": [{"ip": "2096::ffff"}]}}
    objects = [item if item is not body else item | {"status": status} for item in case["objects"]]
    node = Node(case | {"objects": objects}, before | {key: canonical(value)})
    node.adopt(strips_loopbacks=True)
    cluster_ip = json.loads(node.state[key])["l3_traffic"]["prefix_address"]

    assert cluster_ip == f"{body['spec']['clusterIP']}/128"
    assert f"{key}_2096::ffff" in node.state
    assert node.leftover() == []
    assert violations(node.revisions, case["agent"]) == []


def test_an_endpoint_without_wiring_is_told(case: Json) -> None:
    """Where only Contiv knows how a pod hangs on VPP, its localsid would be lost."""
    before = contivs(case)
    arp = next(key for key in before if key.startswith(keys.ARP))
    address = arp.rpartition("/")[2]
    found = Node(case, {key: value for key, value in before.items() if key != arp}).adopt()

    assert [text for text in found.lost if f"Endpoint {address}: no static ARP" in text]
