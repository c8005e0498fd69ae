"""The lab's network namespaces, which have names: the agent takes them by name."""

from __future__ import annotations

import os
import socket
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from podns import Namespace

_FOLDER = "/run/netns"
_SYSCTLS = (
    # Addresses count at once: the agent configures them, and tests use them.
    ("all.accept_dad", 0),
    ("default.accept_dad", 0),
    ("default.accept_ra", 0),
    ("default.router_solicitations", 0),
)


class Netns:
    """A network namespace that is there and has a name.

    Args:
        name: as ``ip netns`` has it.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self._namespace = Namespace(os.open(f"{_FOLDER}/{name}", os.O_RDONLY))

    def prepare(self, *, forwards: bool) -> None:
        """Set it up before anything is in it.

        Args:
            forwards: whether packets of others may pass.
        """
        for setting, value in _SYSCTLS:
            self._namespace.set(setting, value)
        if forwards:
            self._namespace.set("all.forwarding", 1)
        else:
            self.accept_local(1)
        self.run("ip", "link", "set", "lo", "up")

    def accept_local(self, value: int) -> None:
        """Whether it takes in what has its own address as its source, as pods need for IPv4."""
        self._namespace.set("all.accept_local", value, "ipv4")

    @property
    def path(self) -> str:
        """Its file."""
        return f"{_FOLDER}/{self.name}"

    def close(self) -> None:
        """Let it go; its name stays, and with it the namespace."""
        self._namespace.close()

    def run(self, *command: str, text: str = "") -> str:
        """What a command prints that runs in it.

        Raises:
            podns.Lacking: it fails.
        """
        return self._namespace.run(*command, text=text)

    @contextmanager
    def entered(self) -> Iterator[None]:
        """This thread is in it; processes that it starts stay there."""
        with self._namespace.entered():
            yield

    def socket(self, family: socket.AddressFamily, kind: socket.SocketKind) -> socket.socket:
        """A socket that stays in it, whoever uses it."""
        with self._namespace.entered():
            return socket.socket(family, kind)

    def join(self, link: str, number: str) -> tuple[str, str]:
        """Join it with the namespace of this process.

        Args:
            link: the name of our end.
            number: four hexadecimal digits, no other link's.

        Returns:
            Our address and its own, both in brackets.
        """
        own, other = (f"fd73:6c61:{number}::{end}" for end in (1, 2))
        peer = ("peer", "name", "lab0", "netns", self.name)
        _ip("link", "add", link, "type", "veth", *peer)
        _ip("-6", "addr", "add", f"{own}/64", "dev", link, "nodad")
        _ip("link", "set", link, "up")
        self.run("ip", "-6", "addr", "add", f"{other}/64", "dev", "lab0", "nodad")
        self.run("ip", "link", "set", "lab0", "up")
        return f"[{own}]", f"[{other}]"


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True, timeout=30)


@contextmanager
def namespaces(prefix: str, names: dict[str, bool]) -> Iterator[dict[str, Netns]]:
    """Make namespaces, by their names without the prefix; what deletes them is `leftovers`.

    Args:
        names: each with whether it forwards packets.
    """
    with ExitStack() as opened:
        made = {}
        for name, forwards in names.items():
            _ip("netns", "add", prefix + name)
            made[name] = Netns(prefix + name)
            opened.callback(made[name].close)
            made[name].prepare(forwards=forwards)
        yield made
