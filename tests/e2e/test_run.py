"""``srv6kv run`` beside a real etcd: what an edit of a manifest makes of the agent's keys."""

from __future__ import annotations

import json
import time

from etcd_server import Seen
from figures import Timed
from history import LOCALSID, POLICY, STEERING, History, violations
from processes import AGENT_STATE, CHANGED_SERVICE, MYSERVICE, SEED, Bench, service

from srv6kv.etcd.store import Etcd3Store, writer_key

ROUTE = "config/vpp/v2/route/"
CHAIN = "config/linux/iptables/v2/rulechain/"
TAP = "d6087568be9f59aba028955c19f5684055a69d926ed89f720fe187a"
NO_WINDOW = ("srv6kv:", "  replaceWindow: 0s")
LONG_WINDOW = ("srv6kv:", "  replaceWindow: 2s")


def test_first_sync(bench: Bench, history: History) -> None:
    """A cluster that is rendered for the first time is one revision."""
    bench.run()
    history.wait_for(bench.expected())
    wiring = len(json.loads(AGENT_STATE.read_text()))

    assert len(history.revisions()) == wiring + 1
    assert violations(history.revisions()) == []


def test_edit(bench: Bench, history: History, timed: Timed) -> None:
    """An edit of a manifest is one revision."""
    bench.run()
    history.wait_for(bench.expected())
    before, started = history.last(), time.monotonic()
    bench.change()
    history.wait_for(bench.expected())
    ((revision, changes),) = history.revisions(after=before)
    spent = history.arrival(revision) - started

    assert json.loads(history.state()[MYSERVICE])["segment_lists"] == [
        {"segments": ["6666:0:0:1::5"], "weight": 1},
        {"segments": ["6666:0:0:1::6"], "weight": 1},
    ]
    assert MYSERVICE in [change.key for change in changes]
    timed("an edit is in etcd", spent, 1.0)
    assert violations(history.revisions()) == []


def test_half_saved_file(bench: Bench, history: History) -> None:
    """A save cut anywhere within a line changes nothing and is one line in the log; the whole
    save is then applied."""
    bench.settings(*NO_WINDOW)
    process = bench.run()
    history.wait_for(bench.expected())
    texts = [CHANGED_SERVICE.read_text(), (SEED / "manifests" / "myservice.yaml").read_text()]
    good = [history.state()[MYSERVICE]]
    cuts = (0, 150, 300, 400, 520, texts[0].index("node1") + 4, len(texts[0]) - 9, 7)
    for number, cut in enumerate(cuts):
        whole = texts[number % 2]
        cut = whole.index("node1") + 4 if cut > len(whole) else cut
        assert not whole[:cut].endswith("\n")
        bench.edit("myservice.yaml", whole[:cut])
        process.wait_for("WARNING myservice.yaml:", times=number + 1)
        bench.edit("myservice.yaml", whole)
        history.wait_for(bench.expected())
        good.append(history.state()[MYSERVICE])

    assert history.values(MYSERVICE) == good
    assert len(process.said("WARNING myservice.yaml:")) == len(cuts)
    assert violations(history.revisions()) == []


def test_restart_beside_a_half_saved_file(bench: Bench, history: History) -> None:
    """A start that meets a half-saved file deletes nothing of what it may have defined."""
    bench.settings(*NO_WINDOW)
    process = bench.run()
    history.wait_for(bench.expected())
    process.stop()
    before = history.last()
    bench.edit("myservice.yaml", CHANGED_SERVICE.read_text()[:300])
    process = bench.run()
    process.wait_for("WARNING myservice.yaml:")
    bench.change()
    history.wait_for(bench.expected())

    assert len(history.revisions(after=before)) == 1
    assert None not in history.values(MYSERVICE)


def test_removed_manifest(bench: Bench, history: History) -> None:
    """The keys of a manifest that is removed go in one revision, users before what they use."""
    bench.run()
    history.wait_for(bench.expected())
    before = history.last()
    (bench.manifests / "myservice.yaml").unlink()
    history.wait_for(bench.expected())
    ((_, changes),) = history.revisions(after=before)

    assert [(change.key, change.value) for change in changes] == [
        (STEERING + "forK8sService-default-myservice", None),
        (MYSERVICE, None),
        *((CHAIN + f"srv6kv-{TAP}-{name}", None) for name in ("OUTPUT", "PREROUTING")),
        *((CHAIN + f"srv6kv-{TAP}-DNAT-{copy}", None) for copy in ("a", "b")),
        *((CHAIN + f"srv6kv-{TAP}-NOTRACK-{copy}", None) for copy in ("a", "b")),
        (ROUTE + "vrf/0/dst/6666:0:0:1::5/128/gw/::", None),
        (LOCALSID + "6666:0:0:1::5", None),
    ]
    assert violations(history.revisions()) == []


def test_restart(bench: Bench, history: History) -> None:
    """A restart with nothing changed writes nothing but the writer key."""
    process = bench.run()
    history.wait_for(bench.expected())
    process.stop()
    seen = history.last()
    noted = history.own_values()
    again = bench.run("--once").wait()
    history.wait(lambda: len(history.tenures()) > 1)

    assert (again, history.last(), history.own_values()) == (0, seen, noted)
    assert len(history.tenures()) == 2


def test_once(bench: Bench, store: Etcd3Store, history: History) -> None:
    """``--once`` writes everything, gives the writer key back and ends with 0."""
    process = bench.run("--once")

    assert process.wait() == 0

    history.wait_for(bench.expected())

    assert store.holder(bench.label) is None


def test_wiring_comes_later(bench: Bench, store: Etcd3Store, history: History) -> None:
    """Keys that the CNI writes while srv6kv runs are used at once; what goes with them, goes."""
    arp = next(key for key in bench.foreign if "/arp/" in key and key.endswith("1::5"))
    value = bench.foreign.pop(arp)
    store.delete(bench.prefix + arp)
    process = bench.run()
    process.wait_for("Endpoint 2001:0:0:1::5: ")
    history.wait_for(bench.expected())

    assert MYSERVICE not in history.state()

    bench.put_foreign(store, arp, value.decode())
    history.wait_for(bench.expected())

    assert MYSERVICE in history.state()

    bench.foreign.pop(arp)
    store.delete(bench.prefix + arp)
    history.wait_for(bench.expected())

    assert MYSERVICE not in history.state()
    assert violations(history.revisions()) == []


def test_growing_policy_waits(bench: Bench, history: History, timed: Timed) -> None:
    """A change that only grows a policy waits the replace window for its counterpart, and is one
    revision where the agent reports no states."""
    bench.settings(*LONG_WINDOW)
    bench.run()
    history.wait_for(bench.expected())
    before, started = history.last(), time.monotonic()
    bench.change()
    history.wait_for(bench.expected())
    ((revision, _),) = history.revisions(after=before)

    spent = history.arrival(revision) - started
    assert spent >= 2.0
    timed("a policy that grows is in etcd, with a window of 2 s", spent, 3.5)


def test_replaced_endpoint(bench: Bench, history: History) -> None:
    """An endpoint that comes and one that goes within the window are one change of the policy."""
    bench.settings(*LONG_WINDOW)
    process = bench.run()
    history.wait_for(bench.expected())
    before = history.last()
    both = CHANGED_SERVICE.read_text()
    bench.edit("myservice.yaml", both + "---\nkind: Service\n")
    process.wait_for("myservice.yaml:")
    one = both.replace("2001:0:0:1::5", "2001:0:0:1::6", 1)
    bench.edit("myservice.yaml", one[: one.rindex("  - addresses")])
    history.wait_for(bench.expected())
    ((_, changes),) = history.revisions(after=before)

    assert [json.loads(c.value or b"")["segment_lists"] for c in changes if c.key == MYSERVICE] == [
        [{"segments": ["6666:0:0:1::6"], "weight": 1}]
    ]
    assert violations(history.revisions()) == []


def test_first_endpoint_does_not_wait(bench: Bench, history: History) -> None:
    """A service's first endpoint is written at once, whatever the window."""
    bench.settings("srv6kv:", "  replaceWindow: 10s")
    bench.edit("first.yaml", service("first", "2096::f1", []))
    bench.run()
    history.wait_for(bench.expected())
    bench.edit("first.yaml", service("first", "2096::f1", ["2001:0:0:1::6"]))
    history.wait(lambda: POLICY + "5555::f1" in history.state(), 9.0)


def test_stop(bench: Bench, store: Etcd3Store, history: History, timed: Timed) -> None:
    """SIGTERM ends it with exit code 0, and the writer key is gone."""
    process = bench.run()
    history.wait_for(bench.expected())
    seen = Seen()
    start = store.read([writer_key(bench.label)]).revision + 1
    store.watch([writer_key(bench.label)], start, seen.on_changes, seen.on_lost)
    started = time.monotonic()
    code = process.stop()
    spent = time.monotonic() - started
    seen.wait_for_deletion(writer_key(bench.label))

    assert code == 0
    timed("the end after SIGTERM", spent, 2.0)
    assert store.holder(bench.label) is None
    assert history.state() == bench.expected()


def test_log(bench: Bench, history: History) -> None:
    """At debug level every key and value is logged as the agent logs it; else one line a commit."""
    quiet = bench.run("--once")
    quiet.wait()
    bench.change()
    loud = bench.run("--once", "--log-level", "debug")
    loud.wait()
    history.wait_for(bench.expected())

    assert len(quiet.said("sync put=")) == 1
    assert quiet.said("- key: ") == []
    assert any(line.endswith(f"DEBUG - key: {MYSERVICE}") for line in loud.lines)
    assert loud.said('DEBUG val: { bsid:"5555::d765" srh_encapsulation:true segment_lists:{')
