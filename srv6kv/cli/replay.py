"""``srv6kv replay``: recorded transactions into etcd, or compared with a cluster."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from srv6kv.cli.options import PATH, config_option, etcd_options, identity, store_of
from srv6kv.errors import Conflict, InputError


@click.command("replay")
@click.argument("recording", type=PATH)
@click.option("--label", help="Write for this agent instead of the one in the recording.")
@etcd_options
@click.option(
    "--agent-api",
    type=click.Choice(["v2", "v3"]),
    default="v3",
    show_default=True,
    help="Spelling of the values: v2 for agents before 3.0.",
)
@click.option(
    "--check",
    is_flag=True,
    help="Write nothing: compare the state that the recording ends with with the cluster of"
    " --filename, and exit with 1 if they differ.",
)
@click.option("-f", "--filename", "paths", type=PATH, multiple=True, help="For --check: manifests.")
@click.option("--node", envvar="NODE_NAME", help="For --check: Kubernetes name of the node.")
@config_option
@click.option("--agent-state", type=PATH, help="For --check: the agent's other keys, as JSON.")
@click.option("-o", "--output", type=click.Choice(["text", "json"]), default="text")
def command(recording: Path, label: str | None, check: bool, output: str, **options: Any) -> None:
    """Write a recording into an etcd that has none of its keys, transaction by transaction.

    Reads what 'run --record' wrote, or the transaction log of a vpp-agent (with --label).

    \b
    Examples:
      srv6kv replay node1.txn --etcd 127.0.0.1:2379
      srv6kv replay node1.txn --check -f manifests --config contiv.conf --node node1
    """
    from srv6kv import replay

    recordings = replay.parse(_read(recording), str(recording), label)
    if check:
        _check(recordings, recording, output, options)
    else:
        _write(recordings, recording, output, options)


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeError) as error:
        raise InputError(f"{path}: cannot be read: {error}") from None


def _write(recordings: Any, path: Path, output: str, options: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.progress import Progress

    from srv6kv import replay
    from srv6kv.cli import output as printer
    from srv6kv.formats import spelling
    from srv6kv.recording import Recorded

    api = options["agent_api"]
    recordings = [
        Recorded(r.number, spelling.transaction(r.transaction, api), r.time) for r in recordings
    ]
    label = replay.label_of(recordings, str(path))
    store = store_of(options)
    try:
        writer = store.acquire(label, identity())
        if writer is None:
            raise Conflict(f"{store.holder(label)} writes for {label}")
        try:
            console = Console(stderr=True)
            with Progress(
                console=console, transient=True, disable=not console.is_terminal
            ) as progress:
                task = progress.add_task(f"replaying {path.name}", total=len(recordings))
                revisions = replay.replay(
                    recordings, store, writer, lambda *_: progress.advance(task)
                )
        finally:
            writer.release()
    finally:
        store.close()
    if output == "json":
        printer.print_json({"transactions": len(recordings), "keys": len(revisions)})
    else:
        click.echo(f"{len(recordings)} transactions replayed, {len(revisions)} keys")


def _check(recordings: Any, path: Path, output: str, options: dict[str, Any]) -> None:
    from srv6kv import replay
    from srv6kv.cli import cluster
    from srv6kv.etcd.values import KeyValue
    from srv6kv.recording import state_of

    if not options["paths"] or not options["node"]:
        raise click.UsageError("--check needs --filename and --node")
    label = replay.label_of(recordings, str(path))
    files = cluster.read_files(options["paths"], options["config"], options["node"], label)
    reconciler = files.reconciler
    held = [
        KeyValue(key, value, index)
        for index, (key, value) in enumerate(state_of(recordings).items(), start=1)
    ]
    known = {item.key for item in held}
    others = cluster.read_agent_state(options["agent_state"], reconciler.prefix)
    reconciler.reset([*(item for item in others if item.key not in known), *held])
    cluster.report(files, output, is_question=True)
