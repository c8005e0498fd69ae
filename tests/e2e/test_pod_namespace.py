"""The rule chains at work in real network namespaces (VPP rule V15): a pod answers for a
service address that it does not own, and its own calls leave it."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, suppress

import pytest
from clusters import endpoint, endpoint_slice, node, pod_keys, service, settings
from podns import CLIENT, SECONDS, Namespace, Network, Pod, Seen, lacking
from sidecar import Sidecar

from srv6kv.ligato.values import RuleChain

POD = "2001:0:0:1::2"
OTHER = "2001:0:0:1::3"
SERVICE = "2096::a"

PORTS = (
    ("TCP", 80, 80),
    ("TCP", 81, 8080),
    ("UDP", 53, 53),
    ("UDP", 514, 5514),
    ("TCP", 5060, 5061),
    ("UDP", 5060, 5062),
)
"""Protocol, port of the service and port of the pod: equal, other, and one number twice."""
EVERY_WAY = pytest.mark.parametrize("bound", ["::", POD])
EVERY_PORT = pytest.mark.parametrize(("protocol", "port", "target"), PORTS)
SWAPPED = (("TCP", 80, 8080), ("TCP", 81, 80))
"""The TCP ports of PORTS, the other way round."""
CALLS: tuple[tuple[str, Callable[[Network], Namespace]], ...] = (
    ("from outside", lambda network: network.node),
    ("from the pod itself", lambda network: network.pods[0].netns),
)

Ports = tuple[tuple[str, int, int], ...]


@pytest.fixture(scope="module")
def _possible() -> None:
    if reason := lacking():
        pytest.skip(reason)


@pytest.fixture
def network(_possible: None) -> Iterator[Network]:
    """Two pods without rules on a node that delivers the service's packets to the first."""
    with closing(Network(POD, OTHER)) as found:
        found.deliver(SERVICE, found.pods[0])
        yield found


@pytest.fixture
def pod(network: Network) -> Pod:
    """The first pod, with the chains that srv6kv renders for PORTS."""
    network.pods[0].install(_chains(POD))
    return network.pods[0]


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    """Closes the sockets of a test."""
    with ExitStack() as found:
        yield found


def _sidecar(ports: Ports = PORTS) -> Sidecar:
    """Node 1 of a cluster whose service has both pods behind these ports."""
    outer = [(f"p{number}", protocol, port) for number, (protocol, port, _) in enumerate(ports)]
    inner = [(f"p{number}", protocol, port) for number, (protocol, _, port) in enumerate(ports)]
    pods = [endpoint(address, "node1") for address in (POD, OTHER)]
    sidecar = Sidecar(settings("seed"), "node1").wire(pod_keys(POD)).wire(pod_keys(OTHER))
    return sidecar.put(node(1), service("web", SERVICE, outer), endpoint_slice("web", pods, inner))


def _chains(address: str, ports: Ports = PORTS) -> list[RuleChain]:
    """The rule chains of one pod, as srv6kv renders them."""
    home = pod_keys(address)
    (reference,) = (
        value["namespace"]["reference"] for value in home.values() if "namespace" in value
    )
    found = [
        value
        for value in _sidecar(ports).desired().objects.values()
        if isinstance(value, RuleChain) and value.namespace.reference == reference
    ]
    assert [(chain.table, chain.chain_name or chain.chain_type) for chain in found] == [
        *(("NAT", name) for name in ("srv6kv-a", "srv6kv-b", "PREROUTING")),
        *(("RAW", name) for name in ("srv6kv-a", "srv6kv-b", "OUTPUT")),
    ]
    return found


def _echo(server: socket.socket, client: socket.socket, protocol: str) -> str:
    """Say something to a server and hear it back; whom the server has heard."""
    if protocol == "TCP":
        accepted, (caller, *_) = server.accept()
        with accepted:
            accepted.settimeout(SECONDS)
            _speak(accepted, client)
        return str(caller)
    client.send(b"hello")
    heard, peer = server.recvfrom(100)
    server.sendto(heard, peer)
    assert client.recv(100) == b"hello"
    return str(peer[0])


def _speak(accepted: socket.socket, client: socket.socket) -> None:
    client.sendall(b"hello")
    accepted.sendall(accepted.recv(100))
    assert client.recv(100) == b"hello"


def _wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < deadline
        os.sched_yield()


def _send_in_vain(source: Namespace, protocol: str, port: int, pod: Pod) -> None:
    """A call to the service that the pod's kernel refuses: the address is nobody's there."""
    before = pod.netns.refused()
    with closing(source.listen("UDP", CLIENT, 0)) as client:
        if protocol == "UDP":
            client.sendto(b"hello", (SERVICE, port))
            _wait_until(lambda: pod.netns.refused() > before)
            return
    with source.entered(), socket.socket(socket.AF_INET6, socket.SOCK_STREAM) as client:
        client.setblocking(False)
        client.bind((CLIENT, 0))
        client.connect_ex((SERVICE, port))
        _wait_until(lambda: pod.netns.refused() > before)


@EVERY_WAY
@EVERY_PORT
def test_a_client_outside_is_answered_by_the_service_address(
    network: Network, pod: Pod, stack: ExitStack, protocol: str, port: int, target: int, bound: str
) -> None:
    """However a server is bound and whatever its port is; it sees who calls."""
    server = stack.enter_context(pod.netns.listen(protocol, bound, target))
    client = stack.enter_context(network.node.call(protocol, CLIENT, SERVICE, port))

    assert _echo(server, client, protocol) == CLIENT
    assert client.getpeername()[:2] == (SERVICE, port)


@EVERY_WAY
def test_a_datagram_comes_from_where_the_client_has_sent_to(
    network: Network, pod: Pod, stack: ExitStack, bound: str
) -> None:
    """A UDP client that is not connected sees the service's address and port on the reply."""
    server = stack.enter_context(pod.netns.listen("UDP", bound, 5514))
    client = stack.enter_context(network.node.listen("UDP", CLIENT, 0))
    client.sendto(b"hello", (SERVICE, 514))
    heard, peer = server.recvfrom(100)
    server.sendto(heard, peer)

    heard, peer = client.recvfrom(100)
    assert (heard, peer[:2]) == (b"hello", (SERVICE, 514))


@EVERY_WAY
@EVERY_PORT
def test_a_call_of_the_pod_itself_leaves_it_and_may_come_back(
    network: Network, pod: Pod, stack: ExitStack, protocol: str, port: int, target: int, bound: str
) -> None:
    """It comes out untranslated, and works when the node chooses the same pod for it."""
    server = stack.enter_context(pod.netns.listen(protocol, bound, target))
    packets = stack.enter_context(network.watch(pod))
    client = stack.enter_context(pod.netns.call(protocol, "::", SERVICE, port))

    assert _echo(server, client, protocol) == POD
    assert client.getsockname()[0] == POD
    assert next(packets) == Seen(POD, client.getsockname()[1], SERVICE, port)


@EVERY_PORT
def test_a_call_of_the_pod_itself_may_reach_another_backend(
    network: Network, pod: Pod, stack: ExitStack, protocol: str, port: int, target: int
) -> None:
    """A pod's call to its own service is balanced like any: the other pod hears it."""
    own = stack.enter_context(pod.netns.listen(protocol, "::", target))
    own.setblocking(False)
    other = network.pods[1]
    other.install(_chains(OTHER))
    network.deliver(SERVICE, other)
    server = stack.enter_context(other.netns.listen(protocol, "::", target))
    client = stack.enter_context(pod.netns.call(protocol, "::", SERVICE, port))

    assert _echo(server, client, protocol) == POD
    with pytest.raises(BlockingIOError):
        own.accept() if protocol == "TCP" else own.recv(100)


@pytest.mark.parametrize(("protocol", "port"), [("TCP", 9999), ("UDP", 9999), ("UDP", 80)])
def test_a_port_that_the_service_has_not_stays_closed(
    network: Network, pod: Pod, stack: ExitStack, protocol: str, port: int
) -> None:
    """A server bound to ``::`` is reached at the pod's address, never at the service's."""
    server = stack.enter_context(pod.netns.listen(protocol, "::", port))
    _send_in_vain(network.node, protocol, port, pod)
    server.setblocking(False)
    with pytest.raises(BlockingIOError):
        server.accept() if protocol == "TCP" else server.recv(100)

    server.settimeout(SECONDS)
    client = stack.enter_context(network.node.call(protocol, CLIENT, POD, port))
    assert _echo(server, client, protocol) == CLIENT


@pytest.mark.parametrize("protocol", ["TCP", "UDP"])
def test_without_its_chains_a_pod_does_not_answer(
    network: Network, pod: Pod, stack: ExitStack, protocol: str
) -> None:
    """The address is the service's alone, so equal ports need their rule too."""
    port = 80 if protocol == "TCP" else 53
    server = stack.enter_context(pod.netns.listen(protocol, "::", port))
    pod.flush(_chains(POD))
    _send_in_vain(network.node, protocol, port, pod)

    server.setblocking(False)
    with pytest.raises(BlockingIOError):
        server.accept() if protocol == "TCP" else server.recv(100)


@pytest.mark.parametrize(("_name", "where"), CALLS, ids=[name for name, _ in CALLS])
def test_a_connection_outlives_a_change_of_its_rule(
    network: Network, pod: Pod, stack: ExitStack, _name: str, where: Callable[[Network], Namespace]
) -> None:
    """The agent flushes and appends anew: what is open goes on, what is new goes the new way."""
    servers = [stack.enter_context(pod.netns.listen("TCP", "::", port)) for port in (80, 8080)]
    caller = where(network)
    client = stack.enter_context(caller.call("TCP", "::", SERVICE, 80))
    accepted = stack.enter_context(servers[0].accept()[0])
    _speak(accepted, client)
    pod.install(_chains(POD, SWAPPED))

    _speak(accepted, client)
    again = stack.enter_context(caller.call("TCP", "::", SERVICE, 80))
    assert _echo(servers[1], again, "TCP")


def test_the_agent_reads_back_what_it_was_given(network: Network) -> None:
    """ip6tables prints every rule as srv6kv writes it, SCTP too, so no resync sees a change."""
    chains = _chains(POD, (*PORTS, ("SCTP", 3868, 3868), ("SCTP", 3869, 13869)))
    pod = network.pods[0]
    pod.install(chains)

    assert any("-p sctp" in rule for rule in chains[0].rules)
    for chain in chains:
        assert pod.rules_of(chain) == chain.rules


LONG = tuple((protocol, port, port) for protocol in ("TCP", "UDP") for port in range(4000, 4100))


@EVERY_WAY
@pytest.mark.parametrize("protocol", ["TCP", "UDP"])
def test_a_rule_of_many_ports_leads_to_the_same_port(
    network: Network, stack: ExitStack, protocol: str, bound: str
) -> None:
    """The first, one between and the last; the ports beside them stay closed."""
    pod = network.pods[0]
    chains = _chains(POD, LONG)
    pod.install(chains)
    assert len(chains[0].rules) == 2

    for port in (4000, 4050, 4099):
        server = stack.enter_context(pod.netns.listen(protocol, bound, port))
        client = stack.enter_context(network.node.call(protocol, CLIENT, SERVICE, port))
        assert _echo(server, client, protocol) == CLIENT
        assert client.getpeername()[:2] == (SERVICE, port)
    for port in (3999, 4100):
        stack.enter_context(pod.netns.listen(protocol, "::", port))
        _send_in_vain(network.node, protocol, port, pod)


def test_rules_of_many_ports_are_read_back_as_they_are_written(network: Network) -> None:
    """SCTP too, beside single ports, and up to the last port that there is."""
    ports = (*LONG, ("SCTP", 65_534, 65_534), ("SCTP", 65_535, 65_535), ("TCP", 80, 8080))
    chains = _chains(POD, ports)
    network.pods[0].install(chains)

    assert sum(" --dport " in rule and ":" in rule.split()[7] for rule in chains[0].rules) == 3
    for chain in chains:
        assert network.pods[0].rules_of(chain) == chain.rules


def test_other_chains_stay_as_they_are(network: Network) -> None:
    """The chains of a CNI in the same pod are neither flushed nor appended to."""
    pod = network.pods[0]
    theirs = (("nat", "POSTROUTING"), ("nat", "OUTPUT"), ("raw", "PREROUTING"), ("filter", "INPUT"))
    for table, chain in theirs:
        rule = ("-d", "2001::/48", "-j", "ACCEPT")
        pod.netns.run("ip6tables", "--wait", "-t", table, "-A", chain, *rule)

    def listed() -> list[str]:
        commands = (("ip6tables", "--wait", "-t", table, "-S", chain) for table, chain in theirs)
        return [pod.netns.run(*command) for command in commands]

    before = listed()
    pod.install(_chains(POD))
    assert listed() == before
    pod.flush(_chains(POD))
    assert listed() == before


def test_a_pod_with_interception_refuses_at_once(network: Network, stack: ExitStack) -> None:
    """What docs/limits.md says of mesh pods: TCP ends in the mesh's proxy, UDP in the kernel."""
    pod = network.pods[0]
    redirect = ("-p", "tcp", "-j", "REDIRECT", "--to-ports", "15006")
    pod.netns.run("ip6tables", "--wait", "-t", "nat", "-A", "PREROUTING", *redirect)
    proxy = stack.enter_context(pod.netns.listen("TCP", "::", 15006))
    application = stack.enter_context(pod.netns.listen("UDP", "::", 53))
    client = stack.enter_context(network.node.call("TCP", CLIENT, SERVICE, 80))
    proxy.accept()[0].close()

    assert client.recv(100) == b""
    _send_in_vain(network.node, "UDP", 53, pod)
    application.setblocking(False)
    with pytest.raises(BlockingIOError):
        application.recv(100)


def test_nothing_of_the_cni_is_shared() -> None:
    """Our chains have keys of their own, and no interface of a pod is written, so no address."""
    ours = _sidecar().desired()
    keys = ours.objects.keys() | ours.shared.keys()

    assert keys.isdisjoint(pod_keys(POD) | pod_keys(OTHER))
    assert not [key for key in keys if key.startswith("config/linux/interfaces/")]
    assert len([key for key in keys if "/rulechain/srv6kv-" in key]) == 12


def _held() -> list[str]:
    """The network namespaces that this process holds open."""
    names = []
    for descriptor in os.listdir("/proc/self/fd"):
        with suppress(OSError):  # another thread's file, closed meanwhile
            names.append(os.readlink(f"/proc/self/fd/{descriptor}"))
    return sorted(name for name in names if name.startswith("net:"))


@pytest.mark.usefixtures("_possible")
def test_nothing_is_left_of_the_namespaces() -> None:
    """They end with the test: no descriptor holds them, and no link is in the first namespace."""
    before = _held()
    with closing(Network(POD, OTHER)):
        assert len(_held()) == len(before) + 3

    assert _held() == before
    assert not {"pod1", "pod2"} & {name for _, name in socket.if_nameindex()}
