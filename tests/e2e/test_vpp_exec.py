"""``srv6kv vpp-exec``: the commands that VPP executes at its start."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from processes import NODE, SEED, srv6kv

from srv6kv.cluster.noderecords import PREFIX
from srv6kv.etcd.embedded import EmbeddedEtcd
from srv6kv.etcd.store import Etcd3Store

CONFIG = SEED / "contiv.conf"
FILES = ("-f", SEED / "manifests", "--config", CONFIG)
FLOW_HASH = "set ip6 flow-hash table 0 src dst sport dport proto\n"


def node(**more: str) -> str:
    """A Node without a pod CIDR, with annotations."""
    annotations = "".join(f"    {key}: '{value}'\n" for key, value in more.items())
    head = "apiVersion: v1\nkind: Node\nmetadata:\n  name: node1\n"
    return head + (f"  annotations:\n{annotations}" if more else "")


@pytest.mark.parametrize(
    ("name", "address"), [("node1", "fe10:f00d::1"), ("node2", "fe10:f00d::2")]
)
def test_commands(name: str, address: str) -> None:
    """The encap source is the node's address, and the flow label is not hashed."""
    done = srv6kv("vpp-exec", *FILES, "--node", name)

    assert (done.returncode, done.stdout) == (
        0,
        f"set sr encaps source addr {address}\n{FLOW_HASH}",
    )


def test_annotated_address() -> None:
    """The annotation of a Node replaces its address, as everywhere."""
    annotated = node(**{"srv6kv.io/node-ip": "fd00::7"})
    done = srv6kv("vpp-exec", "-f", "-", "--config", CONFIG, NODE_NAME=NODE, stdin=annotated)

    assert (done.returncode, done.stdout.splitlines()[0]) == (
        0,
        "set sr encaps source addr fd00::7",
    )


def test_contivs_record(start_etcd: Callable[..., EmbeddedEtcd]) -> None:
    """With --etcd Contiv's record tells the address of a Node, as it does for run."""
    server = start_etcd()
    asked = ("vpp-exec", "-f", "-", "--config", CONFIG, "--etcd", server.endpoint)
    without = srv6kv(*asked, NODE_NAME=NODE, stdin=node())
    store = Etcd3Store([server.endpoint])
    store.put(f"{PREFIX}5", '{"id": 5, "name": "node1"}')
    store.put(f"{PREFIX}6", "{")
    store.close()
    done = srv6kv(*asked, NODE_NAME=NODE, stdin=node())
    server.stop()

    assert without.returncode == 2
    assert (done.returncode, done.stdout.splitlines()[0]) == (
        *(0, "set sr encaps source addr fe10:f00d::5"),
    )
    assert f"Record {PREFIX}6: " in done.stderr
    assert srv6kv(*asked, NODE_NAME=NODE, stdin=node()).returncode == 3


def test_other_main_vrf(tmp_path: Path) -> None:
    """VPP has only VRF 0 when it starts, so the hash of another main VRF is not set."""
    config = tmp_path / "contiv.conf"
    config.write_text(CONFIG.read_text() + "mainVRFID: 2\n")
    done = srv6kv("vpp-exec", "-f", SEED / "manifests", "--config", config, "--node", NODE)

    assert (done.returncode, done.stdout) == (0, "set sr encaps source addr fe10:f00d::1\n")


def test_file(tmp_path: Path) -> None:
    """--out writes the same into a file; where that is not possible one line says so."""
    out = tmp_path / "vpp.exec"
    done = srv6kv("vpp-exec", *FILES, "--node", NODE, "--out", out)
    nowhere = srv6kv("vpp-exec", *FILES, "--node", NODE, "--out", tmp_path / "no" / "vpp.exec")

    assert (done.returncode, done.stdout) == (0, "")
    assert out.read_text() == srv6kv("vpp-exec", *FILES, "--node", NODE).stdout
    assert (nowhere.returncode, "no/vpp.exec: cannot be written" in nowhere.stderr) == (2, True)


@pytest.mark.parametrize(
    ("manifest", "text"),
    [
        (node(), "srv6kv: Node node1: spec.podCIDR: no pod CIDR of this node"),
        (node(**{"srv6kv.io/node-ip": "nonsense"}), "srv6kv: Node node1: "),
        ("", "srv6kv: Node node1: there is no Node of this name"),
    ],
)
def test_unknown_address(manifest: str, text: str) -> None:
    """Without the node's address nothing is printed, and one line says why."""
    done = srv6kv("vpp-exec", "-f", "-", "--config", CONFIG, "--node", NODE, stdin=manifest)
    said = [line for line in done.stderr.splitlines() if line.startswith("srv6kv: ")]

    assert (done.returncode, done.stdout, len(said)) == (2, "", 1)
    assert said[0].startswith(text)
