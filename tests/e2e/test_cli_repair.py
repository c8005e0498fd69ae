"""``srv6kv repair`` beside a sidecar that runs, ended midway, and what it says."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator

import pytest
from agentmodel import LiveAgent
from history import LOCALSID, POLICY, History
from invariants import trespasses
from processes import Bench, drop_writer, srv6kv
from repaired import (
    SRV6,
    agent_of,
    as_new,
    begin,
    configuration,
    ours,
    repair,
    rest,
    settle,
)
from repairing import contents

from srv6kv.etcd.store import Etcd3Store, writer_key
from srv6kv.repair.observer import Observer
from srv6kv.repair.procedure import Repair, Request
from srv6kv.txn import recording
from srv6kv.verify import look


@pytest.fixture
def synced(bench: Bench, history: History, store: Etcd3Store) -> Bench:
    """A node whose keys are written."""
    return settle(bench, history, store)


@pytest.fixture
def agent(synced: Bench) -> Iterator[LiveAgent]:
    """Its agent, with all of it in VPP."""
    with agent_of(synced) as agent:
        yield agent


# The writer key -----------------------------------------------------------------------------------


def written_outside(history: History, after: int) -> list[int]:
    """Revisions of configuration that nobody made while holding the writer key."""
    return [
        number
        for number in configuration(history, after)
        if not any(first < number < (last or number + 1) for _, first, last in history.tenures())
    ]


def test_a_sidecar_that_runs_is_not_disturbed(
    synced: Bench, history: History, agent: LiveAgent
) -> None:
    """Without --take-over a repair says who writes and which option ends that, and does nothing."""
    sidecar = synced.run()
    sidecar.wait_for("session revision=")
    revision = history.last()
    done = repair(synced, "--means", "recreate")

    assert (done.returncode, configuration(history, revision)) == (1, [])
    assert f"{history.tenures()[-1][0]} writes for {synced.label}" in done.stderr
    assert "--take-over" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_sidecar_stands_by_and_goes_on(synced: Bench, history: History, agent: LiveAgent) -> None:
    """With --take-over every write lies in the tenure of its writer; the sidecar takes over again
    when the repair has ended, writes nothing for it, and then follows the cluster as before."""
    sidecar = synced.run()
    sidecar.wait_for("session revision=")
    before = history.last()
    done = repair(synced, "--take-over", *rest(agent), "--means", "rewrite")
    assert done.returncode == 0, done.stderr
    sidecar.wait_for("session revision=", times=2)
    agent.wait_for(synced.expected())
    repaired = configuration(history, before)
    synced.change()
    history.wait(lambda: ours(history) == synced.expected())
    tenures = history.tenures()[-3:]
    mine = [number for number in repaired if tenures[1][1] < number < (tenures[1][2] or 0)]

    assert [name.split("/")[1] == str(sidecar.pid) for name, _, _ in tenures] == [True, False, True]
    assert repaired == mine
    assert len(repaired) == 2
    assert trespasses(history, [sidecar]) == []
    assert written_outside(history, before) == []
    agent.wait_for(synced.expected())
    assert contents(agent.vpp) == as_new(synced.expected())


# What ends it midway ------------------------------------------------------------------------------


def wait_until_away(history: History) -> None:
    """Return when a rewrite has deleted its keys."""
    history.wait(lambda: not any(key.startswith(SRV6) for key in history.state()))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_a_rewrite_with_all_put_back(
    synced: Bench, history: History, number: signal.Signals
) -> None:
    """What is away comes back at once, and the exit code tells the signal."""
    before = ours(history)
    process = begin(synced, "--means", "rewrite")
    wait_until_away(history)
    process.send(number)

    assert process.wait() == 128 + number
    history.wait(lambda: ours(history) == before)
    assert process.said("nothing is left half done")
    assert history.tenures()[-1][2] is not None


def test_a_repair_that_is_killed_loses_nothing(
    synced: Bench, history: History, store: Etcd3Store
) -> None:
    """The sidecar makes what is away from the cluster, byte for byte."""
    before = ours(history)
    process = begin(synced, "--means", "rewrite")
    wait_until_away(history)
    process.kill()
    drop_writer(store, synced.label)
    assert synced.run("--once").wait() == 0

    history.wait(lambda: ours(history) == before)


def test_an_edit_meanwhile_is_kept(synced: Bench, history: History, store: Etcd3Store) -> None:
    """Somebody puts a key that is away: it has that one's bytes in the end, all others theirs."""
    before = ours(history)
    key = min(key for key in before if key.startswith(POLICY))
    value = before[key].replace(b'"weight":1', b'"weight":2')
    process = begin(synced, "--means", "rewrite")
    wait_until_away(history)
    synced.interfere(store, {key: value})

    assert process.wait() == 0
    history.wait(lambda: ours(history) == {**before, key: value})


def test_who_loses_the_writer_key_says_what_is_away(
    synced: Bench, history: History, store: Etcd3Store
) -> None:
    """It may not write any more: it says how many keys are not back, and who writes them again."""
    before = ours(history)
    process = begin(synced, "--means", "rewrite")
    wait_until_away(history)
    _, metadata = store.get(writer_key(synced.label))
    store.revoke_lease(metadata.lease_id)
    rival = store.acquire(synced.label, "a rival")
    assert rival is not None
    code = process.wait()
    rival.release()
    away = sum(key.startswith(SRV6) for key in before)

    assert code == 3
    assert process.said(f"{away} keys may not be put back")
    assert process.said("a rival writes for")
    assert process.said("'srv6kv run' writes them again")
    assert synced.run("--once").wait() == 0
    history.wait(lambda: ours(history) == before)


# What it says -------------------------------------------------------------------------------------


def test_a_dry_run_writes_nothing(synced: Bench, history: History) -> None:
    """It prints the transactions as a recording, with the revisions that they would get."""
    revision = history.last()
    text = repair(synced, "--means", "rewrite", "--dry-run")
    listed = repair(synced, "--means", "rewrite", "--dry-run", "-o", "json")
    recorded = recording.load(text.stdout, "dry run")
    found = json.loads(listed.stdout)["would_write"]

    assert (text.returncode, history.last(), history.tenures()[1:]) == (0, revision, [])
    assert [len(one.transaction) for one in recorded] == [len(one) for one in found]
    assert {one["guard"] for one in found[1]} == {0}
    assert "rewrite" in text.stderr


def test_nothing_to_do_takes_no_writer_key(
    synced: Bench, history: History, agent: LiveAgent
) -> None:
    """A healthy node: one line, exit code 0, no revision, beside a sidecar that runs."""
    synced.run().wait_for("session revision=")
    tenures = history.tenures()
    revision = history.last()
    asked = [repair(synced, *more) for more in ((), rest(agent))]

    assert [(one.returncode, one.stdout) for one in asked] == [(0, "nothing needs repair\n")] * 2
    assert (history.tenures(), configuration(history, revision)) == (tenures, [])


@pytest.mark.parametrize("more", [("--means", "rewrite"), ("rest",)])
def test_a_label_of_which_etcd_has_nothing(
    synced: Bench, history: History, agent: LiveAgent, more: tuple[str, ...]
) -> None:
    """Not even values that only the agent of another label has are touched below it."""
    revision = history.last()
    options = rest(agent) if more == ("rest",) else more
    done = srv6kv("repair", "--label", "nobody", *synced.etcd, *options)

    assert (done.returncode, done.stdout) == (2, "")
    assert "is that the agent's label?" in done.stderr
    assert configuration(history, revision) == []


def test_the_agent_of_another_label(synced: Bench, history: History, store: Etcd3Store) -> None:
    """It has none of the keys: that is said, and nothing is written."""
    revision = history.last()
    with LiveAgent(synced.server.endpoint, "another") as other:
        done = repair(synced, *rest(other), "--take-over")

    assert (done.returncode, done.stdout) == (2, "")
    assert "compare its MICROSERVICE_LABEL and etcd.conf" in done.stderr
    assert configuration(history, revision) == []


def test_what_has_changed_meanwhile_is_no_fault(
    synced: Bench, store: Etcd3Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only what a second look finds too, at keys that nobody has written in between."""
    monkeypatch.setattr(look, "AGAIN_SECONDS", 0.0)
    changed, same = f"{POLICY}5555::a", f"{POLICY}5555::d765"
    for key in (changed, same):
        status = {"key": key, "state": "FAILED", "last_operation": "CREATE", "error": "no"}
        name = key.replace("config/", "config-status/", 1)
        store.put(synced.prefix + name, json.dumps(status))
    ordeal = Repair(store, Observer(store, synced.label, None), Request())
    ordeal.diagnose()
    first = [one for one in ordeal.found if "FAILED" in one.why]
    store.put(synced.prefix + changed, ordeal.ground.actual.entries[changed].value)
    found = ordeal.lasting(first)

    assert [one.key for one in first] == [changed, same]
    assert [one.key for one in found] == [same]


def test_bad_usage(synced: Bench, history: History) -> None:
    """One line, exit code 2, nothing written."""
    revision = history.last()
    for text, arguments in {
        "ENABLE_STATUS_PUBLISHING": (),
        "no key of srv6kv's": ("--means", "resend", "--key", "config/vpp/v2/interfaces/x"),
        "recreate is for policy only": ("--means", "recreate", "--key", f"{LOCALSID}6655::1"),
        "is not in etcd": ("--means", "rebind", "--key", f"{POLICY}5555::2"),
        "need --means": ("--key", "x"),
        "is no URL": ("--agent-rest", "nonsense"),
    }.items():
        done = repair(synced, *arguments)

        assert (done.returncode, done.stdout) == (2, "")
        assert text in done.stderr
    assert history.last() == revision


def test_a_key_can_be_named(synced: Bench, history: History) -> None:
    """Only what is named is touched, in short or in full form; the same bytes again."""
    key = "config/vpp/srv6/v2/policy/5555::d765"
    revision = history.last()
    both = ("--key", key, "--key", synced.prefix + LOCALSID + "6655::1")
    done = repair(synced, "--means", "resend", *both)
    history.wait(lambda: len(configuration(history, revision)) == 1)

    assert done.stdout == "resend 2 keys, 1 transactions\n"
    (touched,) = (changes for _, changes in history.revisions(revision))
    assert [one.key for one in touched] == [f"{LOCALSID}6655::1", key]
    assert all(len(set(history.values(one.key))) == 1 for one in touched)


@pytest.mark.parametrize("more", [(), ("--agent-rest", "http://127.0.0.1:1")])
def test_a_server_out_of_reach(bench: Bench, more: tuple[str, ...]) -> None:
    """Etcd or the agent does not answer: exit code 3, one line."""
    etcd = bench.etcd if more else ("--etcd", "127.0.0.1:1")
    done = srv6kv("repair", "--label", bench.label, *etcd, *more)

    assert (done.returncode, done.stdout) == (3, "")
    assert len(done.stderr.splitlines()) == 1
