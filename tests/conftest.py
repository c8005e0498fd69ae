"""Fixtures that need a server: a real etcd, one for all tests or one of one's own."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from itertools import count
from pathlib import Path

import hypothesis
import pytest
from history import History
from processes import Bench

from srv6kv.embedded import EmbeddedEtcd
from srv6kv.store import Etcd3Store, Writer

# The same examples in every run; --hypothesis-profile=explore looks for new ones.
hypothesis.settings.register_profile("same", derandomize=True, deadline=None)
hypothesis.settings.register_profile("explore", deadline=None, print_blob=True)
hypothesis.settings.load_profile("same")

_LABELS = count(1)


def pytest_addoption(parser: pytest.Parser) -> None:
    """``--update`` rewrites what the scenarios expect."""
    parser.addoption("--update", action="store_true", help="rewrite tests/scenarios/*.txt")


@pytest.fixture(scope="session")
def etcd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedEtcd]:
    """An etcd that all tests share: use a label of your own, and never stop it."""
    with EmbeddedEtcd(tmp_path_factory.mktemp("etcd")) as server:
        yield server


@pytest.fixture
def label() -> str:
    """A node's label that no other test uses."""
    return f"node-{next(_LABELS)}"


@pytest.fixture
def no_thread_is_left() -> Iterator[None]:
    """The threads of whatever a test opens end with it."""
    before = set(threading.enumerate())
    yield
    left = [one.name for one in threading.enumerate() if one not in before]

    assert not [name for name in left if name.startswith("srv6kv")]


@pytest.fixture
def store(etcd: EmbeddedEtcd) -> Iterator[Etcd3Store]:
    """A client of the shared etcd."""
    client = Etcd3Store([etcd.endpoint])
    yield client
    client.close()


@pytest.fixture
def writer(store: Etcd3Store, label: str) -> Iterator[Writer]:
    """The right to write for the test's label in the shared etcd.

    It is given back: a lease that runs out later would be a revision in the middle of another test.
    """
    acquired = store.acquire(label, "the test")
    assert acquired is not None

    yield acquired
    acquired.release()


@pytest.fixture
def bench(tmp_path: Path, etcd: EmbeddedEtcd, store: Etcd3Store, label: str) -> Iterator[Bench]:
    """A node with its wiring in the shared etcd."""
    bench = Bench(tmp_path / "bench", etcd, label)
    bench.load_agent_state(store)
    yield bench
    bench.end()


@pytest.fixture
def history(store: Etcd3Store, bench: Bench) -> History:
    """What etcd goes through below the bench's label."""
    return History(store, bench.label)


@pytest.fixture
def start_etcd(tmp_path: Path) -> Iterator[Callable[..., EmbeddedEtcd]]:
    """Starts an etcd of the test's own, with further options; it ends with the test."""
    with ExitStack() as servers:

        def start(*options: str) -> EmbeddedEtcd:
            folder = tmp_path / f"etcd-{next(_LABELS)}"
            return servers.enter_context(EmbeddedEtcd(folder, options=options))

        yield start


@pytest.fixture
def connect() -> Iterator[Callable[..., Etcd3Store]]:
    """Makes clients, as Etcd3Store does; they are closed with the test."""
    with ExitStack() as clients:

        def make(*endpoints: str, **options: object) -> Etcd3Store:
            client = Etcd3Store(endpoints, **options)  # type: ignore[arg-type]  # passed through
            clients.callback(client.close)
            return client

        yield make
