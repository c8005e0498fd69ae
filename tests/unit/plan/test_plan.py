"""The order of operations, what happens to what is there already, and what is too much at once."""

from __future__ import annotations

import json
from collections.abc import Mapping

import pytest
from clusters import (
    CONFS,
    Json,
    base_keys,
    endpoint,
    endpoint_slice,
    node,
    pod_keys,
    service,
    settings,
    settings_of,
)
from podchains import chain_keys
from sidecar import AGENT_PREFIX, Sidecar, operations, own_ranges

from srv6kv.plan.plan import MOST_BYTES, MOST_OPERATIONS, split
from srv6kv.txn.transaction import FullKey, Operation

POD, OTHER = "2001:0:0:1::5", "2001:0:0:1::6"
LOCALSID = "config/vpp/srv6/v2/localsid/"
POLICY = "config/vpp/srv6/v2/policy/"
STEERING = "config/vpp/srv6/v2/steering/"
ROUTE = "config/vpp/v2/route/vrf/0/dst/"


def _sidecar(conf: str = "seed") -> Sidecar:
    found = Sidecar(settings(conf), "node1").wire(base_keys(1, "fe10:f00d::1")).put(node(1))
    for pod in (POD, OTHER):
        found.wire(pod_keys(pod))
    return found.settle()


def _web(*pods: str, address: str = "2096::10", name: str = "web") -> list[Json]:
    listed = [endpoint(pod, "node1") for pod in pods]
    return [service(name, address), endpoint_slice(name, listed)]


def test_puts_go_up_and_deletes_go_down() -> None:
    """Localsid, route, chains, policy, steering come in this order and go in the reverse: copies of
    rules are there as long as a chain jumps to them."""
    sidecar = _sidecar().put(*_web(POD))
    found = sidecar.plan()
    sandbox = "c20010000000000010000000000000005"
    chains = chain_keys(sandbox)
    rising = [
        f"{LOCALSID}6666:0:0:1::5",
        f"{ROUTE}6666:0:0:1::5/128/gw/::",
        *chains,
        f"{POLICY}5555::10",
        f"{STEERING}forK8sService-default-web",
    ]
    falling = [*rising[:7:-1], *chains[4:], *chains[:4], rising[1], rising[0]]

    assert operations(found) == [("put", key) for key in rising]
    sidecar.commit(found).remove(*_web(POD))
    assert operations(sidecar.plan()) == [("del", key) for key in falling]


def test_steerings_come_in_the_order_of_their_policies() -> None:
    """The agent takes policies and steerings by turns: a service works when it has both."""
    sidecar = _sidecar()
    for name, number in (("a", 13), ("b", 12), ("c", 11)):
        sidecar.put(*_web(POD, address=f"2096::{number}", name=name))
    puts = [key for _, key in operations(sidecar.plan())]
    steerings = [key for key in puts if key.startswith(STEERING)]

    assert [key for key in puts if key.startswith(POLICY)] == [
        f"{POLICY}5555::{number}" for number in (11, 12, 13)
    ]
    assert [key[-2:] for key in steerings] == ["-c", "-b", "-a"]


def test_a_guard_is_the_revision_that_was_read() -> None:
    """A key that is there must still have its mod revision, a key that is not must not exist."""
    sidecar = _sidecar().put(*_web(POD)).settle()
    revision = sidecar.actual.entries[f"{POLICY}5555::10"].revision
    [transaction] = sidecar.put(*_web(POD, OTHER)).plan().transactions
    guards = {item.key.removeprefix(AGENT_PREFIX): item.guard for item in transaction.operations}

    assert guards[f"{POLICY}5555::10"] == revision > 0
    assert guards[f"{LOCALSID}6666:0:0:1::6"] == 0


def test_a_steering_that_changes_its_key_goes_just_before_it_comes() -> None:
    """A service that gives its address to another leaves immediately before the other enters."""
    sidecar = _sidecar().put(*_web(POD)).settle()
    sidecar.remove(*_web(POD)).put(*_web(POD, name="new"))

    assert operations(sidecar.plan()) == [
        ("del", f"{STEERING}forK8sService-default-web"),
        ("put", f"{STEERING}forK8sService-default-new"),
    ]


def test_services_that_swap_addresses_let_go_first() -> None:
    """Two steerings that swap their prefixes are deleted in a transaction of their own; the second
    copies of rules come last."""
    sidecar = _sidecar().put(*_web(POD), *_web(OTHER, name="two", address="2096::20")).settle()
    sidecar.put(*_web(POD, address="2096::20"), *_web(OTHER, name="two"))
    found = sidecar.plan()

    assert len(found.transactions) == 3
    assert {one.key[-2:] for one in found.transactions[2].operations} == {"-a"}
    sidecar.commit(found)
    lists = {
        value["l3_traffic"]["prefix_address"]: sidecar.values()[POLICY + value["policy_bsid"]]
        for key, value in sidecar.values().items()
        if key.startswith(STEERING)
    }
    assert lists["2096::20/128"]["segment_lists"][0]["segments"] == ["6666:0:0:1::5"]
    assert lists["2096::10/128"]["segment_lists"][0]["segments"] == ["6666:0:0:1::6"]


def _twin(name: str, bsid: str = "5555::10") -> Mapping[str, Json]:
    traffic = {"installation_vrf_id": 1, "prefix_address": "2096::10/128"}
    value = {"name": name, "policy_bsid": bsid, "l3_traffic": traffic}
    return {STEERING + name: value}


def _taken_after(sidecar: Sidecar) -> set[str]:
    """The prefixes that VPP steers after a plan: a delete removes whatever entry is there."""
    entries: set[str] = {
        json.loads(entry.value)["l3_traffic"]["prefix_address"]
        for key, entry in sidecar.actual.entries.items()
        if key.startswith(STEERING)
    }
    for transaction in sidecar.plan().transactions:
        for operation in transaction.operations:
            key = operation.key.removeprefix(AGENT_PREFIX)
            if not key.startswith(STEERING):
                continue
            text = operation.value or sidecar.actual.entries[key].value
            prefix = json.loads(text)["l3_traffic"]["prefix_address"]
            if operation.is_put:
                entries.add(prefix)
            else:
                entries.discard(prefix)
    return entries


@pytest.mark.parametrize("name", ["web", "new"])
def test_twins_are_parted_without_losing_their_prefix(name: str) -> None:
    """Of two steerings of one prefix in etcd, whichever goes, VPP steers the prefix at the end."""
    sidecar = _sidecar().put(*_web(POD)).settle()
    sidecar.wire(_twin("forK8sService-default-web_2096::10"))
    if name == "new":
        sidecar.remove(*_web(POD)).put(*_web(POD, name="new"))

    assert "2096::10/128" in _taken_after(sidecar)
    assert sidecar.settle().plan().transactions == ()


def test_a_plan_that_was_cut_short_keeps_the_first_bsid() -> None:
    """A policy of ours that no steering uses yet does not push its own service to another BSID."""
    sidecar = _sidecar().put(*_web(POD))
    steps = sidecar.steps(sidecar.plan())
    for operation in steps:
        if POLICY in operation.key:
            break
    again = sidecar.restarted().put(node(1), *_web(POD)).settle()

    assert again.values()[f"{STEERING}forK8sService-default-web"]["policy_bsid"] == "5555::10"


def test_a_localsid_that_becomes_invalid_takes_its_endpoint_along() -> None:
    """A pod on an interface that the agent cannot have is in no policy; its service goes on."""
    sidecar = _sidecar().put(*_web(POD, OTHER)).settle()
    sidecar.wire(pod_keys(POD, "long", interface="x" * 64))
    sidecar.commit(sidecar.plan_change())

    assert f"{LOCALSID}6666:0:0:1::5" not in sidecar.owned()
    lists = sidecar.values()[f"{POLICY}5555::10"]["segment_lists"]
    assert [item["segments"] for item in lists] == [["6666:0:0:1::6"]]
    assert "InvalidValue" in {note.reason for note in sidecar.desired().all_notes()}


def test_a_localsid_that_becomes_valid_brings_its_service_along() -> None:
    """When a pod moves to an interface that the agent can have, its service is steered again."""
    sidecar = _sidecar()
    sidecar.wire(pod_keys(POD, "long", interface="x" * 64)).put(*_web(POD)).settle()
    sidecar.wire(pod_keys(POD, "short"))
    sidecar.commit(sidecar.plan_change())

    assert f"{STEERING}forK8sService-default-web" in sidecar.owned()


def test_a_route_of_others_keeps_a_newcomer_out() -> None:
    """A ClusterIP with a /128 route in the pod VRF is not steered, which would lose its traffic."""
    sidecar = _sidecar()
    key = "config/vpp/v2/route/vrf/1/dst/2096::10/128/gw/::"
    value = {"type": "DROP", "vrf_id": 1, "dst_network": "2096::10/128", "next_hop_addr": "::"}
    sidecar.wire({key: value}).put(*_web(POD))
    found = sidecar.plan()

    assert [note.reason for note in found.notes] == ["InvalidValue"]
    assert not [key for _, key in operations(found) if key.startswith((POLICY, STEERING))]


def test_a_route_that_comes_later_changes_nothing() -> None:
    """A steering that is there stays when somebody adds a /128 route: VPP keeps its entry."""
    sidecar = _sidecar().put(*_web(POD)).settle()
    key = "config/vpp/v2/route/vrf/1/dst/2096::10/128/gw/::"
    value = {"type": "DROP", "vrf_id": 1, "dst_network": "2096::10/128", "next_hop_addr": "::"}
    found = sidecar.wire({key: value}).plan()

    assert found.transactions == ()
    assert [note.reason for note in found.notes] == ["InvalidValue"]


def test_a_steering_of_others_is_left_alone() -> None:
    """An address that somebody else steers is not steered a second time."""
    sidecar = _sidecar().wire(_twin("theirs", "9999::1")).put(*_web(POD))
    found = sidecar.plan()

    assert not [key for _, key in operations(found) if key.startswith((POLICY, STEERING))]
    assert [note.reason for note in found.notes] == ["InvalidValue"]


def test_a_bsid_of_others_is_in_use() -> None:
    """A policy of somebody else whose BSID begins with a first choice pushes it aside."""
    networks = {**CONFS["seed"]["ipamConfig"]}
    networks["srv6"] = {"servicePolicyBSIDSubnetCIDR": "fc00::b:0/112"}
    of = settings_of({**CONFS["seed"], "ipamConfig": networks})
    sidecar = Sidecar(of, "node1").wire(base_keys(1, "fe10:f00d::1")).wire(pod_keys(POD))
    theirs = "fc00::b:10:1"
    value = {"bsid": theirs, "segment_lists": [{"segments": ["1::"], "weight": 1}]}
    sidecar.wire({POLICY + theirs: value}).put(node(1), *_web(POD)).settle()

    steering = sidecar.values()[f"{STEERING}forK8sService-default-web"]
    assert steering["policy_bsid"] == "fc00::b:2"  # fc00::b:1 is the beginning of theirs
    assert sidecar.values()[POLICY + theirs] == value


@pytest.mark.parametrize(("old", "new"), [("seed", "today"), ("seed", "vrfs"), ("vrfs", "none")])
def test_a_change_of_settings_cleans_up_after_itself(old: str, new: str) -> None:
    """With other prefixes, VRFs or plumbing what was written under the old ones goes."""
    before = _sidecar(old).put(*_web(POD, OTHER)).settle()
    after = Sidecar(settings(new), "node1")
    after.revision, after.ledger = before.revision, before.ledger
    for key, entry in before.actual.entries.items():
        after.actual.apply(key, entry.value, entry.revision)
        after.cluster.apply_agent_key(key, entry.value, entry.revision)
    after.put(node(1), *_web(POD, OTHER)).settle()
    fresh = _sidecar(new).put(*_web(POD, OTHER)).settle()

    assert after.texts() == fresh.texts()
    assert after.ledger == fresh.ledger


VRF_TABLE = "config/vpp/v2/vrf-table/id/1/protocol/IPV6"


def test_what_others_may_own_is_created_if_absent() -> None:
    """A VRF table that is there stays as it is; one that is not is made, and noted."""
    theirs = {"id": 1, "protocol": "IPV6", "label": "theirs"}
    sidecar = Sidecar(settings("seed"), "node1").wire({VRF_TABLE: theirs}).put(node(1)).settle()

    assert sidecar.values()[VRF_TABLE] == theirs
    assert VRF_TABLE not in sidecar.ledger.shared
    sidecar.unwire([VRF_TABLE]).settle()
    assert sidecar.values()[VRF_TABLE]["label"] == "podVRF-IPv6"
    assert VRF_TABLE in sidecar.ledger.shared


def test_what_somebody_took_over_is_theirs() -> None:
    """A shared key that we wrote and somebody changed is neither changed back nor deleted."""
    sidecar = Sidecar(settings("seed"), "node1").put(node(1)).settle()
    theirs = {"id": 1, "protocol": "IPV6", "label": "theirs"}
    sidecar.wire({VRF_TABLE: theirs})

    assert sidecar.plan().transactions == ()
    assert VRF_TABLE not in sidecar.plan().ledger.shared


def _effects(*steps: list[Json]) -> list[dict[str, int]]:
    sidecar = _sidecar()
    found = []
    for bodies in steps:
        plan = sidecar.put(*bodies).plan_change()
        found.append(dict(plan.effects))
        sidecar.commit(plan)
    return found


def test_effects_say_what_happens_to_policies() -> None:
    """A policy is created, grows, shrinks, is replaced and is removed."""
    steps = [_web(POD), _web(POD, OTHER), _web(OTHER), _web(POD), _web()]

    assert _effects(*steps) == [
        {"create": 1},
        {"grow": 1},
        {"shrink": 1},
        {"replace": 1},
        {"remove": 1},
    ]


def test_only_growing_and_shrinking_can_wait() -> None:
    """A change can wait for its counterpart unless an address comes, goes or is replaced."""
    sidecar = _sidecar().put(*_web(POD))
    waits = []
    for pods in ([POD], [POD, OTHER], [OTHER], [POD], []):
        found = sidecar.put(*_web(*pods)).plan()
        waits.append(found.can_wait)
        sidecar.commit(found)

    assert waits == [False, True, True, False, False]


def _operation(number: int, size: int = 10) -> Operation:
    return Operation(FullKey(f"{AGENT_PREFIX}{number:06}"), b"x" * size, 0)


@pytest.mark.parametrize(
    ("count", "sizes"),
    [
        (0, []),
        (1, [1]),
        (MOST_OPERATIONS, [MOST_OPERATIONS]),
        (MOST_OPERATIONS + 1, [MOST_OPERATIONS, 1]),
    ],
)
def test_a_transaction_has_4096_operations_at_most(count: int, sizes: list[int]) -> None:
    """A longer list is split, in its order, as late as it can be."""
    listed = [_operation(number) for number in range(count)]
    found = split(listed)

    assert [len(transaction) for transaction in found] == sizes
    assert [item for transaction in found for item in transaction.operations] == listed


def test_a_transaction_has_one_mebibyte_at_most() -> None:
    """Keys, values and what they cost beside them stay below 1 MiB for each transaction."""
    found = split([_operation(number, 300_000) for number in range(10)])

    assert [len(transaction) for transaction in found] == [3, 3, 3, 1]
    for transaction in found:
        assert sum(len(i.key) + len(i.value or b"") for i in transaction.operations) < MOST_BYTES


def test_one_value_that_is_too_big_goes_alone() -> None:
    """An operation is never dropped, however big it is."""
    found = split([_operation(0), _operation(1, MOST_BYTES + 1), _operation(2)])

    assert [len(transaction) for transaction in found] == [1, 1, 1]


def test_a_plan_that_is_split_keeps_its_order() -> None:
    """2,500 services come in two transactions, all policies before the first steering."""
    sidecar = _sidecar()
    for number in range(2500):
        sidecar.put(*_web(POD, address=f"2096::{number + 1:x}", name=f"s{number}"))
    found = sidecar.plan()
    places = [key.split("/")[4] for _, key in operations(found)]

    assert len(found.transactions) == 2
    assert places.index("steering") > max(i for i, place in enumerate(places) if place == "policy")
    assert sidecar.commit(found).plan().transactions == ()


def test_own_ranges_are_noted() -> None:
    """A plan says which ranges are in use once it is done."""
    assert _sidecar().plan().ledger.ranges == own_ranges(settings("seed"))
