"""What a pod's chains should hold, and which of them may be put now."""

from __future__ import annotations

import json
from collections.abc import Mapping

import pytest
from clusters import (
    Json,
    base_keys,
    endpoint,
    endpoint_slice,
    node,
    pod_keys,
    service,
    settings,
)
from podchains import COPIES, JUMPS, PREFIX, chain_keys, rules_of
from sidecar import AGENT_PREFIX, Sidecar

from srv6kv.plan.copies import Order, order_of
from srv6kv.plan.plan import Plan

POD = "2001:0:0:1::5"
A, B, NOT_A, NOT_B, OUTPUT, PREROUTING = chain_keys("five")


def _web(address: str = "2096::10", port: int = 80, name: str = "web") -> list[Json]:
    ports = [("http", "TCP", port)]
    return [service(name, address, ports), endpoint_slice(name, [endpoint(POD, "node1")], ports)]


def _sidecar(*bodies: Json) -> Sidecar:
    sidecar = Sidecar(settings("seed"), "node1").wire(base_keys(1, "fe10:f00d::1"))
    return sidecar.wire(pod_keys(POD, "five")).put(node(1), *bodies).settle()


def _puts(found: Plan) -> list[list[str]]:
    """The chains that each transaction puts."""
    return [
        [
            one.key.removeprefix(AGENT_PREFIX)
            for one in transaction.operations
            if "/rulechain/" in one.key and one.is_put
        ]
        for transaction in found.transactions
    ]


def _edit(sidecar: Sidecar, edits: Mapping[str, Json | None]) -> Sidecar:
    """Another writer changes or deletes chains."""
    return sidecar.wire(edits)


def _in_one_chain(sidecar: Sidecar) -> Sidecar:
    """The chains as earlier versions wrote them: each built-in one holds the rules itself."""
    values = sidecar.values()
    for chain in COPIES:
        rules = rules_of(values, "five", chain)
        value = {**values[f"{PREFIX}srv6kv-five-{chain}"], "rules": rules}
        text = json.dumps(value, sort_keys=True, separators=(",", ":")).encode()
        sidecar.revision += 1
        sidecar.actual.apply(f"{PREFIX}srv6kv-five-{chain}", text, sidecar.revision)
    return sidecar.unwire([A, B, NOT_A, NOT_B])


def test_a_new_pod_has_all_chains_at_once() -> None:
    """Copies before the chain that jumps to them; nothing waits, as nothing is lost."""
    sidecar = Sidecar(settings("seed"), "node1").wire(base_keys(1, "fe10:f00d::1"))
    found = sidecar.wire(pod_keys(POD, "five")).put(node(1), *_web()).plan()

    assert _puts(found) == [chain_keys("five")]
    assert found.order == Order()


def test_a_change_is_put_into_one_copy_after_the_other() -> None:
    """The built-in chain stays; a waits for b, and b for what was put into a before."""
    sidecar = _sidecar(*_web())
    before = sidecar.actual.entries[PREROUTING]
    found = sidecar.put(*_web("2096::20", name="two")).plan_change()

    assert _puts(found) == [[B, NOT_B], [A, NOT_A]]
    assert found.order.followers == {A: {B}, NOT_A: {NOT_B}}
    assert found.order.beside == {A: B, B: A, NOT_A: NOT_B, NOT_B: NOT_A}
    sidecar.commit(found)
    assert sidecar.actual.entries[PREROUTING] == before
    assert not sidecar.plan()


def test_another_port_leaves_the_calls_alone() -> None:
    """Rules for packets that go out have no ports: a pod whose rules stay is not written."""
    sidecar = _sidecar(*_web())
    found = sidecar.put(*_web(port=81)).plan_change()

    assert _puts(found) == [[B], [A]]


@pytest.mark.parametrize(
    ("edits", "puts"),
    [
        ({A: None}, [[A]]),
        ({B: None}, [[B]]),
        ({A: None, B: None}, [[A, B]]),
        ({PREROUTING: None}, [[PREROUTING]]),
        ({A: {"name": "x"}}, [[A]]),
        ({B: {"name": "x"}}, [[B]]),
        ({A: {"name": "x"}, B: {"name": "x"}}, [[B], [A]]),
        ({A: None, B: {"name": "x"}}, [[A], [B]]),
        ({A: {"name": "x"}, B: None}, [[B], [A]]),
    ],
)
def test_what_others_did_is_undone_with_one_copy_at_work(
    edits: Mapping[str, Json | None], puts: list[list[str]]
) -> None:
    """A copy that is absent goes first: no packet meets it before it is there."""
    found = _edit(_sidecar(*_web()), edits).plan()

    assert _puts(found) == puts


def test_a_copy_that_is_wrong_waits_for_the_right_one() -> None:
    """As after a process that was killed between the two."""
    first = _edit(_sidecar(*_web()), {A: {"name": "x"}}).plan()
    second = _edit(_sidecar(*_web()), {B: {"name": "x"}}).plan()

    assert first.order == Order({A: frozenset({B})}, {A: B})
    assert second.order == Order({}, {B: A})


def test_a_pod_that_is_made_again_does_not_wait() -> None:
    """Its namespace is another one under the same names: nothing works there yet."""
    sidecar = _sidecar(*_web())
    keys = json.loads(json.dumps(pod_keys(POD, "five")).replace("/run/netns/", "/run/netns/new-"))
    found = sidecar.wire(keys).plan_change()

    assert _puts(found) == [chain_keys("five")]


def test_chains_of_earlier_versions_stay_while_their_rules_do() -> None:
    """An upgrade writes nothing: to replace a built-in chain empties it for a moment."""
    sidecar = _in_one_chain(_sidecar(*_web()))

    assert not sidecar.plan()
    assert not sidecar.put(*_web()).plan_change()


def test_chains_of_earlier_versions_become_jumps_when_their_rules_change() -> None:
    """At once, the copies first, as the agent takes chains in their order and has nothing to delete
    before; an unchanged chain of the pod stays as it is."""
    sidecar = _in_one_chain(_sidecar(*_web()))
    found = sidecar.put(*_web(port=81)).plan_change()

    assert _puts(found) == [[A, B, PREROUTING]]
    assert found.order == Order()
    sidecar.commit(found)
    assert rules_of(sidecar.values(), "five")
    assert sidecar.values()[OUTPUT]["rules"] == ["-d 2096::10/128 -j CT --notrack"]
    assert not sidecar.plan()


def _make_copies(sidecar: Sidecar, found: Plan) -> Sidecar:
    """Only the copies of a plan are in etcd, as after a process that was killed."""
    for operation in found.transactions[0].operations:
        key = operation.key.removeprefix(AGENT_PREFIX)
        if key in (A, B):
            sidecar.actual.apply(key, operation.value, 99)
    return sidecar


def test_a_chain_of_an_earlier_version_waits_for_copies_that_are_there() -> None:
    """The agent may just be making them."""
    sidecar = _in_one_chain(_sidecar(*_web()))
    found = _make_copies(sidecar, sidecar.put(*_web(port=81)).plan_change()).plan()

    assert _puts(found) == [[PREROUTING]]
    assert found.order.followers == {PREROUTING: {A, B}}


def test_a_change_that_is_taken_back_leaves_the_old_chain() -> None:
    """Copies that no chain jumps to yet go again."""
    sidecar = _in_one_chain(_sidecar(*_web()))
    found = sidecar.put(*_web(port=81)).plan_change()
    again = _make_copies(sidecar, found).put(*_web()).plan()

    assert [
        (one.key.removeprefix(AGENT_PREFIX), one.value) for one in again.transactions[0].operations
    ] == [
        (A, None),
        (B, None),
    ]


def test_a_pod_that_goes_takes_its_chains_with_it() -> None:
    """Of either form, the built-in ones first."""
    sidecar = _sidecar(*_web())
    keys = [one.key for one in sidecar.remove(*_web()).plan_change().transactions[0].operations]
    gone = [key.removeprefix(AGENT_PREFIX) for key in keys if "/rulechain/" in key]
    old = _in_one_chain(_sidecar(*_web())).remove(*_web()).plan_change()

    assert gone == [OUTPUT, PREROUTING, A, B, NOT_A, NOT_B]
    assert {key for key in (PREROUTING, OUTPUT) if AGENT_PREFIX + key in map(_key, _all(old))}


def _all(found: Plan) -> list[object]:
    return [one for transaction in found.transactions for one in transaction.operations]


def _key(operation: object) -> str:
    return str(getattr(operation, "key", ""))


def test_nothing_waits_where_no_chain_is_put() -> None:
    """Deletions and other keys have no order among chains."""
    sidecar = _sidecar(*_web())

    assert order_of({A: None, "config/vpp/v2/x": b"{}"}, sidecar.actual).followers == {}
    assert [sidecar.values()[key]["rules"] for key in (PREROUTING, OUTPUT)] == [JUMPS, JUMPS]
