"""A node with etcd, a model of its agent and a VPP, for tests of ``verify`` from end to end."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from agentmodel import FakeVpp, LiveAgent
from click.testing import CliRunner, Result
from processes import Bench, srv6kv

from srv6kv.cli import verify
from srv6kv.etcd.embedded import EmbeddedEtcd
from srv6kv.etcd.store import Etcd3Store
from srv6kv.ligato import keys
from srv6kv.verify import look

HOST_END = keys.INTERFACE + "tap-vpp2"
POLICY, OTHER = "5555::d765", "5555::a"
POLICY_KEY = keys.policy(POLICY)
POD_SID = keys.localsid("6666:0:0:1::5")
STEERING = keys.steering("forK8sService-default-myservice")
POD_TAP = "vpp-tap-d6087568be9f59aba028955c19f5684055a69d926ed89f720fe187a"
SOURCE = "fe10:f00d::1"

Json = dict[str, Any]
Sample = dict[str, bytes]


class Node:
    """A node whose agent and VPP have all that etcd has, until a test spoils something."""

    def __init__(self, etcd: EmbeddedEtcd, store: Etcd3Store, label: str, sample: Sample) -> None:
        self.store = store
        self.label = label
        self.etcd = ("--etcd", etcd.endpoint)
        self.prefix = keys.agent_prefix(label)
        for key, value in sample.items():
            store.put(key.replace("LABEL", label), value)
        vpp = FakeVpp()
        vpp.set_encap_source(SOURCE)
        self.live = LiveAgent(etcd.endpoint, label, vpp=vpp)
        self.follow()

    @property
    def vpp(self) -> FakeVpp:
        """What VPP has."""
        return self.live.vpp

    def follow(self) -> None:
        """Wait until the agent knows what etcd holds, and tries nothing again."""
        below = self.store.read([self.prefix + "config/"]).entries
        self.live.wait_for({one.key.removeprefix(self.prefix): one.value for one in below})

    def put(self, key: str, value: str) -> None:
        """Write a key, whatever is said about it."""
        self.store.put(self.prefix + key, value)

    def value(self, key: str) -> Json:
        """What etcd has for a key."""
        value, _ = self.store.get(self.prefix + key)
        found: Json = json.loads(value)
        return found

    def verify(self, *more: str | Path, stdin: str = "") -> subprocess.CompletedProcess[str]:
        """What the command says."""
        return srv6kv("verify", "--label", self.label, *self.etcd, *more, stdin=stdin)

    def inside(self, *more: str, stdin: str = "") -> Result:
        """What the command says in this process, which is quicker."""
        arguments = ["--label", self.label, *self.etcd, *more]
        return CliRunner().invoke(verify.command, arguments, input=stdin)

    def differences(self) -> list[Json]:
        """The differences, by way of the agent's REST server."""
        done = self.inside("--agent-rest", self.live.rest_url, "-o", "json")
        answer = json.loads(done.stdout)

        assert done.exit_code == (1 if answer["differences"] else 0), done.stderr
        assert answer["same"] is not bool(answer["differences"])

        found: list[Json] = answer["differences"]
        return found

    def texts(self, version: str = "") -> str:
        """All that VPP prints, one output after the other."""
        vpp = self.vpp
        texts = [vpp.show_sr_steering_policies(version), vpp.show_sr_policies(version)]
        return "".join([*texts, vpp.show_sr_localsids(version)])


def sample_of(etcd: EmbeddedEtcd, folder: Path) -> Sample:
    """What srv6kv writes for the sample node, and its wiring; LABEL stands for the label."""
    store = Etcd3Store([etcd.endpoint])
    bench = Bench(folder / "bench", etcd, "verify-sample")
    bench.load_agent_state(store)
    bench.put_foreign(store, HOST_END, '{"name": "tap-vpp2", "type": "TAP"}')
    done = srv6kv("run", *bench.options(), "--once")
    entries = store.read([bench.prefix, f"/srv6kv/{bench.label}/"]).entries
    store.close()

    assert done.returncode == 0, done.stderr
    return {item.key.replace(bench.label, "LABEL"): item.value for item in entries}


@contextmanager
def well(etcd: EmbeddedEtcd, store: Etcd3Store, label: str, sample: Sample) -> Iterator[Node]:
    """A node where all is well; in this process a second look comes soon."""
    node = Node(etcd, store, label, sample)
    with node.live, pytest.MonkeyPatch.context() as patch:
        patch.setattr(look, "AGAIN_SECONDS", 0.05)
        yield node
