"""``srv6kv explain`` on the seed's cluster, offline and with an etcd."""

from __future__ import annotations

import json
import subprocess
import textwrap
from pathlib import Path
from typing import Any

import pytest
from processes import (
    AGENT_STATE,
    MYSERVICE,
    NODE,
    SEED,
    Bench,
    done_as_written,
    example_of,
    srv6kv,
)

from srv6kv.etcd.store import Etcd3Store

FILES = ("-f", SEED / "manifests", "--config", SEED / "contiv.conf", "--node", NODE)
TEXT = """\
Service default/hosthere (client TCP 2379), seen from node node1
├── address 2096::5ce9 (spec.clusterIP)
│   └── pod VRF 1, policy Cluster: steered
│       ├── config/vpp/srv6/v2/steering/forK8sService-default-hosthere
│       ├── config/vpp/srv6/v2/policy/5555::5ce9
│       └── weight 1: 6655::1 to fd00::101
├── EndpointSlice hosthere-1
│   └── fd00::101 (local host, node node1): ready, serving
│       ├── policy Cluster: kept for client TCP 2379, rule C4: ready
│       └── receive side
│           └── config/vpp/srv6/v2/localsid/6655::1
└── rules
    └── C4: docs/rules/selection.md#c4
"""
HEADLESS = """\
kind: Service
metadata: {name: headless}
spec: {type: ClusterIP, clusterIP: None}
"""
MALFORMED = """\
kind: Service
metadata: {name: broken}
spec: {clusterIP: "2096::7", ports: 70000}
"""


def explain(
    name: str, *more: str | Path, stdin: str | None = None
) -> subprocess.CompletedProcess[str]:
    """What there is to say about a service of the seed's cluster."""
    return srv6kv("explain", name, *FILES, *more, stdin=stdin)


def offline(name: str, *more: str | Path, stdin: str | None = None) -> Any:
    """The same, with the wiring from a file."""
    return explain(name, "--agent-state", AGENT_STATE, *more, stdin=stdin)


def states(bench: Bench, name: str) -> list[str]:
    """The states of a service's steering and policy in etcd."""
    done = srv6kv("explain", name, *bench.options(), "-o", "json")

    assert (done.returncode, done.stderr.count("warning:")) == (
        0,
        done.stderr.count("useNoOverlay:"),
    )

    (place,) = json.loads(done.stdout)["addresses"][0]["places"]
    return [key["state"] for key in place["keys"]]


def test_text() -> None:
    """A pipe gets a tree of whole lines."""
    done = offline("hosthere")

    assert (done.returncode, done.stdout) == (0, TEXT)


@pytest.mark.parametrize("name", ["kube-dns", "kube-system/kube-dns"])
def test_the_namespace_is_default_unless_it_is_said(name: str) -> None:
    """Another namespace's service is named where none is found."""
    done = offline(name)
    said = done.stdout if "/" in name else done.stderr

    assert done.returncode == (0 if "/" in name else 2)
    assert "kube-system/kube-dns" in said


def test_the_examples_work(tmp_path: Path) -> None:
    """That of the help does what it says, and the README shows what is printed."""
    done = done_as_written(example_of("explain"), tmp_path)
    readme = (SEED.parent.parent / "README.md").read_text()

    assert (done.returncode, "2096::a" in done.stdout) == (0, True), done.stderr
    assert textwrap.indent(TEXT, "    ") in readme


def test_json() -> None:
    """JSON holds the same as the text, with a field for everything."""
    found = json.loads(offline("podthere", "-o", "json").stdout)
    (address,) = found["addresses"]
    (place,) = address["places"]
    (item,) = found["slices"]
    (endpoint,) = item["endpoints"]

    assert (found["service"], found["node"], found["rule"]) == ("default/podthere", NODE, "")
    assert place["paths"] == [
        {
            "segments": ["7766:f00d::2", "6666:0:0:2::7"],
            "weight": 1,
            "endpoints": ["2001:0:0:2::7"],
        }
    ]
    assert (endpoint["what"], endpoint["pod"]) == ("remote pod", "default/podthere-a")
    assert [(one["kept"], one["rule"]) for one in endpoint["verdicts"]] == [(True, "C4")]


def test_an_unknown_service() -> None:
    """One line names services of a similar name."""
    done = offline("mysrvice")
    (line,) = [one for one in done.stderr.splitlines() if not one.startswith("warning: ")]

    assert (done.returncode, done.stdout) == (2, "")
    assert line.startswith("srv6kv: Service default/mysrvice: no such service;")
    assert "default/myservice" in line


def test_a_service_that_is_not_rendered() -> None:
    """It is said by which rule; that is no error."""
    done = offline("headless", "-f", "-", stdin=HEADLESS)

    assert done.returncode == 0
    assert "not rendered, rule S2" in done.stdout


def test_a_malformed_service() -> None:
    """Its note is the answer; about others there is still something to say, and 2 at the end."""
    done = offline("broken", "-f", "-", stdin=MALFORMED)
    assert (done.returncode, done.stdout) == (2, "")
    assert "srv6kv: Service default/broken: spec.ports: is not a list" in done.stderr

    done = offline("hosthere", "-f", "-", stdin=MALFORMED)
    assert (done.returncode, done.stdout) == (2, TEXT)
    assert "warning: Service default/broken: spec.ports" in done.stderr


def test_the_state_of_each_key(bench: Bench, store: Etcd3Store) -> None:
    """With --etcd each key is compared with what is there at one revision; nothing is written."""
    assert states(bench, "myservice") == ["missing", "missing"]

    assert bench.run("--once").wait() == 0
    assert states(bench, "myservice") == ["in etcd", "in etcd"]

    store.put(bench.prefix + MYSERVICE, '{"bsid":"5555::d765"}')
    before = store.read([bench.prefix]).entries
    assert states(bench, "myservice") == ["in etcd", "differs"]
    assert store.read([bench.prefix]).entries == before


def test_a_file_and_an_etcd() -> None:
    """The agent's keys come from one of them."""
    done = offline("hosthere", "--etcd", "127.0.0.1:1")

    assert done.returncode == 2
    assert "--agent-state and --etcd exclude each other" in done.stderr


def test_an_etcd_that_is_not_there() -> None:
    """As for every command: exit code 3."""
    assert explain("hosthere", "--etcd", "127.0.0.1:1").returncode == 3
