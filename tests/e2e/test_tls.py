"""TLS: who is trusted, who we are, and certificates that change on disk."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from certificates import Certificates, TlsEtcd, tls_etcd
from etcd_server import Seen, eventually
from history import History
from invariants import broken
from processes import NODE, Bench

from srv6kv.errors import SettingsError, Unavailable
from srv6kv.etcd.embedded import EmbeddedEtcd
from srv6kv.etcd.store import Etcd3Store, Tls

pytestmark = pytest.mark.usefixtures("no_thread_is_left")

Connect = Callable[..., Etcd3Store]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[TlsEtcd]:
    """An etcd with TLS that runs."""
    server = tls_etcd(tmp_path)
    try:
        server.start()
        yield server
    finally:
        server.server.stop()


def reason(store: Etcd3Store) -> str:
    """Why a client gets no connection."""
    with pytest.raises(Unavailable) as error:
        store.read(["/srv6kv/"])
    store.close()
    return str(error.value)


def test_both_sides_are_known(server: TlsEtcd, connect: Connect) -> None:
    """With certificates on both sides everything works: reads, the writer key, watches."""
    store, seen = connect(server.endpoint, tls=server.tls()), Seen()
    writer = store.acquire("n1", "the test")
    assert writer is not None
    store.watch([writer.key], writer.create_revision, seen.on_changes, seen.on_lost)
    seen.wait_for_revision(writer.create_revision)

    assert store.holder("n1") == "the test"


def test_mistaken_identity(
    server: TlsEtcd, connect: Connect, tmp_path: Path, etcd: EmbeddedEtcd
) -> None:
    """Whatever is wrong with certificates, nothing is read, and one line says what it is."""
    ours, other = server.certificates, Certificates(tmp_path / "other")
    cert, key = ours.files("client")
    stranger = other.issue("client", "node1")
    garbage = tmp_path / "garbage.pem"
    garbage.write_text("no certificate")
    cases = {
        "it wants a client certificate": Tls(ours.ca),
        "another one than ours": Tls(ours.ca, *stranger),
        "not signed by the CA that we trust": Tls(other.ca, cert, key),
        "no PEM, or no pair": Tls(ours.ca, cert, stranger[1]),
        "CA, certificate and key": Tls(garbage, cert, key),
    }
    found = {text: reason(connect(server.endpoint, tls=tls)) for text, tls in cases.items()}
    found["perhaps it speaks TLS"] = reason(connect(f"http://{server.endpoint}"))
    found["perhaps it does not speak TLS"] = reason(connect(etcd.endpoint, tls=server.tls()))

    assert [text for text, line in found.items() if text not in line or "\n" in line] == []
    with pytest.raises(SettingsError, match="absent"):
        connect(server.endpoint, tls=Tls(tmp_path / "absent.pem")).read(["/srv6kv/"])


@pytest.mark.parametrize(
    ("host", "has_expired", "text"),
    [
        ("127.0.0.2", False, "its certificate is not for this address"),
        ("etcd.example", False, "its certificate is not for this address"),
        ("127.0.0.1", True, "its certificate has expired"),
    ],
)
def test_mistaken_server(
    server: TlsEtcd, connect: Connect, host: str, text: str, *, has_expired: bool
) -> None:
    """A server is refused whose certificate is for another host, or too old, although the CA is
    right; with a good one it is taken again by the same client."""
    store = connect(server.endpoint, tls=server.tls())
    server.certificates.issue("server", host, has_expired=has_expired)

    def refuse() -> None:
        with pytest.raises(Unavailable) as error:
            store.read(["/srv6kv/"])
        assert text in str(error.value)

    eventually(refuse, AssertionError)  # the server may read while the files are being written
    server.certificates.issue("server", "127.0.0.1")

    assert eventually(lambda: store.read(["/srv6kv/"]), Unavailable).entries == []


def test_everything_is_renewed(server: TlsEtcd, connect: Connect) -> None:
    """If CA and certificates change on disk, the same client goes on with the new ones, also if for
    a while they are half written or not there."""
    store, seen = connect(server.endpoint, tls=server.tls()), Seen()
    store.put("/srv6kv/n1/a", "1")
    server.server.kill()
    ours = server.certificates
    ours.renew_ca()
    ours.issue("server", "127.0.0.1")
    server.server.start()
    with pytest.raises(Unavailable, match="certificate"):
        store.put("/srv6kv/n1/a", "2")
    cert, _ = ours.files("client")
    cert.unlink()
    with pytest.raises(Unavailable, match="certificate"):
        store.put("/srv6kv/n1/a", "2")
    cert.write_text("half of")
    with pytest.raises(Unavailable, match="certificate"):
        store.put("/srv6kv/n1/a", "2")
    ours.issue("client", "node1")
    eventually(lambda: store.put("/srv6kv/n1/a", "2"), Unavailable)
    start = store.read(["/srv6kv/"]).revision
    store.watch(["/srv6kv/"], start, seen.on_changes, seen.on_lost)
    seen.wait_for_revision(start)

    assert [change.value for _, changes in seen.batches for change in changes] == [b"2"]


def test_run_over_a_renewal(server: TlsEtcd, connect: Connect, tmp_path: Path) -> None:
    """``srv6kv run`` goes on over a change of CA and certificates on disk, with one line."""
    bench = Bench(tmp_path / "bench", server.server, NODE)
    ours, (cert, key) = server.certificates, server.certificates.files("client")
    bench.etcd = ["--etcd", server.endpoint, "--etcd-ca", ours.ca]
    bench.etcd += ["--etcd-cert", cert, "--etcd-key", key]
    before = connect(server.endpoint, tls=server.tls())
    bench.load_agent_state(before)
    process = bench.run()
    History(before, bench.label).wait_for(bench.expected())
    server.server.kill()
    ours.renew_ca()
    ours.issue("server", "127.0.0.1")
    ours.issue("client", "node1")
    server.start()
    bench.change()
    history = History(connect(server.endpoint, tls=server.tls()), bench.label)
    history.wait_for(bench.expected())
    troubles = process.said("trying again")
    code = process.stop()

    assert code == 0
    assert len(troubles) == 1
    assert broken(bench, history) == []
