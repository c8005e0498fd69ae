"""The recorder finds every breach that it is there to find."""

from __future__ import annotations

import pytest
from history import LOCALSID, POLICY, STEERING, History
from invariants import SHARED, broken
from processes import MYSERVICE, Bench, service

from srv6kv.etcd.store import Etcd3Store, Writer

CLOCK = "2096::e9"
SID = LOCALSID + "6666:0:0:1::5"
OURS = STEERING + "forK8sService-default-myservice"
CHAIN = "config/linux/iptables/v2/rulechain/srv6kv-x-PREROUTING"
CHAIN_VALUE = '{"name":"x","rules":["-d 2096::e9/128 -p tcp -m tcp --dport %d -j DNAT"]}'
POLICY_VALUE = '{"bsid":"5555::d765","segment_lists":[{"segments":["7766:f00d::2","6655::1"]}]}'
END = '{"base_end_function":{},"sid":"6666:0:0:1::5"}'

Edits = list[tuple[str, str | None]]


def told(bench: Bench, history: History, store: Etcd3Store, edits: Edits) -> list[str]:
    """What the recorder says when these are written one by one."""
    for key, value in edits:
        store.delete(bench.prefix + key) if value is None else store.put(bench.prefix + key, value)
    state = {entry.key: entry.value for entry in store.read([bench.prefix]).entries}
    history.wait_for({key.removeprefix(bench.prefix): value for key, value in state.items()})
    return broken(bench, history, kept=[MYSERVICE], clock=CLOCK)


@pytest.mark.parametrize(
    ("name", "edits"),
    [
        ("I1", [(SID, '{"sid":7}')]),
        ("I1", [(SID, '{"sid":"6666:0:0:1::5","colour":"red"}')]),
        ("I2", [(OURS, '{"policy_bsid":"5555::1","l3_traffic":{"prefix_address":"::/0"}}')]),
        ("I2", [(MYSERVICE, '{"bsid":"5555::d765"}')]),
        ("I2", [(MYSERVICE, '{"bsid":"5555::d765","segment_lists":[{"segments":["6655::9"]}]}')]),
        ("I3", [(POLICY + "5556::1", POLICY_VALUE)]),
        ("I3", [("config/vpp/v2/arp/of-others", None)]),
        ("I5", [(MYSERVICE, POLICY_VALUE), (MYSERVICE, None)]),
        ("I6", [(CHAIN, CHAIN_VALUE % 1001), (CHAIN, CHAIN_VALUE % 1000)]),
        ("I8", [(SID, END), (SID, END)]),
    ],
)
def test_breach(
    bench: Bench, history: History, store: Etcd3Store, writer: Writer, name: str, edits: Edits
) -> None:
    """A writer that does what it must not do is found out, under the right name."""
    bench.put_foreign(store, "config/vpp/v2/arp/of-others", "{}")
    found = told(bench, history, store, edits)

    assert writer.key
    assert {fault.split()[0] for fault in found} == {name}


def test_breach_of_the_writer_key(bench: Bench, history: History, store: Etcd3Store) -> None:
    """What is written while nobody has the writer key is found out."""
    first = store.acquire(bench.label, "one/1")
    assert first is not None
    store.put(bench.prefix + SID, END)
    first.release()

    assert told(bench, history, store, []) == []

    found = told(bench, history, store, [(SID, None)])

    assert [fault.split()[0] for fault in found] == ["I4"]


@pytest.mark.usefixtures("writer")
def test_no_breach(bench: Bench, history: History, store: Etcd3Store) -> None:
    """What others damage is not laid at srv6kv's door, nor is it that it creates shared keys."""
    table = "config/vpp/v2/vrf-table/id/0/protocol/IPV6"
    edits: Edits = [(SID, END), (table, '{"label":"x","protocol":"IPV6"}')]
    bench.edit("clock.yaml", service("clock", CLOCK, []))

    assert table in SHARED
    assert told(bench, history, store, edits) == []

    bench.interfere(store, {SID: "not JSON", OURS: '{"policy_bsid":"5555::1"}', MYSERVICE: None})

    assert told(bench, history, store, [(SID, END), (OURS, None)]) == []
