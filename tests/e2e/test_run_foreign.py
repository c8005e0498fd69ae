"""``srv6kv run`` and keys that somebody else writes: theirs stay, ours are mended."""

from __future__ import annotations

import random
import threading
import time
from functools import partial

import pytest
from etcd_server import eventually
from figures import Figures, Timed
from history import LOCALSID, POLICY, STEERING, History
from invariants import SHARED, broken
from processes import MYSERVICE, Bench, service

from srv6kv.etcd.store import Etcd3Store, KeyValue
from srv6kv.txn import recording

ROUTE = "config/vpp/v2/route/"
CHAIN = "config/linux/iptables/v2/rulechain/"
DISCARD = "vrf/0/dst/7766::dead/128/gw/::"
TAP = "d6087568be9f59aba028955c19f5684055a69d926ed89f720fe187a"
FOREIGN = {
    STEERING + "forK8sSFC-x": '{"name":"forK8sSFC-x"}',
    STEERING + "forK8sService": '{"name":"forK8sService"}',
    STEERING + "forK8sService-default-web_2096::D1": "{}",
    STEERING + "forK8sService-Default-myservice": '{"name":"forK8sService-Default-myservice"}',
    STEERING + "FORK8SSERVICE-default-myservice": "{}",
    STEERING + "fork8sservice-default-myservice": "{}",
    STEERING + "forK8sService-default-myservice/": "{}",
    STEERING + "forK8sService-default-myservice_": "{}",
    STEERING + "forK8sService-default-myservice_main": "{}",
    STEERING + "forK8sService-default.myservice": "{}",
    STEERING + "forK8sServices-default-myservice": "{}",
    STEERING + "xforK8sService-default-myservice": "{}",
    STEERING + "forNodeToNodeTunneling-usingPolicy-8888::2": '{"name":"x"}',
    POLICY + "8889::1": '{"bsid":"8889::1"}',
    POLICY + "5554:ffff:ffff:ffff:ffff:ffff:ffff:ffff": "{}",
    POLICY + "5556::": "{}",
    POLICY + "5556::d765": '{"bsid":"5556::d765"}',
    POLICY + "5555::d765/": "{}",
    POLICY + "5555::d765/128": "{}",
    POLICY + "5555::0d765": "{}",
    POLICY + "5555::1.2.3.4": "{}",
    POLICY + "5555::d765%eth0": "{}",
    POLICY + "": "{}",
    "config/vpp/srv6/v2/policyx/5555::d765": "{}",
    "config/vpp/srv6/v3/policy/5555::d765": "{}",
    "CONFIG/vpp/srv6/v2/policy/5555::d765": "{}",
    "more/config/vpp/srv6/v2/policy/5555::d765": "{}",
    POLICY + "5555::D765": '{"bsid":"5555::D765"}',
    POLICY + "5555:0:0:0:0:0:0:99": '{"bsid":"5555:0:0:0:0:0:0:99"}',
    LOCALSID + "6666:0:0:1::05": '{"sid":"6666:0:0:1::05"}',
    LOCALSID + "6665:ffff::5": '{"sid":"6665:ffff::5"}',
    LOCALSID + "6667::5": '{"sid":"6667::5"}',
    LOCALSID + "6666:0:0:1::5/": "{}",
    LOCALSID + "6666:0000:0:1::5": "{}",
    LOCALSID + "9999::5": '{"sid":"9999::5"}',
    ROUTE + "if/vpp-tap-x/vrf/0/dst/6666:0:0:1::99/128/gw/::": '{"vrf_id":0}',
    ROUTE + "vrf/0/dst/6666::/16/gw/::": '{"dst_network":"6666::/16"}',
    ROUTE + "vrf/1/dst/2096::/111/gw/::": '{"dst_network":"2096::/111"}',
    ROUTE + "vrf/1/dst/2001:0:0:1::99/128/gw/::": "not JSON at all",
    CHAIN + f"srv6k-{TAP}-OUTPUT": "{}",
    CHAIN + "mine": "",
    "config/vpp/v2/vrf-table/id/1/protocol/IPV4": '{"id":1}',
    "config/vpp/srv6/v2/srv6-global": "{}",
    "status/vpp/srv6/v2/policy/5555::d765": "{}",
}
"""Keys of others, many of which look almost like ours."""


def neighbours(label: str) -> list[str]:
    """Where nodes keep their keys whose labels look almost like this one."""
    return [f"/vnf-agent/{one}/" for one in (f"{label}-more", f"{label}x", f"x{label}", "Node-1")]


def test_foreign_keys(bench: Bench, store: Etcd3Store, history: History) -> None:
    """Keys of others under the same prefix are never touched, however much they look like ours."""
    for key, value in FOREIGN.items():
        bench.put_foreign(store, key, value)
    for one in neighbours(bench.label):
        for key in (MYSERVICE, STEERING + "forK8sService-default-myservice", ROUTE + DISCARD):
            store.put(one + key, "of another node")

    def others() -> list[KeyValue]:
        entries = store.read([bench.prefix]).entries
        own = [one for one in entries if one.key.removeprefix(bench.prefix) in bench.foreign]
        return own + store.read(neighbours(bench.label)).entries

    before = others()
    for _ in range(2):
        process = bench.run()
        history.wait_for(bench.expected())
        bench.change()
        history.wait_for(bench.expected())
        (bench.manifests / "myservice.yaml").unlink()
        nodes = (bench.manifests / "nodes.yaml").read_text()
        bench.edit("nodes.yaml", nodes.partition("---")[0])
        history.wait_for(bench.expected())
        process.stop()
        bench.restore()
        bench.edit("nodes.yaml", nodes)

    assert len(before) == len(bench.foreign) + 3 * len(neighbours(bench.label))
    assert others() == before
    assert broken(bench, history) == []


@pytest.mark.parametrize("value", [None, "{}", "not JSON", "", b'"\xff"', '{"bsid":"5555::d765"}'])
def test_foreign_edit(
    bench: Bench, store: Etcd3Store, history: History, value: str | bytes | None, timed: Timed
) -> None:
    """A key of ours that somebody else changes or deletes is restored."""
    process = bench.run()
    history.wait_for(bench.expected())
    good = history.state()[MYSERVICE]
    key = bench.prefix + MYSERVICE
    if value is None:
        store.delete(key)
    else:
        store.put(key, value)
    history.wait(lambda: len(history.values(MYSERVICE)) == 3)
    (edited, _), (mended, changes) = history.revisions()[-2:]

    assert [(change.key, change.value) for change in changes] == [(MYSERVICE, good)]
    timed("a foreign edit is undone", history.arrival(mended) - history.arrival(edited), 1.0)
    assert len(process.said("foreign edit")) == 1


@pytest.mark.parametrize("value", ["not JSON", b'"\xff"', "[]", '{"sid":7}', "null"])
def test_foreign_garbage(
    bench: Bench, store: Etcd3Store, history: History, value: str | bytes
) -> None:
    """Whatever somebody else writes under keys of ours, while it runs and before, is mended."""
    for key in (MYSERVICE, LOCALSID + "6666:0:0:1::5", STEERING + "forK8sService-default-x"):
        store.put(bench.prefix + key, value)
    for name in ("ranges", "shared", "boot"):
        store.put(f"/srv6kv/{bench.label}/{name}", value)
    process = bench.run("--record", bench.folder / "run.txn")
    history.wait_for(bench.expected())
    for key in bench.expected().keys() - bench.foreign.keys() - SHARED:
        store.put(bench.prefix + key, value)
    history.wait_for(bench.expected())
    code = process.stop()
    recorded = recording.load((bench.folder / "run.txn").read_text())

    assert code == 0
    assert recording.state_of(recorded) == {
        bench.prefix + key: text
        for key, text in history.state().items()
        if key not in bench.foreign
    }


def test_edits_do_not_hold_up_changes(bench: Bench, store: Etcd3Store, history: History) -> None:
    """While others edit our policies 50 times a second, 60 new services arrive all the same, each
    edit is mended, and every revision keeps what must hold."""
    bench.run()
    history.wait_for(bench.expected())
    before = sorted(key for key in bench.expected() if key.startswith(POLICY))
    chance, stopped = random.Random(3), threading.Event()

    def edit() -> None:
        while not stopped.wait(0.02):
            bench.interfere(store, {chance.choice(before): "{}"})

    editor = threading.Thread(target=edit, name="test-editor")
    editor.start()
    started = time.monotonic()
    try:
        names = {f"n{index}": f"2096::{0x3000 + index:x}" for index in range(60)}
        made = (service(name, address, ["2001:0:0:1::6"]) for name, address in names.items())
        bench.edit("new.yaml", "".join(made))
        last = STEERING + "forK8sService-default-n59"
        eventually(lambda: seen(store, bench.prefix + last), AssertionError, 45)
    finally:
        stopped.set()
        editor.join()
    print(f"there after {time.monotonic() - started:.1f} s")
    history.wait_for(bench.expected())

    assert broken(bench, history) == []


def seen(store: Etcd3Store, key: str) -> None:
    """Fails unless the key is there."""
    assert store.get(key)[0] is not None


def has_followed(history: History, before: int) -> bool:
    """Whether there are two more revisions."""
    return len(history.revisions(after=before)) > 1


@pytest.mark.faults
def test_every_key_is_mended(
    bench: Bench, store: Etcd3Store, history: History, figures: Figures, timed: Timed
) -> None:
    """Each key of ours, of whatever kind, is mended within a second when others delete or garble
    it, and that is one revision."""
    bench.run()
    history.wait_for(bench.expected())
    wanted = bench.expected()
    ours = sorted(wanted.keys() - bench.foreign.keys() - SHARED)
    times = []
    for key in ours:
        for value in (None, "{}", "not JSON"):
            before = history.last()
            bench.interfere(store, {key: value})
            history.wait(partial(has_followed, history, before))
            (edited, _), (mended, changes) = history.revisions(after=before)
            assert [(one.key, one.value) for one in changes] == [(key, wanted[key])]
            times.append(history.arrival(mended) - history.arrival(edited))
    figures.seconds("a key that others edit or delete is mended", times)

    timed("the slowest of these", max(times), 1.0)
    assert history.state() == bench.expected()
    assert broken(bench, history) == []


def test_all_deleted(bench: Bench, store: Etcd3Store, history: History, timed: Timed) -> None:
    """If somebody deletes everything of ours at once, it is back in one go."""
    bench.run()
    history.wait_for(bench.expected())
    started = time.monotonic()
    store.delete_prefix(bench.prefix + "config/vpp/srv6/")
    history.wait(lambda: MYSERVICE not in history.state())
    gone = history.last()
    history.wait_for(bench.expected())

    assert len(history.revisions(after=gone)) == 1
    timed("everything of ours is back", history.arrival(history.last()) - started, 1.0)
