"""``srv6kv replay``: recorded transactions into etcd, compared with a cluster, or as text."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from srv6kv.cli import terminal
from srv6kv.cli.options import (
    PATH,
    agent_api_option,
    agent_state_option,
    config_option,
    etcd_options,
    label_option,
    output_option,
    store_of,
)
from srv6kv.errors import InputError
from srv6kv.txn.transaction import FullKey

if TYPE_CHECKING:
    from srv6kv.oneshot.replay import Reading
    from srv6kv.txn.recording import Recorded


@click.command("replay")
@click.argument("recording", type=PATH)
@label_option(
    "Write for this agent instead of the one in the recording. An agent's log names none."
)
@etcd_options
@agent_api_option
@click.option(
    "--check",
    is_flag=True,
    help="Write nothing: compare the state at the end of the recording with the cluster of"
    " --filename, and exit with 1 if they differ.",
)
@click.option("--convert", is_flag=True, help="Write nothing: print an agent's log as a recording.")
@click.option("-f", "--filename", "paths", type=PATH, multiple=True, help="For --check: manifests.")
@click.option("--node", envvar="NODE_NAME", help="For --check: Kubernetes name of the node.")
@config_option
@agent_state_option
@output_option("text", "json")
def command(
    recording: Path, label: str | None, check: bool, convert: bool, output: str, **options: Any
) -> None:
    """Write a recording into an etcd that has none of its keys, transaction by transaction.

    Reads what 'run --record' wrote, or what a vpp-agent logged: its output, also as containers,
    kubectl, compose or a journal wrap it, or its transaction history as text. - is standard input.

    \b
    Examples:
      srv6kv replay node1.txn --etcd 127.0.0.1:2379
      srv6kv replay node1.txn --check -f manifests --config contiv.conf --node node1
      kubectl logs vpp-agent-x7k2p | srv6kv replay - --label node1 --convert
    """
    from srv6kv.oneshot import replay

    if check and convert:
        raise click.UsageError("--check and --convert are two different things")
    name = "standard input" if recording == Path("-") else str(recording)
    reading = replay.Reading(_lines(recording, name), name, label)
    if check:
        _check(reading, output, options)
    elif convert:
        _convert(reading, output, options["agent_api"])
    else:
        _write(reading, output, options)


def _lines(path: Path, name: str) -> Iterator[str]:
    """The lines of a file, or of standard input, one after the other."""
    try:
        with click.open_file(str(path), encoding="utf-8", errors="surrogateescape") as file:
            yield from file
    except OSError as error:
        raise InputError(f"{name}: cannot be read: {error.strerror}") from None


def _say_remarks(reading: Reading) -> bool:
    """Print the remarks on a log; whether anything in it could not be read."""
    found = reading.remarks()
    for remark in found:
        place = f"{reading.name}:{remark.line}" if remark.line else reading.name
        terminal.say(f"warning: {place}: {remark.text}", err=True)
    return any(remark.is_bad for remark in found)


def _convert(reading: Reading, output: str, api: str) -> None:
    from srv6kv.cli import output as printer
    from srv6kv.foreign import visible
    from srv6kv.txn import recording

    if output == "json":
        transactions = [_spelled(found, api).transaction for found in reading]
        terminal.show_json(printer.transactions_json(transactions))
    else:
        for found in reading:
            terminal.show(visible.json_text(recording.dump(_spelled(found, api))))
    terminal.end(is_bad_input=_say_remarks(reading))


def _spelled(found: Recorded, api: str) -> Recorded:
    from srv6kv.agentlog import spelling
    from srv6kv.txn.recording import Recorded

    return Recorded(found.number, spelling.transaction(found.transaction, api), found.time)


def _write(reading: Reading, output: str, options: dict[str, Any]) -> None:
    from srv6kv.oneshot import replay

    recordings = [_spelled(found, options["agent_api"]) for found in reading]
    label = reading.label()
    if _say_remarks(reading):
        raise InputError(f"{reading.name}: parts of it cannot be read; nothing was written")
    with closing(store_of(options)) as store, terminal.progress() as shown:
        text = terminal.description(f"replaying {reading.name}")
        task = shown.add_task(text, total=len(recordings))
        revisions = replay.replay(recordings, label, store, lambda: shown.advance(task))
    if output == "json":
        terminal.show_json({"transactions": len(recordings), "keys": len(revisions)})
    else:
        terminal.say(f"{len(recordings)} transactions replayed, {len(revisions)} keys")


def _check(recording: Reading, output: str, options: dict[str, Any]) -> None:
    from srv6kv.cli import cluster
    from srv6kv.etcd.values import KeyValue
    from srv6kv.offline import reading
    from srv6kv.txn.recording import state_of

    if not options["paths"] or not options["node"]:
        raise click.UsageError("--check needs --filename and --node")
    state = state_of(recording)
    is_bad = _say_remarks(recording)
    label = recording.label()
    files = cluster.read_files(options["paths"], options["config"], options["node"], label)
    reconciler = files.reconciler
    recorded = [
        KeyValue(FullKey(key), value, index) for index, (key, value) in enumerate(state.items(), 1)
    ]
    others = reading.read_agent_state(options["agent_state"], reconciler.prefix)
    reconciler.reset([*(item for item in others if item.key not in state), *recorded])
    try:
        cluster.report(files, output, is_question=True)
    finally:
        terminal.end(is_bad_input=is_bad)
