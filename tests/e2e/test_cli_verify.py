"""``srv6kv verify``: where it gets its sides from, what it prints, how it ends."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from agentmodel.objects import Localsid
from click.testing import CliRunner
from processes import SEED, Bench, environment, example_of, srv6kv
from verify_node import Node, Sample, sample_of, well

from srv6kv.cli import verify
from srv6kv.errors import Srv6kvError, Unavailable
from srv6kv.etcd.embedded import EmbeddedEtcd
from srv6kv.etcd.store import Etcd3Store
from srv6kv.ligato import keys
from srv6kv.verify import Difference, Remedy, vppask
from srv6kv.verify import look as look_module
from srv6kv.verify.look import Look, lasting


@pytest.fixture(scope="module")
def sample(etcd: EmbeddedEtcd, tmp_path_factory: pytest.TempPathFactory) -> Sample:
    """The keys of the sample node."""
    return sample_of(etcd, tmp_path_factory.mktemp("sample"))


@pytest.fixture
def node(etcd: EmbeddedEtcd, store: Etcd3Store, label: str, sample: Sample) -> Iterator[Node]:
    """A node where all is well."""
    with well(etcd, store, label, sample) as found:
        yield found


def test_all_is_well(node: Node, tmp_path: Path) -> None:
    """Etcd, agent and VPP are the same: over REST, by states in etcd and files, and by vppctl; by
    REST the agent tells the names of interfaces too."""
    names = tmp_path / "interfaces.json"
    names.write_text(json.dumps(node.vpp.names))
    rest = node.verify("--agent-rest", node.live.rest_url)
    piped = node.verify("--vpp", "-", "--interfaces", names, stdin=node.texts("19.08"))
    asked = node.verify("--vppctl", script(node, tmp_path), "--interfaces", names)
    count = rest.stdout.split()[2]

    assert [done.stdout for done in (rest, piped, asked)] == [
        f"differences: none; {count} keys compared\n"
    ] * 3
    assert [done.returncode for done in (rest, piped, asked)] == [0] * 3
    assert [done.stderr for done in (rest, piped, asked)] == [""] * 3
    assert int(count) > 20


def script(node: Node, folder: Path) -> str:
    """A command line that prints what the node's VPP prints now, as vppctl does."""
    path = folder / "vpp ctl.py"
    texts = {
        "localsids": node.vpp.show_sr_localsids(),
        "policies": node.vpp.show_sr_policies(),
        "steering-policies": node.vpp.show_sr_steering_policies(),
        "encaps": f"SR encaps source addr = {node.vpp.encap_source}\n",
    }
    path.write_text(f"import sys\nsys.stdout.write({texts!r}[sys.argv[4]])\n")
    return shlex.join([sys.executable, str(path), "-s"]) + " "


def test_what_is_not_compared_is_said(node: Node) -> None:
    """One line on standard error: no states, no VPP, no names of interfaces."""
    every = node.verify()
    for entry in node.store.read([node.prefix + "config-status/"]).entries:
        node.store.delete(entry.key)
    none = node.verify()
    part = node.verify("--vpp", "-", stdin=node.vpp.show_sr_localsids())

    assert every.stderr == "warning: not compared: VPP (no output of 'show sr ...')\n"
    assert none.stderr.splitlines() == [
        "warning: not compared: the agent (no states); VPP (no output of 'show sr ...')",
        f"srv6kv: neither the agent of {node.label} nor its VPP is known: give --agent-rest,"
        " --vpp or --vppctl, or let the agent publish its states (ENABLE_STATUS_PUBLISHING)",
    ]
    assert part.stderr.startswith(
        "warning: not compared: the agent (no states); VPP's policies (not shown); VPP's steerings"
        " (not shown); the interfaces of "
    )
    assert [done.returncode for done in (every, none, part)] == [0, 2, 0]
    assert none.stdout == ""


def test_an_interface_that_only_the_agent_can_name(node: Node, tmp_path: Path) -> None:
    """A localsid that sends to another TAP is a difference; a file of names counts more."""
    sid = next(one for _, one in node.vpp.localsids.all() if one.interface.startswith("vpp-tap-"))
    with node.live.lock:
        node.vpp.names[sid.interface], right = "tap99", node.vpp.names[sid.interface]
    names = tmp_path / "interfaces.json"
    names.write_text(json.dumps({sid.interface: right}))
    texts = node.vpp.show_sr_localsids()
    same = node.verify("--agent-rest", node.live.rest_url, "-o", "json")
    other = node.verify(
        *("--agent-rest", node.live.rest_url, "--interfaces", names, "--vpp", "-", "-o", "json"),
        stdin=texts,
    )

    assert (json.loads(same.stdout)["differences"], same.returncode) == ([], 0)
    assert [item["what"] for item in json.loads(other.stdout)["differences"]] == [
        f"it sends to tap99 instead of {right} ({sid.interface})"
    ]


def test_an_agent_that_cannot_name_interfaces(node: Node) -> None:
    """It needs VPP's plugin dhcp for that: then they are not compared, with what it says."""
    with node.live.lock:
        node.vpp.has_dhcp = False
    done = node.verify("--agent-rest", node.live.rest_url)

    assert done.returncode == 0
    assert done.stderr.startswith("warning: not compared: the interfaces of ")
    assert " localsids (the agent cannot tell their names in VPP: GET " in done.stderr
    assert "unknown message: dhcp_client_dump" in done.stderr
    assert done.stderr.endswith("; give --interfaces)\n")


def test_the_table(node: Node) -> None:
    """People get a table with short keys, and the count of differences and foreign objects."""
    with node.live.lock:
        node.vpp.list_add("5555::d765", ("6666:0:0:1::9",), 1)
        node.vpp.localsid_add(Localsid("9300::1", 0, "end"))
    done = node.verify("--agent-rest", node.live.rest_url)

    assert done.returncode == 1
    assert "policy/5555::d765" in done.stdout
    assert "localsid/9300::1" in done.stdout
    last = done.stdout.splitlines()[-1]
    assert f"--label {node.label} --agent-rest {node.live.rest_url}' finds" in done.stderr
    assert last.startswith("differences: 1 in 1 objects; ")
    assert last.endswith("; 1 foreign")


def test_foreign_objects_are_no_difference(node: Node) -> None:
    """What lies in no range of ours is told, and the exit code stays 0."""
    with node.live.lock:
        node.vpp.localsid_add(Localsid("9300::1", 0, "end"))
    done = node.verify("--agent-rest", node.live.rest_url, "-o", "json")
    answer = json.loads(done.stdout)

    assert (done.returncode, answer["same"], answer["differences"]) == (0, True, [])
    assert [item["subject"] for item in answer["foreign"]] == [keys.localsid("9300::1")]


def test_another_label_is_an_agent_that_reads_nothing(node: Node, store: Etcd3Store) -> None:
    """The keys of one node against the agent of another: one difference, with the remedy."""
    other = f"{node.label}-other"
    value = {"sid": "6666::1", "base_end_function": {}}
    store.put(f"{keys.agent_prefix(other)}{keys.localsid('6666::1')}", json.dumps(value))
    done = srv6kv(
        *("verify", "--label", other, *node.etcd, "-o", "json"),
        *("--agent-rest", node.live.rest_url, "--vpp", "-"),
        stdin="SR policies:\n",
    )
    (found,) = json.loads(done.stdout)["differences"]

    assert (done.returncode, found["reason"]) == (1, "AgentReadsNothing")


@pytest.mark.parametrize(
    ("arguments", "code", "text"),
    [
        (("--vpp", "/nowhere/x"), 2, "/nowhere/x: cannot be read: No such file"),
        (("--vpp", "-"), 2, "standard input: line 1: there is no output of 'show sr ...' in it"),
        (("--vpp", "-", "--vppctl"), 2, "--vpp and --vppctl exclude each other"),
        (("--interfaces", "/nowhere/x"), 2, "/nowhere/x: cannot be read"),
        (("--vppctl", "'"), 2, '--vppctl: "\'": No closing quotation'),
        (("--vppctl", " "), 2, "--vppctl: it is empty"),
        (("--agent-rest", "nonsense"), 2, "nonsense"),
        (("--label", "a/b"), 2, "'a/b' is empty, or has a space, a slash"),
        (("--agent-rest", "http://127.0.0.1:1"), 3, "http://127.0.0.1:1/scheduler/status"),
        (("--vppctl", "/nowhere/vppctl -s x"), 3, "/nowhere/vppctl -s x: cannot be run: No such"),
        (("--vppctl", "false"), 3, "false: ended with 1"),
        (("--vppctl", "ls /nowhere"), 3, "ls /nowhere: ended with 2 ls: cannot access"),
        (("--vppctl", "echo hello"), 3, "echo hello: 'show sr localsids': line 1: there is no"),
        (("--vppctl", "echo SR policies:\n"), 3, "there is no output"),
    ],
)
def test_bad_input_and_what_is_out_of_reach(
    etcd: EmbeddedEtcd, label: str, arguments: tuple[str, ...], code: int, text: str
) -> None:
    """What is wrong is said: with 2 for input, with 3 for who does not answer."""
    options = ["--label", label, "--etcd", etcd.endpoint, *arguments]
    done = CliRunner().invoke(verify.command, options)
    error = done.exception if isinstance(done.exception, Srv6kvError) else None

    assert (error.exit_code if error else done.exit_code) == code
    assert text in (str(error) if error else done.stderr)
    assert (done.stdout, "\n" in str(error)) == ("", False)


def test_a_label_of_which_etcd_has_nothing(node: Node) -> None:
    """A wrong label is no healthy node: exit code 2, one line, with any source."""
    for more in ((), ("--vpp", "-")):
        options = ("--label", f"{node.label}x", *node.etcd, *more)
        done = srv6kv("verify", *options, stdin="SR encaps source addr = ::\n")

        assert (done.returncode, done.stdout) == (2, "")
        assert "is that the agent's label?" in done.stderr.splitlines()[-1]


def looks(*seen: Look) -> Callable[[], Look]:
    """What is seen at one look after the other."""
    left = iter(seen)
    return lambda: next(left)


def test_what_is_on_its_way_is_no_difference(monkeypatch: pytest.MonkeyPatch) -> None:
    """A difference counts if the next look has one of the same object too, and its key has not
    changed meanwhile; one that has got another reason meanwhile counts."""
    monkeypatch.setattr(look_module, "AGAIN_SECONDS", 0.0)

    def look(revision: int, *reasons: str) -> Look:
        found = [Difference(f"k{name[0]}", "VPP", name, "", "", Remedy(None)) for name in reasons]
        return Look(found, {("ka", 1), ("kb", revision)}, True, True, [], 2)

    none = look(1)
    found = lasting(looks(look(1, "a-retrying", "b"), look(1, "a-failed", "b", "c")))
    changing = lasting(looks(look(1, "a", "b"), look(2, "a", "b")))

    assert lasting(looks(none)) == (none, [], set())
    assert lasting(looks(look(1, "a"), none)) == (none, [], set())
    assert [item.reason for item in found[1]] == ["a-failed", "b"]
    assert ([item.reason for item in changing[1]], changing[2]) == (["a"], {"kb"})


def test_an_agent_at_work_lacks_nothing() -> None:
    """Keys that it has not come to are no difference while it comes to others; else they are."""

    def look(*keys: str) -> Look:
        remedy = Remedy(None, "")
        found = [Difference(key, "agent", "NotInAgent", "", "", remedy) for key in keys]
        return Look(found, {("ka", 1), ("kb", 1), ("kc", 1)}, True, True, [], 3)

    _, found, changing = lasting(looks(look("ka", "kb", "kc"), look("kb", "kc")))
    _, same, none = lasting(looks(look("kb", "kc"), look("kb", "kc")))

    assert (found, changing) == ([], {"kb", "kc"})
    assert ([item.subject for item in same], none) == (["kb", "kc"], set())


def test_a_vppctl_that_fails_is_one_line(etcd: EmbeddedEtcd, label: str) -> None:
    """The whole program says it in one line, and ends with 3."""
    options = ("--label", label, "--etcd", etcd.endpoint)
    done = srv6kv("verify", *options, "--vppctl", "/nowhere/vppctl")

    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr == "srv6kv: /nowhere/vppctl: cannot be run: No such file or directory\n"


def test_a_vppctl_that_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is given up after a time."""
    monkeypatch.setattr(vppask, "SECONDS", 0.2)
    command = f"{sys.executable} -c 'import time; time.sleep(60)'"
    with pytest.raises(Unavailable, match="no answer within 0 s"):
        vppask.ask(vppask.vppctl(command), "x")


def test_etcd_out_of_reach() -> None:
    """Without etcd there is nothing to compare with."""
    done = srv6kv("verify", "--label", "n", "--etcd", "127.0.0.1:1")

    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr.startswith("srv6kv: etcd 127.0.0.1:1: ")


def test_the_example_works(bench: Bench, tmp_path: Path) -> None:
    """The help's example, on an etcd with the sample node, finds nothing."""
    assert srv6kv("run", *bench.options(), "--once").returncode == 0
    (tmp_path / "examples").symlink_to(SEED.parent)
    words = example_of("verify").replace("node1", bench.label, 1).split()
    done = subprocess.run(
        [sys.executable, "-m", *words],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=environment(SRV6KV_ETCD=bench.server.endpoint, PYTHONPATH=os.getcwd()),
    )

    assert (done.returncode, done.stdout[:18]) == (0, "differences: none;"), done.stderr
    assert done.stderr == "warning: not compared: the agent (no states)\n"
