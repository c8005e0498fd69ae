"""The store against a real etcd: reads, commits, the writer key."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import pytest
from etcd_server import SECONDS, Seen
from figures import Timed

from srv6kv.errors import Conflict, Refused
from srv6kv.etcd.embedded import EmbeddedEtcd
from srv6kv.etcd.store import PAGE, Change, Etcd3Store, KeyValue, Writer
from srv6kv.etcd.values import KeysChanged
from srv6kv.txn.limits import DEFAULT, MAX_BYTES, size_of
from srv6kv.txn.transaction import FullKey, Operation, Transaction

pytestmark = pytest.mark.usefixtures("no_thread_is_left")


@pytest.fixture(scope="module")
def etcd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedEtcd]:
    """A server of this module's own: its tests count revisions."""
    with EmbeddedEtcd(tmp_path_factory.mktemp("etcd")) as server:
        yield server


def policies(label: str) -> str:
    """Where a node's policies are."""
    return f"/vnf-agent/{label}/config/vpp/srv6/v2/policy/"


def puts(folder: str, number: int, guard: int = 0, value: bytes = b"{}") -> Transaction:
    """Puts of so many keys in a folder."""
    return Transaction(
        tuple(Operation(FullKey(f"{folder}{n:04}"), value, guard) for n in range(number))
    )


def commit(store: Etcd3Store, writer: Writer, *operations: Operation) -> int:
    """Commits at the revision that etcd is at, and returns the new one."""
    now = store.read([writer.key]).revision

    return store.commit(Transaction(operations), writer=writer, read_revision=now)


def test_read_is_ordered_and_exact(store: Etcd3Store, writer: Writer, label: str) -> None:
    """A read has the keys of each prefix in order, with value and mod revision, and no others."""
    one, two = policies(label), f"/srv6kv/{label}/ranges"
    first = commit(
        store,
        writer,
        Operation(FullKey(one + "5555::b"), b"b", 0),
        Operation(FullKey(two), b"{}", 0),
    )
    second = commit(store, writer, Operation(FullKey(one + "5555::a"), b"a", 0))
    store.put(policies(label + "-other") + "5555::c", "not of this label")

    snapshot = store.read([one, two])

    assert snapshot.revision == second + 1
    assert snapshot.entries == [
        KeyValue(FullKey(one + "5555::a"), b"a", second),
        KeyValue(FullKey(one + "5555::b"), b"b", first),
        KeyValue(FullKey(two), b"{}", first),
    ]


def test_read_pages_are_of_one_revision(store: Etcd3Store, writer: Writer, label: str) -> None:
    """More keys than a page holds come complete, all as of the revision of the first page."""
    folder, other = policies(label), f"/srv6kv/{label}/ranges"
    written = store.commit(puts(folder, PAGE + 1), writer=writer, read_revision=0)
    pages = store._pages(folder, 0)
    first = next(pages)
    store.put(other, "later")
    store.delete(f"{folder}{PAGE:04}")
    rest = list(pages)

    assert (len(first.kvs), first.header.revision) == (PAGE, written)
    assert [kv.key.decode() for page in rest for kv in page.kvs] == [f"{folder}{PAGE:04}"]
    assert [page.count for page in store._pages(other, written)] == [0]
    assert len(store.read([folder]).entries) == PAGE


def test_read_of_a_compacted_revision(
    start_etcd: Callable[..., EmbeddedEtcd], connect: Callable[..., Etcd3Store], label: str
) -> None:
    """Pages of a revision that is compacted meanwhile end in a conflict: read again."""
    store = connect(start_etcd().endpoint)
    store.put(f"/srv6kv/{label}/a", "1")
    old = store.read([f"/srv6kv/{label}/"]).revision
    store.put(f"/srv6kv/{label}/a", "2")
    store.compact(old + 1)

    with pytest.raises(Conflict, match="compacted"):
        list(store._pages(f"/srv6kv/{label}/", old))


@pytest.mark.parametrize("number", [1, DEFAULT.flat, DEFAULT.flat + 1, DEFAULT.most])
def test_commit_is_one_revision_in_order(
    store: Etcd3Store, writer: Writer, label: str, number: int
) -> None:
    """A commit of any size is one revision, and a watch sees its operations in their order."""
    folder = policies(label)
    mixed = [
        Operation(FullKey(f"{folder}{n:04}"), None if n % 3 == 0 else b"new", n % 3 and 1)
        for n in reversed(range(number))
    ]
    before = store.commit(puts(folder, number, value=b"old"), writer=writer, read_revision=0)
    guarded = tuple(Operation(one.key, one.value, before) for one in mixed)
    seen = Seen()
    store.watch([folder], before + 1, seen.on_changes, seen.on_lost)
    revision = store.commit(Transaction(guarded), writer=writer, read_revision=before)
    seen.wait_for_revision(revision)

    assert revision == before + 1
    assert [(one.key, one.value) for one in guarded] == [
        (change.key, change.value) for _, changes in seen.batches for change in changes
    ]
    assert [revision] == [number for number, _ in seen.batches]


@pytest.mark.parametrize("number", [DEFAULT.flat, DEFAULT.flat + 1])
def test_commit_with_extra(store: Etcd3Store, writer: Writer, label: str, number: int) -> None:
    """Extra operations are in the same revision, last, and need no guard."""
    ranges = f"/srv6kv/{label}/ranges"
    store.put(ranges, "whatever was there")
    seen = Seen()
    start = store.read([ranges]).revision + 1
    store.watch([f"/srv6kv/{label}/"], start, seen.on_changes, seen.on_lost)
    revision = store.commit(
        puts(policies(label), number - 1),
        writer=writer,
        read_revision=0,
        extra=[Operation(FullKey(ranges), b"5555::/96", 0)],
    )
    seen.wait_for_revision(revision)

    assert [(ranges, b"5555::/96", revision)] == [
        (one.key, one.value, one.mod_revision) for _, changes in seen.batches for one in changes
    ]


def test_commit_that_is_too_large(store: Etcd3Store, writer: Writer, label: str) -> None:
    """More operations, more bytes or more of one key than a revision holds are refused unsent."""
    folder = policies(label)
    large = Operation(FullKey(folder + "5555::a"), bytes(MAX_BYTES), 0)
    small = Operation(FullKey(folder + "5555::b"), b"{}", 0)
    for transaction in (
        puts(folder, DEFAULT.most + 1),
        Transaction((large,)),
        Transaction((small, small)),
    ):
        with pytest.raises(ValueError, match=r"operations|bytes|twice"):
            store.commit(transaction, writer=writer, read_revision=0)

    assert store.read([folder]).entries == []


@pytest.mark.parametrize("count", [1, DEFAULT.flat, DEFAULT.most])
def test_a_server_takes_the_most_that_is_allowed(
    store: Etcd3Store, writer: Writer, label: str, count: int
) -> None:
    """So many bytes in one operation, in a flat transaction and in branches, at its defaults."""
    folder = policies(label) + "x" * 100
    keys = [f"{folder}{number:04}" for number in range(count)]
    size, rest = divmod(MAX_BYTES - sum(map(len, keys)), count)
    values = [bytes(size + (number < rest)) for number in range(count)]
    operations = [
        Operation(FullKey(key), value, 0) for key, value in zip(keys, values, strict=True)
    ]
    assert size_of(operations) == MAX_BYTES

    assert store.commit(Transaction(tuple(operations)), writer=writer, read_revision=0)


def test_guards(store: Etcd3Store, writer: Writer, label: str) -> None:
    """A guard of 0 wants no key, any other the key at that revision; both for puts and deletes."""
    key = policies(label) + "5555::d765"
    created = commit(store, writer, Operation(FullKey(key), b"1", 0))
    for guard, found in (
        (0, f"mod revision {created}, expected absent"),
        (created + 1, "expected"),
    ):
        for value in (b"2", None):
            with pytest.raises(Conflict, match=found):
                commit(store, writer, Operation(FullKey(key), value, guard))
    deleted = commit(store, writer, Operation(FullKey(key), None, created))
    with pytest.raises(Conflict, match=f"{key}: mod revision absent, expected {created}"):
        commit(store, writer, Operation(FullKey(key), b"3", created))

    assert deleted == created + 1
    assert store.read([key]).entries == []


def test_a_conflict_tells_what_the_keys_hold(store: Etcd3Store, writer: Writer, label: str) -> None:
    """What did not hold comes with the error, value and mod revision, or that the key is gone."""
    folder = policies(label)
    made = commit(store, writer, *puts(folder, 4).operations)
    store.put(f"{folder}0001", "of others")
    store.delete(f"{folder}0002")
    with pytest.raises(KeysChanged) as refused:
        commit(store, writer, *puts(folder, 4, made, b"new").operations)

    assert refused.value.revision == made + 2
    assert refused.value.changes == (
        Change(FullKey(f"{folder}0001"), b"of others", made + 1),
        Change(FullKey(f"{folder}0002"), None, made + 2),
    )


def test_one_failed_guard_writes_nothing(store: Etcd3Store, writer: Writer, label: str) -> None:
    """If one key of many has changed, none is written, and the error names it."""
    folder = policies(label)
    store.put(f"{folder}0007", "of somebody else")
    with pytest.raises(Conflict, match="0007: mod revision") as refused:
        commit(store, writer, *puts(folder, 20).operations)

    assert "\n" not in str(refused.value)
    assert [f"{folder}0007"] == [entry.key for entry in store.read([folder]).entries]


def test_large_commit_is_guarded_by_what_was_read(
    store: Etcd3Store, writer: Writer, label: str
) -> None:
    """A large commit fails if anything next to its keys is newer than what was read."""
    folder = policies(label)
    read = store.read([folder]).revision
    store.put(f"{folder}5555::a", "of somebody else")
    with pytest.raises(Conflict, match=f"5555::a: mod revision {read + 1}, read at {read}"):
        store.commit(puts(folder, DEFAULT.flat + 1), writer=writer, read_revision=read)
    revision = store.commit(puts(folder, 121), writer=writer, read_revision=read + 1)

    assert revision == read + 2


def test_large_commit_of_two_models(store: Etcd3Store, writer: Writer, label: str) -> None:
    """A change elsewhere in the agent's configuration does not hinder a large commit."""
    route = f"/vnf-agent/{label}/config/vpp/v2/route/vrf/0/dst/6666:0:0:1::5/128/gw/::"
    read = store.read([policies(label)]).revision
    store.put(f"/vnf-agent/{label}/config/vpp/v2/arp/tap/2001::1", "{}")
    both = Transaction(
        (*puts(policies(label), 121).operations, Operation(FullKey(route), b"{}", 0))
    )
    store.commit(both, writer=writer, read_revision=read)
    with pytest.raises(Conflict, match="read at"):
        store.commit(both, writer=writer, read_revision=read)


@pytest.mark.parametrize("number", [1, DEFAULT.flat + 1])
def test_commit_needs_the_writer_key(
    store: Etcd3Store, writer: Writer, label: str, number: int
) -> None:
    """A writer whose key is gone, or somebody else's by now, writes nothing and is lost."""
    store.delete(writer.key)
    successor = store.acquire(label, "the next one")
    with pytest.raises(Conflict, match="writer is not ours any more"):
        store.commit(puts(policies(label), number), writer=writer, read_revision=1 << 40)

    assert successor is not None
    assert writer.lost.is_set()
    assert store.read([policies(label)]).entries == []


def test_one_writer_at_a_time(store: Etcd3Store, writer: Writer, label: str) -> None:
    """While one holds the key nobody else gets it; everybody can read who it is."""
    assert store.acquire(label, "a second one") is None
    assert store.holder(label) == "the test"
    assert not writer.lost.is_set()
    assert store.acquire(f"{label}-other", "another label's") is not None


def test_released_key_is_free(store: Etcd3Store, writer: Writer, label: str) -> None:
    """A released key can be taken at once, and the old writer cannot write any more."""
    writer.release()
    writer.release()

    assert store.holder(label) is None
    successor = store.acquire(label, "the next one")
    assert successor is not None
    assert successor.create_revision > writer.create_revision
    with pytest.raises(Conflict):
        commit(store, writer, Operation(FullKey(policies(label) + "5555::a"), b"{}", 0))


def test_revoked_lease_is_lost(store: Etcd3Store, label: str) -> None:
    """A writer whose lease is revoked by others is told within the time to live."""
    writer = store.acquire(label, "the test", ttl=2)
    assert writer is not None
    store.revoke_lease(store.get(writer.key)[1].lease_id)

    assert writer.lost.wait(SECONDS)
    assert store.holder(label) is None


def test_lease_is_kept_alive(store: Etcd3Store, label: str) -> None:
    """A writer outlives the time to live of its lease as long as it runs, and no longer."""
    writer = store.acquire(label, "the test", ttl=2)
    clock = store.lease(2)
    assert writer is not None
    store.put(f"/srv6kv/{label}/clock", "", lease=clock)
    until = Seen()
    start = writer.create_revision
    store.watch([f"/srv6kv/{label}/"], start, until.on_changes, until.on_lost)
    until.wait_for_deletion(f"/srv6kv/{label}/clock")
    kept = store.holder(label)
    writer.abandon()
    until.wait_for_deletion(writer.key)

    assert kept == "the test"
    assert store.holder(label) is None


def test_too_large_for_the_server(store: Etcd3Store, label: str) -> None:
    """What the server refuses is refused, in one line that names it."""
    with pytest.raises(Refused, match=r"^etcd 127\.0\.0\.1:\d+: .*too large$"):
        store.put(f"/srv6kv/{label}/a", bytes(1_600_000))


def test_close_ends_everything(store: Etcd3Store, label: str, timed: Timed) -> None:
    """Closing ends watches without a call back and gives up writers."""
    seen = Seen()
    writer = store.acquire(label, "the test")
    assert writer is not None
    watch = store.watch([writer.key], writer.create_revision, seen.on_changes, seen.on_lost)
    seen.wait(lambda one: bool(one.batches))
    started = time.monotonic()
    store.close()

    timed("the end of a client of etcd", time.monotonic() - started, 2.0)
    assert writer.lost.is_set()
    assert (watch.is_running, seen.lost) == (False, [])
