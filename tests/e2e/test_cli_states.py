"""``get`` and ``explain`` show what the agent says beside what etcd holds."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from agentmodel import LiveAgent
from processes import MYSERVICE, NODE, Bench, srv6kv

from srv6kv.agent.status import status_key
from srv6kv.etcd.store import Etcd3Store

HOSTHERE = "config/vpp/srv6/v2/localsid/6655::1"
HOST_STEERING = "config/vpp/srv6/v2/steering/forK8sService-default-hosthere"
WAITS = "PENDING: waits for interface 'tap-vpp2'"


@pytest.fixture
def synced(bench: Bench) -> Bench:
    """A node whose keys are in etcd."""
    done = bench.run("--once")
    assert done.wait() == 0
    return bench


@pytest.fixture
def live(synced: Bench) -> Iterator[LiveAgent]:
    """Its agent; the host interconnect is missing."""
    address = synced.server.endpoint.removeprefix("http://")
    with LiveAgent(address, synced.label) as agent:
        yield agent


def get(bench: Bench, *more: str | Path) -> subprocess.CompletedProcess[str]:
    """What ``get`` says."""
    return srv6kv("get", *more, "--label", bench.label, *bench.etcd)


def listed(bench: Bench, kind: str, name: str) -> dict[str, dict[str, Any]]:
    """What ``get`` lists as JSON, by the field that names it."""
    found = json.loads(get(bench, kind, "-o", "json").stdout)
    return {one[name]: one for one in found}


def explain(bench: Bench, *more: str | Path) -> str:
    """What ``explain`` says of the service whose endpoint is this host."""
    done = srv6kv("explain", "hosthere", *bench.options(), *more)
    assert done.returncode == 0
    return done.stdout


def test_nothing_without_states(synced: Bench) -> None:
    """No column, no field, no word."""
    assert "tate" not in get(synced, "localsids").stdout
    assert "tate" not in get(synced, "services").stdout.partition("steering")[2].partition("\n")[0]
    assert not any("state" in one for one in listed(synced, "services", "name").values())
    assert '"agent"' not in explain(synced, "-o", "json")


def test_get(synced: Bench, live: LiveAgent) -> None:
    """Each object has its state, with error and details if there are any."""
    found, services = listed(synced, "localsids", "sid"), listed(synced, "services", "name")
    table = get(synced, "localsids").stdout

    assert found["6655::1"]["state"] == "PENDING"
    assert found["6655::1"]["details"] == ["sr-localsid-outgoing-interface-exists"]
    assert found["6666:0:0:1::5"]["state"] == "CONFIGURED"
    assert "error" not in found["6666:0:0:1::5"]
    assert {one["state"] for one in services.values()} == {"CONFIGURED"}
    (line,) = [line for line in table.splitlines() if line.startswith("6655::1 ")]
    assert line.rstrip().endswith(WAITS)
    assert get(synced, "localsids", "-o", "vpp").stdout.count("Address:") == len(found)


def test_get_of_bad_states(synced: Bench, live: LiveAgent, store: Etcd3Store) -> None:
    """An error is shown whole, a service is as bad as its policy, and nonsense is a note."""
    error = "VPPApiError: System call error #2 (-12)"
    body = {"key": MYSERVICE, "state": "FAILED", "error": error}
    store.put(synced.prefix + status_key(MYSERVICE), json.dumps(body))
    store.put(synced.prefix + status_key(HOSTHERE), "nonsense")
    policies, services = listed(synced, "policies", "bsid"), listed(synced, "services", "name")
    shown = get(synced, "localsids")

    assert policies["5555::d765"]["state"] == services["default-myservice"]["state"] == "FAILED"
    assert services["default-myservice"]["error"] == error
    assert f"FAILED: {error}" in " ".join(get(synced, "services").stdout.split())
    (line,) = [line for line in shown.stdout.splitlines() if line.startswith("6655::1 ")]
    assert line.rstrip().endswith("unknown")
    assert f"warning: {status_key(HOSTHERE)}: " in shown.stderr


def test_explain(synced: Bench, live: LiveAgent) -> None:
    """Each key has the agent's state beside etcd's, with what it waits for in words."""
    text = explain(synced)
    found: dict[str, Any] = json.loads(explain(synced, "-o", "json"))
    (place,) = found["addresses"][0]["places"]

    assert f"{HOST_STEERING} (in etcd; agent: CONFIGURED)" in text
    assert f"{HOSTHERE} (in etcd; agent: PENDING, waits for interface 'tap-vpp2')" in text
    assert place["keys"][0]["agent"] == {"state": "CONFIGURED", "error": "", "waits_for": []}


def test_over_rest(synced: Bench) -> None:
    """The agent itself is asked, also by an ``explain`` that does not look into etcd."""
    address = synced.server.endpoint.removeprefix("http://")
    with LiveAgent(address, synced.label, publishes_status=False) as agent:
        assert "State" not in get(synced, "localsids").stdout
        assert WAITS in get(synced, "localsids", "--agent-rest", agent.rest_url).stdout
        options = ("--config", synced.config, "--node", NODE, "--agent-rest", agent.rest_url)
        offline = srv6kv("explain", "hosthere", "--manifests", synced.manifests, *options)
        asked = explain(synced, "--agent-rest", agent.rest_url)

    assert f"{HOSTHERE} (agent: PENDING, waits for interface 'tap-vpp2')" in offline.stdout
    assert f"{HOSTHERE} (in etcd; agent: PENDING, waits" in asked


def test_an_agent_that_is_away(synced: Bench) -> None:
    """Who asks for the agent is told that it does not answer, with exit code 3."""
    done = get(synced, "localsids", "--agent-rest", "http://127.0.0.1:1")

    assert (done.returncode, done.stdout) == (3, "")
    assert "http://127.0.0.1:1/scheduler/status" in done.stderr
