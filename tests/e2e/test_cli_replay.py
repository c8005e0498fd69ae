"""``srv6kv replay``: recordings and agents' logs into an etcd, or compared with a cluster."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from history import History
from hostile import HOSTILE
from processes import AGENT_STATE, MYSERVICE, NODE, SEED, Bench, drop_writer, srv6kv

from srv6kv.etcd.store import Etcd3Store, Writer
from srv6kv.txn import recording
from srv6kv.txn.recording import Recorded
from srv6kv.txn.transaction import FullKey, Operation, Transaction

RECORDED = Path(__file__).parents[1] / "recorded"
RECORDING = RECORDED / "seed.txn"
GOOD = {
    HOSTILE[name]
    for name in (
        *("null", "number", "text", "list", "object", "list of nothing", "NUL", "escapes", "long"),
        *("a large number", "a member twice, two spellings"),
    )
}
"""JSON that somebody else may have written."""
FILES = ("-f", SEED / "manifests", "--config", SEED / "contiv.conf", "--node", NODE)


def replay(path: Path, bench: Bench, *more: str) -> subprocess.CompletedProcess[str]:
    """Replay a recording into the shared etcd under a label of its own."""
    where: list[str] = ["--etcd", bench.server.endpoint, "--label", f"{bench.label}-copy"]
    return srv6kv("replay", path, *where, *more)


def copy_of(bench: Bench, store: Etcd3Store) -> History:
    """What a replay has made."""
    return History(store, f"{bench.label}-copy")


def ours(bench: Bench, history: History) -> dict[str, bytes]:
    """The bench's keys that are not of others."""
    return {key: value for key, value in history.state().items() if key not in bench.foreign}


def test_replay(bench: Bench, store: Etcd3Store) -> None:
    """The recording of the demo replays into an empty etcd, one revision a transaction."""
    done = replay(RECORDING, bench)
    _, sync, change = recording.load(RECORDING.read_text())
    copy = copy_of(bench, store)
    copy.wait(lambda: len(copy.revisions()) == 2)

    assert (done.returncode, done.stdout) == (0, "3 transactions replayed, 46 keys\n")
    assert [[(one.key, one.value) for one in changes] for _, changes in copy.revisions()] == [
        [
            (one.key.removeprefix(f"/vnf-agent/{NODE}/"), one.value)
            for one in recorded.transaction.operations
        ]
        for recorded in (sync, change)
    ]
    assert store.holder(f"{bench.label}-copy") is None


def test_replay_of_a_life(bench: Bench, store: Etcd3Store, history: History) -> None:
    """A recording with foreign edits, restarts and a torn end replays to the same keys and
    values."""
    record = bench.folder / "run.txn"
    bench.settings("srv6kv:", "  replaceWindow: 0s")
    first = bench.run("--record", record)
    history.wait_for(bench.expected())
    bench.change()
    history.wait_for(bench.expected())
    store.put(bench.prefix + MYSERVICE, '{\n "bsid": "5555::d765"\n}')
    history.wait(lambda: len(history.values(MYSERVICE)) == 4)
    store.delete(bench.prefix + MYSERVICE)
    history.wait(lambda: len(history.values(MYSERVICE)) == 6)
    first.kill()
    drop_writer(store, bench.label)
    with record.open("a") as file:
        file.write("put 7 /vnf-agent/")
    bench.restore()
    bench.run("--once").wait()
    (bench.manifests / "podthere.yaml").unlink()
    second = bench.run("--record", record)
    history.wait_for(bench.expected())
    second.stop()
    done = replay(record, bench)

    assert (done.returncode, done.stderr) == (0, "")

    copy_of(bench, store).wait_for(ours(bench, history))

    again = replay(record, bench)

    assert again.returncode == 1


def write(path: Path, *transactions: list[Operation]) -> Path:
    """A recording."""
    path.write_text(
        "".join(
            recording.dump(Recorded(number, Transaction(tuple(operations))))
            for number, operations in enumerate(transactions, start=1)
        )
    )
    return path


def policy(number: int, guard: int = 0, weight: int = 1) -> Operation:
    """A put of one of many policies."""
    value = {
        "bsid": f"5555::{number:x}",
        "segment_lists": [{"segments": ["6655::1"], "weight": weight}],
        "srh_encapsulation": True,
    }
    key = f"/vnf-agent/x/config/vpp/srv6/v2/policy/5555::{number:x}"
    return Operation(FullKey(key), json.dumps(value).encode(), guard)


@pytest.mark.parametrize("count", [1, 100, 300])
def test_replay_into_an_etcd_that_is_not_empty(
    bench: Bench, store: Etcd3Store, tmp_path: Path, count: int
) -> None:
    """A key that is there already is a conflict, however large its transaction: what came before
    is done, the rest is not, and the key is as it was."""
    path = write(
        tmp_path / "x.txn",
        [policy(0x1000)],
        [policy(number) for number in range(count)],
        [policy(0x1000, guard=5, weight=2)],
    )
    key = f"/vnf-agent/{bench.label}-copy/config/vpp/srv6/v2/policy/5555::0"
    store.put(key, '{"bsid":"5555::0"}')
    done = replay(path, bench)
    copy = copy_of(bench, store)
    copy.wait(lambda: len(copy.revisions()) >= 2)

    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.count("\n") == 1
    assert key in done.stderr
    assert store.get(key)[0] == b'{"bsid":"5555::0"}'
    assert copy.state().keys() == {
        "config/vpp/srv6/v2/policy/5555::0",
        "config/vpp/srv6/v2/policy/5555::1000",
    }


def test_large_replay(bench: Bench, store: Etcd3Store, tmp_path: Path) -> None:
    """Transactions of more operations than one guard each allows replay as one revision each."""
    path = write(
        tmp_path / "x.txn",
        [policy(number) for number in range(1000)],
        [policy(number, guard=9, weight=2) for number in range(1000)],
    )
    done = replay(path, bench)
    copy = copy_of(bench, store)
    copy.wait(lambda: len(copy.revisions()) == 2)

    assert (done.returncode, len(copy.state())) == (0, 1000)


def test_replay_beside_a_writer(bench: Bench, writer: Writer) -> None:
    """A replay for a label for which somebody else writes is a conflict that names who."""
    done = srv6kv("replay", RECORDING, "--label", bench.label, "--etcd", bench.server.endpoint)

    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"srv6kv: the test writes for {bench.label}; stop it first\n"


LOGS = {
    "v2": """\
- key: config/vpp/srv6/v2/localsid/6666:0:0:1::5
val: { sid:"6666:0:0:1::5" installation_vrf_id:1 end_function_DX6:<outgoing_interface:"tap4" \
next_hop:"2001:0:0:1::5" > }
- key: config/vpp/srv6/v2/policy/5555::d765
val: { bsid:"5555::d765" srh_encapsulation:true segment_lists:<weight:1 \
segments:"6666:0:0:1::5" > }
- key: config/vpp/srv6/v2/steering/forK8sService-default-myservice
val: { name:"forK8sService-default-myservice" policy_bsid:"5555::d765" \
l3_traffic:<installation_vrf_id:1 prefix_address:"2096::d765/128" > }
""",
    "v3": """\
- key: config/vpp/srv6/v2/localsid/6666:0:0:1::5
val: { sid:"6666:0:0:1::5" installation_vrf_id:1 end_function_dx6:{outgoing_interface:"tap4" \
next_hop:"2001:0:0:1::5"} }
- key: config/vpp/srv6/v2/policy/5555::d765
val: { bsid:"5555::d765" srh_encapsulation:true segment_lists:{weight:1 \
segments:"6666:0:0:1::5"} }
- key: config/vpp/srv6/v2/steering/forK8sService-default-myservice
val: { name:"forK8sService-default-myservice" policy_bsid:"5555::d765" \
l3_traffic:{installation_vrf_id:1 prefix_address:"2096::d765/128"} }
""",
}
LOGGED = {
    "config/vpp/srv6/v2/localsid/6666:0:0:1::5": {
        "end_function_dx6": {"next_hop": "2001:0:0:1::5", "outgoing_interface": "tap4"},
        "installation_vrf_id": 1,
        "sid": "6666:0:0:1::5",
    },
    "config/vpp/srv6/v2/policy/5555::d765": {
        "bsid": "5555::d765",
        "segment_lists": [{"segments": ["6666:0:0:1::5"], "weight": 1}],
        "srh_encapsulation": True,
    },
    "config/vpp/srv6/v2/steering/forK8sService-default-myservice": {
        "l3_traffic": {"installation_vrf_id": 1, "prefix_address": "2096::d765/128"},
        "name": "forK8sService-default-myservice",
        "policy_bsid": "5555::d765",
    },
}


@pytest.mark.parametrize("api", ["v2", "v3"])
def test_replay_of_an_agents_log(bench: Bench, store: Etcd3Store, tmp_path: Path, api: str) -> None:
    """The transaction log of an agent, of either spelling, replays as what the agent was given."""
    path = tmp_path / "agent.log"
    path.write_text(LOGS[api])
    done = replay(path, bench)
    copy = copy_of(bench, store)
    copy.wait(lambda: bool(copy.revisions()))

    assert done.returncode == 0, done.stderr
    assert {key: json.loads(value) for key, value in copy.state().items()} == LOGGED


def test_replay_for_old_agents(bench: Bench, store: Etcd3Store, tmp_path: Path) -> None:
    """A replay writes the older spelling if an older agent is to read it."""
    path = tmp_path / "agent.log"
    path.write_text(LOGS["v3"])
    replay(path, bench, "--agent-api", "v2")
    copy = copy_of(bench, store)
    copy.wait(lambda: bool(copy.revisions()))

    assert b'"end_function_DX6":' in copy.state()["config/vpp/srv6/v2/localsid/6666:0:0:1::5"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (LOGS["v2"], "names no label: give --label"),
        ("txn 1\nput 0 /a {}\n", "/a is not a key of an agent"),
        ("txn 1\nput 0 x {}\n", ":2: 'x' is not a full key"),
        ("hello\n", "neither a recording nor a log with transactions"),
        ("", "neither a recording nor a log with transactions"),
        (
            LOGS["v2"].replace("key: config", "key: /vnf-agent/b/config", 1)
            + LOGS["v3"].replace("key: config", "key: /vnf-agent/a/config", 1),
            "a log of several agents: a, b",
        ),
    ],
)
def test_bad_recording(bench: Bench, tmp_path: Path, text: str, said: str) -> None:
    """What cannot be replayed is one line with the file, and exit code 2."""
    path = tmp_path / "x.txn"
    path.write_text(text)
    done = srv6kv("replay", path, "--etcd", bench.server.endpoint)

    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"srv6kv: {path}:")
    assert said in done.stderr
    assert done.stderr.count("\n") == 1


def test_missing_recording(tmp_path: Path) -> None:
    """A recording that is not there is one line and exit code 2."""
    done = srv6kv("replay", tmp_path / "absent.txn")

    assert (done.returncode, done.stderr.count("\n")) == (2, 1)


def check(*more: str | Path) -> subprocess.CompletedProcess[str]:
    """The recording of the demo compared with a cluster."""
    return srv6kv("replay", RECORDING, "--check", "--agent-state", AGENT_STATE, *FILES, *more)


def test_check_of_a_recording(tmp_path: Path) -> None:
    """A recording that ends as the cluster wants it passes the check; else the check prints what
    differs and ends with 1."""
    same = check("-f", SEED / "change")
    other = check()
    (found,) = recording.load(other.stdout)

    assert (same.returncode, same.stdout) == (0, "")
    assert other.returncode == 1
    assert f"/vnf-agent/{NODE}/{MYSERVICE}" in [one.key for one in found.transaction.operations]
    assert json.loads(check("-o", "json").stdout)


def test_check_needs_a_cluster() -> None:
    """A check without manifests is bad usage."""
    assert srv6kv("replay", RECORDING, "--check").returncode == 2


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_value(tmp_path: Path, name: str) -> None:
    """A value that nobody can read is one line of an error with its place, exit code 2."""
    if b"\n" in HOSTILE[name] or HOSTILE[name] in GOOD:
        return
    file = tmp_path / "bad.txn"
    file.write_bytes(
        b"txn 1\nput 0 /vnf-agent/n/config/a {}\nput 0 /vnf-agent/n/config/b %s\n" % (HOSTILE[name])
    )
    done = srv6kv("replay", file, "--convert")

    assert done.returncode == 2
    assert done.stderr.startswith(f"srv6kv: {file}:3: ")
    assert done.stderr.count("\n") == 1
    assert len(done.stderr) < 700
