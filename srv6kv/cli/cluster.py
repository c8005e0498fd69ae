"""Reads a cluster by a command's options, and prints what would be written for it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from srv6kv.cli import output as printer
from srv6kv.cli import terminal
from srv6kv.cli.options import api_of
from srv6kv.etcd.values import KeyValue
from srv6kv.ligato import keys
from srv6kv.offline import reading
from srv6kv.offline.files import Files
from srv6kv.offline.reading import Given
from srv6kv.settings import Settings
from srv6kv.sources.manifests import RawObject
from srv6kv.sync import guard


def given(config: Path | None) -> Given:
    """Return what the running command is given besides a cluster."""
    context = click.get_current_context(silent=True)
    etcd = context.params.get("endpoints") if context is not None else None
    return Given(config, terminal.warn, tuple(etcd or ()))


def read_files(
    paths: Sequence[Path], config: Path | None, node: str, label: str | None = None
) -> Files:
    """Read manifests; see ``reading.read_files``."""
    return reading.read_files(paths, given(config), node, label)


def read(options: Mapping[str, Any], *, needs_node: bool = True) -> Files:
    """Read what ``seen_options`` name: manifests, or without any what the API server has now."""
    paths, node, label = options["paths"], options["node"], options["label"]
    what = given(options["config"])
    if paths:
        return reading.read_files(paths, what, node, label, needs_node=needs_node)
    return reading.read_server(api_of(options), what, node, label, needs_node=needs_node)


def settings_of(config: Path | None, objects: Iterable[RawObject] = ()) -> Settings:
    """Find the settings; see ``reading.settings_of``."""
    return reading.settings_of(given(config), objects)


def states_of(texts: Sequence[str]) -> dict[str, list[KeyValue]]:
    """Read the files of the options ``--agent-state NODE=FILE``, by node."""
    found = {}
    for text in texts:
        node, _, path = text.partition("=")
        if not (node and path):
            raise click.UsageError(f"--agent-state {text!r} is not NODE=FILE")
        found[node] = Path(path)
    return {
        node: reading.read_agent_state(path, keys.agent_prefix(node))
        for node, path in found.items()
    }


def report(files: Files, output: str, *, is_question: bool, is_guarded: bool = False) -> None:
    """Print what would be written, and end with the exit code that this means.

    Args:
        files: the cluster, with what etcd holds read into its reconciler.
        output: ``json``, else the text form of recordings.
        is_question: anything to write is a negative answer.
        is_guarded: what ``run`` would hold is a negative answer too.
    """
    plan = files.reconciler.plan()
    held = guard.warning_of(files.reconciler.loss_of(plan)) if is_guarded else None
    if output == "json":
        terminal.show_json(printer.transactions_json(plan.transactions))
    else:
        terminal.show(printer.transactions_text(plan.transactions))
    terminal.warn([*files.all_notes(), *([held] if held is not None else ())])
    is_negative = held is not None or (is_question and bool(plan))
    terminal.end(is_bad_input=files.has_bad_input, is_negative=is_negative)
