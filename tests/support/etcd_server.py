"""A real etcd for tests, and what tests need around one; also to be used without pytest:

python tests/support/etcd_server.py [FOLDER]     prints the endpoint and serves until its input ends
"""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Self, TypeVar

# Run as a program, this file knows only its own folder.
if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from srv6kv.errors import Srv6kvError
from srv6kv.etcd.embedded import EmbeddedEtcd, program, reserve_port
from srv6kv.etcd.store import Change

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


def save(server: EmbeddedEtcd, file: Path) -> Path:
    """A snapshot of what a server holds now, in a file."""
    file.unlink(missing_ok=True)
    etcdctl(server, "snapshot", "save", str(file))
    return file


def revision_of(server: EmbeddedEtcd, file: Path) -> int:
    """The last revision in a snapshot."""
    answer = etcdctl(server, "snapshot", "status", str(file), "--write-out=json")
    revision: int = json.loads(answer)["revision"]
    return revision


def restore(server: EmbeddedEtcd, file: Path) -> None:
    """Ends a server as a crash would, and starts it with what a snapshot holds."""
    server.kill()
    shutil.rmtree(server.data)
    peer = f"http://{server.peer}"
    etcdctl(
        server,
        *("snapshot", "restore", str(file), "--name=srv6kv", f"--data-dir={server.data}"),
        *(f"--initial-cluster=srv6kv={peer}", f"--initial-advertise-peer-urls={peer}"),
    )
    server.start()


def enable_users(server: EmbeddedEtcd, *, user: str, password: str, prefix: str) -> None:
    """Makes `root` (password `root`) and one user who may use one prefix; turns users on."""
    etcdctl(server, "user", "add", "root:root")
    etcdctl(server, "user", "grant-role", "root", "root")
    etcdctl(server, "user", "add", f"{user}:{password}")
    etcdctl(server, "role", "add", user)
    etcdctl(server, "role", "grant-permission", user, "readwrite", "--prefix", prefix)
    etcdctl(server, "user", "grant-role", user, user)
    etcdctl(server, "auth", "enable")


class GrpcProxy:
    """``etcd grpc-proxy``, as operators have it on every node.

    Args:
        server: the endpoint behind it.
        log: the file for its output.
    """

    def __init__(self, server: str, log: Path) -> None:
        self.endpoint = f"127.0.0.1:{free_port()}"
        with log.open("wb") as output:
            self._process = subprocess.Popen(
                [
                    *(str(program()), "grpc-proxy", "start"),
                    *(f"--endpoints={server}", f"--listen-addr={self.endpoint}"),
                ],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )
        eventually(self._try, OSError)

    def _try(self) -> None:
        host, _, port = self.endpoint.rpartition(":")
        socket.create_connection((host, int(port)), 1.0).close()

    def close(self) -> None:
        """Ends it."""
        self._process.terminate()
        self._process.wait(SECONDS)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


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
