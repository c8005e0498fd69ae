"""Three etcd members on loopback, to be killed and frozen one by one."""

from __future__ import annotations

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

from etcd_server import etcdctl, free_port
from history import History
from tcp_proxy import TcpProxy

from srv6kv.errors import Srv6kvError
from srv6kv.etcd.embedded import EmbeddedEtcd
from srv6kv.etcd.store import Change, Etcd3Store

SIZE = 3
PACE = 0.1


class EtcdCluster:
    """Members that know each other, with the data of each in a folder of its own.

    Args:
        folder: where data and logs go.
        options: further command line options of every member.
        has_links: whether members reach each other through proxies, so that they can be parted.
    """

    def __init__(self, folder: Path, *options: str, has_links: bool = False) -> None:
        ports = {f"m{number}": f"127.0.0.1:{free_port()}" for number in range(SIZE)}
        self._links = [TcpProxy(port) for port in ports.values()] if has_links else []
        ways = [link.endpoint for link in self._links] or list(ports.values())
        everyone = ",".join(f"{name}=http://{way}" for name, way in zip(ports, ways, strict=True))
        self.members = [
            EmbeddedEtcd(
                folder / name,
                options=(
                    f"--name={name}",
                    f"--listen-peer-urls=http://{port}",
                    f"--initial-advertise-peer-urls=http://{way}",
                    f"--initial-cluster={everyone}",
                    *options,
                ),
            )
            for (name, port), way in zip(ports.items(), ways, strict=True)
        ]

    @property
    def endpoints(self) -> list[str]:
        """Where clients find the members."""
        return [member.endpoint for member in self.members]

    def start(self) -> Self:
        """Starts all members; returns when they serve."""
        # A member serves as soon as there is a leader, which needs a second member.
        with ThreadPoolExecutor(SIZE) as pool:
            list(pool.map(lambda member: member.start(), self.members))
        return self

    def revive(self) -> None:
        """Lets the frozen go on and starts the dead; returns when all serve."""
        for member in self.members:
            member.resume()
        self.start()

    def leader(self) -> EmbeddedEtcd:
        """The member that leads now, as the members say."""
        for member, (own, leader) in zip(self.members, self._status(), strict=True):
            if own == leader:
                return member
        raise AssertionError("no member leads")

    def isolate(self, member: EmbeddedEtcd) -> None:
        """Nothing passes between a member and the others; clients reach all."""
        index = self.members.index(member)
        own = self._status()[index][0]
        for number, link in enumerate(self._links):
            if number == index:
                link.freeze()
            else:
                link.block(f"X-Server-From: {own:x}\r\n".encode())

    def join(self) -> None:
        """All members reach each other again."""
        for link in self._links:
            link.thaw()
            link.cut()

    def _status(self) -> list[tuple[int, int]]:
        """The id of each member, and that of its leader."""
        options = ("endpoint", "status", "--write-out=json", f"--endpoints={self._all}")
        answers = json.loads(etcdctl(self.members[0], *options))
        found = {one["Endpoint"]: one["Status"] for one in answers}
        status = [found[endpoint] for endpoint in self.endpoints]
        return [(one["header"]["member_id"], one["leader"]) for one in status]

    def followers(self) -> list[EmbeddedEtcd]:
        """The members that do not lead now."""
        leader = self.leader()
        return [member for member in self.members if member is not leader]

    @property
    def _all(self) -> str:
        return ",".join(self.endpoints)

    def __enter__(self) -> Self:
        try:
            return self.start()
        except BaseException:
            self._kill()
            raise

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._kill()

    def _kill(self) -> None:
        for member in self.members:
            member.resume()
            member.kill()
        for link in self._links:
            link.close()


class ClusterHistory(History):
    """What a cluster went through, by the member that tells it first; it outlives every member.

    A revision that one member has told is never taken from another. Nobody may compact what this
    has not seen: `seen` says how far it is.
    """

    def __init__(self, endpoints: list[str], label: str) -> None:
        self._stack = ExitStack()
        self._stores = [Etcd3Store([endpoint], timeout=1.0) for endpoint in endpoints]
        for store in self._stores:
            self._stack.callback(store.close)
        self._reader = Etcd3Store(endpoints, timeout=1.0)
        self._stack.callback(self._reader.close)
        self._told = dict.fromkeys(range(len(endpoints)), 0)
        self._closed = threading.Event()
        super().__init__(self._reader, label)

    @property
    def seen(self) -> int:
        """Up to this revision everything is known."""
        return max(self._told.values())

    def catch_up(self) -> None:
        """Nothing is ahead of anything here: each member tells all keys in one order."""

    def wait_until_seen(self, revision: int) -> None:
        """Return when everything up to that revision is known."""
        self.wait(lambda: self.seen >= revision)

    def close(self) -> None:
        """Ends it."""
        self._closed.set()
        self._stack.close()

    def _follow(self) -> None:
        for number in range(len(self._stores)):
            self._follow_one(number)

    def _follow_one(self, number: int) -> None:
        def take(changes: list[Change], revision: int) -> None:
            with self._condition:
                is_news = revision > self.seen
                self._told[number] = revision
                if is_news:
                    self._take(changes, revision)

        def follow_again(_error: Srv6kvError) -> None:
            if not self._closed.wait(PACE):
                self._follow_one(number)

        self._stores[number].watch(["/"], self.seen + 1, take, follow_again)
