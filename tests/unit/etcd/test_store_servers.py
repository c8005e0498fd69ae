"""The store against servers that are down, frozen, several, or that know users."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable

import pytest
from etcd_server import SECONDS, Seen, enable_users, etcdctl, eventually, free_port
from figures import Timed
from tcp_proxy import TcpProxy

from srv6kv.errors import Refused, Unavailable
from srv6kv.etcd.embedded import EmbeddedEtcd
from srv6kv.etcd.store import Etcd3Store
from srv6kv.txn.transaction import FullKey, Operation, Transaction

pytestmark = pytest.mark.usefixtures("no_thread_is_left")

Connect = Callable[..., Etcd3Store]
StartEtcd = Callable[..., EmbeddedEtcd]

PASSWORD = "correct horse"


def test_server_that_is_down(connect: Connect, timed: Timed) -> None:
    """Every call on a server that is not there ends, in one line that names it."""
    endpoint = f"127.0.0.1:{free_port()}"
    store = connect(endpoint, timeout=2)
    started = time.monotonic()
    with pytest.raises(Unavailable, match=f"^etcd {endpoint}: ") as read:
        store.read(["/srv6kv/"])
    with pytest.raises(Unavailable):
        store.acquire("n1", "the test")
    with pytest.raises(Unavailable):
        store.holder("n1")

    timed("three calls on a server that is down", time.monotonic() - started, 2.0)
    assert "\n" not in str(read.value)


def test_server_that_is_frozen(start_etcd: StartEtcd, connect: Connect, timed: Timed) -> None:
    """A server that does not answer is unavailable after the deadline; a write may be done."""
    server = start_etcd()
    store = connect(server.endpoint, timeout=0.5)
    writer = store.acquire("n1", "the test")
    assert writer is not None
    server.pause()
    started = time.monotonic()
    with pytest.raises(Unavailable):
        store.read(["/srv6kv/"])
    key = "/vnf-agent/n1/config/vpp/srv6/v2/policy/5555::a"
    with pytest.raises(Unavailable, match="may or may not be done"):
        store.commit(
            Transaction((Operation(FullKey(key), b"", 0),)), writer=writer, read_revision=0
        )
    took = time.monotonic() - started
    server.resume()

    timed("two calls of half a second on a frozen server", took, 2.0)
    assert eventually(lambda: store.holder("n1"), Unavailable) == "the test"


def test_server_that_comes_back(start_etcd: StartEtcd, connect: Connect) -> None:
    """The same client works again when its server does."""
    server = start_etcd()
    store = connect(server.endpoint)
    store.put("/srv6kv/n1/a", "1")
    server.stop()
    with pytest.raises(Unavailable):
        store.read(["/srv6kv/"])
    server.start()
    snapshot = eventually(lambda: store.read(["/srv6kv/"]), Unavailable)

    assert [entry.value for entry in snapshot.entries] == [b"1"]


def test_writer_out_of_reach(start_etcd: StartEtcd, connect: Connect, timed: Timed) -> None:
    """A writer that cannot renew its lease is lost, in less time than etcd leaves the key to it."""
    server = start_etcd()
    store = connect(server.endpoint)
    started = time.monotonic()
    writer = store.acquire("n1", "the test", ttl=2)
    assert writer is not None
    server.kill()

    assert writer.lost.wait(SECONDS)
    spent = time.monotonic() - started
    assert spent > 1
    timed("a writer with a lease of 2 s is lost", spent, 4.0)


@pytest.mark.parametrize("dead_first", [True, False])
def test_one_endpoint_of_two_is_dead(
    etcd: EmbeddedEtcd, connect: Connect, label: str, dead_first: bool
) -> None:
    """With one server of two gone everything works, writes and watches too."""
    dead = f"127.0.0.1:{free_port()}"
    endpoints = (dead, etcd.endpoint) if dead_first else (etcd.endpoint, dead)
    store, seen, key = connect(*endpoints), Seen(), f"/srv6kv/{label}/a"
    store.put(key, "1")
    writer = store.acquire(label, "the test")
    start = store.read([key]).revision
    store.watch([key], start - 1, seen.on_changes, seen.on_lost)
    seen.wait_for_revision(start - 1)

    assert writer is not None
    assert [change.value for _, changes in seen.batches for change in changes] == [b"1"]


def test_the_server_in_use_dies(start_etcd: StartEtcd, connect: Connect) -> None:
    """When the server in use goes, the next read and the next write are for the other one."""
    one, two = start_etcd(), start_etcd()
    store = connect(one.endpoint, two.endpoint, timeout=1)
    store.put("/srv6kv/n1/a", "of the first")
    one.pause()
    frozen = store.read(["/srv6kv/"])
    one.resume()
    two.kill()
    eventually(lambda: store.put("/srv6kv/n1/a", "again of the first"), Unavailable)

    assert frozen.entries == []
    assert [entry.value for entry in store.read(["/srv6kv/"]).entries] == [b"again of the first"]


def test_all_endpoints_are_dead(connect: Connect) -> None:
    """If no server answers, the error names them all."""
    endpoints = [f"127.0.0.1:{free_port()}", f"[::1]:{free_port()}"]
    with pytest.raises(Unavailable) as error:
        connect(*endpoints).read(["/srv6kv/"])

    assert all(endpoint in str(error.value) for endpoint in endpoints)


def test_user_over_plaintext(start_etcd: StartEtcd, connect: Connect) -> None:
    """A user with a password works without TLS, within its rights."""
    server = start_etcd()
    enable_users(server, user="n1", password=PASSWORD, prefix="/srv6kv/n1/")
    store = connect(server.endpoint, user="n1", password=PASSWORD)
    writer = store.acquire("n1", "the test")

    assert writer is not None
    assert store.holder("n1") == "the test"
    with pytest.raises(Refused, match="permission denied"):
        store.read(["/srv6kv/n2/"])


def test_wrong_password(start_etcd: StartEtcd, connect: Connect) -> None:
    """A wrong password is refused, as is no password, and the text holds neither of them."""
    server = start_etcd()
    enable_users(server, user="n1", password=PASSWORD, prefix="/srv6kv/n1/")
    wrong = connect(server.endpoint, user="n1", password="battery staple")
    with pytest.raises(Refused, match="authentication failed") as error:
        wrong.read(["/srv6kv/n1/"])
    with pytest.raises(Refused):
        connect(server.endpoint).read(["/srv6kv/n1/"])

    assert "battery" not in str(error.value)


def test_login_at_a_server_without_users(etcd: EmbeddedEtcd, connect: Connect, label: str) -> None:
    """A login is no harm where etcd knows no users."""
    store = connect(etcd.endpoint, user="n1", password=PASSWORD)

    assert store.read([f"/srv6kv/{label}/"]).entries == []


def test_token_that_idles_out(start_etcd: StartEtcd, connect: Connect) -> None:
    """A token that etcd has forgotten is renewed without the caller's notice, for a write too."""
    server = start_etcd("--auth-token-ttl=1")
    store, seen = connect(server.endpoint, user="n1", password=PASSWORD), Seen()
    store.put("/srv6kv/n1/a", "before there are users")
    enable_users(server, user="n1", password=PASSWORD, prefix="/srv6kv/n1/")
    store.put("/srv6kv/n1/a", "with a first token")
    root = connect(server.endpoint, user="root", password="root")
    # Nothing tells when a token runs out; a lease of the same server does, and lives longer.
    root.put("/clock", "", lease=root.lease(3))
    root.watch(["/clock"], 1, seen.on_changes, seen.on_lost)
    old = store._calls._token
    seen.wait_for_deletion("/clock")
    store.put("/srv6kv/n1/a", "with a second token")

    assert old
    assert store._calls._token not in (None, old)


def test_tokens_after_a_restart(start_etcd: StartEtcd, connect: Connect) -> None:
    """A restarted server knows no token any more; reads and watches go on with new ones."""
    server, seen = start_etcd(), Seen()
    enable_users(server, user="n1", password=PASSWORD, prefix="/srv6kv/n1/")
    store = connect(server.endpoint, user="n1", password=PASSWORD)
    store.put("/srv6kv/n1/a", "1")
    server.kill()
    server.start()
    snapshot = eventually(lambda: store.read(["/srv6kv/n1/"]), Unavailable)
    store.watch(["/srv6kv/n1/"], snapshot.revision, seen.on_changes, seen.on_lost)
    seen.wait_for_revision(snapshot.revision)

    assert [entry.value for entry in snapshot.entries] == [b"1"]


def test_watch_with_an_old_token(start_etcd: StartEtcd, connect: Connect) -> None:
    """A watch that is opened with a dead token is lost as unavailable, and the next one works."""
    server, first, second = start_etcd(), Seen(), Seen()
    enable_users(server, user="n1", password=PASSWORD, prefix="/srv6kv/n1/")
    store = connect(server.endpoint, user="n1", password=PASSWORD)
    store.put("/srv6kv/n1/a", "1")
    etcdctl(server, "auth", "disable", login="root:root")
    etcdctl(server, "auth", "enable")
    store.watch(["/srv6kv/n1/"], 1, first.on_changes, first.on_lost)
    first.wait(lambda one: bool(one.lost))
    store.watch(["/srv6kv/n1/"], 1, second.on_changes, second.on_lost)
    second.wait(lambda one: bool(one.batches))

    assert [type(error) for error in first.lost] == [Unavailable]


def test_watch_without_the_right(start_etcd: StartEtcd, connect: Connect) -> None:
    """A watch of what a user may not read is lost as refused."""
    server, seen = start_etcd(), Seen()
    enable_users(server, user="n1", password=PASSWORD, prefix="/srv6kv/n1/")
    store = connect(server.endpoint, user="n1", password=PASSWORD)
    store.watch(["/srv6kv/n1/", "/srv6kv/n2/"], 1, seen.on_changes, seen.on_lost)
    seen.wait(lambda one: bool(one.lost))

    assert [type(error) for error in seen.lost] == [Refused]


IDLE = """
import sys
from srv6kv.etcd.store import Etcd3Store
store = Etcd3Store(sys.argv[1:])
store.read(["/srv6kv/"])
sys.stdin.read()
store.read(["/srv6kv/"])
store.close()
"""


@pytest.mark.faults
def test_idle_client_is_left_in_peace(start_etcd: StartEtcd, connect: Connect) -> None:
    """A client that asks nothing for most of a minute sends no pings, for which etcd would end its
    connection."""
    server, seen = start_etcd(), Seen()
    store = connect(server.endpoint)
    idle = subprocess.Popen(
        [sys.executable, "-c", IDLE, server.endpoint],
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "GRPC_VERBOSITY": "ERROR"},
        text=True,
    )
    store.put("/clock", "", lease=store.lease(45))
    store.watch(["/clock"], 1, seen.on_changes, seen.on_lost)
    seen.wait(
        lambda one: any(change.value is None for _, found in one.batches for change in found), 60
    )
    _, said = idle.communicate("", timeout=SECONDS)

    assert idle.returncode == 0
    assert said == ""


def test_time_of_a_call(start_etcd: StartEtcd, connect: Connect, label: str, timed: Timed) -> None:
    """A call that no server answers is given up at its deadline; the next one has twice the time,
    so that a slow server is not asked the same again and again."""
    server = start_etcd()
    with TcpProxy(server.endpoint) as proxy:
        store = connect(proxy.endpoint, timeout=0.5)
        writer = store.acquire(label, "the test")
        assert writer is not None
        proxy.freeze()
        spent = []
        for _ in range(2):
            started = time.monotonic()
            with pytest.raises(Unavailable):
                store.commit(Transaction(()), writer=writer, read_revision=0)
            spent.append(time.monotonic() - started)
        proxy.thaw()

    assert spent[0] >= 0.5
    assert spent[1] >= 1.0
    timed("a call of half a second, the second time", spent[1], 2.5)
