"""A pod that calls its own service over IPv4 and is sent to itself: what the kernel asks for
(docs/limits.md, "Calls of a pod to its own service")."""

from __future__ import annotations

import shutil
import socket
from collections.abc import Iterator
from contextlib import ExitStack, closing

import pytest
from podns import SECONDS, Namespace, lacking

POD, GATEWAY, SERVICE = "10.1.1.5", "10.1.1.1", "10.96.0.10"
LOST_SECONDS = 1.0
"""A call that has no answer by then is lost."""
_MACS = "02:fe:00:00:00:01", "02:fe:00:00:01:01"


@pytest.fixture
def pod() -> Iterator[Namespace]:
    """A pod with the rules of a service of its own, on a node that sends all of it back to it."""
    if reason := lacking() or ("" if shutil.which("iptables") else "iptables is not installed"):
        pytest.skip(reason)
    with ExitStack() as stack:
        node, found = (stack.enter_context(closing(Namespace())) for _ in range(2))
        _join(node, found)
        for protocol, port, target in (("tcp", 80, 8080), ("udp", 53, 5353)):
            rule = f"-d {SERVICE}/32 -p {protocol} -m {protocol} --dport {port}"
            to = f"-j DNAT --to-destination {POD}:{target}"
            _iptables(found, "nat", f"-A PREROUTING {rule} {to}")
        _iptables(found, "raw", f"-A OUTPUT -d {SERVICE}/32 -j CT --notrack")
        yield found


def _join(node: Namespace, pod: Namespace) -> None:
    inner, outer = _MACS
    link = ("ip", "link", "add", "pod1", "address", outer, "type", "veth", "peer", "name", "eth0")
    node.run(*link, "address", inner, "netns", pod.path)
    batch = f"""link set lo up
link set eth0 up
addr add {POD}/32 dev eth0
route add {GATEWAY}/32 dev eth0
route add default via {GATEWAY} dev eth0
neigh add {GATEWAY} lladdr {outer} dev eth0 nud permanent"""
    pod.run("ip", "-batch", "-", text=batch)
    batch = f"""link set lo up
link set pod1 up
route add {POD}/32 dev pod1
route add {SERVICE}/32 via {POD} dev pod1 onlink
neigh add {POD} lladdr {inner} dev pod1 nud permanent"""
    node.run("ip", "-batch", "-", text=batch)
    for name, value in (("forwarding", 1), ("send_redirects", 0), ("rp_filter", 0)):
        node.set(f"all.{name}", value, "ipv4")
        node.set(f"pod1.{name}", value, "ipv4")


def _iptables(namespace: Namespace, table: str, rule: str) -> None:
    namespace.run("iptables", "--wait", "-t", table, *rule.split(" "))


def _socket(namespace: Namespace, kind: socket.SocketKind, seconds: float) -> socket.socket:
    with namespace.entered():
        found = socket.socket(socket.AF_INET, kind)
    found.settimeout(seconds)
    return found


def _answers_tcp(pod: Namespace, seconds: float) -> bool:
    server = _socket(pod, socket.SOCK_STREAM, seconds)
    client = _socket(pod, socket.SOCK_STREAM, seconds)
    with server, client:
        server.bind((POD, 8080))
        server.listen()
        try:
            client.connect((SERVICE, 80))
        except TimeoutError:
            return False
        return bool(client.getsockname()[0] == POD)


def _answers_udp(pod: Namespace, seconds: float) -> bool:
    server = _socket(pod, socket.SOCK_DGRAM, seconds)
    client = _socket(pod, socket.SOCK_DGRAM, seconds)
    with server, client:
        server.bind((POD, 5353))
        client.connect((SERVICE, 53))
        client.send(b"question")
        try:
            asked, sender = server.recvfrom(100)
        except TimeoutError:
            return False
        server.sendto(asked, sender)
        return client.recv(100) == b"question"


def test_the_kernel_drops_what_has_its_own_source(pod: Namespace) -> None:
    """The packet comes back with the pod's own address as its source."""
    assert not _answers_tcp(pod, LOST_SECONDS)
    assert not _answers_udp(pod, LOST_SECONDS)


@pytest.mark.parametrize("interface", ["all", "eth0"])
@pytest.mark.parametrize("rp_filter", [0, 1, 2])
def test_accept_local_lets_it_in(pod: Namespace, interface: str, rp_filter: int) -> None:
    """Of all interfaces or of that one, whatever the reverse path filter is."""
    pod.set(f"{interface}.rp_filter", rp_filter, "ipv4")
    pod.set(f"{interface}.accept_local", 1, "ipv4")

    assert _answers_tcp(pod, SECONDS)
    assert _answers_udp(pod, SECONDS)
