"""``srv6kv run`` where others have put what nobody can read: it stays up and writes the rest."""

from __future__ import annotations

import json

import pytest
from history import MARK, History
from hostile import HOSTILE
from processes import AGENT_STATE, MYSERVICE, Bench, Process, service, srv6kv
from test_run_nodes import PLUMBING

from srv6kv.etcd.store import Etcd3Store

RECORDS = "/vnf-agent/contiv-ksr/allocatedIDs/"
VALUES = {name: value for name, value in HOSTILE.items() if len(value) < 1 << 20} | {
    "as large as etcd takes": b'{"name":"' + b"x" * 1_400_000 + b'"}',
    "many": b"[" + b"[]," * 400_000 + b"[]]",
}
"""etcd takes requests of 1.5 MiB."""
KINDS = (
    "config/vpp/v2/arp/vpp-tap-x/fd00::{:x}",
    "config/vpp/v2/interfaces/vpp-tap-{:x}",
    "config/linux/interfaces/v2/interface/linux-tap-{:x}",
    "config/vpp/v2/route/if/x/vrf/1/dst/fd00::{:x}/128/gw/::",
    "config/vpp/v2/route/vrf/0/dst/fd00::{:x}/128/gw/::",
    "config/vpp/v2/vrf-table/id/{}/protocol/IPV6",
    "config/vpp/srv6/v2/steering/mine-{:x}",
    "config/vpp/srv6/v2/policy/1::{:x}",
    "config/vpp/srv6/v2/localsid/1::{:x}",
    "config/linux/iptables/v2/rulechain/mine-{:x}",
    "config/{:x}",
    "config-status/vpp/srv6/v2/localsid/6666::{:x}",
    "check/status/v1/plugin/p{:x}",
)


def put(bench: Bench, store: Etcd3Store, key: str, value: bytes) -> None:
    """Write a key of somebody else's (short form)."""
    store.put(bench.prefix + key, value)
    bench.foreign[key] = value


def spoil_all(bench: Bench, store: Etcd3Store, first: int) -> None:
    """Put every bad value under a key of every kind."""
    for number, value in enumerate(VALUES.values(), start=first):
        for kind in KINDS:
            put(bench, store, kind.format(number), value)


def still_writes(bench: Bench, history: History, process: Process, name: str, end: int) -> None:
    """A new service is written; the process is up and has raised nothing."""
    pod = "2001:0:0:1::5"
    bench.edit(f"{name}.yaml", service(name, f"2096::{end}", [pod]))
    history.wait_for(bench.expected())

    assert f"config/vpp/srv6/v2/policy/5555::{end}" in history.state()
    assert process.is_running
    assert not process.said("Traceback")
    assert not process.said("Error:")


def test_before_the_start_and_while_it_runs(
    bench: Bench, store: Etcd3Store, history: History
) -> None:
    """Bad values under keys of every kind, and under its own notes, stop nothing."""
    spoil_all(bench, store, 1)
    put(bench, store, "check/status/v1/agent", VALUES["deep list"])
    for name in ("boot", "ranges", "shared"):
        store.put(f"/srv6kv/{bench.label}/{name}", VALUES["a deep member"])
    process = bench.run("--record", bench.folder / "run.txn")
    history.wait_for(bench.expected())
    for name in ("boot", "ranges", "shared"):
        process.wait_for(f"Key /srv6kv/{bench.label}/{name}: ")
    process.wait_for("ValueUnreadable")
    still_writes(bench, history, process, "first", 71)

    spoil_all(bench, store, 1_000)
    for name in ("boot", "ranges", "shared"):
        store.put(f"/srv6kv/{bench.label}/{name}", VALUES["deep object"])
    still_writes(bench, history, process, "second", 72)

    assert process.stop() == 0
    again = bench.run()
    still_writes(bench, history, again, "third", 73)


@pytest.mark.parametrize("name", ["deep list", "a deep member", "not UTF-8", "many", "half a pair"])
def test_our_own_keys(bench: Bench, store: Etcd3Store, history: History, name: str) -> None:
    """Of our own keys every edit is undone, whatever was written."""
    process = bench.run("--record", bench.folder / "run.txn")
    history.wait_for(bench.expected())
    good = history.state()
    ours = [key for key in good if key not in bench.foreign and key not in PLUMBING]
    for start in range(0, len(ours), 20):
        bench.interfere(store, dict.fromkeys(ours[start : start + 20], VALUES[name][:60_000]))
    edited = store.get(bench.prefix + MARK)[1].mod_revision
    history.wait(
        lambda: (
            history.last() >= edited
            and {key: history.state().get(key) for key in ours} == {key: good[key] for key in ours}
        )
    )

    assert process.is_running
    assert process.stop() == 0
    assert history.state()[MYSERVICE] == good[MYSERVICE]


def test_the_attachments_of_our_pods(bench: Bench, store: Etcd3Store, history: History) -> None:
    """A pod whose own keys cannot be read is not attached, as if they were not there; the others
    are, and it is again when they are good."""
    wiring = {key: json.dumps(v).encode() for key, v in json.loads(AGENT_STATE.read_text()).items()}
    process = bench.run()
    history.wait_for(bench.expected())
    good = history.state()
    for name in ("deep list", "a deep member", "not UTF-8 within", "twins"):
        for key in wiring:
            put(bench, store, key, VALUES[name])
        history.wait_for(bench.expected())
        for key, value in wiring.items():
            put(bench, store, key, value)
        history.wait_for(good)
        history.wait_for(bench.expected())

    assert process.is_running
    assert not process.said("Traceback")


def test_keys_that_are_not_utf8(bench: Bench, store: Etcd3Store, history: History) -> None:
    """Keys of any bytes are somebody else's, and stay."""
    for kind in KINDS:
        for name in (b"\xff", b"\x00", b"\n", b"\xed\xa0\x80", "\u202e".encode()):
            key = bench.prefix.encode() + kind.format(1).encode() + name
            store.put(key, "{}")
            shown = key.decode(errors="backslashreplace").removeprefix(bench.prefix)
            bench.foreign[shown] = b"{}"
    ours = f"{bench.prefix}config/vpp/srv6/v2/steering/forK8sService-default-gone".encode()
    store.put(ours + b"\xff", "{}")
    bench.foreign[f"{ours.decode().removeprefix(bench.prefix)}\\xff"] = b"{}"
    process = bench.run()
    history.wait_for(bench.expected())
    still_writes(bench, history, process, "first", 71)


def test_records(alone: tuple[Bench, Etcd3Store, History]) -> None:
    """One bad record of Contiv's stops no node."""
    bench, store, history = alone
    for number, value in enumerate(VALUES.values(), start=101):
        store.put(f"{RECORDS}{number}", value)
    process = bench.run()
    history.wait_for(bench.expected())
    process.wait_for("NodeRecordUnreadable")
    still_writes(bench, history, process, "first", 71)
    store.put(f"{RECORDS}102", VALUES["deep list"])
    store.put(RECORDS.encode() + b"\xff", VALUES["deep object"])
    still_writes(bench, history, process, "second", 72)


@pytest.mark.parametrize(
    "words",
    [
        ("get", "policies"),
        ("get", "services", "-o", "vpp"),
        ("get", "localsids", "-o", "json"),
        ("verify",),
        *(
            ("repair", "--dry-run", "--means", one)
            for one in ("resend", "recreate", "rebind", "rewrite")
        ),
        ("cleanup", "--dry-run"),
    ],
    ids=" ".join,
)
def test_other_commands(bench: Bench, store: Etcd3Store, words: tuple[str, ...]) -> None:
    """Commands that look at such a node answer; one that cannot says why in a line."""
    assert bench.run("--once").wait() == 0
    spoil_all(bench, store, 1)
    bench.interfere(store, {MYSERVICE: VALUES["not UTF-8"]})
    done = srv6kv(*words, "--label", bench.label, *bench.etcd)

    assert done.returncode in (0, 1), done.stderr
    assert "Traceback" not in done.stderr
