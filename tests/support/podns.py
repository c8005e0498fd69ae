"""A node and its pods as network namespaces of this kernel, and the pods' rule chains in them.

The node stands for VPP: it delivers what is for a service address to the pod that it was told, as
End.DX6 does, by a route and the pod's static neighbour. Namespaces have no name and no process of
their own: only this process holds them, so nothing is left when it ends, however it ends.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import socket
import subprocess
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from ipaddress import IPv6Address
from pathlib import Path
from typing import NamedTuple

from srv6kv.ligato.values import RuleChain

CLIENT = "2001:0:0:2::9"
"""A client outside of the pods."""
GATEWAY = "2001:0:0:1::1"
"""VPP, as the pods see it."""
SECONDS = 5.0
"""Deadline of everything that has to happen."""

_CLONE_NEWNET = 0x40000000
_OWN = "/proc/thread-self/ns/net"
_ALL_IPV6_FRAMES = 0x86DD
_LIBC = ctypes.CDLL(None, use_errno=True)


class Lacking(Exception):
    """What this machine lacks for namespaces with ip6tables, in one line."""


class Namespace:
    """A network namespace.

    Args:
        descriptor: of one that is there already; without it a new one, of this process alone.
    """

    def __init__(self, descriptor: int | None = None) -> None:
        if descriptor is not None:
            self.descriptor = descriptor
            return
        with _coming_back():
            if _LIBC.unshare(_CLONE_NEWNET):
                raise Lacking(f"network namespaces: {os.strerror(ctypes.get_errno())}")
            self.descriptor = os.open(_OWN, os.O_RDONLY)

    def close(self) -> None:
        """Let it go; it ends with its last socket."""
        os.close(self.descriptor)

    @property
    def path(self) -> str:
        """Its name for other processes."""
        return f"/proc/{os.getpid()}/fd/{self.descriptor}"

    @contextmanager
    def entered(self) -> Iterator[None]:
        """This thread is in the namespace; sockets that it makes stay there."""
        with _coming_back():
            _enter(self.descriptor)
            yield

    def run(self, *command: str, text: str = "") -> str:
        """What a command prints that runs in the namespace.

        Raises:
            Lacking: it fails.
        """
        with self.entered():
            done = subprocess.run(command, input=text, capture_output=True, text=True, timeout=30)
        if done.returncode:
            said = " ".join(done.stderr.split()) or f"exit code {done.returncode}"
            raise Lacking(f"{' '.join(command)}: {said}")
        return done.stdout

    def set(self, name: str, value: int, family: str = "ipv6") -> None:
        """Set ``net.FAMILY.conf.NAME``.

        Raises:
            Lacking: it may not be set here.
        """
        place = Path("/proc/sys/net", family, "conf", *name.split("."))
        with self.entered():
            try:
                place.write_text(f"{value}\n")
            except OSError as error:
                raise Lacking(f"{place}: {error.strerror}") from None

    def refused(self) -> int:
        """How many packets came for an address that nobody here has."""
        with self.entered():
            text = Path("/proc/thread-self/net/snmp6").read_text()
        return int(dict(map(str.split, text.splitlines()))["Ip6InAddrErrors"])

    def listen(self, protocol: str, address: str, port: int) -> socket.socket:
        """A server: a TCP socket that listens or a UDP socket, bound there."""
        found = self._socket(protocol)
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        found.bind((address, port))
        if protocol == "TCP":
            found.listen()
        return found

    def call(self, protocol: str, source: str, address: str, port: int) -> socket.socket:
        """A client that is connected; TCP needs no server that accepts for that.

        Raises:
            OSError: nobody answers.
        """
        found = self._socket(protocol)
        try:
            found.bind((source, 0))
            found.connect((address, port))
        except OSError:
            found.close()
            raise
        return found

    def _socket(self, protocol: str) -> socket.socket:
        kind = socket.SOCK_STREAM if protocol == "TCP" else socket.SOCK_DGRAM
        with self.entered():
            found = socket.socket(socket.AF_INET6, kind)
        found.settimeout(SECONDS)
        return found


def _enter(descriptor: int) -> None:
    if _LIBC.setns(descriptor, _CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "setns")


@contextmanager
def _coming_back() -> Iterator[None]:
    """Whatever namespace this thread goes to meanwhile, it returns to the one it is in."""
    try:
        home = os.open(_OWN, os.O_RDONLY)
    except OSError as error:
        raise Lacking(f"{_OWN}: {error.strerror}") from None
    try:
        yield
    finally:
        if not os.path.sameopenfile(home, here := os.open(_OWN, os.O_RDONLY)):
            _enter(home)
        os.close(here)
        os.close(home)


class Seen(NamedTuple):
    """Where a packet comes from and goes to, as the headers have it: addresses and ports."""

    source: str
    source_port: int
    destination: str
    port: int


class Pod:
    """A pod's namespace with its one address, and the node's end of its link."""

    def __init__(self, node: Namespace, netns: Namespace, address: str, number: int) -> None:
        self.address = address
        self.link = f"pod{number}"
        self.netns = netns
        own, other = f"02:fe:00:00:00:{number:02x}", f"02:fe:00:00:01:{number:02x}"
        node.run(
            *("ip", "link", "add", self.link, "address", other, "type", "veth"),
            *("peer", "name", "eth0", "address", own, "netns", self.netns.path),
        )
        # Without redirects, as VPP sends none: a node of Linux does for what goes back.
        self.netns.set("all.accept_redirects", 0)
        self.netns.set("eth0.accept_redirects", 0)
        batch = f"""link set lo up
link set eth0 addrgenmode none up
addr add {address}/128 dev eth0 nodad
route add {GATEWAY}/128 dev eth0
route add default via {GATEWAY} dev eth0
neigh add {GATEWAY} lladdr {other} dev eth0 nud permanent"""
        self.netns.run("ip", "-6", "-batch", "-", text=batch)
        batch = f"""link set {self.link} addrgenmode none up
route add {address}/128 dev {self.link}
neigh add {address} lladdr {own} dev {self.link} nud permanent"""
        node.run("ip", "-6", "-batch", "-", text=batch)

    def install(self, chains: Iterable[RuleChain]) -> None:
        """Put rule chains in place as the agent creates them, in this order: make those that have a
        name, flush, then append one by one."""
        for chain in chains:
            if chain.chain_name:
                with suppress(Lacking):  # it is there
                    self._ip6tables(chain, "-N")
            self._ip6tables(chain, "-F")
            for rule in chain.rules:
                self._ip6tables(chain, "-A", *rule.split(" "))

    def flush(self, chains: Iterable[RuleChain]) -> None:
        """Delete rule chains as the agent does, those that jump to others first."""
        for chain in reversed(list(chains)):
            self._ip6tables(chain, "-F")
            if chain.chain_name:
                self._ip6tables(chain, "-X")

    def rules_of(self, chain: RuleChain) -> tuple[str, ...]:
        """The rules as the agent reads them back."""
        lines = self._ip6tables(chain, "-S").splitlines()
        start = f"-A {chain.chain_name or chain.chain_type} "
        return tuple(line.removeprefix(start) for line in lines if line.startswith(start))

    def _ip6tables(self, chain: RuleChain, action: str, *rule: str) -> str:
        name = chain.chain_name or chain.chain_type
        command = ("ip6tables", "--wait", "-t", chain.table.lower(), action, name)
        return self.netns.run(*command, *rule)


class Network:
    """A node with the client's address, and pods on it.

    Raises:
        Lacking: this machine cannot have it.
    """

    def __init__(self, *addresses: str) -> None:
        with ExitStack() as undone:
            self.node = undone.enter_context(closing(Namespace()))
            self.node.set("all.forwarding", 1)
            batch = f"link set lo up\naddr add {CLIENT}/128 dev lo nodad"
            self.node.run("ip", "-6", "-batch", "-", text=batch)
            self.pods = [
                Pod(self.node, undone.enter_context(closing(Namespace())), address, number)
                for number, address in enumerate(addresses, 1)
            ]
            self._stack = undone.pop_all()

    def close(self) -> None:
        """Let all of it go."""
        self._stack.close()

    def deliver(self, service: str, pod: Pod) -> None:
        """From now on the node sends what is for this address to that pod."""
        route = (f"{service}/128", "via", pod.address, "dev", pod.link)
        self.node.run("ip", "-6", "route", "replace", *route)

    @contextmanager
    def watch(self, pod: Pod) -> Iterator[Iterator[Seen]]:
        """What comes out of a pod meanwhile, at the node's end of its link."""
        with self.node.entered():
            tap = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(_ALL_IPV6_FRAMES))
        with closing(tap):
            tap.bind((pod.link, _ALL_IPV6_FRAMES))
            tap.settimeout(SECONDS)
            yield _packets(tap)


def _packets(tap: socket.socket) -> Iterator[Seen]:
    """TCP and UDP packets without extension headers that come in."""
    while True:
        packet, (_, _, direction, *_) = tap.recvfrom(65536)
        if direction != socket.PACKET_OUTGOING and packet[6] in (6, 17):
            source, destination = (str(IPv6Address(packet[at : at + 16])) for at in (8, 24))
            ports = int.from_bytes(packet[40:42]), int.from_bytes(packet[42:44])
            yield Seen(source, ports[0], destination, ports[1])


def lacking() -> str:
    """What this machine lacks for all of this, in one line; "" if it has everything."""
    for tool in ("ip", "ip6tables"):
        if shutil.which(tool) is None:
            return f"{tool} is not installed"
    try:
        with closing(Network("2001:0:0:1::2")) as network:
            for table, chain in (("nat", "PREROUTING"), ("raw", "OUTPUT")):
                network.pods[0].netns.run("ip6tables", "--wait", "-t", table, "-F", chain)
    except Lacking as reason:
        return str(reason)
    return ""
