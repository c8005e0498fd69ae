"""What the agent holds besides etcd: which answers count, and what comes first."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest
from clusters import Json, base_keys, pod_keys, vrf_keys
from test_pod_annotations import LOCALSID, MARKS, POD, POLICY, Sidecar, pod

from srv6kv.agent.attachments import (
    STEADY_SECONDS,
    Answers,
    Process,
    Reported,
    parse_dump,
    parse_process,
)
from srv6kv.cluster.attachment import Attachment, Unattached
from srv6kv.ligato import keys

BASE = base_keys(1, "fe10:f00d::1")
WIRING = pod_keys(POD, "web-0")
TAP = "vpp-tap-web-0"
ARP = f"config/vpp/v2/arp/{TAP}/{POD}"
LINUX = "config/linux/interfaces/v2/interface/linux-tap-web-0"
OLD = Process(1_000, 1_000 + int(STEADY_SECONDS))
A, B = {"config/vpp/v2/arp/a/2001::1": b"1"}, {"config/vpp/v2/arp/b/2001::2": b"2"}


def texts(values: Mapping[str, Any]) -> dict[str, bytes]:
    """As the agent tells them: lowerCamel names."""
    return {key: json.dumps(_camel(value)).encode() for key, value in values.items()}


def _camel(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    parts = {name: name.split("_") for name in value}
    return {
        head + "".join(part.title() for part in tail): _camel(value[name])
        for name, (head, *tail) in parts.items()
    }


def told(sidecar: Sidecar, values: Mapping[str, Any], *, is_complete: bool = True) -> Sidecar:
    """The agent answers."""
    cluster = sidecar.reconciler.cluster
    cluster.reported.is_complete = is_complete
    cluster.replace_reported(texts(values), sidecar.reconciler.actual.entries)
    return sidecar


class Gone:
    """A key that etcd has no more."""

    def __init__(self, key: str, revision: int) -> None:
        self.key, self.value, self.mod_revision = key, None, revision


def wired(sidecar: Sidecar) -> Attachment | Unattached:
    """How the pod hangs on VPP."""
    return sidecar.reconciler.cluster.attachment_of(POD, "node1")


# Answers ------------------------------------------------------------------------------------------


def test_what_is_new_counts_at_once() -> None:
    """Keys come and change with one answer, whenever the agent began."""
    answers = Answers()
    answers.apply(A, None, 0.0)
    assert (answers.table.values, answers.table.is_complete) == (A, False)
    answers.apply(A | B, None, 2.0)
    assert answers.table.values == A | B
    answers.apply(dict.fromkeys(A | B, b"3"), None, 4.0)
    assert answers.table.values == dict.fromkeys(A | B, b"3")


def test_what_two_answers_lack_is_gone() -> None:
    """One answer without a key takes nothing away; two in a row do, and an outage is no answer."""
    answers = Answers()
    for found in (A | B, A | B, A):
        answers.apply(found, OLD, 0.0)
        assert answers.table.values == A | B
    assert answers.table.is_complete
    assert answers.is_open()
    answers.lose("gone")
    assert (answers.table.values, answers.table.trouble) == (A | B, "gone")
    answers.apply(A, OLD, 1.0)
    assert (answers.table.values, answers.table.trouble) == (A | B, "")
    answers.apply(A, OLD, 2.0)
    assert answers.table.values == A
    assert not answers.is_open()


@pytest.mark.parametrize("tells", [True, False])
def test_an_agent_that_has_begun_anew_takes_nothing_away(tells: bool) -> None:
    """Empty answers count only when it has had time; who does not tell its start may have begun
    with every outage."""
    answers = Answers()
    for _ in range(2):
        answers.apply(A, OLD if tells else None, 0.0)
        answers.apply(A, OLD if tells else None, STEADY_SECONDS)
    answers.lose()
    new = Process(5_000, 5_001) if tells else None
    for now in (40.0, 42.0, 69.9):
        answers.apply({}, new, now)
        assert answers.table.values == A
    answers.apply({}, new, 40.0 + STEADY_SECONDS)

    assert answers.table.values == {}
    assert answers.table.is_complete


def test_a_restart_without_an_outage_is_noticed_too() -> None:
    """It was away between two questions: its start tells."""
    answers = Answers()
    answers.apply(A, OLD, 0.0)
    answers.apply(A, OLD, 2.0)
    for now in (4.0, 6.0, 8.0):
        answers.apply({}, Process(2_000, 2_000), now)

    assert answers.table.values == A


@pytest.mark.parametrize(
    ("second", "process", "is_complete"),
    [(A, OLD, True), (A | B, OLD, False), (A, Process(1_000, 1_029), False), (A, None, False)],
)
def test_what_is_complete(
    second: dict[str, bytes], process: Process | None, is_complete: bool
) -> None:
    """Two answers with the same keys, of an agent that has lived long enough."""
    answers = Answers()
    answers.apply(A, process, 0.0)
    answers.apply(second, process, 2.0)

    assert answers.table.is_complete is is_complete


def test_every_form_of_a_dump() -> None:
    """A value is bare, a text beside its message's name, or an object there."""
    value = {"interface": "tap1", "static": True}
    forms: list[Any] = [
        value,
        {"ProtoMsgName": "ligato.vpp.l3.ARPEntry", "ProtoMsgData": json.dumps(value)},
        {"ProtoMsgName": "ligato.vpp.l3.ARPEntry", "ProtoMsgData": value},
    ]
    for form in forms:
        found = parse_dump(json.dumps([{"Key": "k", "Value": form, "Origin": 1}]).encode())
        assert {key: json.loads(text) for key, text in found.items()} == {"k": value}
    assert parse_dump(b"null") == parse_dump(b"[]") == {}
    for nonsense in (b"", b"{}", b"7", b"[7]", b'[{"Key":7}]', b"\xff", b"[" * 100_000):
        with pytest.raises(ValueError, match=r"."):
            parse_dump(nonsense)


def test_when_the_agent_began() -> None:
    """Numbers as the probe has them, or as texts; anything else tells nothing."""
    assert parse_process(b'{"state":1,"start_time":5,"last_update":9}') == Process(5, 9)
    assert parse_process(b'{"start_time":"5"}') == Process(5)
    assert Process(5).uptime == 0
    for nothing in (b"{}", b"[]", b"x", b'{"start_time":"x"}', b'{"start_time":-1}'):
        assert parse_process(nothing) is None


# What comes first ---------------------------------------------------------------------------------


def test_the_agent_wires_a_pod_as_etcd_would() -> None:
    """The same keys give the same values, whoever tells them."""
    by_etcd, by_agent = Sidecar(BASE | WIRING), told(Sidecar(BASE), WIRING)
    by_etcd.settle()
    by_agent.settle()

    assert wired(by_agent) == wired(by_etcd)
    ours = {key for key in by_agent.held if key.startswith(by_agent.reconciler.prefix + "config/")}
    others = {by_agent.reconciler.prefix + key for key in BASE}
    assert {key: by_agent.held[key].value for key in ours - others} == {
        key: item.value for key, item in by_etcd.held.items() if key in ours - others
    }
    assert by_agent.value(LOCALSID)["end_function_dx6"]["outgoing_interface"] == TAP
    assert not any(key.endswith((ARP, LINUX)) for key in by_agent.held)
    assert not told(by_agent, WIRING).settle()


def test_a_key_in_etcd_wins() -> None:
    """Of a key that both have etcd's value counts; without it the agent's, unless it is etcd's."""
    sidecar = Sidecar(BASE | {ARP: {**WIRING[ARP], "static": False}})
    told(sidecar, WIRING | {ARP: {**WIRING[ARP], "phys_address": "02:00:00:00:00:09"}})
    assert wired(sidecar) == Unattached(f"no static ARP entry on interface {TAP}")
    sidecar.wire({ARP: WIRING[ARP]})
    assert isinstance(wired(sidecar), Attachment)


def test_the_agent_comes_before_annotations() -> None:
    """Annotations fill what it leaves open, if they mean the same interface."""
    assert isinstance(wired(told(Sidecar(BASE).put(pod(MARKS)), {})), Attachment)
    sidecar = told(Sidecar(BASE).put(pod(MARKS)), WIRING)
    assert isinstance(found := wired(sidecar), Attachment)
    assert (found.interface, found.mac) == (TAP, "")
    told(sidecar, {key: value for key, value in WIRING.items() if key != LINUX})
    assert wired(sidecar) == Unattached(f"the agent's keys name interface {TAP}, its Pod memif7")


def test_keys_of_etcd_are_newer_than_the_agents() -> None:
    """A sandbox that comes by etcd replaces one that the agent tells, and what the agent tells
    later what it told before."""
    sidecar = told(Sidecar(BASE), WIRING)
    assert isinstance(found := wired(sidecar), Attachment)
    assert found.interface == TAP
    told(sidecar, WIRING | pod_keys(POD, "web-1"))
    assert isinstance(found := wired(sidecar), Attachment)
    assert found.interface == "vpp-tap-web-1"
    sidecar.wire(pod_keys(POD, "a-0"))
    assert isinstance(found := wired(sidecar), Attachment)
    assert found.interface == "vpp-tap-a-0"


def test_what_the_agent_has_from_etcd_goes_with_etcds_key() -> None:
    """It tells such a key for a while; a namespace of an earlier boot must not come back by it."""
    sidecar = told(Sidecar(BASE | WIRING), WIRING)
    gone = [
        item
        for key, item in sidecar.held.items()
        if key.removeprefix(sidecar.reconciler.prefix) in WIRING
    ]
    sidecar.reconciler.observe([Gone(item.key, 100) for item in gone])
    assert isinstance(wired(sidecar), Unattached)
    for item in gone:
        del sidecar.held[item.key]
    sidecar.reconciler.reset(sidecar.held.values())
    assert isinstance(wired(sidecar), Unattached)
    told(sidecar, {})
    told(sidecar, WIRING)
    assert isinstance(wired(sidecar), Attachment)


def test_a_read_of_etcd_keeps_what_the_agent_told() -> None:
    """Also if it told before etcd was read for the first time."""
    sidecar = Sidecar(BASE)
    told(sidecar, WIRING)
    sidecar.reconciler.reset(sidecar.held.values())
    assert isinstance(wired(sidecar), Attachment)
    memory = Reported()
    memory.replace(texts(WIRING), ())
    assert ARP in memory
    memory.yield_to({ARP})
    assert ARP not in memory
    assert {key for key, _, _ in memory.items()} == WIRING.keys() - {ARP}


# What may go --------------------------------------------------------------------------------------


def gone(sidecar: Sidecar) -> set[str]:
    """What the next plan deletes."""
    operations = [one for txn in sidecar.reconciler.plan().transactions for one in txn.operations]
    return {one.key for one in operations if not one.is_put}


def test_a_restart_with_the_agent_away_writes_nothing() -> None:
    """The localsid stays and its policy too, with a note, until the agent has told all."""
    sidecar = told(Sidecar(BASE), WIRING)
    sidecar.settle()
    before = {key: item.value for key, item in sidecar.held.items()}
    again = told(sidecar.restarted(), {}, is_complete=False)
    again.settle()

    assert {key: item.value for key, item in again.held.items()} == before
    assert {"DeletesHeld", "PodAttachmentUnknown"} <= again.notes().keys()

    told(again, WIRING, is_complete=False)
    assert not again.settle()
    assert "DeletesHeld" not in again.notes()


def test_a_localsid_that_somebody_deletes_is_believed_no_more() -> None:
    """No policy leads to what is not there, also if it went while etcd was not watched."""
    for is_watched in (True, False):
        sidecar = told(Sidecar(BASE), WIRING)
        sidecar.settle()
        again = told(sidecar.restarted(), {}, is_complete=False)
        again.settle()
        item = again.held.pop(again.reconciler.prefix + LOCALSID)
        if is_watched:
            again.reconciler.observe([Gone(item.key, 100)])
        else:
            again.reconciler.reset(again.held.values())
        desired = again.reconciler.renderer.desired
        again.reconciler.plan()
        assert not desired.steered


def test_a_pod_that_the_agent_does_not_have_goes_when_all_is_told() -> None:
    """Nothing is held for ever."""
    sidecar = told(Sidecar(BASE), WIRING)
    sidecar.settle()
    again = told(sidecar.restarted(), {}, is_complete=False)
    again.settle()
    told(again, {})

    assert {again.reconciler.prefix + key for key in (LOCALSID, POLICY)} <= gone(again)
    again.settle()
    assert again.value(LOCALSID) is None
    assert again.value(POLICY) is None


def test_nothing_is_held_where_no_pod_waits() -> None:
    """An agent that is away holds up nothing that does not need it."""
    sidecar = Sidecar(BASE | WIRING)
    sidecar.settle()
    again = told(sidecar.restarted(), {}, is_complete=False)
    again.reconciler.intake.apply(("Service", "default", "web"), None)

    assert again.reconciler.prefix + POLICY in gone(again)
    assert "DeletesHeld" not in again.notes()


# Plumbing -----------------------------------------------------------------------------------------


def test_plumbing_that_the_agent_has_is_not_made_again() -> None:
    """Tables and routes that others gave the agent get no second owner, and what we made stays."""
    tables: dict[str, Json] = vrf_keys()
    sidecar = told(Sidecar(BASE), WIRING | tables)
    plan = sidecar.settle()
    assert not any(sidecar.value(key) for key in tables)
    assert tables.keys() & plan.plumbing.found == tables.keys()
    told(sidecar, WIRING)
    sidecar.settle()
    made = [key for key in tables if key.startswith(keys.VRF_TABLE)]
    assert all(sidecar.value(key) for key in made)
    told(sidecar, WIRING | tables)
    assert not sidecar.settle()
    assert all(sidecar.value(key) for key in made)
