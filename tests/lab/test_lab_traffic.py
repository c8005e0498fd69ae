"""The clients count what happens; shown on a plain link, without VPP and agent."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import closing

import podns
import pytest
from etcd_server import eventually

from lab import traffic
from lab.leftovers import Leftovers
from lab.netns import Netns, namespaces
from lab.traffic import Ending, Load, Servers, Target

ADDRESS = "fd00::2"


@pytest.fixture(scope="module")
def link() -> Iterator[tuple[Netns, Netns]]:
    """A client's namespace and a server's, joined."""
    if reason := podns.lacking():
        pytest.skip(reason)
    left = Leftovers()
    try:
        with namespaces(left.namespaces, {"a": False, "b": False}) as made:
            client, server = made["a"], made["b"]
            client.run(
                *("ip", "link", "add", "eth0", "type", "veth"),
                *("peer", "name", "eth0", "netns", server.name),
            )
            for place, address in ((client, "fd00::1"), (server, ADDRESS)):
                place.run("ip", "-6", "addr", "add", f"{address}/64", "dev", "eth0", "nodad")
                place.run("ip", "link", "set", "eth0", "up")
            yield client, server
    finally:
        left.sweep()


@pytest.fixture
def servers(link: tuple[Netns, Netns]) -> Iterator[Servers]:
    """Servers named ``b`` in the server's namespace."""
    with closing(Servers()) as servers:
        servers.add(link[1], "b", ["TCP/80", "UDP/53"])
        eventually(lambda: _check_there(link[0]), AssertionError)
        yield servers


def _check_there(client: Netns) -> None:
    """The link has come up, and both ends know each other."""
    assert traffic.call(client, Target(ADDRESS, 80)).ending is Ending.OK


@pytest.mark.usefixtures("servers")
@pytest.mark.parametrize("target", [Target(ADDRESS, 80), Target(ADDRESS, 53, "UDP")], ids=str)
def test_answers_are_counted(link: tuple[Netns, Netns], target: Target) -> None:
    """Each call is answered by the server's name, and from the port that was asked for."""
    tally = traffic.calls(link[0], target, 50)
    [call] = traffic.each_call(link[0], target, [4321])

    assert (tally.endings, tally.servers) == (Counter(ok=50), Counter(b=50))
    assert (call.port, call.server, call.client) == (4321, "b", "fd00::1")


@pytest.mark.usefixtures("servers")
def test_refusals_and_losses_differ(link: tuple[Netns, Netns]) -> None:
    """A port that is closed resets, an address that is not there loses."""
    refused = traffic.calls(link[0], Target(ADDRESS, 81), 3)
    lost = traffic.calls(link[0], Target("fd01::1", 80), 3)
    silent = traffic.calls(link[0], Target(ADDRESS, 54, "UDP"), 3, seconds=0.5)

    assert [one.endings for one in (refused, lost, silent)] == [
        {Ending.RESET: 3},
        {Ending.LOST: 3},
        {Ending.RESET: 3},
    ]


@pytest.mark.usefixtures("servers")
def test_a_lost_packet_makes_a_call_slow(link: tuple[Netns, Netns]) -> None:
    """The SYN comes a second time after one second."""
    drop = ("-m", "limit", "--limit", "1/hour", "--limit-burst", "1", "-j", "DROP")
    link[1].run("ip6tables", "--wait", "-A", "INPUT", "-p", "tcp", "--syn", *drop)
    try:
        call = traffic.call(link[0], Target(ADDRESS, 80))
    finally:
        link[1].run("ip6tables", "--wait", "-F", "INPUT")

    assert call.ending is Ending.SLOW


@pytest.mark.usefixtures("servers")
def test_a_million_bytes(link: tuple[Netns, Netns]) -> None:
    """They go up and come down."""
    target = Target(ADDRESS, 80)

    assert traffic.upload(link[0], target, 1_000_000) == 1_000_000
    assert traffic.download(link[0], target, 1_000_000) == 1_000_000


def test_a_server_that_ends_resets(link: tuple[Netns, Netns], servers: Servers) -> None:
    """Under load, what comes after its end is refused."""
    with Load(link[0], Target(ADDRESS, 80), rate=200) as load:

        def check(ending: Ending) -> None:
            assert load.tally.endings[ending]

        eventually(lambda: check(Ending.OK), AssertionError)
        servers.remove("b")
        eventually(lambda: check(Ending.RESET), AssertionError)

    assert load.tally.endings[Ending.LOST] == 0
