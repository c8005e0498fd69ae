"""Starts of ``srv6kv`` that import nothing: a process that has imported all of it forks for each.

A start takes 0.4 s of a processor, nearly all of it for imports, and the tests need hundreds. What
begins is a process of its own that runs what ``python -m srv6kv`` runs: its number, environment,
signals, threads and exit code are as there. With ``--faults`` every start is a new interpreter, and
so is one whose environment says how Python is to start (``is_like_ours``).
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import json
import os
import pkgutil
import runpy
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

MOST_BYTES = 1 << 18
"""Of a request: arguments and environment."""
STANDARD = (0, 1, 2)
is_forking = True
"""Whether to start in the short way at all."""
_OF_PYTHON = ("PYTHON", "LANG", "LC_", "TZ", "TMPDIR")
_AT_FIRST = dict(os.environ)


def begin(
    words: Sequence[str], env: Mapping[str, str], stdin: int, stdout: int, stderr: int
) -> Forked | subprocess.Popen[bytes]:
    """Begin ``srv6kv`` with these arguments and standard files, in the short way if that is the
    same."""
    if is_forking and is_like_ours(env):
        return _forker().begin(words, env, (stdin, stdout, stderr))
    command = [sys.executable, "-m", "srv6kv", *words]
    return subprocess.Popen(command, stdin=stdin, stdout=stdout, stderr=stderr, env=env)


def is_like_ours(env: Mapping[str, str]) -> bool:
    """Whether a new interpreter with this environment would begin as one that is forked."""
    return all(
        env.get(name) == _AT_FIRST.get(name)
        for name in env.keys() | _AT_FIRST.keys()
        if name.startswith(_OF_PYTHON)
    )


class Forked:
    """A process that is forked; it has what the tests use of ``subprocess.Popen``.

    Attributes:
        pid: its number.
        returncode: as there; None as long as nobody has seen it end.
    """

    def __init__(self, pid: int, end: int) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self._end = end
        self._lock = threading.Lock()

    def poll(self) -> int | None:
        """Its exit code, if it has ended."""
        return self._ended(0)

    def wait(self, timeout: float | None = None) -> int:
        """Its exit code, as soon as it has ended."""
        code = self._ended(timeout)
        if code is None:
            raise subprocess.TimeoutExpired(f"srv6kv, process {self.pid}", timeout or 0)
        return code

    def _ended(self, seconds: float | None) -> int | None:
        with self._lock:
            if self.returncode is None:
                waiting = select.poll()
                waiting.register(self._end, select.POLLIN)
                if waiting.poll(None if seconds is None else 1000 * seconds):
                    # Nothing but an end: who forks is gone, killed with all the tests.
                    self.returncode = int(os.read(self._end, 16) or -signal.SIGKILL)
                    os.close(self._end)
            return self.returncode

    def send_signal(self, number: int) -> None:
        """Send it a signal, unless it has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        """End it in good order."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """End it as a crash would."""
        self.send_signal(signal.SIGKILL)

    def freeze(self) -> None:
        """Stop it, and return when all of its threads have stopped: a signal takes its time."""
        self.send_signal(signal.SIGSTOP)
        while self.poll() is None and any(
            status.read_text().rpartition(") ")[2][0] != "T"
            for status in Path(f"/proc/{self.pid}/task").glob("*/stat")
        ):
            time.sleep(0.001)


class Forker:
    """The process that forks, one for each process of tests; it ends when that has ended."""

    def __init__(self) -> None:
        ours, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with its:
            self._process = subprocess.Popen(
                [sys.executable, __file__, str(its.fileno())],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                pass_fds=[its.fileno()],
            )
        self._requests = ours
        self._lock = threading.Lock()

    def begin(self, words: Sequence[str], env: Mapping[str, str], files: Sequence[int]) -> Forked:
        """Begin ``srv6kv`` with these arguments and its three standard files."""
        end, ends = os.pipe()
        request = json.dumps([words, dict(env), os.getcwd()]).encode()
        with self._lock:
            socket.send_fds(self._requests, [request], [*files, ends])
            os.close(ends)
            pid = int(self._requests.recv(16))
        return Forked(pid, end)

    def end(self) -> None:
        """End it; what it has begun goes on."""
        self._requests.close()
        self._process.wait()


@cache
def _forker() -> Forker:
    return Forker()


def end() -> None:
    """End the process that forks, if there is one."""
    if _forker.cache_info().currsize:
        _forker().end()
        _forker.cache_clear()


# What the process that forks does ----------------------------------------------------------------


def _import_all() -> None:
    package = importlib.import_module("srv6kv")
    for module in pkgutil.walk_packages(package.__path__, "srv6kv."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    gc.collect()
    gc.freeze()


def _serve(requests: socket.socket) -> list[str] | None:
    """Fork for each request until the last one has come; in a process that is forked the arguments
    with which it goes on."""
    ends: dict[int, int] = {}
    woken, wakes = os.pipe()
    os.set_blocking(wakes, False)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(wakes)
    asked = requests.fileno()
    while True:
        ready, _, _ = select.select([asked, woken], [], [])
        if woken in ready:
            os.read(woken, 4096)
            _tell(ends)
        if asked in ready:
            message, files, _, _ = socket.recv_fds(requests, MOST_BYTES, len(STANDARD) + 1)
            if not message:
                return None
            pid = os.fork()
            if pid == 0:
                signal.set_wakeup_fd(-1)
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                signal.signal(signal.SIGINT, signal.default_int_handler)
                _take(
                    files[: len(STANDARD)],
                    [requests.detach(), woken, wakes, files[-1], *ends.values()],
                )
                return _become(message)
            ends[pid] = files.pop()
            for file in files:
                os.close(file)
            requests.send(b"%d" % pid)


def _tell(ends: dict[int, int]) -> None:
    """Write the exit code of each that has ended where its starter reads it."""
    for pid in list(ends):
        found, status = os.waitpid(pid, os.WNOHANG)
        if found:
            with contextlib.suppress(BrokenPipeError):  # its starter is gone
                os.write(ends[pid], b"%d" % os.waitstatus_to_exitcode(status))
            os.close(ends.pop(pid))


def _take(files: Sequence[int], others: Sequence[int]) -> None:
    for number, file in zip(STANDARD, files, strict=True):
        os.dup2(file, number)
    for file in (*files, *others):
        os.close(file)


def _become(message: bytes) -> list[str]:
    words, env, folder = json.loads(message)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(env)
    return [str(one) for one in words]


if __name__ == "__main__":
    sys.path[0] = os.getcwd()
    _import_all()
    arguments = _serve(socket.socket(fileno=int(sys.argv[1])))
    if arguments is not None:
        sys.argv = ["srv6kv", *arguments]
        runpy.run_module("srv6kv", run_name="__main__", alter_sys=True)
