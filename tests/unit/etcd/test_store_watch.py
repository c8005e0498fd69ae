"""The store's watches against a real etcd."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from queue import Queue

import pytest
from etcd_server import SECONDS, Seen

from srv6kv.errors import Conflict, Unavailable
from srv6kv.etcd.embedded import EmbeddedEtcd
from srv6kv.etcd.store import Change, Etcd3Store, Watch, Writer
from srv6kv.txn.limits import DEFAULT
from srv6kv.txn.transaction import FullKey, Operation, Transaction

pytestmark = pytest.mark.usefixtures("no_thread_is_left")

Connect = Callable[..., Etcd3Store]
StartEtcd = Callable[..., EmbeddedEtcd]


@pytest.fixture(scope="module")
def etcd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedEtcd]:
    """A server of this module's own: its tests count revisions."""
    with EmbeddedEtcd(tmp_path_factory.mktemp("etcd")) as server:
        yield server


def follow(store: Etcd3Store, seen: Seen, start: int, *prefixes: str) -> Watch:
    """Watches these prefixes for a test."""
    return store.watch(prefixes, start, seen.on_changes, seen.on_lost)


def test_watch_resumes_at_a_revision(store: Etcd3Store, label: str) -> None:
    """A watch delivers what was written since its revision, then what comes, in order."""
    key, seen = f"/srv6kv/{label}/a", Seen()
    store.put(key, "before")
    start = store.read([key]).revision + 1
    store.put(key, "1")
    store.delete(key)
    follow(store, seen, start, key)
    seen.wait_for_revision(start + 1)
    store.put(key, "2")
    seen.wait_for_revision(start + 2)

    assert seen.batches == [
        (start, [Change(FullKey(key), b"1", start)]),
        (start + 1, [Change(FullKey(key), None, start + 1)]),
        (start + 2, [Change(FullKey(key), b"2", start + 2)]),
    ]


def test_watch_of_several_prefixes(store: Etcd3Store, label: str) -> None:
    """Prefixes share a watch, each in its own order, and what is not under them is not seen."""
    one, two, seen = f"/vnf-agent/{label}/", f"/srv6kv/{label}/", Seen()
    start = store.read([one]).revision + 1
    follow(store, seen, start, one, two)
    for key in (one + "a", f"/vnf-agent/{label}-other/a", two + "b"):
        store.put(key, "{}")
    seen.wait(lambda one: len(one.batches) >= 2)

    assert sorted(seen.batches) == [
        (start, [Change(FullKey(one + "a"), b"{}", start)]),
        (start + 2, [Change(FullKey(two + "b"), b"{}", start + 2)]),
    ]


def test_large_revision_comes_together(store: Etcd3Store, writer: Writer, label: str) -> None:
    """Many changes of one revision that the server sends in fragments are delivered as one."""
    folder, seen = f"/vnf-agent/{label}/config/vpp/srv6/v2/policy/", Seen()
    start = store.read([folder]).revision + 1
    value = bytes(200)
    operations = tuple(Operation(FullKey(f"{folder}{n:04}"), value, 0) for n in range(DEFAULT.most))
    sizes = [start + n for n in range(3)]
    for revision in sizes:
        guarded = tuple(
            Operation(one.key, one.value, 0 if revision == start else revision - 1)
            for one in operations
        )
        store.commit(Transaction(guarded), writer=writer, read_revision=revision - 1)
    follow(store, seen, start, folder)
    seen.wait_for_revision(start + 2)

    assert [(number, len(changes)) for number, changes in seen.batches] == [
        (number, DEFAULT.most) for number in sizes
    ]


def test_progress_without_changes(start_etcd: StartEtcd, connect: Connect, label: str) -> None:
    """A quiet watch is told up to where nothing has happened under all its prefixes."""
    server = start_etcd("--experimental-watch-progress-notify-interval=100ms")
    store, seen = connect(server.endpoint), Seen()
    follow(store, seen, 1, f"/srv6kv/{label}/", f"/vnf-agent/{label}/")
    for _ in range(3):
        store.put("/elsewhere", "")
    revision = store.read(["/elsewhere"]).revision
    seen.wait_for_revision(revision)

    assert {changes == [] for _, changes in seen.batches} == {True}
    assert [number for number, _ in seen.batches] == sorted(number for number, _ in seen.batches)


def test_watch_of_a_compacted_revision(start_etcd: StartEtcd, connect: Connect, label: str) -> None:
    """A watch from a revision that is compacted is lost, once, with a conflict: read again."""
    store, seen = connect(start_etcd().endpoint), Seen()
    for _ in range(5):
        store.put(f"/srv6kv/{label}/a", "")
    store.compact(store.read([f"/srv6kv/{label}/"]).revision)
    watch = follow(store, seen, 2, f"/srv6kv/{label}/", f"/vnf-agent/{label}/")
    seen.wait(lambda one: bool(one.lost))
    watch.cancel()

    assert [type(error) for error in seen.lost] == [Conflict]
    assert "revisions before 6 are compacted" in str(seen.lost[0])
    assert seen.batches == []


def test_watch_of_a_dying_server(start_etcd: StartEtcd, connect: Connect, label: str) -> None:
    """A watch whose server goes is lost, once, and a new one goes on where it was."""
    server = start_etcd()
    store, first, second = connect(server.endpoint), Seen(), Seen()
    key = f"/srv6kv/{label}/a"
    follow(store, first, 1, key)
    store.put(key, "1")
    first.wait_for_revision(2)
    server.kill()
    first.wait(lambda one: bool(one.lost))
    server.start()
    other = connect(server.endpoint)
    other.put(key, "2")
    follow(other, second, 3, key)
    second.wait_for_revision(3)

    assert [type(error) for error in first.lost] == [Unavailable]
    assert second.batches == [(3, [Change(FullKey(key), b"2", 3)])]


def test_cancelled_watch_is_silent(store: Etcd3Store, label: str) -> None:
    """After a watch is cancelled, even by its own callback, nothing is called back any more."""
    key, seen, other = f"/srv6kv/{label}/a", Seen(), Seen()
    start = store.read([key]).revision + 1
    for _ in range(3):
        store.put(key, "")
    watches: Queue[Watch] = Queue()

    def cancel_at_once(changes: list[Change], revision: int) -> None:
        seen.on_changes(changes, revision)
        watches.get(timeout=SECONDS).cancel()

    watch = store.watch([key], start, cancel_at_once, seen.on_lost)
    watches.put(watch)
    follow(store, other, start, key)
    other.wait_for_revision(start + 2)
    seen.wait_for_revision(start)
    watch.cancel()

    assert not watch.is_running
    assert ([number for number, _ in seen.batches], seen.lost) == ([start], [])


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_failing_callback_ends_the_watch(store: Etcd3Store, label: str) -> None:
    """A watch whose callback fails says so to its owner instead of dying in silence."""
    key, seen = f"/srv6kv/{label}/a", Seen()
    start = store.read([key]).revision + 1
    store.put(key, "")

    def fail(changes: list[Change], revision: int) -> None:
        raise LookupError("the callback's own fault")

    watch = store.watch([key], start, fail, seen.on_lost)
    seen.wait(lambda one: bool(one.lost))
    watch.cancel()

    assert [type(error) for error in seen.lost] == [Unavailable]


def test_many_watches_one_by_one(store: Etcd3Store, label: str) -> None:
    """Watches that are made and cancelled in a row leave nothing behind."""
    seen = Seen()
    watches = [follow(store, seen, 1 << 40, f"/srv6kv/{label}/") for _ in range(20)]
    for watch in watches:
        watch.cancel(SECONDS)

    assert [watch.is_running for watch in watches] == [False] * 20
    assert seen.lost == []
