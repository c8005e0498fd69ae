"""``srv6kv demo``: the whole job in one terminal, on a real etcd that lives for a minute."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from srv6kv.cli import terminal
from srv6kv.cli.options import PATH, output_option
from srv6kv.errors import Unavailable

if TYPE_CHECKING:
    from srv6kv.offline.demo import Demo
    from srv6kv.run.controller import Controller


@click.command("demo")
@click.option(
    "--example",
    type=PATH,
    default=Path(__file__).parent.parent / "sample",
    show_default="examples/seed",
    help="Directory with contiv.conf, manifests/, change/ and agent-state-<node>.json.",
)
@click.option("--node", default="node1", show_default=True, help="The node to look from.")
@output_option("text", "json")
def command(example: Path, node: str, output: str) -> None:
    """Start an embedded etcd, load a sample cluster, run the controller, show what it wrote,
    change the cluster and show the one transaction that follows.

    \b
    Example:
      srv6kv demo
    """
    from srv6kv.cli import output as printer
    from srv6kv.offline import demo

    is_quiet = output == "json"
    with demo.started(example, node) as stage:
        if not is_quiet:
            text = f"etcd at {stage.endpoint}; {stage.loaded} keys of the agent"
            _say("An etcd, and what the node's CNI has written for the agent", text)
        with stage.running(terminal.warn) as controller:
            progress = controller.progress

            def wait(what: str, is_done: Callable[[], bool]) -> None:
                _wait(stage, controller, what, is_done, is_quiet=is_quiet)

            wait("rendering the cluster", lambda: progress.state.syncs > 0)
            before = len(stage.committed)
            if not is_quiet:
                _show_state(stage, f"{controller.reconciler.prefix}config/vpp/srv6/")
            changed = ", ".join(stage.change())
            wait("waiting for the change", lambda: len(stage.committed) > before)
            if is_quiet:
                terminal.show_json(printer.transactions_json(stage.committed))
                return
            text = printer.transactions_text(stage.committed[before:])
            _say(f"Then {changed} changes; the one transaction that follows", text)
            _show_policies(stage, "The policies after the change")


def _say(title: str, body: str) -> None:
    """A heading and what belongs to it."""
    terminal.show_title(title)
    terminal.show(f"{body.rstrip()}\n")


def _wait(
    stage: Demo, controller: Controller, what: str, is_done: Callable[[], bool], *, is_quiet: bool
) -> None:
    """Show progress until something is done."""
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    from srv6kv.offline.demo import SECONDS

    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    deadline = time.monotonic() + SECONDS
    with Progress(*columns, console=Console(stderr=True, quiet=is_quiet)) as progress:
        task = progress.add_task(what)
        has_ended = False
        while not has_ended:
            has_ended = is_done()
            if not has_ended and time.monotonic() > deadline:
                doing = controller.progress.state.doing
                raise Unavailable(f"{what} took over {SECONDS:.0f} s: {doing}")
            written = sum(map(len, stage.committed))
            text = f"{what}: {written} operations written"
            progress.update(task, description=text, completed=has_ended)
            time.sleep(0.02)


def _show_state(stage: Demo, prefix: str) -> None:
    title = f"{len(stage.committed)} transaction later: etcdctl get --prefix {prefix}"
    _say(title, stage.listed(prefix))
    _show_policies(stage, "The same policies as VPP would print them: sh sr policies")


def _show_policies(stage: Demo, title: str) -> None:
    from srv6kv.cli import output as printer
    from srv6kv.ligato import keys
    from srv6kv.vpp import showsr

    prefix = keys.agent_prefix(stage.node)
    lines = stage.listed(prefix + keys.POLICY).splitlines()
    values = zip((key.removeprefix(prefix) for key in lines[::2]), lines[1::2], strict=True)
    shown = printer.readable({key: value.encode() for key, value in values})
    _say(title, showsr.show_policies(shown))
