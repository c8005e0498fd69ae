"""A cluster from files: manifests, settings and the agent's keys, for the offline commands."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import click
import msgspec

from srv6kv import foreign
from srv6kv.cli import terminal
from srv6kv.cli.options import api_of
from srv6kv.cluster import ownnode
from srv6kv.errors import InputError
from srv6kv.etcd.values import KeyValue
from srv6kv.kube.model import Body, Identity
from srv6kv.ligato import keys
from srv6kv.net.addresses import canonical_of_any
from srv6kv.notes import Note
from srv6kv.offline import settingsfile
from srv6kv.settings import Settings
from srv6kv.sources.manifests import INPUT_REASONS, RawObject, read_with_gaps
from srv6kv.sync import guard
from srv6kv.sync.reconciler import Reconciler


@dataclass(frozen=True, slots=True)
class Files:
    """What was read.

    Attributes:
        objects: every object that was read, as it came.
        has_bad_input: something was left out because it is malformed or unreadable.
    """

    reconciler: Reconciler
    objects: tuple[tuple[Identity, Body], ...]
    notes: tuple[Note, ...]
    has_bad_input: bool

    def all_notes(self) -> list[Note]:
        """What there is to say about the files, then about the cluster in them."""
        return [*self.notes, *sorted(self.reconciler.notes())]


def read_files(
    paths: Sequence[Path],
    config_option: Path | None,
    node: str,
    label: str | None,
    settings: Settings | None = None,
    *,
    needs_node: bool = True,
) -> Files:
    """The cluster in the manifests as seen from one node, with nothing in etcd yet.

    Args:
        node: its name; "": from no node.
        settings: those that hold; None: they are looked for.
        needs_node: the own Node has to be there.

    Raises:
        SettingsError: the settings are refused.
        InputError: a path that is named cannot be read, or there is no such Node.
    """
    objects, notes, gaps = read_with_gaps(paths, _stdin() if Path("-") in paths else b"")
    settings = settings or settings_of(config_option, objects)
    reconciler = Reconciler(settings, node, label or node)
    bodies = tuple((item.identity, item.completed()) for item in objects)
    reconciler.intake.take_all(bodies)
    reconciler.note_gaps(gaps)
    bad = [note for note in notes if note.reason in INPUT_REASONS]
    has_bad_input = bool(bad) or reconciler.intake.has_malformed
    files = Files(reconciler, bodies, tuple(notes), has_bad_input)
    if needs_node:
        require_node(files, node)
    return files


def _stdin() -> bytes:
    """All of standard input.

    Raises:
        InputError: it cannot be read.
    """
    try:
        return sys.stdin.buffer.read()
    except (AttributeError, OSError, ValueError) as error:  # it may be closed: then there is none
        reason = error.strerror if isinstance(error, OSError) else "it is closed"
        raise InputError(f"-: standard input cannot be read: {reason}") from None


def require_node(files: Files, node: str) -> None:
    """See that a Node is there; without it every pod would look remote.

    Args:
        node: its name; "" needs none.

    Raises:
        InputError: it is not, or is malformed; notes on what could not be read are printed first.
    """
    intake, nodes = files.reconciler.intake, files.reconciler.cluster.nodes
    if not node or node in nodes:
        return
    say_notes([*files.notes, *intake.notes()])
    problem = intake.problem_of(("Node", "", node))
    raise InputError(str(ownnode.warning(node, ownnode.near_names(node, nodes), problem)))


def read_any(
    paths: Sequence[Path],
    servers: Mapping[str, Any],
    config_option: Path | None,
    node: str,
    label: str | None,
    *,
    needs_node: bool = True,
) -> Files:
    """The cluster in the manifests, or without any as the API server has it now.

    Args:
        servers: the options of ``kube_options``.
        needs_node: the own Node has to be there.

    Raises:
        SettingsError: the settings are refused.
        InputError: there are no credentials for an API server, a path that is named cannot be
            read, or there is no such Node.
        Unavailable: the API server does not answer as it should.
    """
    if paths:
        return read_files(paths, config_option, node, label, needs_node=needs_node)
    from srv6kv.sources.apisource import list_once

    api = api_of(servers)
    reconciler = Reconciler(settings_of(config_option, (), api=api.host), node, label or node)
    listed, gaps = list_once(api, node)
    reconciler.intake.take_all(listed)
    reconciler.note_gaps(gaps)
    files = Files(reconciler, listed, (), reconciler.intake.has_malformed)
    if needs_node:
        require_node(files, node)
    return files


def settings_of(
    config_option: Path | None,
    objects: Sequence[RawObject],
    warn: Callable[[Sequence[str]], None] | None = None,
    api: str = "",
) -> Settings:
    """The settings, from where docs/settings.md says; warnings go to ``warn``, else to stderr.

    The addresses of the servers that the command talks to are reserved: etcd's by its options, and
    the API server's URL ``api``.

    Raises:
        SettingsError: they are refused.
    """
    config_map = next((item.settings for item in objects if item.settings is not None), None)
    settings, warnings = settingsfile.find(config_option, os.environ, config_map)
    (warn or say)(warnings)
    context = click.get_current_context(silent=True)
    etcd = context.params.get("endpoints") if context is not None else None
    return replace(settings, reserved=_addresses_of([*(etcd or ()), api]))


def _addresses_of(servers: Sequence[str]) -> tuple[str, ...]:
    """The addresses among the hosts of URLs or ``host:port`` texts; names are not looked up."""
    found = set()
    for text in chain.from_iterable(item.split(",") for item in servers):
        try:
            host = urlsplit(text if "://" in text else f"//{text.strip()}").hostname
            found.add(canonical_of_any(host or ""))
        except ValueError:
            continue
    return tuple(sorted(found))


def say(warnings: Sequence[str]) -> None:
    """Warnings about settings, one a line on stderr."""
    for warning in warnings:
        terminal.say(f"warning: {warning}", err=True)


def say_notes(notes: Sequence[Note]) -> None:
    """Notes, one a line on stderr."""
    for note in notes:
        terminal.say(f"note: {note}", err=True)


def report(files: Files, output: str, *, is_question: bool, is_guarded: bool = False) -> None:
    """Print what would be written, and end with the exit code that this means.

    Args:
        files: the cluster, with what etcd holds read into its reconciler.
        output: ``json``, else the text form of recordings.
        is_question: anything to write is a negative answer.
        is_guarded: what ``run`` would hold is a negative answer too.
    """
    from srv6kv.cli import output as printer

    plan = files.reconciler.plan()
    held = guard.warning_of(files.reconciler.loss_of(plan)) if is_guarded else None
    if output == "json":
        printer.print_json(printer.transactions_json(plan.transactions))
    else:
        terminal.show(printer.transactions_text(plan.transactions))
    say_notes([*files.all_notes(), *([held] if held is not None else ())])
    if files.has_bad_input:
        raise click.exceptions.Exit(2)
    if held is not None or (is_question and plan):
        raise click.exceptions.Exit(1)


def read_agent_state(path: Path | None, prefix: str) -> list[KeyValue]:
    """The keys in an ``--agent-state`` file: a JSON object of ``config/...`` to value; Contiv's
    records stand under their whole keys. The later in the file, the higher the revision.

    Raises:
        InputError: it is none.
    """
    if path is None:
        return []
    state = read_json(path, dict[str, dict[str, Any]])
    return [
        KeyValue(
            key if key.startswith(keys.AGENT) else prefix + key, msgspec.json.encode(value), index
        )
        for index, (key, value) in enumerate(state.items(), start=1)
    ]


def read_json(path: Path, kind: Any) -> Any:
    """The JSON value in a file.

    Raises:
        InputError: it cannot be read, or is of another kind.
    """
    try:
        content = path.read_bytes()
        return foreign.plain(content, kind, most=foreign.MOST_ANSWER_BYTES, is_unique=True)
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise InputError(f"{path}: {error}") from None
