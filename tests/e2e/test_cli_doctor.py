"""``doctor``: the examples of the contract, a real etcd, and what it prints."""

from __future__ import annotations

import json
import re
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from api_bench import ApiBench
from apiserver import FakeApiServer
from clusters import Json
from processes import NODE, SEED, Bench, srv6kv

from srv6kv.doctor.findings import ERROR, OK, WARNING
from srv6kv.etcd.embedded import EmbeddedEtcd
from srv6kv.etcd.store import Etcd3Store

CNI = SEED.parent / "cni"
FILES = ("-f", SEED / "manifests", "--config", SEED / "contiv.conf", "--node", NODE)
BROKEN = {
    "no-arp": "2001:0:0:1::5: no ARP entry on vpp-tap-web-a",
    "arp-not-static": "2001:0:0:1::5: its ARP entry on vpp-tap-web-a is not static",
    "no-interface": "2001:0:0:1::5: there is no interface vpp-tap-web-a",
    "interface-in-main-vrf": "2001:0:0:1::5: interface vpp-tap-web-a is in VRF 0",
    "no-linux-interface": "2001:0:0:1::5: no Linux interface has it",
    "no-namespace": "2001:0:0:1::5: Linux interface linux-tap-web-a names no namespace",
    "two-interfaces": "2001:0:0:1::5: several interfaces have it: vpp-tap-web-a, vpp-tap-web-a-old",
    "host-interconnect": "there is no interface tap-vpp2; tap0 has its address 2002::1:1",
}
"""What is wrong with ``examples/cni/broken-*.json``."""


def checked(file: Path) -> tuple[int, list[Json]]:
    """What the doctor says about an agent's keys: exit code, and what is no ok."""
    done = srv6kv("doctor", *FILES, "--agent-state", file, "-o", "json")
    found = json.loads(done.stdout)

    assert found["ok"] == (done.returncode == 0)

    return done.returncode, [one for one in found["checks"] if one["verdict"] in (ERROR, WARNING)]


def test_the_example_of_the_contract_is_accepted() -> None:
    """It has neither an error nor a warning."""
    assert checked(CNI / "ok.json") == (0, [])


@pytest.mark.parametrize("name", BROKEN)
def test_each_broken_example_is_named(name: str) -> None:
    """One error tells what is wrong and what to do, and it is the only one."""
    code, (found,) = checked(CNI / f"broken-{name}.json")

    assert code == 1
    assert found["found"].startswith(BROKEN[name])
    assert found["remedy"]


@pytest.mark.parametrize("name", sorted(BROKEN.keys() - {"two-interfaces"}))
def test_what_is_wrong_twice_is_named_twice(name: str, tmp_path: Path) -> None:
    """A second interface hides nothing that is wrong with the first."""
    good, *others = (
        json.loads((CNI / f"{one}.json").read_text())
        for one in ("ok", f"broken-{name}", "broken-two-interfaces")
    )
    both = dict(good)
    for values in others:
        both = {key: value for key, value in both.items() if key in values or key not in good}
        both |= {key: value for key, value in values.items() if good.get(key) != value}
    (tmp_path / "state.json").write_text(json.dumps(both))
    code, found = checked(tmp_path / "state.json")

    assert code == 1
    for text in (BROKEN[name], BROKEN["two-interfaces"]):
        assert [one for one in found if one["found"].startswith(text)]


def test_every_example_is_tried_and_told() -> None:
    """The files, this test and the contract's page name the same ones."""
    page = (SEED.parent.parent / "docs" / "cni-contract.md").read_text()
    files = {path.stem.removeprefix("broken-") for path in CNI.glob("broken-*.json")}

    assert files == set(BROKEN) == set(re.findall(r"`broken-([a-z-]+)\.json`", page))


def asked(bench: Bench, *more: str | Path) -> subprocess.CompletedProcess[str]:
    """What the doctor says about a node in etcd."""
    return srv6kv("doctor", *bench.options(), *more)


def test_doctor_asks_etcd_and_changes_nothing(bench: Bench, store: Etcd3Store) -> None:
    """It tells version, limit, writer and ranges; no revision is made."""
    for key, value in json.loads((CNI / "ok.json").read_text()).items():
        if "tap-vpp" in key or key.endswith("uplink"):
            store.put(bench.prefix + key, json.dumps(value))
    report = {"state": "OK", "last_update": str(int(time.time()))}
    store.put(f"{bench.prefix}check/status/v1/agent", json.dumps(report))
    revision = store.read([bench.prefix]).revision
    done = asked(bench, "-o", "json")
    verdicts = {one["check"]: one for one in json.loads(done.stdout)["checks"]}

    assert done.returncode == 0
    assert re.fullmatch(
        r"3\.\d+\.\d+, takes transactions of 128 operations", verdicts["etcd"]["found"]
    )
    assert verdicts["agent"]["verdict"] == OK
    assert verdicts["writer"]["found"] == "no process writes now"
    assert "not written here yet" in verdicts["ranges"]["found"]
    assert store.read([bench.prefix]).revision == revision


@pytest.mark.parametrize(("most", "verdict"), [(64, WARNING), (3, WARNING), (2, ERROR)])
def test_an_etcd_that_takes_little(
    bench: Bench,
    start_etcd: Callable[..., EmbeddedEtcd],
    most: int,
    verdict: str,
) -> None:
    """The limit is found without writing, and the remedy names the option; an error is only what
    leaves no room for one key and its guards."""
    server = start_etcd(f"--max-txn-ops={most}")
    done = srv6kv("doctor", *FILES, "--etcd", server.endpoint, "-o", "json")
    (found,) = (one for one in json.loads(done.stdout)["checks"] if one["check"] == "etcd")

    assert f"takes transactions of {most} operations" in found["found"]
    assert found["verdict"] == verdict
    assert "--max-txn-ops=128" in found["remedy"]


def test_exit_codes(tmp_path: Path) -> None:
    """1: settings are refused; 2: an object or option is wrong; 3: etcd is away."""
    (tmp_path / "bad.conf").write_text("ipamConfig: {}\n")
    state = ("--agent-state", CNI / "ok.json")
    bad = "kind: Service\nmetadata: {name: bad}\nspec: 7\n"
    config = ("--config", tmp_path / "bad.conf")
    refused = srv6kv("doctor", *FILES[:2], "--node", NODE, *state, *config)
    absent = srv6kv("doctor", *FILES, *state, "--config", SEED / "none.conf")
    malformed = srv6kv("doctor", *FILES, *state, "-f", "-", stdin=bad)

    assert (refused.returncode, "settings" in refused.stdout) == (1, True)
    assert (absent.returncode, absent.stdout) == (2, "")
    assert (malformed.returncode, "warning: Service default/bad" in malformed.stderr) == (2, True)
    assert srv6kv("doctor", *FILES, *state, "--etcd", "127.0.0.1:1").returncode == 2
    assert srv6kv("doctor", *FILES, "--agent-state", SEED / "none.json").returncode == 2
    assert srv6kv("doctor", *FILES, "--etcd", "127.0.0.1:1").returncode == 3


def test_the_table_names_every_check() -> None:
    """A row has check, verdict, what was found and the remedy."""
    done = srv6kv("doctor", *FILES, "--agent-state", CNI / "broken-no-arp.json")
    rows = [
        [cell.strip() for cell in line.split("│")[1:-1]]
        for line in done.stdout.splitlines()
        if line.startswith("│")
    ]

    assert [
        "pod",
        "error",
        BROKEN["no-arp"],
        "the CNI must write arp/vpp-tap-web-a/2001:0:0:1::5, static",
    ] in rows
    assert {row[0] for row in rows} >= {"settings", "node", "ipv6", "keys", "etcd", "agent", "vpp"}


def test_doctor_asks_an_api_server(
    tmp_path: Path, etcd: EmbeddedEtcd, label: str, api: FakeApiServer
) -> None:
    """Without manifests the cluster is the API server's, and one that is away is exit code 3."""
    bench = ApiBench(tmp_path / "bench", etcd, label, api)
    state = ("--agent-state", CNI / "ok.json", "-o", "json")
    options = ("--kubeconfig", api.kubeconfig, *FILES[2:])
    done = srv6kv("doctor", *options, *state)

    assert done.returncode == 0
    assert json.loads(done.stdout) == json.loads(srv6kv("doctor", *FILES, *state).stdout)
    bench.end()
    api.stop()
    assert srv6kv("doctor", *options, *state).returncode == 3
