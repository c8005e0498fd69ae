"""Whatever stands in etcd, in an answer, a log or a file: every reader gives a value or our error.

Each example is a whole node with some of its values spoilt, by a seed; ``--seed`` takes another.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from booted import started, wiring, written
from click.testing import CliRunner
from hostile import HOSTILE, spoilt
from hypothesis import given
from hypothesis import strategies as st
from processes import SEED

from srv6kv import doctor, settings, verify
from srv6kv.agent import attachments, status
from srv6kv.agent.digest import Digest
from srv6kv.agent.status import State, ValueStatus
from srv6kv.agent.view import View
from srv6kv.cli import output, terminal
from srv6kv.errors import Srv6kvError
from srv6kv.etcd.values import Change, KeyValue
from srv6kv.explain import explain
from srv6kv.ligato import schema
from srv6kv.oneshot import adopt, cleanup
from srv6kv.oneshot.replay import Reading
from srv6kv.plan.ownership import Ranges
from srv6kv.repair import choose
from srv6kv.repair.ground import Ground
from srv6kv.repair.means import plan_repair
from srv6kv.show import services, tables
from srv6kv.sources import bodies, manifests
from srv6kv.sync.reconciler import Reconciler
from srv6kv.trace import sites
from srv6kv.trace.state import node_of
from srv6kv.txn import recording
from srv6kv.txn.recording import Recorded
from srv6kv.txn.transaction import FullKey, Transaction
from srv6kv.verify.differences import desired_of
from srv6kv.vpp import showsr, showsr_read

PREFIX = "/vnf-agent/n/"
OWN = "/srv6kv/n/"
RECORDED = Path(__file__).parents[1] / "recorded"
ROUNDS = 12

Entries = list[KeyValue]

OTHERS: Mapping[str, Any] = {
    "config/vpp/srv6/v2/srv6-global": {"encap_source_address": "fe10:f00d::1"},
    "config/vpp/v2/interfaces/tap-vpp2": {"name": "tap-vpp2", "ip_addresses": ["fd00::1/64"]},
    "config/vpp/srv6/v2/steering/mine": {
        "name": "mine",
        "policy_bsid": "9::9",
        "l3_traffic": {"prefix_address": "2096::5/128", "installation_vrf_id": 10},
    },
    "config/vpp/v2/route/vrf/0/dst/1::/64/gw/::": {"vrf_id": 0, "dst_network": "1::/64"},
    "config/linux/iptables/v2/rulechain/port-forward-x": {
        "rules": ["-p tcp -j REDIRECT"],
        "namespace": {"reference": "/x"},
        "table": "NAT",
        "chain_type": "PREROUTING",
    },
}
RECORDS = "/vnf-agent/contiv-ksr/allocatedIDs/"


def whole() -> Entries:
    """Every kind of key that srv6kv reads, with good values."""
    held = written(started("boot-a", wiring(5)), 6)
    others = [KeyValue(FullKey(PREFIX + k), json.dumps(v).encode(), 7) for k, v in OTHERS.items()]
    records = [
        KeyValue(FullKey(f"{RECORDS}{i}"), json.dumps({"id": i, "name": f"node{i}"}).encode(), 4)
        for i in (1, 2, 3)
    ]
    return [*wiring(5), *held, *others, *records]


GOOD = whole()
KINDS = {
    "interface": "config/vpp/v2/interfaces/vpp-tap-",
    "arp": "config/vpp/v2/arp/",
    "linux interface": "config/linux/interfaces/v2/",
    "route": "config/vpp/v2/route/",
    "vrf": "config/vpp/v2/vrf-table/",
    "localsid": "config/vpp/srv6/v2/localsid/",
    "policy": "config/vpp/srv6/v2/policy/",
    "steering": "config/vpp/srv6/v2/steering/",
    "chain": "config/linux/iptables/v2/rulechain/",
    "global": "config/vpp/srv6/v2/srv6-global",
    "record": RECORDS,
    "boot": OWN + "boot",
    "ranges": OWN + "ranges",
    "shared": OWN + "shared",
}


def is_of(kind: str, key: str) -> bool:
    """Whether a whole key is of a kind."""
    return key.removeprefix(PREFIX).startswith(KINDS[kind])


def run(entries: Entries) -> None:
    """What ``run`` does: start on it, write, and see the same again as changes."""
    reconciler = started("boot-a", entries)
    reconciler.stale_chains()
    written(reconciler, 9)
    reconciler.observe([Change(one.key, one.value, 10) for one in entries])
    reconciler.notes()
    written(reconciler, 11)
    whole = recording.dump(Recorded(1, recording.difference({}, reconciler.held())))
    recording.load(whole)
    reconciler.observe([Change(one.key, None, 12) for one in entries])
    reconciler.plan()


def short(entries: Iterable[KeyValue]) -> dict[str, bytes]:
    """The agent's keys without the prefix."""
    return {
        one.key.removeprefix(PREFIX): one.value for one in entries if one.key.startswith(PREFIX)
    }


def get(entries: Entries) -> None:
    """What ``get`` does, in every form."""
    values = output.readable(short(entries))
    terminal.show_tables([services.services_table(services.services_of(values))])
    terminal.show_tables(tables.render_tables(values))
    terminal.show_json(services.with_states(values, None))
    shows = (showsr.show_policies, showsr.show_localsids, showsr.show_steerings)
    fit = output.fit_for(shows, values)
    assert all(show(fit) for show in shows)


def verified(entries: Entries) -> None:
    """What ``verify`` does."""
    held = desired_of("n", {one.key: one.value for one in entries}, schema.decoded)
    verify.compare(held, {}, showsr_read.read(showsr.show_policies({})), {})


def traced(entries: Entries) -> None:
    """What ``trace`` does."""
    for site in sites.in_etcd(entries, None).sites:
        node_of(site)


def adopted(entries: Entries) -> None:
    """What ``adopt`` does."""
    found = adopt.adopt(started("", entries), entries, strips_loopbacks=True)
    _printed(found.plan.transactions)


def cleaned(entries: Entries) -> None:
    """What ``cleanup`` does."""
    _printed(cleanup.removal("n", entries, Ranges()).transactions)


def repaired(entries: Entries) -> None:
    """What ``repair`` does, with an agent that has failed at everything."""
    ground = Ground("n")
    ground.read(entries, 12)
    for error in ("", "failed to find index", "VPPApiError: no such entry (-12)"):
        states = {key: ValueStatus(key, State.FAILED, error=error) for key in ground.ours()}
        known = choose.Known(states, showsr_read.read(showsr.show_policies({})))
        task = choose.task_of(choose.faults(ground, known))
        _printed([step.transaction for step in plan_repair(task, ground).steps])


def examined(entries: Entries) -> None:
    """What ``doctor`` does."""
    doctor.examine(started("", entries), short(entries))


def explained(entries: Entries) -> None:
    """What ``explain`` does for every service."""
    reconciler = started("", entries)
    plan = reconciler.plan()
    for ref in list(reconciler.cluster.services):
        slices = list(reconciler.cluster.slices_of(ref))
        explain(ref, reconciler, plan, slices, {}, is_online=True, states={})


def _printed(transactions: Any) -> None:
    output.transactions_json(transactions)
    recording.load(output.transactions_text(transactions))


READERS: dict[str, Callable[[Entries], None]] = {
    "run": run,
    "get": get,
    "verify": verified,
    "trace": traced,
    "adopt": adopted,
    "cleanup": cleaned,
    "repair": repaired,
    "doctor": examined,
    "explain": explained,
}
every_reader = pytest.mark.parametrize("read", READERS.values(), ids=READERS)


def check(read: Callable[[Entries], None], entries: Entries) -> None:
    """Read; an error of ours is an answer, too."""
    with CliRunner().isolation(), suppress(Srv6kvError):
        read(entries)


@every_reader
@pytest.mark.parametrize("name", HOSTILE)
def test_one_hostile_value(read: Callable[[Entries], None], name: str) -> None:
    """The same bad bytes under a key of every kind harm no reader."""
    if name in ("large", "many", "long"):
        kinds = {kind: next(one.key for one in GOOD if is_of(kind, one.key)) for kind in KINDS}
        chosen = set(kinds.values())
    else:
        chosen = {one.key for one in GOOD}
    check(
        read,
        [
            KeyValue(one.key, HOSTILE[name] if one.key in chosen else one.value, one.mod_revision)
            for one in GOOD
        ],
    )


@every_reader
def test_spoilt_values(read: Callable[[Entries], None], seed: int) -> None:
    """Nor do good values in which bytes or members are wrong."""
    chance = random.Random(seed)
    for _ in range(ROUNDS):
        check(
            read,
            [
                KeyValue(
                    one.key,
                    spoilt(chance, one.value) if chance.random() < 0.3 else one.value,
                    one.mod_revision,
                )
                for one in GOOD
            ],
        )


ODD_PARTS = (
    *("²", "", "/", "\\xff", "\x00", "\n", "\u202e", "1" * 5_000, "::", "fd00::5/128", "fd00::5"),
    *("id/²/protocol/IPV6", "vrf/²/dst/fd00::5/128/gw/::", "vrf/1/dst/fd00::5/128/gw/::"),
    *("if/x/vrf/1/dst/fd00::5/128/gw/fd00::5", "vrf/x/dst//128", "forK8sService-default-x\\xff"),
    *(
        "forK8sService-a-b_::_main",
        "a/b/c/d",
        "vpp-tap-x/fd00::5",
        "vpp-tap-x/fd00::5/extra",
        "\uff10",
    ),
)


@every_reader
def test_odd_keys(read: Callable[[Entries], None], seed: int) -> None:
    """Nor keys that are almost like those of the agent."""
    chance = random.Random(seed)

    def spoil(one: KeyValue) -> KeyValue:
        parts = one.key.split("/")
        at = chance.randrange(3, len(parts) + 1)
        rest = parts[at + 1 :] if chance.random() < 0.5 else []
        key = "/".join([*parts[:at], chance.choice(ODD_PARTS), *rest])
        return KeyValue(FullKey(key), one.value, one.mod_revision)

    for _ in range(ROUNDS):
        odd = {one.key: one for one in [*map(spoil, GOOD), *GOOD]}
        check(read, list(odd.values()))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", HOSTILE)
def test_everything_else_goes_on(kind: str, name: str) -> None:
    """A bad value harms nothing but what it says: the other services are written all the same.

    What a pod's own key says, or a node's record, is not known any more; no more than that.
    """
    if name in ("large", "many"):
        return
    chosen = next(one.key for one in GOOD if is_of(kind, one.key))
    fresh = [*wiring(5), *(one for one in GOOD if one.key.startswith(RECORDS))]
    bad = [one for one in GOOD if one.key == chosen]
    with_bad = {one.key: one for one in (*fresh, *bad)}
    with_bad[chosen] = KeyValue(chosen, HOSTILE[name], 8)
    without = {key: one for key, one in with_bad.items() if key != chosen}
    found = started("boot-a", with_bad.values())
    least = started("boot-a", without.values())
    most = started("boot-a", {one.key: one for one in (*fresh, *bad)}.values())

    def policies(reconciler: Reconciler) -> set[str]:
        wanted = reconciler.plan().values
        return {key for key, value in wanted.items() if "/policy/" in key and value is not None}

    assert policies(found) >= policies(least) & policies(most)


def test_a_note_for_each() -> None:
    """What counts as absent because it cannot be read is told, with its key and the reason."""
    deep = HOSTILE["deep object"]
    for kind in ("interface", "arp", "linux interface", "boot", "ranges", "shared"):
        chosen = next(one.key for one in GOOD if is_of(kind, one.key))
        entries = [KeyValue(k.key, deep if k.key == chosen else k.value, 8) for k in GOOD]
        reconciler = started("boot-a", entries)
        notes = [note for note in reconciler.notes() if note.reason == "ValueUnreadable"]

        assert [str(note.subject) for note in notes] == [f"Key {chosen}"]
        assert "; it counts as absent" in notes[0].text

    again = reconciler.bookkeeping(reconciler.plan(), 0)
    reconciler.committed(Transaction(()), again, 9)

    assert not [note for note in reconciler.notes() if note.reason == "ValueUnreadable"]


def test_many_notes_are_a_few() -> None:
    """A thousand bad keys are 21 notes."""
    bad = [
        KeyValue(FullKey(f"{PREFIX}config/vpp/v2/arp/x/fd00::{i:x}"), b"[", 8)
        for i in range(1, 1000)
    ]
    reconciler = started("boot-a", [*GOOD, *bad])
    notes = [note for note in reconciler.notes() if note.reason == "ValueUnreadable"]

    assert len(notes) == 21
    assert any("979 more cannot be read" in note.text for note in notes)


def test_what_the_agent_reads_is_no_note() -> None:
    """To the agent a null is absent and a number may be a text: so it is here."""
    tap = next(one for one in GOOD if is_of("interface", one.key))
    body = {**json.loads(tap.value), "mtu": "1500", "ip_addresses": None}
    entries = [
        KeyValue(one.key, json.dumps(body).encode() if one is tap else one.value, 8) for one in GOOD
    ]

    assert "ValueUnreadable" not in {note.reason for note in started("boot-a", entries).notes()}


STATE = {"key": "config/a", "state": "CONFIGURED", "last_operation": "CREATE", "details": ["x"]}
AGENT = {"state": 1, "start_time": "1", "last_update": 5, "plugins": [{"name": "x", "state": "OK"}]}
DUMP = [
    {"Key": "config/a", "Value": {"ProtoMsgName": "x", "ProtoMsgData": '{"a":1}'}},
    {"Key": "b", "Value": {"x": 1}},
]
SERVICES = bodies.resources("n")[0]
META = {"name": "a", "namespace": "b", "resourceVersion": "3"}
PAGE = {
    "kind": "ServiceList",
    "metadata": {"resourceVersion": "5"},
    "items": [{"metadata": META, "spec": {"clusterIP": "fd00::1"}}],
}


def viewed(data: bytes) -> None:
    """What ``run`` makes of the agent's keys."""
    view = View(PREFIX)
    names = ("config-status/a", "check/status/v1/agent", "check/status/v1/plugin/govpp")
    view.reset([KeyValue(FullKey(PREFIX + name), data, 3) for name in names])
    view.observe(Change(FullKey(PREFIX + names[0]), data, 4))
    digest = Digest()
    list(digest.news(view, {}, digest.shown(view, {"config/a": 3}, 1.0)))


def replayed(data: bytes) -> None:
    """What ``replay`` makes of a file."""
    reading = Reading(data.decode(errors="surrogateescape").splitlines(keepends=True), "x", "n")
    for found in reading:
        _printed([found.transaction])
    reading.remarks()


def manifest(data: bytes) -> None:
    """What a manifest on standard input defines."""
    manifests.read(["-"], data)


Parser = Callable[[bytes], Any]
PARSERS: dict[str, tuple[bytes, Parser]] = {
    "states": (json.dumps([{"value": STATE}] * 3).encode(), status.parse_rest),
    "state": (json.dumps(STATE).encode(), lambda data: status.parse_status("config/a", data)),
    "agent": (json.dumps(AGENT).encode(), status.parse_agent),
    "plugin": (json.dumps(AGENT).encode(), lambda data: status.parse_plugin("x", data)),
    "liveness": (json.dumps(AGENT).encode(), attachments.parse_process),
    "dump": (json.dumps(DUMP).encode(), attachments.parse_dump),
    "view": (json.dumps(STATE).encode(), viewed),
    "page": (json.dumps(PAGE).encode(), lambda data: bodies.page_of(data, SERVICES)),
    "event": (
        json.dumps({"type": "ADDED", "object": {"metadata": META}}).encode(),
        lambda data: bodies.event_of(data, SERVICES),
    ),
    "refusal": (b'{"kind":"Status","message":"no"}', bodies.message_of),
    "recording": ((RECORDED / "seed.txn").read_bytes()[:4_000], replayed),
    "log of agents 2": ((RECORDED / "agent-v2.log").read_bytes()[:20_000], replayed),
    "log of agents 3": ((RECORDED / "agent-v3.log").read_bytes()[:20_000], replayed),
    "manifest": ((SEED / "manifests" / "myservice.yaml").read_bytes(), manifest),
    "settings": (
        (SEED / "contiv.conf").read_bytes(),
        lambda data: settings.load(data.decode(errors="replace"), "contiv.conf"),
    ),
    "output of VPP": (
        b"SR policies:\n[0].-\tBSID: 5::5\n\tBehavior: Encapsulation\n\tType: Default\n",
        lambda data: showsr_read.read(data.decode(errors="replace")),
    ),
}
OURS = (Srv6kvError, ValueError, bodies.Failed)
every_parser = pytest.mark.parametrize("name", PARSERS)


def parsed(name: str, data: bytes) -> None:
    """Read; ValueError is what callers of these expect."""
    found: Exception | None = None
    try:
        PARSERS[name][1](data)
    except OURS as error:
        found = error

    assert not isinstance(found, UnicodeError)


@every_parser
def test_hostile_answers(name: str) -> None:
    """Bad bytes instead of an answer or a file are an error of ours."""
    for data in HOSTILE.values():
        parsed(name, data)


@every_parser
def test_spoilt_answers(name: str, seed: int) -> None:
    """Nor does an answer that is good but for some bytes raise anything else."""
    chance = random.Random(seed)
    for _ in range(150):
        parsed(name, spoilt(chance, PARSERS[name][0]))


@every_parser
@given(data=st.binary(max_size=300))
def test_any_answer(name: str, data: bytes) -> None:
    """Nor do bytes by chance."""
    parsed(name, data)
