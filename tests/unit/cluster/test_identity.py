"""Where a node's id and address come from: Contiv's records, pod CIDRs, an annotation, mixed."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

import pytest
from clusters import Json, endpoint, endpoint_slice, identity, node, service, settings

from srv6kv.cluster.noderecords import PREFIX, NodeRecord, Records, parse
from srv6kv.etcd.values import Change, KeyValue
from srv6kv.notes import Note
from srv6kv.offline.reading import read_agent_state
from srv6kv.sync.reconciler import Reconciler
from srv6kv.txn.transaction import FullKey, Transaction

SID = "config/vpp/srv6/v2/"
ANNOTATION = "srv6kv.io/node-ip"


def _record(number: int, name: str, *ips: str) -> dict[str, Json]:
    """What Contiv writes for a node."""
    value = {"id": number, "name": name, "ip_addresses": [f"{ip}/90" for ip in ips]}
    return {f"{PREFIX}{number}": value}


def _entries(values: dict[str, Json], revision: int = 1) -> list[KeyValue]:
    return [
        KeyValue(FullKey(key), json.dumps(value).encode(), revision)
        for key, value in values.items()
    ]


def _reconciler(records: dict[str, Json], *bodies: Json) -> Reconciler:
    """Node 1 with these records in etcd."""
    found = Reconciler(settings("seed"), "node1", "n")
    found.intake.apply_all((identity(body), body) for body in bodies)
    found.reset(_entries(records))
    return found


def _without_cidr(number: int) -> Json:
    return {**node(number), "spec": {}}


def _annotated(number: int, ip: str) -> Json:
    return node(number, annotations={ANNOTATION: ip})


def _ends(reconciler: Reconciler) -> dict[str, str]:
    """Node name to node SID: the End localsid here, routes to others."""
    reconciler.plan()
    own = reconciler.renderer.services.topology
    return {name: peer.sid or "" for name, peer in own.peers.items()}


def _reasons(reconciler: Reconciler) -> set[tuple[str, str]]:
    reconciler.plan()
    return {(str(note.subject), note.reason) for note in reconciler.notes()}


@pytest.mark.parametrize(
    ("records", "bodies", "expected"),
    [
        (  # no records: the index of the pod CIDR
            {},
            [node(1), node(2)],
            {"node1": "7766:f00d::1", "node2": "7766:f00d::2"},
        ),
        (  # records alone: Contiv gives nodes their pods itself
            {**_record(1, "node1", "fe10:f00d::1"), **_record(5, "node2", "fe10:f00d::5")},
            [_without_cidr(1), _without_cidr(2)],
            {"node1": "7766:f00d::1", "node2": "7766:f00d::5"},
        ),
        (  # a record that tells no address yet: computed from its id
            _record(7, "node2"),
            [node(1), node(2)],
            {"node1": "7766:f00d::1", "node2": "7766:f00d::7"},
        ),
        (  # the published address counts, not the computed one
            _record(7, "node2", "10.0.0.7", "fe10:f00d::77"),
            [node(1), node(2)],
            {"node1": "7766:f00d::1", "node2": "7766:f00d::77"},
        ),
        (  # the annotation replaces the address of either source
            _record(7, "node2", "fe10:f00d::7"),
            [_annotated(1, "fe10:f00d::a1"), _annotated(2, "fe10:f00d::a2")],
            {"node1": "7766:f00d::a1", "node2": "7766:f00d::a2"},
        ),
        (  # who has a record comes before who only seems to have the id
            _record(1, "node2", "fe10:f00d::1"),
            [node(1), node(2)],
            {"node1": "", "node2": "7766:f00d::1"},
        ),
        (  # a record of a node that is gone is nobody's
            _record(3, "gone", "fe10:f00d::3"),
            [node(1), node(3)],
            {"node1": "7766:f00d::1", "node3": "7766:f00d::3"},
        ),
        (  # of two records of one name the lower id counts
            {**_record(12, "node2"), **_record(4, "node2")},
            [node(1), node(2)],
            {"node1": "7766:f00d::1", "node2": "7766:f00d::4"},
        ),
    ],
)
def test_who_has_which_address(
    records: dict[str, Json], bodies: list[Json], expected: dict[str, str]
) -> None:
    """Records come before pod CIDRs, the annotation before both, each node by itself."""
    assert _ends(_reconciler(records, *bodies)) == expected


def test_a_record_gives_a_node_its_subnets() -> None:
    """Pods, host interconnect and tunnels follow the id of the record, here and elsewhere."""
    records = {**_record(6, "node1"), **_record(7, "node2")}
    reconciler = _reconciler(records, _without_cidr(1), _without_cidr(2))
    reconciler.intake.apply_all(
        (identity(body), body)
        for body in (
            service("web", "2096::10"),
            endpoint_slice("web", [endpoint("fd00::101"), endpoint("2001:0:0:7::9", "node2")]),
        )
    )
    wanted = reconciler.plan().values
    values = {key: json.loads(text) for key, text in wanted.items() if text is not None}
    steered = {
        value["l3_traffic"]["prefix_address"]
        for key, value in values.items()
        if "forNodeToNode" in key
    }

    assert "config/vpp/v2/route/vrf/0/dst/2001:0:0:6::/64/gw/::" in values
    assert values[f"{SID}localsid/6655::1"]["end_function_dx6"]["next_hop"] == "2002::6:2"
    assert steered == {"2001:0:0:7::/64", "2002::7:0/112", "fd00::102/128"}
    assert values[f"{SID}policy/5555::10"]["segment_lists"] == [
        {"segments": ["6655::1"], "weight": 1},
        {"segments": ["7766:f00d::7", "6666:0:0:7::9"], "weight": 1},
    ]


def test_an_id_without_room_is_noted() -> None:
    """A record whose id no part of podSubnetCIDR has leaves the node without id and address."""
    reconciler = _reconciler(_record(70000, "node2"), node(1), node(2))

    assert _ends(reconciler)["node2"] == ""
    assert _reasons(reconciler) == {("Node node2", "NodeAddressUnknown")}


# Records that cannot be read ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        (b"{", "truncated"),
        (b"\xff", "malformed"),
        (b"[]", "object"),
        (b'{"name":"node2"}', "id: 0"),
        (b'{"id":-2,"name":"node2"}', "id: -2"),
        (b'{"id":3,"name":"node2"}', "id: 3 is not that of the key"),
        (b'{"id":2}', "name: missing"),
        (b'{"id":2,"name":"node2","ip_addresses":"fe10::1"}', "ip_addresses"),
    ],
)
def test_an_unreadable_record_is_noted_and_left_out(value: bytes, problem: str) -> None:
    """The rest goes on; its node is taken as one without a record."""
    reconciler = _reconciler({}, node(1), node(2))
    reconciler.reset([KeyValue(FullKey(f"{PREFIX}2"), value, 1), *_entries(_record(9, "node1"))])

    assert _ends(reconciler) == {"node1": "7766:f00d::9", "node2": "7766:f00d::2"}
    (note,) = (note for note in reconciler.notes() if note.reason == "NodeRecordUnreadable")
    assert str(note.subject) == f"Record {PREFIX}2"
    assert problem in note.text


def test_a_record_keeps_its_last_good_version() -> None:
    """What was good stays while the record is unreadable, over a new connection too."""
    reconciler = _reconciler(_record(7, "node2"), node(1), node(2))
    bad = KeyValue(FullKey(f"{PREFIX}7"), b"{", 2)
    for _ in range(2):
        reconciler.observe([bad])
        assert _ends(reconciler)["node2"] == "7766:f00d::7"
        (note,) = reconciler.notes()
        assert "its last good version stays" in note.text
        reconciler.reset([bad])

    reconciler.reset([])
    assert (_ends(reconciler)["node2"], reconciler.notes()) == ("7766:f00d::2", set())


def test_nothing_is_deleted_for_a_record_that_never_was_good() -> None:
    """What etcd holds may follow from the record: it stays until the record can be read."""
    before = _reconciler(_record(7, "node2"), node(1), node(2))
    held = _held(before)
    after = Reconciler(settings("seed"), "node1", "n")
    after.intake.apply_all((identity(body), body) for body in (node(1), node(2)))
    after.reset([*held, KeyValue(FullKey(f"{PREFIX}7"), b"{", 9)])
    (note,) = (note for note in after.plan().notes if note.reason == "DeletesHeld")

    assert str(note.subject) == "Cluster"


def _held(reconciler: Reconciler) -> list[KeyValue]:
    """What etcd holds after the reconciler's plan."""
    _commit(reconciler)
    return [
        KeyValue(FullKey(key), value, revision)
        for key, (value, revision) in reconciler.held().items()
    ]


def _commit(reconciler: Reconciler) -> list[Transaction]:
    found = reconciler.plan()
    for index, transaction in enumerate(found.transactions):
        extra = reconciler.bookkeeping(found, index)
        reconciler.committed(transaction, extra, 100 + index)
    reconciler.finish_change()
    return list(found.transactions)


@pytest.mark.parametrize(
    "spelling", [b'{"id":2,"name":"n","ipAddresses":["fe10::2/64"]}', b'{"id":2,"name":"n",'
    b'"ip_address":"fe10::2/64"}', b'{"id":2,"name":"n","ip_addresses":["FE10::2"],"x":1}']
)  # fmt: skip
def test_every_spelling_of_a_record_is_read(spelling: bytes) -> None:
    """Both JSON forms of protobuf, the older field, and fields that nobody reads here."""
    assert parse("2", spelling) == NodeRecord(2, "n", "fe10::2")


def test_records_know_what_is_there() -> None:
    """A record replaces the last one under its key, and goes with it."""
    records = Records()
    records.apply(f"{PREFIX}2", b'{"id":2,"name":"a"}')
    records.apply(f"{PREFIX}2", b'{"id":2,"name":"b"}')
    assert records.by_name() == {"b": NodeRecord(2, "b")}

    records.replace({})
    assert (records.by_name(), list(records.notes())) == ({}, list[Note]())


def test_a_file_may_hold_records_beside_the_agents_keys(tmp_path: Path) -> None:
    """``--agent-state`` takes whole keys as they are and completes those of the agent."""
    path = tmp_path / "state.json"
    path.write_text(
        json.dumps({**_record(8, "node2"), "config/vpp/v2/interfaces/x": {"name": "x"}})
    )
    reconciler = _reconciler({}, node(1), node(2))
    reconciler.reset(read_agent_state(path, reconciler.prefix))

    assert _ends(reconciler)["node2"] == "7766:f00d::8"
    assert list(reconciler.actual.entries) == ["config/vpp/v2/interfaces/x"]


# At run time --------------------------------------------------------------------------------------


def _kinds(transactions: Iterable[Transaction]) -> list[str]:
    return [
        ("put " if item.is_put else "del ") + item.key.removeprefix("/vnf-agent/n/config/vpp/")
        for transaction in transactions
        for item in transaction.operations
    ]


@pytest.mark.parametrize("source", ["annotation", "record"])
def test_the_own_address_changes_while_we_run(source: str) -> None:
    """End and DT6 localsids move to the new address, new ones first, and nothing else does."""
    reconciler = _reconciler({}, node(1), node(2))
    _commit(reconciler)
    if source == "annotation":
        body = _annotated(1, "fe10:f00d::a1")
        reconciler.intake.apply(identity(body), body)
    else:
        reconciler.observe(_entries(_record(1, "node1", "fe10:f00d::a1"), 200))
    expected = [
        f"{how} srv6/v2/localsid/{prefix}:f00d::{low}"
        for how, low in (("put", "a1"), ("del", "1"))
        for prefix in ("7766", "7777", "7799")
    ]

    assert _kinds(_commit(reconciler)) == expected
    assert reconciler.plan().transactions == ()


def test_a_record_that_comes_moves_only_its_node() -> None:
    """Another node's new address touches the keys that lead to it."""
    reconciler = _reconciler({}, node(1), node(2), node(3))
    _commit(reconciler)
    reconciler.observe(_entries(_record(2, "node2", "fe10:f00d::b2"), 200))
    done = _kinds(_commit(reconciler))

    assert done
    assert [line for line in done if "f00d::b2" not in line and "f00d::2" not in line] == []
    reconciler.observe([Change(FullKey(f"{PREFIX}2"), None, 300)])
    assert len(_commit(reconciler)) == 1
    assert _ends(reconciler)["node2"] == "7766:f00d::2"


def test_records_are_read_and_watched_but_never_written() -> None:
    """Their prefix is among what is read and watched; no plan names a key in it."""
    reconciler = _reconciler(_record(2, "node2"), node(1), node(2))

    assert PREFIX in reconciler.prefixes
    assert PREFIX in reconciler.watched
    for transaction in reconciler.plan().transactions:
        assert [item.key for item in transaction.operations if item.key.startswith(PREFIX)] == []
