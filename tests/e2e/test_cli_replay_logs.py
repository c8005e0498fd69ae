"""``srv6kv replay`` of agents' logs: compared with a cluster, as a recording, and into etcd.

``recorded/agent-v2.log`` and ``agent-v3.log`` tell the same: an agent starts, gets the sample
cluster key by key, fails and retries, gets a key that does not belong there, syncs again without
it, and gets the sample's change.
"""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from agentlogs import LogWriter
from processes import NODE, SEED, Bench, srv6kv
from test_cli_replay import FILES, LOGS, RECORDED, RECORDING, copy_of, replay

from srv6kv.etcd.store import Etcd3Store
from srv6kv.ligato import keys
from srv6kv.txn import recording
from srv6kv.txn.transaction import FullKey, Operation


def check_log(api: str, *more: str | Path) -> subprocess.CompletedProcess[str]:
    """The log of an agent of one generation compared with a cluster."""
    log = RECORDED / f"agent-{api}.log"
    return srv6kv("replay", log, "--label", NODE, "--check", *FILES, *more)


@pytest.mark.parametrize("api", ["v2", "v3"])
def test_check_of_a_log(api: str) -> None:
    """An agent that was given what the cluster needs passes the check; one that was not is told
    what differs. What srv6kv does not know is left out with a note; so is said what failed."""
    same = check_log(api, "-f", SEED / "change")
    other = check_log(api)
    (found,) = recording.load(other.stdout)

    assert (same.returncode, same.stdout) == (0, "")
    assert "config/vpp/v2/interfaces/: 4 keys of a kind that srv6kv does not know" in same.stderr
    assert "CREATE of config/vpp/srv6/v2/localsid/6655::1 failed: failed to add" in same.stderr
    assert other.returncode == 1
    assert sorted(
        (one.is_put, one.key.removeprefix(f"/vnf-agent/{NODE}/").split("/")[-2])
        for one in found.transaction.operations
    ) == [
        (False, "gw"),
        (False, "localsid"),
        (False, "rulechain"),
        (False, "rulechain"),
        (True, "policy"),
    ]


def test_a_log_of_an_agent_that_was_given_nothing(bench: Bench, tmp_path: Path) -> None:
    """The check names every key that is missing; a replay has nothing to write."""
    writer = LogWriter("v3")
    writer.resync({})
    path = tmp_path / "agent.log"
    path.write_text(writer.text)
    checked = srv6kv("replay", path, "--label", NODE, "--check", *FILES)
    replayed = replay(path, bench)

    assert (checked.returncode, checked.stderr.count("srv6kv: ")) == (1, 0)
    assert f"put 0 /vnf-agent/{NODE}/config/vpp/srv6/v2/localsid/6655::1 " in checked.stdout
    assert (replayed.returncode, replayed.stdout) == (0, "1 transactions replayed, 0 keys\n")


def test_check_of_a_log_that_cannot_be_read(tmp_path: Path) -> None:
    """What of a log cannot be read is a note, the rest is compared, and the exit code is 2."""
    path = tmp_path / "agent.log"
    log = (RECORDED / "agent-v3.log").read_text()
    path.write_text(log.replace('{ bsid:"5555::a"', '{ bsidd:"5555::a"'))
    done = srv6kv("replay", path, "--label", NODE, "--check", *FILES)

    assert done.returncode == 2
    assert 'Policy" has no field named "bsidd"' in done.stderr
    assert "policy/5555::a " in done.stdout


def convert(path: str | Path, *more: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    """A log as a recording."""
    return srv6kv("replay", path, "--label", NODE, "--convert", *more, stdin=stdin)


def test_logs_of_both_generations_convert_to_the_same_recording() -> None:
    """The spelling of the log is lost; its times, deletions and the retry's absence are not."""
    old, new = (convert(RECORDED / f"agent-{api}.log") for api in ("v2", "v3"))
    found = recording.load(new.stdout)
    times = [one.time for one in found]
    stale = f"/vnf-agent/{NODE}/config/vpp/srv6/v2/policy/5555::bad1"

    assert (old.returncode, new.returncode) == (0, 0)
    assert old.stdout == new.stdout
    assert len(found) == 50
    assert times == sorted(times)
    assert [
        one.time
        for one in found
        if Operation(FullKey(stale), None, 1) in one.transaction.operations
    ] == ["2026-11-22T23:28:03.250Z"]


def test_a_recording_converts_to_itself() -> None:
    """A recording is printed as it is; with a label its keys move; older agents' spelling too."""
    text = RECORDING.read_text()

    assert srv6kv("replay", RECORDING, "--convert").stdout == text
    assert srv6kv("replay", RECORDING, "--convert", "--label", "n7").stdout == text.replace(
        f"/vnf-agent/{NODE}/", "/vnf-agent/n7/"
    )
    assert '"end_function_DX6":' in convert(RECORDING, "--agent-api", "v2").stdout
    assert len(json.loads(convert(RECORDING, "-o", "json").stdout)) == 3


def test_convert_from_a_pipe() -> None:
    """Standard input is read, here as kubectl prints it with its prefix and time stamps."""
    lines = (RECORDED / "agent-v2.log").read_text().splitlines()
    text = "".join(f"[pod/vswitch-x/agent] 2026-11-22T23:27:51.5Z {line}\n" for line in lines)
    done = convert("-", stdin=text)

    assert done.stdout == convert(RECORDED / "agent-v3.log").stdout
    assert done.stderr.startswith("warning: standard input: 1 operation failed")


def test_convert_of_a_log_that_cannot_be_read(tmp_path: Path) -> None:
    """The rest is printed, and the exit code is 2; a replay of it writes nothing."""
    path = tmp_path / "agent.log"
    path.write_text(LOGS["v3"].replace("bsid:", "bsidd:", 1) + "caf\xe9\n", encoding="latin-1")
    converted = convert(path)
    replayed = srv6kv("replay", path, "--label", NODE, "--etcd", "127.0.0.1:1")

    assert converted.returncode == 2
    assert converted.stdout.count("put 0") == 2
    assert f"warning: {path}:3: cannot be read: config/vpp/srv6/v2/policy/" in converted.stderr
    assert replayed.returncode == 2
    assert replayed.stderr.endswith("parts of it cannot be read; nothing was written\n")


def test_convert_and_check() -> None:
    """Both at once is bad usage."""
    assert srv6kv("replay", RECORDING, "--convert", "--check").returncode == 2


def test_replay_of_a_whole_log(bench: Bench, store: Etcd3Store) -> None:
    """A log replays one revision a transaction, and ends with what the agent was given."""
    log = RECORDED / "agent-v2.log"
    done = replay(log, bench)
    ours = recording.state_of(recording.load(convert(log).stdout))
    copy = copy_of(bench, store)
    copy.wait(lambda: len(copy.revisions()) == 50)

    assert done.returncode == 0
    assert copy.state() == {
        key.removeprefix(f"/vnf-agent/{NODE}/"): value for key, value in ours.items()
    }


def test_replay_of_a_large_sync(bench: Bench, store: Etcd3Store, tmp_path: Path) -> None:
    """What does not fit into one revision becomes several, in the same order; what the log says
    next goes on from there."""
    pairs = [(keys.localsid(f"6666::{n:x}"), f'{{"sid":"6666::{n:x}"}}') for n in range(1, 4200)]
    held: dict[str, bytes] = dict(sorted((key, value.encode()) for key, value in pairs))
    gone = next(iter(held))
    writer = LogWriter("v3")
    writer.resync(held)
    writer.change([(gone, None)])
    path = tmp_path / "agent.log"
    path.write_text(writer.text)
    done = replay(path, bench)
    copy = copy_of(bench, store)
    copy.wait(lambda: len(copy.revisions()) == 3)

    assert done.stdout == "2 transactions replayed, 4198 keys\n", done.stderr
    assert list(copy.state()) == [*held][1:]
    assert [one.key for _, changes in copy.revisions() for one in changes] == [*held, gone]


def test_replay_of_a_value_that_etcd_does_not_take(bench: Bench, tmp_path: Path) -> None:
    """It is named, and nothing is written."""
    lists = "".join(f'segment_lists:{{segments:"6666::{n:x}"}} ' for n in range(40_000))
    path = tmp_path / "agent.log"
    path.write_text(LOGS["v3"] + f'- key: {keys.policy("5::")}\nval: {{ bsid:"5::" {lists}}}\n')
    done = replay(path, bench)

    assert (done.returncode, done.stdout) == (2, "")
    assert "/config/vpp/srv6/v2/policy/5::: " in done.stderr
    assert done.stderr.endswith(" bytes are more than one revision of etcd holds: 1048576\n")
