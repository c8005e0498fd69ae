"""Fixtures that need a server: a real etcd, one for all tests or one of one's own."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from itertools import count
from pathlib import Path

import hypothesis
import pytest
import real_apiserver
import starts
from apiserver import FakeApiServer
from cluster_seen import Follow, SeenCluster
from decoders import Decoders, why_not
from figures import Figures, Timed
from history import History
from lab import binaries
from lab.lab import Lab, started
from processes import Bench
from real_apiserver import ApiUnderTest, RealApiServer

from srv6kv.etcd.embedded import EmbeddedEtcd
from srv6kv.etcd.store import Etcd3Store, Writer
from srv6kv.sources import apiwatch, pace

# The same examples in every run; --hypothesis-profile=explore looks for new ones.
hypothesis.settings.register_profile("same", derandomize=True, deadline=None)
hypothesis.settings.register_profile("explore", deadline=None, print_blob=True)
hypothesis.settings.load_profile("same")

_LABELS = count(1)
_FIGURES = pytest.StashKey[Figures]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """``--update`` rewrites what the scenarios expect; ``--faults`` runs the long tests."""
    parser.addoption("--update", action="store_true", help="rewrite tests/scenarios/*.txt")
    parser.addoption("--faults", action="store_true", help="run the long tests, and only those")
    parser.addoption(
        "--benchmark",
        action="store_true",
        help="hold times against their limits, on a quiet machine",
    )
    parser.addoption("--seed", type=int, default=20261124, help="another order of faults")


def pytest_configure(config: pytest.Config) -> None:
    """The marker of the long tests, and where they leave their figures."""
    config.addinivalue_line("markers", "faults: takes minutes; runs with --faults only")
    config.stash[_FIGURES] = Figures()
    starts.is_forking = not config.getoption("--faults")
    # As Ctrl-C does it: what fixtures have started they end.
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, signal.default_int_handler)


def pytest_unconfigure() -> None:
    """The process behind the starts of srv6kv ends with the tests."""
    starts.end()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """The long tests run alone, or not at all; so do, with ``--benchmark``, those that time."""
    is_long, is_benchmark = config.getoption("--faults"), config.getoption("--benchmark")

    def is_wanted(item: pytest.Item) -> bool:
        is_timed = "timed" in getattr(item, "fixturenames", ())
        is_faults = item.get_closest_marker("faults") is not None
        return is_faults is is_long and (is_timed or not is_benchmark)

    others = [one for one in items if not is_wanted(one)]
    if others:
        config.hook.pytest_deselected(items=others)
        items[:] = [one for one in items if is_wanted(one)]


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """The table of what the long tests measured."""
    figures = config.stash[_FIGURES]
    if figures.rows:
        terminalreporter.section("figures")
        for line in figures.table():
            terminalreporter.line(line)


@pytest.fixture
def seed(pytestconfig: pytest.Config) -> int:
    """What chance begins with where faults come in a seeded order."""
    chosen: int = pytestconfig.getoption("--seed")
    return chosen


@pytest.fixture
def figures(pytestconfig: pytest.Config) -> Figures:
    """Where a long test leaves what it measured and shows how far it is."""
    figures = pytestconfig.stash[_FIGURES]
    capture = pytestconfig.pluginmanager.getplugin("capturemanager")

    def say(line: str) -> None:
        with capture.global_and_fixture_disabled():
            print(f"\n  {line}", end="", flush=True)

    figures.say = say
    return figures


@pytest.fixture
def timed(figures: Figures, pytestconfig: pytest.Config) -> Timed:
    """Where a test leaves a time that has a limit on a quiet machine."""
    return Timed(figures, pytestconfig.getoption("--benchmark"))


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


@pytest.fixture
def api(tmp_path: Path) -> Iterator[FakeApiServer]:
    """The tests' API server."""
    with FakeApiServer(tmp_path) as server:
        yield server


@pytest.fixture(scope="session")
def real_api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealApiServer | None]:
    """A real kube-apiserver that all tests share, if there is one."""
    folder = real_apiserver.assets()
    if folder is None:
        yield None
        return
    with RealApiServer(tmp_path_factory.mktemp("kube"), folder) as server:
        yield server


@pytest.fixture(params=["fake", "real"])
def any_api(request: pytest.FixtureRequest) -> ApiUnderTest:
    """The tests' API server, then a real one: what holds for one holds for the other."""
    if request.param == "fake":
        fake: FakeApiServer = request.getfixturevalue("api")
        return fake
    real: RealApiServer | None = request.getfixturevalue("real_api")
    if real is None:
        pytest.skip(f"no kube-apiserver: {real_apiserver.ASSETS} is not set")
    return real


@pytest.fixture(scope="session")
def lab() -> Iterator[Lab]:
    """Two nodes with a real agent and VPP; a test that changes something puts it back."""
    if os.environ.get("PYTEST_XDIST_WORKER"):
        pytest.skip("the lab runs by itself: scripts/test tests/lab")
    try:
        found = binaries.find()
    except binaries.Lacking as reason:
        pytest.skip(str(reason))
    with started(found) as lab:
        yield lab


@pytest.fixture
def follow() -> Iterator[Follow]:
    """Follows an API server, as `run` does, until the test ends."""
    with ExitStack() as seen:

        def begin(server: ApiUnderTest) -> SeenCluster:
            return seen.enter_context(SeenCluster(server.kubeconfig))

        yield begin


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who waits for an API server waits a twentieth of the time."""
    monkeypatch.setattr(pace, "REQUEST_SECONDS", 0.05)
    monkeypatch.setattr(pace, "MOST_BACKOFF_SECONDS", 0.5)
    monkeypatch.setattr(pace, "AWAY_BACKOFF_SECONDS", 0.2)
    monkeypatch.setattr(apiwatch, "STARTING_SECONDS", 0.5)
    monkeypatch.setattr(apiwatch, "LIST_AGAIN_SECONDS", 0.05)
    monkeypatch.setattr(apiwatch, "LIST_BEHIND_SECONDS", 0.2)


@pytest.fixture(scope="session")
def decoders(tmp_path_factory: pytest.TempPathFactory) -> Decoders:
    """The agents' JSON libraries; a test that asks for them is skipped where there is no Go."""
    if reason := why_not():
        pytest.skip(reason)
    return Decoders(tmp_path_factory.mktemp("agent"))


@pytest.fixture
def alone(
    tmp_path: Path,
    start_etcd: Callable[..., EmbeddedEtcd],
    connect: Callable[..., Etcd3Store],
    label: str,
) -> Iterator[tuple[Bench, Etcd3Store, History]]:
    """A node in an etcd of its own: Contiv's records concern every label."""
    server = start_etcd()
    store = connect(server.endpoint)
    bench = Bench(tmp_path / "alone", server, label)
    bench.load_agent_state(store)
    yield bench, store, History(store, label)
    bench.end()
