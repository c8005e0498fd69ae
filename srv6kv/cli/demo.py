"""``srv6kv demo``: the whole job in one terminal, on a real etcd that lives for a minute."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

import click

from srv6kv.cli import terminal
from srv6kv.cli.options import PATH
from srv6kv.errors import InputError, Unavailable
from srv6kv.etcd.lease import identity

if TYPE_CHECKING:
    from srv6kv.etcd.embedded import EmbeddedEtcd
    from srv6kv.run.controller import Controller
    from srv6kv.txn.transaction import Transaction

SECONDS = 30.0
"""How long a step may take before the demo gives up."""

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@click.command("demo")
@click.option(
    "--example",
    type=PATH,
    default=Path(__file__).parent.parent / "sample",
    show_default="examples/seed",
    help="Directory with contiv.conf, manifests/, change/ and agent-state-<node>.json.",
)
@click.option("--node", default="node1", show_default=True, help="The node to look from.")
@click.option("-o", "--output", type=click.Choice(["text", "json"]), default="text")
def command(example: Path, node: str, output: str) -> None:
    """Start an embedded etcd, load a sample cluster, run the controller, show what it wrote,
    change the cluster and show the one transaction that follows.

    \b
    Example:
      srv6kv demo
    """
    if not (example / "manifests").is_dir():
        raise InputError(f"{example}: has no directory manifests")
    for number in _SIGNALS:
        signal.signal(number, _end)
    folder = Path(tempfile.mkdtemp(prefix="srv6kv-demo-"))
    try:
        from srv6kv.etcd.embedded import EmbeddedEtcd

        shutil.copytree(example / "manifests", folder / "manifests")
        with EmbeddedEtcd(folder / "etcd") as etcd:
            try:
                _show(_Demo(example, folder, node, etcd, is_quiet=output == "json"))
            finally:
                _ignore_signals()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _end(number: int, _frame: FrameType | None) -> None:
    """Unwind, so that nothing is left; once, for a second signal must not cut that short."""
    _ignore_signals()
    sys.exit(128 + number)


def _ignore_signals() -> None:
    for number in _SIGNALS:
        signal.signal(number, signal.SIG_IGN)


class _Demo:
    """The pieces of a running demo."""

    def __init__(
        self, example: Path, folder: Path, node: str, etcd: EmbeddedEtcd, *, is_quiet: bool
    ) -> None:
        self.example = example
        self.manifests = folder / "manifests"
        self.node = node
        self.etcd = etcd
        self.is_quiet = is_quiet
        self.committed: list[Transaction] = []

    def say(self, title: str, body: str = "") -> None:
        """A heading and what belongs to it."""
        if self.is_quiet:
            return
        terminal.show_title(title)
        if body:
            terminal.show(f"{body.rstrip()}\n")

    def etcdctl(self, *words: str) -> str:
        """What etcdctl prints."""
        from srv6kv.etcd import embedded

        done = subprocess.run(
            [str(embedded.program("etcdctl")), "--endpoints", self.etcd.endpoint, *words],
            capture_output=True,
            text=True,
            env={"ETCDCTL_API": "3"},
            timeout=SECONDS,
            check=True,
        )
        return done.stdout


def _show(demo: _Demo) -> None:
    from srv6kv.cli import output as printer

    demo.say(
        "An etcd, and what the node's CNI has written for the agent",
        f"etcd at {demo.etcd.endpoint}; {_load_agent_state(demo)} keys of the agent",
    )
    with _running(demo) as controller:
        progress = controller.progress
        _wait(demo, controller, "rendering the cluster", lambda: progress.state.syncs > 0)
        prefix = controller.reconciler.prefix
        _show_state(demo, prefix)
        before = len(demo.committed)
        for changed in sorted((demo.example / "change").iterdir()):
            shutil.copy(changed, demo.manifests / changed.name)
        _wait(demo, controller, "waiting for the change", lambda: len(demo.committed) > before)
        text = printer.transactions_text(demo.committed[before:])
        names = ", ".join(p.name for p in sorted((demo.example / "change").iterdir()))
        demo.say(f"Then {names} changes; the one transaction that follows", text)
        _show_policies(demo, prefix, "The policies after the change")
        if demo.is_quiet:
            printer.print_json(printer.transactions_json(demo.committed))


def _load_agent_state(demo: _Demo) -> int:
    """Write the attachment keys that a CNI would have written."""
    from srv6kv.cli import cluster
    from srv6kv.etcd.store import Etcd3Store
    from srv6kv.ligato import keys

    state = cluster.read_agent_state(
        demo.example / f"agent-state-{demo.node}.json", keys.agent_prefix(demo.node)
    )
    store = Etcd3Store([demo.etcd.endpoint])
    try:
        for item in state:
            store.put(item.key, item.value)
    finally:
        store.close()
    return len(state)


@contextmanager
def _running(demo: _Demo) -> Iterator[Controller]:
    """A controller at work in a thread, as ``srv6kv run`` has it."""
    from srv6kv.etcd.store import Etcd3Store
    from srv6kv.run.controller import Controller
    from srv6kv.settings import load
    from srv6kv.sources.source import ManifestSource
    from srv6kv.sync.reconciler import Reconciler

    file = demo.example / "contiv.conf"
    settings, warnings = load(file.read_text(encoding="utf-8"), str(file.name))
    terminal.warn(warnings)
    controller = Controller(
        store=Etcd3Store([demo.etcd.endpoint]),
        reconciler=Reconciler(settings, demo.node, demo.node),
        source=ManifestSource(demo.manifests),
        label=demo.node,
        identity=identity(),
        on_commit=lambda transaction, _revision: demo.committed.append(transaction),
    )
    thread = threading.Thread(target=controller.run, name="srv6kv-demo", daemon=True)
    thread.start()
    try:
        yield controller
    finally:
        controller.stop()
        thread.join(SECONDS)
        controller.close()


def _wait(demo: _Demo, controller: Controller, what: str, is_done: Callable[[], bool]) -> None:
    """Show progress until something is done.

    Raises:
        Unavailable: it takes too long.
    """
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    deadline = time.monotonic() + SECONDS
    with Progress(*columns, console=Console(stderr=True, quiet=demo.is_quiet)) as progress:
        task = progress.add_task(what)
        while not is_done():
            if time.monotonic() > deadline:
                doing = controller.progress.state.doing
                raise Unavailable(f"{what} took over {SECONDS:.0f} s: {doing}")
            written = sum(len(transaction) for transaction in demo.committed)
            progress.update(task, description=f"{what}: {written} operations written")
            time.sleep(0.02)
        written = sum(len(transaction) for transaction in demo.committed)
        progress.update(task, description=f"{what}: {written} operations written", completed=True)


def _show_state(demo: _Demo, prefix: str) -> None:
    transactions = len(demo.committed)
    demo.say(
        f"{transactions} transaction later: etcdctl get --prefix {prefix}config/vpp/srv6/",
        demo.etcdctl("get", "--prefix", f"{prefix}config/vpp/srv6/"),
    )
    _show_policies(demo, prefix, "The same policies as VPP would print them: sh sr policies")


def _show_policies(demo: _Demo, prefix: str, title: str) -> None:
    from srv6kv.cli import output as printer
    from srv6kv.vpp import showsr

    text = demo.etcdctl("get", "--prefix", f"{prefix}config/vpp/srv6/v2/policy/")
    demo.say(title, showsr.show_policies(_pairs(text.splitlines(), prefix, printer.readable)))


def _pairs(lines: Sequence[str], prefix: str, readable: Callable[..., Any]) -> dict[str, Any]:
    """Keys and values as etcdctl prints them, line by line."""
    values = zip(lines[::2], lines[1::2], strict=True)
    found: dict[str, Any] = readable({k.removeprefix(prefix): v.encode() for k, v in values})
    return found
