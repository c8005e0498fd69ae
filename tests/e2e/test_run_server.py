"""``srv6kv run`` while its etcd compacts, runs out of space, or forgets who is logged in."""

from __future__ import annotations

import signal
import time
from collections import deque
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from etcd_server import enable_users, etcdctl
from history import History
from invariants import broken
from processes import MYSERVICE, NODE, Bench, service
from tcp_proxy import SECONDS, TcpProxy

from srv6kv.agent.status import STATUS
from srv6kv.cluster import noderecords
from srv6kv.errors import Refused
from srv6kv.etcd.embedded import EmbeddedEtcd
from srv6kv.etcd.store import Etcd3Store

Connect = Callable[..., Etcd3Store]
StartEtcd = Callable[..., EmbeddedEtcd]

FULL = "its quota is used up"
PASSWORD = "correct horse"
QUOTA = 16 << 20
LIFETIME = 1.0
"""Seconds that a signed token is good for, used or not."""


@pytest.fixture
def new_bench(tmp_path: Path) -> Iterator[Callable[[EmbeddedEtcd], Bench]]:
    """Makes the node for an etcd of the test's own."""
    made: list[Bench] = []

    def new(server: EmbeddedEtcd) -> Bench:
        made.append(Bench(tmp_path / "bench", server, NODE))
        made[0].settings("srv6kv:", "  replaceWindow: 0s")
        return made[0]

    yield new
    for bench in made:
        bench.end()


def fill(store: Etcd3Store) -> None:
    """Write until the server takes no more."""
    write_all: partial[object] = partial(
        deque, (store.put("/filler", bytes(1 << 20)) for _ in range(100))
    )
    with pytest.raises(Refused, match=FULL):
        write_all()


def make_space(server: EmbeddedEtcd, store: Etcd3Store) -> None:
    """What an operator does about it."""
    store.delete_prefix("/filler")
    etcdctl(server, "compact", str(store.read(["/filler"]).revision), "--physical")
    etcdctl(server, "defrag")
    etcdctl(server, "alarm", "disarm")


def test_quota_is_used_up(
    start_etcd: StartEtcd, connect: Connect, new_bench: Callable[[EmbeddedEtcd], Bench]
) -> None:
    """While etcd has no space left nothing is lost and one line says what to do; when there is
    space again, the change is written without a restart."""
    server = start_etcd(f"--quota-backend-bytes={QUOTA}")
    store, bench = connect(server.endpoint), new_bench(server)
    bench.load_agent_state(store)
    history = History(store, bench.label)
    process = bench.run()
    history.wait_for(bench.expected())
    before = history.last()
    fill(store)
    bench.change()
    process.wait_for(FULL)
    make_space(server, store)
    started = time.monotonic()
    history.wait_for(bench.expected())
    print(f"in step {time.monotonic() - started:.2f} s after there is space again")

    assert len(history.revisions(after=before)) == 1
    assert len(process.said(FULL)) == 1
    assert len(process.said("trying again")) == 1
    assert broken(bench, history) == []


@pytest.mark.faults
def test_start_without_space(
    start_etcd: StartEtcd, connect: Connect, new_bench: Callable[[EmbeddedEtcd], Bench]
) -> None:
    """A process that is started while etcd has no space waits, says so once, and then writes."""
    server = start_etcd(f"--quota-backend-bytes={QUOTA}")
    store, bench = connect(server.endpoint), new_bench(server)
    bench.load_agent_state(store)
    history = History(store, bench.label)
    fill(store)
    process = bench.run()
    process.wait_for(FULL)
    assert process.is_running
    make_space(server, store)
    history.wait_for(bench.expected())

    assert len(process.said(FULL)) == 1
    assert broken(bench, history) == []


def test_compaction_past_our_revision(
    start_etcd: StartEtcd, connect: Connect, new_bench: Callable[[EmbeddedEtcd], Bench]
) -> None:
    """If what happens between a read and its watch is compacted, everything is read again and
    mended, with one line that says why."""
    server = start_etcd()
    with TcpProxy(server.endpoint) as proxy:
        store, bench = connect(server.endpoint), new_bench(server)
        bench.load_agent_state(store)
        bench.etcd = ["--etcd", proxy.endpoint]
        history = History(store, bench.label)
        process = bench.run()
        history.wait_for(bench.expected())
        process.wait_for("sync put=")  # else it has not the answer yet
        proxy.hold(f"{bench.prefix}{STATUS}".encode())  # read last, before the watch begins
        proxy.cut()
        assert proxy.struck.wait(SECONDS)
        bench.interfere(store, {MYSERVICE: None})
        bench.put_foreign(store, "config/others/one", "{}")
        history.wait(lambda: bench.foreign.items() <= history.state().items())
        etcdctl(server, "compact", str(history.last()), "--physical")
        proxy.thaw()
        process.wait_for("are compacted; trying again")
        started = time.monotonic()
        history.wait_for(bench.expected())
        print(f"in step {time.monotonic() - started:.2f} s after the watch was refused")
        process.stop()

    assert len(process.said("are compacted")) == 1
    assert broken(bench, history) == []


def test_compaction_in_its_sleep(
    start_etcd: StartEtcd, connect: Connect, new_bench: Callable[[EmbeddedEtcd], Bench]
) -> None:
    """If what a watch has not yet delivered is compacted, everything is read again and mended. A
    sleep that is longer than the lease ends the session before the watch is refused."""
    server = start_etcd()
    store, bench = connect(server.endpoint), new_bench(server)
    bench.load_agent_state(store)
    history = History(store, bench.label)
    process = bench.run()
    history.wait_for(bench.expected())
    process.wait_for("sync put=")  # else it is stopped before it has etcd's answer
    process.send(signal.SIGSTOP)
    bench.interfere(store, {MYSERVICE: None})
    # More than connection and etcd hold for a client that does not read: megabytes in buffers of
    # the kernel, then a thousand revisions in a queue of etcd's.
    for number in range(2500):
        size = 1 << 20 if number < 40 else 1
        bench.put_foreign(store, "config/others/one", f"{number}".zfill(size))
    [newest] = store.read([bench.prefix + "config/others/one"]).entries
    history.wait(lambda: history.last() >= newest.mod_revision)
    etcdctl(server, "compact", str(history.last()), "--physical")
    process.send(signal.SIGCONT)
    process.wait_for("trying again")
    history.wait_for(bench.expected())

    assert len(process.said("trying again")) == 1
    assert broken(bench, history) == []


@pytest.mark.faults
def test_compaction_under_edits(
    start_etcd: StartEtcd, connect: Connect, new_bench: Callable[[EmbeddedEtcd], Bench]
) -> None:
    """Compaction and defragmentation again and again, always up to the newest revision, hinder
    nothing."""
    server = start_etcd()
    store, bench = connect(server.endpoint), new_bench(server)
    bench.load_agent_state(store)
    history = History(store, bench.label)
    process = bench.run()
    history.wait_for(bench.expected())
    for number in range(6):
        bench.restore() if number % 2 else bench.change()
        history.wait_for(bench.expected())
        etcdctl(server, "compact", str(history.last()), "--physical")
        etcdctl(server, "defrag")

    assert process.said("trying again") == []
    assert broken(bench, history) == []


def signed_tokens(folder: Path) -> str:
    """The option with which etcd signs tokens that are good for `LIFETIME`, with keys in files."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem, public = folder / "token.key", folder / "token.pub"
    pem.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.TraditionalOpenSSL,
            serialization.NoEncryption(),
        )
    )
    public.write_bytes(
        key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
    )
    files = f"pub-key={public},priv-key={pem}"
    return f"--auth-token=jwt,{files},sign-method=RS256,ttl={LIFETIME:.0f}s"


def secured(
    start_etcd: StartEtcd, connect: Connect, new_bench: Callable[[EmbeddedEtcd], Bench]
) -> tuple[EmbeddedEtcd, Bench]:
    """An etcd that knows users, and a node with its wiring that is one of them."""
    server = start_etcd()
    bench = new_bench(server)
    bench.load_agent_state(connect(server.endpoint))
    login(bench, server)
    return server, bench


def login(bench: Bench, server: EmbeddedEtcd) -> None:
    """Give the node a user of its own, who may use its two prefixes and read the node records."""
    enable_users(server, user=NODE, password=PASSWORD, prefix=bench.prefix)
    own = f"/srv6kv/{NODE}/"
    grant = ("role", "grant-permission", NODE, "readwrite", "--prefix", own)
    etcdctl(server, *grant, login="root:root")
    grant = ("role", "grant-permission", NODE, "read", "--prefix", noderecords.PREFIX)
    etcdctl(server, *grant, login="root:root")
    file = bench.folder / "password"
    file.write_text(PASSWORD + "\n")
    bench.etcd += ["--etcd-user", NODE, "--etcd-password-file", file]


@pytest.mark.faults
def test_tokens_expire(
    start_etcd: StartEtcd,
    connect: Connect,
    new_bench: Callable[[EmbeddedEtcd], Bench],
    tmp_path: Path,
) -> None:
    """Signed tokens that end after a second, and users that change, are not noticed: the process
    logs in again, and each edit is one revision."""
    server = start_etcd(signed_tokens(tmp_path))
    bench = new_bench(server)
    bench.load_agent_state(connect(server.endpoint))
    login(bench, server)
    root = connect(server.endpoint, user="root", password="root")
    history = History(root, bench.label)
    process = bench.run()
    history.wait_for(bench.expected())
    first = history.last()
    for number in range(2):
        before, started = history.last(), time.monotonic()
        history.wait_for_silence(LIFETIME * 1.1)
        bench.restore() if number % 2 else bench.change()
        history.wait_for(bench.expected())
        assert time.monotonic() - started > LIFETIME
        assert len(history.revisions(after=before)) == 1
    etcdctl(server, "user", "add", "another:one", login="root:root")
    bench.edit("more.yaml", service("more", "2096::c1", ["2001:0:0:1::6"]))
    history.wait_for(bench.expected())

    assert len(history.revisions(after=first)) == 3
    assert process.said("trying again") == []
    assert broken(bench, history) == []


@pytest.mark.faults
def test_wrong_password(
    start_etcd: StartEtcd, connect: Connect, new_bench: Callable[[EmbeddedEtcd], Bench]
) -> None:
    """With a wrong password it says so once, does not say the password, and asks about once a
    second; with the right one on the server it goes on."""
    server, bench = secured(start_etcd, connect, new_bench)
    (bench.folder / "password").write_text("battery-staple\n")
    process = bench.run()
    process.wait_for("authentication failed")
    change = ("user", "passwd", NODE, "--interactive=false")
    etcdctl(server, *change, login="root:root", stdin="battery-staple\n")
    history = History(connect(server.endpoint, user="root", password="root"), bench.label)
    history.wait_for(bench.expected())

    assert len(process.said("authentication failed")) == 1
    assert process.said("battery") == []
    assert broken(bench, history) == []


@pytest.mark.faults
def test_right_is_taken_away(
    start_etcd: StartEtcd, connect: Connect, new_bench: Callable[[EmbeddedEtcd], Bench]
) -> None:
    """Without the right to write it says so once and changes nothing; with it, it goes on."""
    server, bench = secured(start_etcd, connect, new_bench)
    history = History(connect(server.endpoint, user="root", password="root"), bench.label)
    process = bench.run()
    history.wait_for(bench.expected())
    before = history.last()
    end = bench.prefix[:-1] + "0"
    etcdctl(server, "role", "revoke-permission", NODE, bench.prefix, end, login="root:root")
    bench.change()
    process.wait_for("permission denied")
    grant = ("role", "grant-permission", NODE, "readwrite", "--prefix", bench.prefix)
    etcdctl(server, *grant, login="root:root")
    history.wait_for(bench.expected())

    assert len(history.revisions(after=before)) == 1
    assert len(process.said("permission denied")) == 1
    assert broken(bench, history) == []


@pytest.mark.faults
def test_users_come_and_go(
    start_etcd: StartEtcd, connect: Connect, new_bench: Callable[[EmbeddedEtcd], Bench]
) -> None:
    """That users are turned off and on again in etcd is not noticed."""
    server, bench = secured(start_etcd, connect, new_bench)
    process = bench.run()
    root = connect(server.endpoint, user="root", password="root")
    history = History(root, bench.label)
    history.wait_for(bench.expected())
    for _ in range(2):
        etcdctl(server, "auth", "disable", login="root:root")
        bench.change()
        history.wait_for(bench.expected())
        etcdctl(server, "auth", "enable")
        bench.restore()
        history.wait_for(bench.expected())

    assert process.said("trying again") == []
    assert broken(bench, history) == []
