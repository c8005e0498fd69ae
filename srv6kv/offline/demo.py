"""A sample cluster, an etcd of its own and a controller at work, for as long as a demo lasts."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

from srv6kv.errors import InputError
from srv6kv.etcd.embedded import EmbeddedEtcd, program
from srv6kv.etcd.lease import identity
from srv6kv.etcd.store import Etcd3Store
from srv6kv.ligato import keys
from srv6kv.offline.reading import Warn, read_agent_state
from srv6kv.run.controller import Controller
from srv6kv.settings import load
from srv6kv.sources.source import ManifestSource
from srv6kv.sync.reconciler import Reconciler
from srv6kv.txn.transaction import Transaction

SECONDS = 30.0
"""How long a step may take before the demo gives up."""
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@dataclass(frozen=True, slots=True)
class Demo:
    """The pieces of a running demo.

    Attributes:
        manifests: the directory that the controller watches.
        loaded: how many keys the node's CNI has written.
        committed: the transactions so far.
    """

    example: Path
    manifests: Path
    node: str
    endpoint: str
    loaded: int
    committed: list[Transaction] = field(default_factory=list)

    def listed(self, prefix: str) -> str:
        """What etcdctl prints of the keys below a prefix: each key and its value, a line each.

        A process of its own reads, since a signal must not raise within a call of the client.
        """
        etcdctl = [str(program("etcdctl")), "--endpoints", self.endpoint, "get", "--prefix", prefix]
        done = subprocess.run(
            etcdctl,
            capture_output=True,
            text=True,
            env={"ETCDCTL_API": "3"},
            timeout=SECONDS,
            check=True,
        )
        return done.stdout

    def change(self) -> list[str]:
        """Change the cluster as the example says; the names of its files."""
        changed = sorted((self.example / "change").iterdir())
        for path in changed:
            shutil.copy(path, self.manifests / path.name)
        return [path.name for path in changed]

    @contextmanager
    def running(self, warn: Warn) -> Iterator[Controller]:
        """A controller at work in a thread, as ``srv6kv run`` has it."""
        file = self.example / "contiv.conf"
        settings, warnings = load(file.read_text(encoding="utf-8"), file.name)
        warn(warnings)
        controller = Controller(
            store=Etcd3Store([self.endpoint]),
            reconciler=Reconciler(settings, self.node, self.node),
            source=ManifestSource(self.manifests),
            label=self.node,
            identity=identity(),
            on_commit=lambda transaction, _revision: self.committed.append(transaction),
        )
        thread = threading.Thread(target=controller.run, name="srv6kv-demo", daemon=True)
        thread.start()
        try:
            yield controller
        finally:
            controller.stop()
            thread.join(SECONDS)
            controller.close()


@contextmanager
def started(example: Path, node: str) -> Iterator[Demo]:
    """An etcd with what a node's CNI has written; nothing is left of it, also after a signal.

    Raises:
        InputError: the example is none.
    """
    if not (example / "manifests").is_dir():
        raise InputError(f"{example}: has no directory manifests")
    for number in _SIGNALS:
        signal.signal(number, _end)
    with tempfile.TemporaryDirectory(prefix="srv6kv-demo-", ignore_cleanup_errors=True) as folder:
        manifests = Path(folder, "manifests")
        shutil.copytree(example / "manifests", manifests)
        with EmbeddedEtcd(Path(folder, "etcd")) as etcd:
            try:
                state = read_agent_state(
                    example / f"agent-state-{node}.json", keys.agent_prefix(node)
                )
                with closing(Etcd3Store([etcd.endpoint])) as store:
                    for item in state:
                        store.put(item.key, item.value)
                yield Demo(example, manifests, node, etcd.endpoint, len(state))
            finally:
                _ignore_signals()


def _end(number: int, _frame: FrameType | None) -> None:
    """Unwind, so that nothing is left; once, for a second signal must not cut that short."""
    _ignore_signals()
    sys.exit(128 + number)


def _ignore_signals() -> None:
    for number in _SIGNALS:
        signal.signal(number, signal.SIG_IGN)
