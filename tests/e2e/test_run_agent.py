"""``srv6kv run`` lets a change out as the agent confirms it, or as if there were no agent."""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from agent_words import (
    COPY,
    TABLE,
    Writer,
    configured,
    live_agent,
    phases,
    settle,
    wire,
    without_copies,
    written,
)
from agentmodel import LiveAgent
from etcd_server import enable_users, etcdctl
from figures import Timed
from history import LOCALSID, STEERING, History
from processes import MYSERVICE, NODE, Bench, Process, drop_writer, service, srv6kv
from test_run_telemetry import Shown

from srv6kv.agent.status import STATUS, status_key
from srv6kv.cluster import noderecords
from srv6kv.etcd.embedded import EmbeddedEtcd
from srv6kv.etcd.store import Etcd3Store
from srv6kv.etcd.values import Change

NO_WINDOW = ("srv6kv:", "  replaceWindow: 0s")
NEW = "config/vpp/srv6/v2/policy/5555::f1"
PODS = ["2001:0:0:1::5", "2001:0:0:1::6"]


@pytest.fixture
def live(bench: Bench, store: Etcd3Store, history: History) -> Iterator[LiveAgent]:
    """An agent that publishes what it makes of its values."""
    with live_agent(bench, store, history, publishes=True) as agent:
        yield agent


@pytest.fixture
def mute(bench: Bench, store: Etcd3Store) -> Writer:
    """An agent that publishes states, but none of what we write."""
    agent = Writer(bench, store)
    agent.say(TABLE, "OBTAINED")
    return agent


def test_a_change_goes_out_as_the_agent_confirms_it(
    bench: Bench, history: History, live: LiveAgent, timed: Timed
) -> None:
    """Localsids first; policies and steerings when the agent has all of them; then deletions, when
    it has those."""
    bench.settings(*NO_WINDOW)
    start = wire(bench, history)
    process = bench.run()
    settle(bench, history)
    first = written(history, start)
    live.wait_for(configured(history))
    bench.edit("new.yaml", service("new", "2096::f1", PODS))
    (bench.manifests / "myservice.yaml").unlink()
    before = history.last()
    settle(bench, history)
    second = without_copies(written(history, before))

    assert phases(first) == [{"receive"}, {"send"}]
    assert phases(second) in ([{"receive"}, {"send"}, {"gone"}], [{"send"}, {"gone"}])
    for found in (first, second):
        for (_, earlier), (later, _) in itertools.pairwise(found):
            state = history.state(until=later)
            for change in (one for one in earlier if not COPY.search(one.key)):
                assert json.loads(state[status_key(change.key)])["state"] == "CONFIGURED"
        spent = history.arrival(found[-1][0]) - history.arrival(found[0][0])
        timed(f"{len(found)} phases", spent, 1.5)
    assert process.said("WARNING agent") == []


@pytest.mark.parametrize("is_polled", [False, True], ids=["published", "polled"])
def test_a_pods_other_services_are_translated_at_every_moment(
    bench: Bench, history: History, live: LiveAgent, is_polled: bool
) -> None:
    """While services of the same pod come, change their port and go, whatever the agent does."""
    bench.settings(*NO_WINDOW)
    wire(bench, history)
    process = bench.run(*(["--agent-rest", live.rest_url] if is_polled else []))
    settle(bench, history)
    live.wait_for(configured(history))
    iptables = live.vpp.iptables
    [(table, stays)] = {
        table: set(rules)
        for table, chain, rules in iptables.moments
        if chain == "PREROUTING" and any(f"[{PODS[0]}]" in rule for rule in rules)
    }.items()
    iptables.moments.clear()
    for port in (80, 81, 0):
        if port:
            bench.edit("new.yaml", service("new", "2096::f1", PODS, port))
        else:
            (bench.manifests / "new.yaml").unlink()
        settle(bench, history)
        live.wait_for(configured(history))
    met = [rules for at, chain, rules in iptables.moments if (at, chain) == (table, "PREROUTING")]

    assert len(met) > 20
    assert [rules for rules in met if not stays <= set(rules)] == []
    assert set(met[-1]) == stays
    assert process.said("WARNING agent") == []


def test_without_states_a_change_is_one_revision(
    bench: Bench, store: Etcd3Store, history: History
) -> None:
    """An agent that publishes no states changes nothing."""
    bench.settings(*NO_WINDOW)
    with live_agent(bench, store, history, publishes=False):
        before = wire(bench, history)
        bench.run()
        settle(bench, history)
        (first,) = written(history, before)
        bench.edit("new.yaml", service("new", "2096::f1", PODS))
        (bench.manifests / "myservice.yaml").unlink()
        settle(bench, history)
        revisions = without_copies(written(history, first[0]))

    assert phases([first]) == [{"receive", "send"}]
    assert "gone" in phases(revisions)[-1]
    assert len(revisions) <= 2  # of two files that change one after the other


def test_nothing_waits_while_only_second_copies_do(
    bench: Bench, history: History, mute: Writer
) -> None:
    """A cluster whose rules change all the time is not behind."""
    bench.settings(*NO_WINDOW)
    wire(bench, history)
    shown = Shown(bench.run())
    settle(bench, history)
    bench.edit("new.yaml", service("new", "2096::f1", PODS))
    history.wait(lambda: NEW in configured(history))
    shown.wait(lambda: shown.details()["source"]["oldestChangeSeconds"] is None)

    assert configured(history) != bench.expected()
    settle(bench, history)


def test_the_window_holds_while_second_copies_wait(
    bench: Bench, history: History, mute: Writer
) -> None:
    """A policy that shrinks waits for its counterpart although a pod's rules are half done."""
    bench.settings("srv6kv:", "  replaceWindow: 1s")
    wire(bench, history)
    bench.run()
    settle(bench, history)
    bench.edit("new.yaml", service("new", "2096::f1", PODS))
    history.wait(lambda: NEW in configured(history))
    before, edited = history.last(), time.monotonic()
    bench.edit("new.yaml", service("new", "2096::f1", PODS[:1]))
    history.wait(lambda: NEW in changed(written(history, before)))
    spent = time.monotonic() - edited

    assert spent > 0.9
    settle(bench, history)


def changed(revisions: list[tuple[int, list[Change]]]) -> set[str]:
    """The keys that these revisions changed."""
    return {change.key for _, changes in revisions for change in changes}


def test_an_agent_that_confirms_nothing(
    bench: Bench, history: History, mute: Writer, timed: Timed
) -> None:
    """Each phase waits for two seconds."""
    bench.settings(*NO_WINDOW)
    start = wire(bench, history)
    bench.run()
    settle(bench, history)
    first = written(history, start)
    (bench.manifests / "myservice.yaml").unlink()
    bench.edit("new.yaml", service("new", "2096::f1", PODS))
    before = history.last()
    settle(bench, history)
    second = without_copies(written(history, before))

    assert phases(first) == [{"receive"}, {"send"}]
    gaps = [
        history.arrival(later) - history.arrival(earlier)
        for found in (first, second)
        for (earlier, _), (later, _) in itertools.pairwise(found)
    ]
    print("waited", ", ".join(f"{gap:.3f} s" for gap in gaps))
    assert all(gap > 1.0 for gap in gaps)
    timed("a phase that is not confirmed", max(gaps), 3.0)
    assert phases(second)[-1] == {"gone"}
    assert len(second) in (2, 3)


def test_a_service_moves_to_another_address(
    bench: Bench, history: History, live: LiveAgent
) -> None:
    """The policy of the old address goes with the last part, although its steering, which leads to
    it, is elsewhere by then."""
    bench.settings(*NO_WINDOW)
    bench.edit("new.yaml", service("new", "2096::f1", PODS[:1]))
    bench.run()
    settle(bench, history)
    live.wait_for(configured(history))
    before = history.last()
    bench.edit("new.yaml", service("new", "2096::f2", PODS))
    settle(bench, history)
    changed = written(history, before)

    assert phases(changed)[-1] == {"gone"}
    assert NEW in {change.key for change in changed[-1][1]}


@pytest.mark.faults
def test_a_lost_endpoint_waits_for_nothing(bench: Bench, history: History, mute: Writer) -> None:
    """A policy that only loses a path is written while a new pod waits to be confirmed."""
    bench.settings(*NO_WINDOW)
    bench.change()
    bench.run()
    settle(bench, history)
    before = history.last()
    bench.edit("new.yaml", service("new", "2096::f1", PODS[:1]))
    history.wait(lambda: history.last() > before)
    bench.restore()
    settle(bench, history)
    revisions = written(history, before)
    changed = [{change.key for change in changes} for _, changes in revisions]
    number = next(index for index, keys in enumerate(changed) if MYSERVICE in keys)

    assert phases(revisions)[0] == {"receive"}
    assert NEW in changed[-1] | changed[-2]
    assert not any(NEW in keys for keys in changed[: number + 1])


def test_a_restart_in_the_middle(
    bench: Bench, history: History, store: Etcd3Store, mute: Writer
) -> None:
    """What is half done when the process dies is completed by the next one."""
    process = bench.run()
    history.wait(lambda: any(key.startswith(LOCALSID + "6666") for key in history.state()))
    process.kill()
    assert not any(key.startswith(STEERING + "forK8s") for key in history.state())
    drop_writer(store, bench.label)
    bench.run()
    settle(bench, history)


@pytest.mark.faults
def test_other_ranges_in_the_middle(
    bench: Bench, history: History, store: Etcd3Store, mute: Writer
) -> None:
    """What is half way to other SID prefixes when the process dies is cleaned up by the next one:
    the old ranges are noted until the last phase is out."""
    assert bench.run("--once").wait() == 0
    settle(bench, history)
    bench.settings(replace={"CIDR: 6666::/16": "CIDR: 6669::/16"})
    process = bench.run()
    history.wait(lambda: any(key.startswith(LOCALSID + "6669") for key in history.state()))
    process.kill()
    assert any(key.startswith(LOCALSID + "6666") for key in history.state())
    drop_writer(store, bench.label)
    bench.settings(replace={"CIDR: 6666::/16": "CIDR: 6668::/16"})
    assert bench.run("--once").wait() == 0
    settle(bench, history)


def test_the_lease_ends_in_the_middle(
    bench: Bench, history: History, store: Etcd3Store, mute: Writer, timed: Timed
) -> None:
    """When states vanish nothing waits for them any more."""
    bench.run()
    history.wait(lambda: any(key.startswith(LOCALSID + "6666") for key in history.state()))
    store.delete_prefix(bench.prefix + STATUS)
    gone = history.last()
    settle(bench, history)
    first = written(history, gone)[0][0]

    spent = history.arrival(first) - history.arrival(gone)
    timed("the next phase when states vanish", spent, 1.5)


def test_once(bench: Bench, history: History, mute: Writer) -> None:
    """It ends when all phases are out."""
    process = bench.run("--once")

    assert process.wait() == 0
    settle(bench, history)
    assert phases(written(history))[-2:] == [{"receive"}, {"send"}]


def test_states_over_rest(bench: Bench, store: Etcd3Store, history: History) -> None:
    """An agent that publishes nothing is asked: phases, counts; when it is away a note says so and
    changes go out at once."""
    bench.settings(*NO_WINDOW)
    with live_agent(bench, store, history, publishes=False) as live:
        before = wire(bench, history)
        process = bench.run("--agent-rest", live.rest_url)
        shown = Shown(process)
        settle(bench, history)
        first = written(history, before)
        shown.wait(lambda: set(shown.details()["agent"]["states"]) == {"CONFIGURED"})
        source = shown.details()["agent"]["source"]
    note = process.wait_for("AgentUnavailable")
    before = history.last()
    bench.edit("new.yaml", service("new", "2096::f1", PODS))
    settle(bench, history)
    shown.wait(lambda: shown.details()["agent"]["source"] is None)

    assert phases(first) == [{"receive"}, {"send"}]
    assert source == "rest"
    assert "WARNING Agent" in note
    assert phases(without_copies(written(history, before))) == [{"receive", "send"}]


def test_rest_server_of_nobody(bench: Bench, history: History) -> None:
    """A URL where nobody listens is a note; all else is as without it."""
    process: Process = bench.run("--agent-rest", "http://127.0.0.1:1")
    settle(bench, history)
    process.wait_for("AgentUnavailable")

    assert phases(written(history))[-1] == {"receive", "send"}


def test_a_user_who_may_not_read_states(
    tmp_path: Path, start_etcd: Callable[..., EmbeddedEtcd], connect: Callable[..., Etcd3Store]
) -> None:
    """Without the right to read them it works as if there were none."""
    server = start_etcd()
    bench = Bench(tmp_path / "bench", server, NODE)
    store = connect(server.endpoint)
    bench.load_agent_state(store)
    Writer(bench, store).say(TABLE, "OBTAINED")
    enable_users(server, user=NODE, password="p", prefix=bench.prefix + "config/")
    for right, prefix in (("readwrite", f"/srv6kv/{NODE}/"), ("read", noderecords.PREFIX)):
        grant = ("role", "grant-permission", NODE, right, "--prefix", prefix)
        etcdctl(server, *grant, login="root:root")
    password = tmp_path / "password"
    password.write_text("p\n")
    bench.etcd += ["--etcd-user", NODE, "--etcd-password-file", password]
    history = History(connect(server.endpoint, user="root", password="root"), NODE)
    process = bench.run()
    try:
        settle(bench, history)

        assert phases(written(history))[-1] == {"receive", "send"}
        assert process.said("etcd:") == []
        listed = srv6kv("get", "localsids", "-o", "json", "--label", NODE, *bench.etcd)
        assert (listed.returncode, "state" in listed.stdout) == (0, False)
    finally:
        bench.end()
