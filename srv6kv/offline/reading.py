"""Reads a cluster once: manifests or an API server, settings, and files with an agent's keys or
VPP's text."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import msgspec

from srv6kv import foreign
from srv6kv.cluster import ownnode
from srv6kv.errors import InputError
from srv6kv.etcd.values import KeyValue
from srv6kv.kube.model import Body, Gap, Identity
from srv6kv.ligato import keys
from srv6kv.net.addresses import canonical_of_any
from srv6kv.notes import Note
from srv6kv.offline import settingsfile
from srv6kv.offline.files import Files
from srv6kv.settings import Settings
from srv6kv.sources.manifests import INPUT_REASONS, RawObject, read_with_gaps
from srv6kv.sync.reconciler import Reconciler
from srv6kv.vpp import showsr_read
from srv6kv.vpp.showsr_values import ShowSr

if TYPE_CHECKING:
    from srv6kv.sources.api import ApiServer

Warn = Callable[[Sequence[object]], None]
"""Shows warnings to the user."""


@dataclass(frozen=True, slots=True)
class Given:
    """What a command is given besides a cluster.

    Attributes:
        config: the file with the settings, if one is named.
        warn: gets the warnings about settings, and the notes that explain an error.
        etcd: the servers of etcd that the command talks to.
    """

    config: Path | None
    warn: Warn
    etcd: tuple[str, ...] = ()


def read_files(
    paths: Sequence[Path],
    given: Given,
    node: str,
    label: str | None = None,
    settings: Settings | None = None,
    *,
    needs_node: bool = True,
) -> Files:
    """Read manifests as seen from one node, with nothing in etcd yet.

    Args:
        node: its name; "": from no node.
        settings: those that hold; None: they are looked for.
        needs_node: the own Node has to be there.

    Raises:
        InputError: a path that is named cannot be read, or there is no such Node.
    """
    objects, notes, gaps = read_with_gaps(paths, stdin() if Path("-") in paths else b"")
    reconciler = Reconciler(settings or settings_of(given, objects), node, label or node)
    bodies = tuple((item.identity, item.completed()) for item in objects)
    files = _files(reconciler, bodies, gaps, notes)
    if needs_node:
        require_node(files, node, given.warn)
    return files


def _files(
    reconciler: Reconciler,
    objects: tuple[tuple[Identity, Body], ...],
    gaps: frozenset[Gap],
    notes: Sequence[Note] = (),
) -> Files:
    reconciler.intake.apply_all(objects)
    reconciler.source_gaps = gaps
    bad = [note for note in notes if note.reason in INPUT_REASONS]
    return Files(reconciler, objects, tuple(notes), bool(bad) or reconciler.intake.has_malformed)


def read_changed(
    before: Files | None, paths: Sequence[Path], then: Sequence[Path], given: Given, node: str
) -> Files:
    """Read manifests after a change, with the settings before it unless they are among them.

    Args:
        before: the cluster before the change, if it was read.
        paths: manifests before it.
        then: those that take the place of what they define; with a Node: the whole cluster.
    """
    objects, *_ = read_with_gaps(then)
    has_nodes = any(item.identity[0] == "Node" for item in objects)
    has_settings = any(item.settings is not None for item in objects)
    settings = before.reconciler.settings if before is not None and not has_settings else None
    every = then if has_nodes else [*paths, *then]
    return read_files(every, given, node, None, settings, needs_node=False)


def stdin() -> bytes:
    """Read all of standard input."""
    try:
        return sys.stdin.buffer.read()
    except (AttributeError, OSError, ValueError) as error:  # it may be closed: then there is none
        reason = error.strerror if isinstance(error, OSError) else "it is closed"
        raise InputError(f"-: standard input cannot be read: {reason}") from None


def require_node(files: Files, node: str, warn: Warn) -> None:
    """Fail unless a Node is there; without it every pod would look remote.

    Args:
        node: its name; "" needs none.
        warn: gets the notes on what could not be read, before the error.
    """
    intake, nodes = files.reconciler.intake, files.reconciler.cluster.nodes
    if not node or node in nodes:
        return
    warn([*files.notes, *intake.notes()])
    problem = intake.problem_of(("Node", "", node))
    raise InputError(str(ownnode.warning(node, ownnode.near_names(node, nodes), problem)))


def read_server(
    api: ApiServer, given: Given, node: str, label: str | None = None, *, needs_node: bool = True
) -> Files:
    """Read the cluster as an API server has it now; arguments as ``read_files``."""
    from srv6kv.sources.apisource import list_once

    reconciler = Reconciler(settings_of(given, (), api.host), node, label or node)
    files = _files(reconciler, *list_once(api, node))
    if needs_node:
        require_node(files, node, given.warn)
    return files


def read_node(api: ApiServer, given: Given, node: str) -> Reconciler:
    """Read one Node, alone of all objects, from an API server."""
    from srv6kv.sources.apiwatch import complete_list
    from srv6kv.sources.bodies import Resource

    reconciler = Reconciler(settings_of(given), node, node)
    only = Resource("Node", "/api/v1/nodes", False, (("fieldSelector", f"metadata.name={node}"),))
    listed = complete_list(api, only, lambda _answer: None)
    reconciler.intake.apply_all(listed.items.items())
    return reconciler


def settings_of(given: Given, objects: Iterable[RawObject] = (), api: str = "") -> Settings:
    """Find the settings, where docs/settings.md says; the servers' addresses are reserved.

    Args:
        objects: manifests, which may have them in a ConfigMap.
        api: URL of the API server that the command talks to.
    """
    config_map = next((item.settings for item in objects if item.settings is not None), None)
    settings, warnings = settingsfile.find(given.config, os.environ, config_map)
    given.warn(warnings)
    return replace(settings, reserved=_addresses_of([*given.etcd, api]))


def _addresses_of(servers: Iterable[str]) -> tuple[str, ...]:
    """The addresses among the hosts of URLs or ``host:port`` texts; names are not looked up."""
    found = set()
    for text in chain.from_iterable(item.split(",") for item in servers):
        try:
            host = urlsplit(text if "://" in text else f"//{text.strip()}").hostname
            found.add(canonical_of_any(host or ""))
        except ValueError:
            continue
    return tuple(sorted(found))


def read_agent_state(path: Path | None, prefix: str) -> list[KeyValue]:
    """Read an ``--agent-state`` file: a JSON object of ``config/...`` to value; Contiv's
    records stand under their whole keys. The later in the file, the higher the revision."""
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
    """Read the JSON value of a kind in a file."""
    try:
        content = path.read_bytes()
        return foreign.plain(content, kind, most=foreign.MOST_ANSWER_BYTES, is_unique=True)
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise InputError(f"{path}: {error}") from None


def read_vpp(paths: Sequence[Path]) -> ShowSr:
    """What VPP has, in its own words, from files; ``-`` is standard input."""
    return showsr_read.merged(map(_read_shown, paths))


def _read_shown(path: Path) -> ShowSr:
    name = "standard input" if str(path) == "-" else str(path)
    try:
        text = stdin() if str(path) == "-" else path.read_bytes()
    except OSError as error:
        raise InputError(f"{name}: cannot be read: {error.strerror}") from None
    try:
        return showsr_read.read(text.decode(errors="replace"))
    except InputError as error:
        raise InputError(f"{name}: {error}") from None
