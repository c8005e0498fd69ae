"""``srv6kv simulate``: flows and shares, from manifests and from an etcd, as text and JSON."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from api_bench import ApiBench
from apiserver import FakeApiServer
from clusters import endpoint, endpoint_slice, node, service
from processes import NODE, SEED, Bench, done_as_written, example_of, fields_of, srv6kv
from simulations import (
    CLIENT,
    CONFIG,
    FILES,
    HERE,
    PATHS,
    ROOT,
    TEXT,
    THEN,
    THERE,
    answer,
    drawn,
    sender,
    simulate,
)
from test_ipv4 import DUAL

from srv6kv.cli import simulate as simulate_command
from srv6kv.errors import InputError
from srv6kv.etcd.embedded import EmbeddedEtcd
from srv6kv.show import shares
from srv6kv.simulate import flow, question
from srv6kv.simulate.flow import Hash
from srv6kv.simulate.flowhash import WITH_FLOW_LABEL, Flow, flow_hash

BARE = f"{NODE}/2001:0:0:1::2"

# The flow ---------------------------------------------------------------------------------------


def test_text() -> None:
    """The policy, hash, bucket and endpoint, a row for each list, and what was assumed."""
    done = simulate("balanced", CLIENT)
    rows = [line for line in done.stdout.splitlines() if "│ 1 of 2" in line]

    assert (done.returncode, done.stdout[: len(TEXT)]) == (0, TEXT)
    assert ["6666:0:0:1::5" in rows[0], "6666:0:0:2::7" in rows[1]] == [True, True]
    assert all("50.0%" in row and "+0%" in row for row in rows)
    assert "warning: policy 5555::ba1: the lists are taken in the order of a fresh" in done.stderr
    assert "warning: the hash is taken without the flow label" in done.stderr


def test_the_example_works(tmp_path: Path) -> None:
    """That of the help does what it says, and docs/simulate.md shows what is printed."""
    done = done_as_written(example_of("simulate").replace("'", ""), tmp_path)
    page = (ROOT / "docs" / "simulate.md").read_text()

    assert (done.returncode, done.stdout[: len(TEXT)]) == (0, TEXT), done.stderr
    assert done.stderr.count(": useNoOverlay: ") == 1
    assert textwrap.indent(done.stdout.partition("Shares")[0], "    ") in page
    assert "68.8%, after call 1 of 1" in page


def test_another_port_may_get_another_endpoint() -> None:
    """Of 400 source ports each endpoint gets its share, and each flow one that trace knows too."""
    found = [drawn(answer("balanced", sender(port))) for port in range(1, 401)]

    assert set(found) == {HERE, THERE}
    assert 150 < found.count(HERE) < 250


def test_without_a_source_port() -> None:
    """The shares are told, and that the endpoint depends on it."""
    found = answer("balanced", BARE)

    assert (found.flow, found.fragments, found.is_served) == (None, None, True)
    assert list(shares.lines(found))[-1] == "=> it depends on the source port: see the shares"
    assert found.balanced is not None
    assert [one.share for one in found.balanced.endpoints] == [0.5, 0.5]


def test_a_flow_label_counts_if_it_is_said() -> None:
    """It is hashed then, it moves flows, and a note says so."""
    found = [
        answer("balanced", hashed=Hash(Hash().words | {"flowlabel"}, label)) for label in range(99)
    ]

    assert {drawn(one) for one in found} == {HERE, THERE}
    assert found[5].flow_label == 5
    assert "Linux changes it" in " ".join(found[5].assumptions)
    assert answer("balanced", hashed=Hash(label=7)).flow == answer("balanced").flow


@pytest.mark.parametrize(
    ("words", "label", "found"),
    [
        (None, None, Hash()),
        ("0x1f", None, Hash()),
        (None, "0x12345", Hash(WITH_FLOW_LABEL, 0x12345)),
        ("src dst flowlabel", "0", Hash(frozenset({"src", "dst", "flowlabel"}), 0)),
        ("src", None, Hash(frozenset({"src"}))),
    ],
)
def test_what_is_hashed(words: str | None, label: str | None, found: Hash) -> None:
    """A flow label is hashed if it is given; VPP 23.06 has the cap, 23.02 has not."""
    assert simulate_command.hash_of("23.06", words, label) == found
    assert simulate_command.hash_of("23.02", words, label) == replace(found, is_capped=False)


def test_without_ports_in_the_hash_none_is_needed() -> None:
    """Nor does one matter: a client then has one endpoint for all its connections."""
    hashed = Hash(frozenset({"src", "dst"}))
    found = {drawn(answer("balanced", who, hashed=hashed)) for who in (CLIENT, sender(1), BARE)}

    assert len(found) == 1


def test_a_client_outside_without_an_address() -> None:
    """Nothing is drawn: its address is hashed too."""
    line = list(shares.lines(answer("balanced", "outside@node1:5000")))[-1]

    assert line == "=> it depends on the client's address and port: see the shares"


def test_fragments_of_udp() -> None:
    """The bucket that fragments go to is said; it does not depend on the ports."""
    found = [
        answer("kube-system/kube-dns", f"{NODE}/[2001:0:0:1::5]:{port}", protocol="UDP")
        for port in (1000, 2000)
    ]
    notes = [note for note in found[0].assumptions if note.startswith("fragments of this flow")]

    assert found[0].fragments == found[1].fragments
    assert len(notes) == 1
    assert re.search(r"bucket [01], < 6666:0:0:1::[23] >$", notes[0])


def test_ways_to_ask() -> None:
    """By service, address, port or protocol, and from outside."""
    outside = answer("balanced", "outside@node1/[2001:db8::1]:5000")

    for text in ("balanced:http", "default/balanced", "[2096::ba1]:80", "2096::ba1:80/tcp"):
        assert answer(text).balanced == answer("balanced").balanced
    assert outside.question.destination == "2001:db8::80"
    assert outside.balanced is not None
    assert outside.balanced.bsid == "5555:db8::80"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("n", ("n", None)),
        ("n:1", ("n", 1)),
        ("n/fd00::1", ("n/fd00::1", None)),
        ("n/[fd00::1]", ("n/fd00::1", None)),
        ("n/[fd00::1]:65535", ("n/fd00::1", 65535)),
        ("n/10.1.1.2", ("n/10.1.1.2", None)),
        ("n/10.1.1.2:7", ("n/10.1.1.2", 7)),
        ("outside@n:7", ("outside@n", 7)),
        ("outside@n/[fd00::1]:7", ("outside@n/fd00::1", 7)),
    ],
)
def test_senders(text: str, found: tuple[str, int | None]) -> None:
    """A port stands behind what trace takes; an IPv6 address with one has brackets."""
    assert question.sender_of(text) == found


@pytest.mark.parametrize("text", ["n:0", "n:", "n:x", "n/[::1]:65536", "n/[::1]7", "n/10.0.0.1:"])
def test_senders_with_a_bad_port(text: str) -> None:
    """The error names the option and what is wrong."""
    with pytest.raises(InputError, match=r"--from .*: .*no.* port"):
        question.sender_of(text)


@pytest.mark.parametrize(
    ("destination", "who", "end", "code"),
    [
        ("empty:80", CLIENT, "=> dropped at node1: drop route 2096::/110", 1),
        ("balanced", NODE, "=> pod 2001:0:0:1::5 on node1 has it on port 8080", 0),
        ("hosthere", NODE, "=> the host of node1 has it, without VPP", 0),
        ("[2001:0:0:1::3]:80", CLIENT, "=> pod 2001:0:0:1::3 on node1 has it on port 80", 0),
    ],
)
def test_where_vpp_balances_nothing(destination: str, who: str, end: str, code: int) -> None:
    """A service without endpoints, a host whose kube-proxy chooses, a pod next door: the exit code
    is 1 only if nobody gets the flow."""
    done = simulate(destination, who)

    assert (done.returncode, end in done.stdout) == (code, True)
    assert "warning: VPP balances nothing on this path" in done.stderr


def test_json() -> None:
    """JSON holds everything; its fields are a promise."""
    found = json.loads(simulate("balanced", CLIENT, "--then", THEN, "-o", "json").stdout)

    assert set(found) == {
        *("question", "source_port", "flow_hash", "flow_label", "is_capped", "balanced", "ends"),
        *("flow", "fragments", "change", "then", "assumptions"),
    }
    assert fields_of(found["balanced"]) == {
        *("node", "bsid", "key", "is_order_known", "buckets", "endpoints", "segments", "weight"),
        *("share", "fair_share", "ends", "kind", "address", "port", "why", "reply"),
    }
    assert fields_of(found["change"]) == {
        *("node", "policies", "unchanged", "vrf", "prefix", "how", "before", "after", "held"),
        *("then", "segments", "weight", "change", "calls", "final", "worst", "worst_call"),
        *("of_all", "of_kept", "moved", "of", "share"),
    }
    assert found["flow"] == {"hash": 0x7FB089E9, "bucket": 1, "endpoint": 1}
    moves = found["change"]["policies"][2]["change"]["final"]["of_all"]
    assert moves == {"moved": 11, "of": 16, "share": 0.6875}


def test_an_ipv4_flow(tmp_path: Path) -> None:
    """It is hashed as VPP hashes IPv4, and its fragments are only warned of."""
    ends = [("10.1.1.5", "node1"), ("10.1.2.7", "node2")]
    slice4 = endpoint_slice("web", [endpoint(address, name) for address, name in ends])
    slice4["ports"][0]["protocol"] = "UDP"
    bodies = [_node4(1), _node4(2), _service4("10.96.0.10"), {**slice4, "addressType": "IPv4"}]
    for number, (address, name) in enumerate(ends):
        metadata = {"namespace": "default", "name": f"web-{number}"}
        body = {"metadata": metadata, "spec": {"nodeName": name}}
        status = {"podIPs": [{"ip": address}]}
        bodies.append({"apiVersion": "v1", "kind": "Pod", **body, "status": status})
    (tmp_path / "cluster").mkdir()
    for number, body in enumerate(bodies):
        (tmp_path / "cluster" / f"{number}.json").write_text(json.dumps(body))
    (tmp_path / "contiv.conf").write_text(json.dumps(DUAL))
    files = ("-f", tmp_path / "cluster", "--config", tmp_path / "contiv.conf")
    done = srv6kv("simulate", "web/udp", "--from", f"{NODE}/10.1.1.5:40000", *files, "-o", "json")
    found = json.loads(done.stdout)

    assert done.returncode == 0, done.stderr
    assert found["flow"]["hash"] == flow_hash(Flow("10.1.1.5", "10.96.0.10", 17, 40000, 80))
    assert (len(found["balanced"]["endpoints"]), found["fragments"]) == (2, None)
    assert (
        "fragments have no ports in their hash: they may reach another endpoint"
        in found["assumptions"]
    )
    assert not any("flow label" in note for note in found["assumptions"])


def _node4(number: int) -> dict[str, Any]:
    body = node(number)
    body["spec"]["podCIDRs"] = [*body["spec"]["podCIDRs"], f"10.1.{number}.0/24"]
    return body


def _service4(address: str) -> dict[str, Any]:
    body = service("web", address)
    body["spec"] |= {"clusterIPs": [address], "ipFamilies": ["IPv4"]}
    body["spec"]["ports"][0]["protocol"] = "UDP"
    return body


# etcd -------------------------------------------------------------------------------------------


@pytest.fixture
def seed_node(
    tmp_path: Path, start_etcd: Callable[..., EmbeddedEtcd], connect: Callable[..., Any]
) -> Iterator[Bench]:
    """A node whose label is its name, as simulate takes it, with its keys written."""
    server = start_etcd()
    bench = Bench(tmp_path, server, NODE)
    bench.load_agent_state(connect(server.endpoint))
    for path in sorted(PATHS[1].iterdir()):
        shutil.copy(path, bench.manifests)
    assert bench.run("--once").wait() == 0
    yield bench
    bench.end()


def test_etcd(seed_node: Bench) -> None:
    """With --etcd it is what etcd holds that counts, with --plan or --then against what comes."""
    port = next(one for one in range(1, 65536) if drawn(answer("balanced", sender(one))) == HERE)
    asked = ("--from", sender(port), *seed_node.etcd, "-o", "json")
    files = ("-f", seed_node.manifests, "--config", seed_node.config)
    bare = srv6kv("simulate", "[2096::ba1]:80", *asked)
    planned = [srv6kv("simulate", "balanced", *asked, *files, "--plan")]
    shutil.copy(THEN, seed_node.manifests / "more.yaml")
    planned.append(srv6kv("simulate", "balanced", *asked, *files, "--plan"))
    before = ("-f", SEED / "manifests", "-f", PATHS[1], "--config", CONFIG)
    then = srv6kv("simulate", "balanced", *asked, *before, "--then", THEN)

    assert [one.returncode for one in (bare, *planned, then)] == [0] * 4, then.stderr
    found = [json.loads(one.stdout) for one in (*planned, then)]
    assert json.loads(bare.stdout)["balanced"]["bsid"] == "5555::ba1"
    assert [len(one["change"]["policies"]) for one in found] == [0, 3, 3]
    assert found[1]["change"] == found[2]["change"]
    assert flow.ASSUMED in found[2]["assumptions"]

    alone = srv6kv("simulate", "[2096::ba1]:80", *asked, "--config", CONFIG, "--then", THEN)
    assert (alone.returncode, alone.stdout) == (2, "")
    assert "after the change there is no Node node1; give the rest of the cluster" in alone.stderr


def test_the_plan_of_an_api_server(
    tmp_path: Path,
    start_etcd: Callable[..., EmbeddedEtcd],
    connect: Callable[..., Any],
    api: FakeApiServer,
) -> None:
    """Without manifests --plan takes the cluster that the API server has now; names too."""
    server = start_etcd()
    bench = ApiBench(tmp_path / "bench", server, NODE, api)
    bench.load_agent_state(connect(server.endpoint))
    bench.edit("balanced.yaml", (PATHS[1] / "balanced.yaml").read_text())
    assert bench.run("--once").wait() == 0
    asked = ("balanced", "--from", f"{NODE}/2001:0:0:1::2", *bench.etcd, "--plan", "-o", "json")
    options = ("--kubeconfig", api.kubeconfig, "--config", bench.config)
    before = srv6kv("simulate", *asked, *options)
    bench.edit("more.yaml", THEN.read_text())
    after = srv6kv("simulate", *asked, *options)
    bench.end()
    api.stop()

    assert (before.returncode, after.returncode) == (0, 0), after.stderr
    found = [json.loads(one.stdout)["change"]["policies"] for one in (before, after)]
    assert [len(one) for one in found] == [0, 3]
    assert srv6kv("simulate", *asked, *options).returncode == 3


# Bad input --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("balanced", "--from", CLIENT), "give manifests with -f, or --etcd"),
        (("balanced", *FILES), "'--from'"),
        (("balanced", "--from", "node9:1", *FILES), "near it: node1, node2; give --node"),
        (
            ("x:1", "--from", "node9", *FILES, "--then", THEN),
            "Node node9: there is no Node of this name; near it: node1",
        ),
        (("balanced", "--from", f"{NODE}/[::9]:1", *FILES), "no such pod on node1"),
        (("balanced", "--from", f"{NODE}/[::9]:x", *FILES), "'x' is not a port"),
        (("nothing", "--from", CLIENT, *FILES), "Service default/nothing: no such service"),
        (("kube-dns", "--from", CLIENT, *FILES), "near it: kube-system/kube-dns"),
        (("10.0.0.1", "--from", CLIENT, *FILES), "give ADDRESS:PORT[/PROTO]"),
        (("", "--from", CLIENT, *FILES), "give ADDRESS:PORT[/PROTO]"),
        (("nothing:80", "--from", CLIENT, *FILES), "Service default/nothing: no such service"),
        (("kube-system/kube-dns", "--from", CLIENT, *FILES), "give one of its ports: 53/UDP, 53/T"),
        (("balanced/tcp", "--from", CLIENT, *FILES, "--protocol", "udp"), "udp is another one"),
        (("balanced", "--from", CLIENT, *FILES, "--plan"), "--plan needs --etcd"),
        (("balanced", "--from", CLIENT, *FILES, "--then", "-"), "files and directories only"),
        (("balanced", "--from", CLIENT, *FILES, "--vpp", "nowhere"), "nowhere: cannot be read"),
        (("balanced", "--from", CLIENT, *FILES, "--vpp-version", "new"), "such as 23.06"),
        (("balanced", "--from", CLIENT, *FILES, "--flow-hash", "tcp"), "'tcp' is none of src, dst"),
        (("balanced", "--from", CLIENT, *FILES, "--flow-hash", "0x9f"), "need each other"),
        (("balanced", "--from", CLIENT, *FILES, "--flow-label", "1048576"), "of 20 bits"),
        (("x:1", "--from", CLIENT, *FILES, "--agent-state", "n=f", "--etcd", "h:1"), "exclude"),
        (("x:1", "--from", CLIENT, "-f", "-", "--vpp", "-"), "standard input can be read once"),
    ],
)
def test_bad_input(arguments: tuple[str | Path, ...], text: str) -> None:
    """It ends with 2, says what is wrong, and prints nothing else."""
    done = srv6kv("simulate", *arguments)

    assert (done.returncode, done.stdout) == (2, "")
    assert text in done.stderr
    assert "Traceback" not in done.stderr


def test_a_malformed_object_after_the_change(tmp_path: Path) -> None:
    """The rest counts, the note names it, and the exit code tells."""
    path = tmp_path / "broken.yaml"
    path.write_text("kind: Service\nmetadata: {name: broken}\nspec: {ports: 70000}\n")
    done = simulate("balanced", CLIENT, "--then", path)

    assert (done.returncode, done.stdout[: len(TEXT)]) == (2, TEXT)
    assert "warning: Service default/broken: spec.ports" in done.stderr


def test_an_etcd_that_is_not_there() -> None:
    """As for every command: exit code 3."""
    done = srv6kv("simulate", "[::1]:1", "--from", NODE, "--etcd", "127.0.0.1:1")

    assert (done.returncode, done.stdout) == (3, "")


def test_standard_input_is_closed() -> None:
    """It is one line and exit code 2."""
    words = ("simulate", "balanced", "--from", CLIENT, *map(str, FILES), "--vpp", "-")
    done = subprocess.run(
        ["sh", "-c", 'exec "$@" <&-', "sh", sys.executable, "-m", "srv6kv", *words],
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 2
    assert done.stderr.endswith("srv6kv: -: standard input cannot be read: it is closed\n")
