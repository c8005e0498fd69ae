"""A real etcd for tests, and what tests need around one; also to be used without pytest:

python tests/etcd_server.py [FOLDER]     prints the endpoint and serves until its input ends
"""

from __future__ import annotations

import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

# Run as a program, this file knows only its own folder.
if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from srv6kv.embedded import EmbeddedEtcd, program, reserve_port
from srv6kv.errors import Srv6kvError
from srv6kv.store import Change

SECONDS = 15.0
Result = TypeVar("Result")
_HELD: list[socket.socket] = []


def free_port() -> int:
    """A TCP port of loopback that nobody listens on, and nobody else gets while the tests run."""
    _HELD.append(reserve_port())
    port: int = _HELD[-1].getsockname()[1]
    return port


def etcdctl(server: EmbeddedEtcd, *arguments: str, login: str = "", stdin: str = "") -> str:
    """What etcdctl answers; raises CalledProcessError if it fails."""
    options = [f"--user={login}"] if login else []
    return subprocess.run(
        [str(program("etcdctl")), f"--endpoints={server.endpoint}", *options, *arguments],
        check=True,
        input=stdin,
        capture_output=True,
        text=True,
        timeout=SECONDS,
    ).stdout


def enable_users(server: EmbeddedEtcd, *, user: str, password: str, prefix: str) -> None:
    """Makes `root` (password `root`) and one user who may use one prefix; turns users on."""
    etcdctl(server, "user", "add", "root:root")
    etcdctl(server, "user", "grant-role", "root", "root")
    etcdctl(server, "user", "add", f"{user}:{password}")
    etcdctl(server, "role", "add", user)
    etcdctl(server, "role", "grant-permission", user, "readwrite", "--prefix", prefix)
    etcdctl(server, "user", "grant-role", user, user)
    etcdctl(server, "auth", "enable")


class Seen:
    """What a watch has called back, for a test to wait for."""

    def __init__(self) -> None:
        self.batches: list[tuple[int, list[Change]]] = []
        self.lost: list[Srv6kvError] = []
        self._condition = threading.Condition()

    def on_changes(self, changes: list[Change], revision: int) -> None:
        """Keeps one call of a watch."""
        with self._condition:
            self.batches.append((revision, changes))
            self._condition.notify_all()

    def on_lost(self, error: Srv6kvError) -> None:
        """Keeps the last call of a watch."""
        with self._condition:
            self.lost.append(error)
            self._condition.notify_all()

    def wait(self, holds: Callable[[Seen], bool], seconds: float = SECONDS) -> None:
        """Returns when that holds; fails the test if it does not come to hold."""
        with self._condition:
            if not self._condition.wait_for(lambda: holds(self), seconds):
                raise AssertionError(f"waited in vain; seen {self.batches} and {self.lost}")

    def wait_for_revision(self, revision: int) -> None:
        """Returns when that revision has been delivered."""
        self.wait(lambda seen: any(number >= revision for number, _ in seen.batches))

    def wait_for_deletion(self, key: str) -> None:
        """Returns when the deletion of that key has been delivered."""
        self.wait(
            lambda seen: any(
                (one.key, one.value) == (key, None)
                for _, changes in seen.batches
                for one in changes
            )
        )


def eventually(
    attempt: Callable[[], Result], error: type[Exception], seconds: float = SECONDS
) -> Result:
    """The first result of an attempt that does not end in that error, within a deadline."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            return attempt()
        except error:
            if time.monotonic() > deadline:
                raise


def main() -> None:
    """Serves until standard input ends."""
    with tempfile.TemporaryDirectory(prefix="srv6kv-etcd-") as spare:
        server = EmbeddedEtcd(Path(sys.argv[1] if len(sys.argv) > 1 else spare))
        with server:
            print(server.endpoint, flush=True)
            sys.stdin.read()


if __name__ == "__main__":
    main()
