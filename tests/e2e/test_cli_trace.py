"""``srv6kv trace``: from manifests and from an etcd, as text, JSON and a picture."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from xml.etree import ElementTree

import pytest
from clusters import endpoint, endpoint_slice, node, service
from processes import (
    AGENT_STATE,
    NODE,
    SEED,
    Bench,
    done_as_written,
    environment,
    example_of,
    fields_of,
    srv6kv,
)

from srv6kv.cli import cluster
from srv6kv.cli import trace as command
from srv6kv.etcd.store import Etcd3Store
from srv6kv.trace import sites
from srv6kv.trace.sites import Scene

ROOT = SEED.parent.parent
PATHS = SEED.parent / "paths"
FILES = ("-f", SEED / "manifests", "-f", PATHS, "--config", SEED / "contiv.conf")
POD = f"{NODE}/2001:0:0:1::2"
STATES = tuple(
    f"--agent-state=node{number}={SEED / f'agent-state-node{number}.json'}" for number in (1, 2)
)
TEXT = """\
pod 2001:0:0:1::2 on node1 sends TCP port 2379 to 2096::5ce9
  [ 2001:0:0:1::2 > 2096::5ce9 TCP port 2379 ]
  node1 pod 2001:0:0:1::2: sends
  node1 VRF 1: steering 2096::5ce9/128: into policy 5555::5ce9
      config/vpp/srv6/v2/steering/forK8sService-default-hosthere
  node1 VRF 0: policy 5555::5ce9: encapsulates
      config/vpp/srv6/v2/policy/5555::5ce9
  [ fe10:f00d::1 > 6655::1 [ 2001:0:0:1::2 > 2096::5ce9 TCP port 2379 ] ]
  node1 VRF 0: localsid 6655::1: DX6: decapsulates, to the host
      config/vpp/srv6/v2/localsid/6655::1
  [ 2001:0:0:1::2 > 2096::5ce9 TCP port 2379 ]
  node1 host: has it
  => the host of node1 has it
     reply 2096::5ce9 to 2001:0:0:1::2: plain routes, to pod 2001:0:0:1::2
"""
SVG = "{http://www.w3.org/2000/svg}"


def trace(
    destination: str, sender: str, *more: str | Path, stdin: str | None = None
) -> subprocess.CompletedProcess[str]:
    """What trace says of the cluster in the manifests."""
    return srv6kv("trace", destination, "--from", sender, *FILES, *more, stdin=stdin)


@lru_cache
def _rendered(*paths: Path) -> Scene:
    return sites.rendered(cluster.read_files(paths, SEED / "contiv.conf", "", None), {})


def _scene() -> Scene:
    return _rendered(SEED / "manifests", PATHS)


def answer(destination: str, sender: str, output: str = "text") -> str:
    """What is printed without agent state; in this process, which is quicker."""
    return command.text_of(command.traced(_scene(), destination, sender), output)


def ends(text: str) -> list[str]:
    """The ends that a text names."""
    return re.findall(r"=> (.*)", text)


def test_text() -> None:
    """Every hop with its key, the packet wherever it changes, the end and the reply."""
    done = trace("hosthere:2379", POD, *STATES)

    assert (done.returncode, done.stdout) == (0, TEXT)
    assert done.stderr.count("warning:") == done.stderr.count(": useNoOverlay: ")


def test_the_examples_work(tmp_path: Path) -> None:
    """That of the help does what it says, and the README shows what is printed."""
    command, _, out = example_of("trace").partition(" > ")
    done = done_as_written(command, tmp_path)

    assert (done.returncode, out.strip()) == (0, "path.svg"), done.stderr
    assert done.stdout.startswith("<svg ")
    assert textwrap.indent(TEXT, "    ") in (ROOT / "README.md").read_text()


@pytest.mark.parametrize(
    ("destination", "sender", "end"),
    [
        ("myservice:http", POD, "pod 2001:0:0:1::5 on node1 has it on port 8080"),
        ("default/podthere:80", POD, "pod 2001:0:0:2::7 on node2 has it on port 8080"),
        ("[2096::6457]:80", POD, "pod 2001:0:0:2::7 on node2 has it on port 8080"),
        ("2096::6457:80/tcp", POD, "pod 2001:0:0:2::7 on node2 has it on port 8080"),
        ("podthere:80", NODE, "pod 2001:0:0:2::7 on node2 has it on port 8080"),
        ("[2096::6457]:80", NODE, "pod 2001:0:0:2::7 on node2 has it on port 8080"),
        ("hostthere:9100", NODE, "the host of node2 has it"),
        ("hosthere:2379", NODE, "the host of node1 has it, without VPP"),
        ("kubernetes:443", "node2/2001:0:0:2::7", "the host of node1 has it"),
    ],
)
def test_ways_to_ask(destination: str, sender: str, end: str) -> None:
    """Services by name and port, addresses, pods and hosts."""
    assert ends(answer(destination, sender)) == [end]


def test_a_service_from_outside() -> None:
    """Its load balancer's address is meant; an address of the client makes the reply exact."""
    found = answer("balanced:80", "outside@node1")
    told = answer("balanced:80", "outside@node1/2001:db8::1")

    assert "sends TCP port 80 to 2001:db8::80" in found
    assert len(ends(found)) == 2
    assert "1 of 2: pod 2001:0:0:1::5 on node1 has it on port 8080" in found
    assert "2001:db8::1 > 2001:db8::80" in told


@pytest.mark.parametrize("sender", [POD, NODE, "outside@node1"])
def test_nobody(sender: str) -> None:
    """If no way leads to anybody the exit code says so."""
    done = trace("empty:80", sender)

    assert done.returncode == 1
    assert [end.partition(":")[0] for end in ends(done.stdout)] == ["dropped at node1"]


def test_without_agent_state() -> None:
    """Pods count as attached, and a warning says so; with it only those that are."""
    taken = trace("podthere:80", POD)
    told = trace("podthere:80", POD, STATES[0], "--agent-state", f"node2={AGENT_STATE}")

    assert taken.stderr.count("its pods count as attached") == 2
    assert (taken.returncode, told.returncode) == (0, 1)


def test_a_host_sends_with_an_address_of_the_destinations_family(tmp_path: Path) -> None:
    """A host has addresses of both families; only one of them fits."""
    body = node(2, addresses=["fd00::102", "192.168.0.2"])
    (tmp_path / "node.json").write_text(json.dumps(body))
    scene = _rendered(tmp_path)
    sources = [
        command.traced(scene, to, "node2").question.source
        for to in ("[fd00::102]:22", "192.168.0.9:22")
    ]

    assert sources == ["2002::2:2", "192.168.0.2"]


def test_protocols() -> None:
    """The protocol that a service's port has, unless it is said."""
    udp, tcp = (answer(f"kube-system/kube-dns:{port}", POD) for port in ("dns", "53/TCP"))

    assert "UDP port 53 ]" in udp
    assert "TCP port 53 ]" in tcp


def test_json() -> None:
    """JSON holds the whole tree; its fields are a promise."""
    done = trace("podthere:80", POD, "-o", "json", *STATES)
    found = json.loads(done.stdout)
    hop = found["path"]
    while hop["branches"]:
        hop = hop["branches"][0]["hop"]

    assert sorted(found) == ["assumptions", "path", "question"]
    assert fields_of(found["question"]) == {
        *("node", "sender", "source", "destination", "protocol", "port"),
    }
    assert fields_of(found["path"]) == {
        *("node", "place", "kind", "what", "does", "key", "packet", "branches", "end"),
        *("weight", "of", "text", "hop"),
        *("source", "destination", "protocol", "port", "outer", "segments", "left"),
        *("address", "why", "reply"),
    }
    assert (hop["end"]["kind"], hop["end"]["port"]) == ("pod", 8080)


def _boxes(root: ElementTree.Element) -> Iterator[tuple[float, ...]]:
    """Hops and packets: left, top, right and bottom of what is drawn on no frame."""
    for group in root.iter(f"{SVG}g"):
        box = group.find(f"{SVG}rect")
        assert box is not None
        x, y, width, height = (float(box.attrib[name]) for name in ("x", "y", "width", "height"))
        yield x, y, x + width, y + height


@pytest.mark.parametrize(
    ("destination", "sender"),
    [
        ("podthere:80", POD),
        ("kube-system/kube-dns:53", NODE),
        ("balanced:80", "outside@node2"),
        ("empty:80", POD),
    ],
)
def test_svg(destination: str, sender: str) -> None:
    """A well-formed picture of the same bytes each time, with text and titles, in which no box
    lies on another or beyond the page."""
    text = answer(destination, sender, "svg")
    root = ElementTree.fromstring(text)
    boxes = list(_boxes(root))
    width, height = (float(root.attrib[name]) for name in ("width", "height"))

    assert text == answer(destination, sender, "svg")
    assert root.tag == f"{SVG}svg"
    assert all(group.findtext(f"{SVG}title") for group in root.iter(f"{SVG}g"))
    assert "prefers-color-scheme: dark" in (root.findtext(f"{SVG}style") or "")
    assert root.findtext(f"{SVG}desc") == answer(destination, sender)
    assert all(0 <= a and 0 <= b and c <= width and d <= height for a, b, c, d in boxes)
    for index, one in enumerate(boxes):
        for other in boxes[:index]:
            is_beside = one[0] >= other[2] or one[2] <= other[0]
            assert is_beside or one[1] >= other[3] or one[3] <= other[1], (one, other)


def test_text_fits_its_box() -> None:
    """No text of a hop or packet is wider than its box in a fixed-width font."""
    root = ElementTree.fromstring(answer("podthere:80", POD, "svg"))
    for group in root.iter(f"{SVG}g"):
        box = group.find(f"{SVG}rect")
        assert box is not None
        for text in group.iter(f"{SVG}text"):
            assert len(text.text or "") * 7.3 <= float(box.attrib["width"])


def _big(folder: Path) -> Scene:
    """A service with thirty pods on three nodes."""
    ends = [(f"node{1 + n % 3}", f"2001:0:0:{1 + n % 3}::{0x10 + n:x}") for n in range(30)]
    bodies = [node(1), node(2), node(3), service("big", "2096::b1")]
    bodies.append(endpoint_slice("big", [endpoint(address, name) for name, address in ends]))
    for number, (name, address) in enumerate(ends):
        metadata = {"namespace": "default", "name": f"big-{number}"}
        status = {"podIPs": [{"ip": address}]}
        body = {"metadata": metadata, "spec": {"nodeName": name}, "status": status}
        bodies.append({"apiVersion": "v1", "kind": "Pod", **body})
    for number, body in enumerate(bodies):
        (folder / f"{number}.json").write_text(json.dumps(body))
    return _rendered(folder)


@pytest.mark.parametrize("sender", ["node1/2001:0:0:1::10", "node2"])
def test_a_picture_of_many_ways_keeps_its_bounds(sender: str, tmp_path: Path) -> None:
    """Some ways are drawn, to each node at least one; the rest is a line each, below them."""
    found = command.traced(_big(tmp_path), "big:80", sender)
    root = ElementTree.fromstring(command.text_of(found, "svg"))
    texts = [text.text or "" for text in root.iter(f"{SVG}text")]
    width, height = (float(root.attrib[name]) for name in ("width", "height"))

    assert (width < 1200, height < 4500) == (True, True)
    assert "24 more ways:" in texts
    assert len([text for text in texts if text.startswith("weight 1 of 30: ")]) == 30
    assert all(any(end.address in text for text in texts) for end in found.path.ends())
    assert {f"node{number}" for number in (1, 2, 3)} <= set(texts)
    assert all(7.3 * len(text) <= width for text in texts)


def test_the_pictures_are_fresh() -> None:
    """Those of docs/paths.md are what trace draws today, and the page shows them all."""
    script = ROOT / "scripts" / "gen-pictures"
    done = subprocess.run(
        [sys.executable, script, "--check"], capture_output=True, text=True, env=environment()
    )
    shown = re.findall(r"\(pictures/(.*)\)", (ROOT / "docs" / "paths.md").read_text())

    assert done.returncode == 0, done.stderr
    assert sorted(shown) == sorted(path.name for path in (ROOT / "docs" / "pictures").iterdir())


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("podthere:80", "--from", POD), "give manifests with -f, or --etcd"),
        (("podthere:80", *FILES), "'--from'"),
        (("podthere:80", "--from", "node9", *FILES), "near it: node1, node2; give --node"),
        (("podthere:80", "--from", "node1/::9", *FILES), "no such pod on node1; there are: 2001:"),
        (("podthere:80", "--from", "node1/x", *FILES), "'x' is not an IPv6 address"),
        (("podthere", "--from", POD, *FILES), "give ADDRESS:PORT[/PROTO]"),
        (("2096::6457", "--from", POD, *FILES), "2096::6457: an address without a port; give"),
        (("2096::g:80", "--from", POD, *FILES), "neither an address nor a service"),
        (("2096::1:0", "--from", POD, *FILES), "'0' is not a port"),
        (("[2096::1:80", "--from", POD, *FILES), "'[2096::1' is neither an address nor a service"),
        (("podthere:81", "--from", POD, *FILES), "no such port; it has: http TCP"),
        (("kube-dns:53", "--from", POD, *FILES), "near it: kube-system/kube-dns"),
        (("x:1", "--from", POD, *FILES, "--agent-state", "node1"), "is not NODE=FILE"),
        (
            (
                "x:1",
                "--from",
                POD,
                *FILES,
                "--agent-state",
                STATES[0].replace("--agent-state=node1", "node9"),
            ),
            "hold no such Node",
        ),
        (("x:1", "--from", POD, *FILES, "--agent-state", "node1=f"), "f: cannot be read"),
        (("x:1", "--from", POD, *FILES, STATES[0], "--etcd", "h:1"), "exclude each other"),
    ],
)
def test_bad_input(arguments: tuple[str | Path, ...], text: str) -> None:
    """It ends with 2, says what is wrong, and prints nothing else."""
    done = srv6kv("trace", *arguments)

    assert (done.returncode, done.stdout) == (2, "")
    assert text in done.stderr
    assert "Traceback" not in done.stderr


def test_a_malformed_object() -> None:
    """The rest is traced, and the exit code tells."""
    malformed = "kind: Service\nmetadata: {name: broken}\nspec: {ports: 70000}\n"
    done = trace("hosthere:2379", POD, "-f", "-", *STATES, stdin=malformed)

    assert (done.returncode, done.stdout) == (2, TEXT)
    assert "warning: Service default/broken: spec.ports" in done.stderr


def test_etcd(bench: Bench, store: Etcd3Store) -> None:
    """With --etcd it is what etcd holds that is traced: nothing before ``run``, then the path."""
    asked = ("--from", f"{bench.label}/2001:0:0:1::2", *bench.etcd)
    before = srv6kv("trace", "[2096::d765]:80", *asked)
    assert bench.run("--once").wait() == 0
    after = srv6kv("trace", "[2096::d765]:80", *asked)
    named = srv6kv("trace", "myservice:80", *asked, *FILES)

    assert before.returncode == 1
    assert (after.returncode, named.returncode) == (0, 0)
    assert ends(after.stdout) == [f"pod 2001:0:0:1::5 on {bench.label} has it on port 8080"]
    assert ends(named.stdout) == ends(after.stdout)

    key = f"{bench.prefix}config/vpp/srv6/v2/localsid/6666:0:0:1::5"
    store.put(key, "nonsense")
    broken = srv6kv("trace", "[2096::d765]:80", *asked)
    assert broken.returncode == 1
    assert f"warning: {key}: " in broken.stderr


def test_an_etcd_that_is_not_there() -> None:
    """As for every command: exit code 3."""
    assert srv6kv("trace", "x:1", "--from", NODE, "--etcd", "127.0.0.1:1").returncode == 3
