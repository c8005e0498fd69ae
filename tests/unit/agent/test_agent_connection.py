"""What the agent says of its connection to VPP, and when it has lost it for good."""

from __future__ import annotations

import pytest

from srv6kv.agent.attachments import Process
from srv6kv.agent.connection import RECONNECT_SECONDS, Health, loss_of, parse_health
from srv6kv.agent.status import PluginStatus

MEASURED = (
    b'{"build_version":"v3.6.0-dev","state":2,"start_time":1795860940,"last_change":1795860991,'
    b'"last_update":1795861131,"plugins":[{"name":"govpp","state":2},{"name":"etcd","state":1}],'
    b'"PluginStatus":{"etcd":{"state":1,"last_change":1795860946},"govpp":{"state":2,'
    b'"last_change":1795860994,"last_update":1795861131,"error":"VPP connection lost (event:'
    b" {Timestamp:2026-11-28 10:16:34.99 +0000 UTC m=+54.1 State:Failed Error:dial unix"
    b' /run/vpp/api.sock: connect: connection refused})"}},"NonFatalPlugins":null}'
)
"""The answer of a real agent whose VPP was killed."""
LOST = "State:Failed Error:connect: connection refused"


def test_the_probe_of_a_real_agent() -> None:
    """Which life of the agent it is, and the state of its plugin govpp with the time of change."""
    found = parse_health(MEASURED)

    assert found.process == Process(1795860940, 1795861131)
    assert found.vpp is not None
    assert (found.vpp.name, found.vpp.state, found.vpp.last_change) == (
        "govpp",
        "ERROR",
        1795860994,
    )
    assert loss_of(found.vpp, 1795860995.0).startswith("it has lost VPP")


@pytest.mark.parametrize(
    "answer",
    [b"", b"[]", b"null", b'{"PluginStatus":null}', b'{"PluginStatus":{"govpp":7}}', b"{" * 9999],
)
def test_a_probe_that_says_nothing(answer: bytes) -> None:
    """Then nothing is known, which is no error."""
    assert parse_health(answer) == Health()


@pytest.mark.parametrize(
    ("state", "error", "age", "is_lost"),
    [
        ("OK", "", 1e6, False),
        ("INIT", "", 1e6, False),
        ("ERROR", "State:Disconnected", 1.0, False),
        ("ERROR", "State:Disconnected", RECONNECT_SECONDS, True),
        ("ERROR", "State:NotResponding", 1.0, False),
        ("ERROR", LOST, 0.0, True),
        ("OK", LOST, 0.0, False),
    ],
)
def test_when_it_is_lost(state: str, error: str, age: float, is_lost: bool) -> None:
    """When the agent says that it has given up, and when its connection is broken for so long."""
    assert bool(loss_of(PluginStatus("govpp", state, error, 1000), 1000 + age)) == is_lost


def test_a_time_that_is_not_known() -> None:
    """Nobody says since when it is broken: it may have been just now."""
    assert loss_of(PluginStatus("govpp", "ERROR", "?"), 1e9) == ""
    assert loss_of(None, 1e9) == ""
