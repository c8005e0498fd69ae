"""Reads a cluster once: manifests or an API server, settings, and files with an agent's keys."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import msgspec

from srv6kv import foreign
from srv6kv.cluster import ownnode
from srv6kv.errors import InputError
from srv6kv.etcd.values import KeyValue
from srv6kv.ligato import keys
from srv6kv.net.addresses import canonical_of_any
from srv6kv.offline import settingsfile
from srv6kv.offline.files import Files
from srv6kv.settings import Settings
from srv6kv.sources.manifests import INPUT_REASONS, RawObject, read_with_gaps
from srv6kv.sync.reconciler import Reconciler

if TYPE_CHECKING:
    from srv6kv.sources.api import ApiServer

Warn = Callable[[Sequence[object]], None]
"""Shows warnings to the user."""
WarnText = Callable[[Sequence[str]], None]


def read_files(
    paths: Sequence[Path],
    config: Path | None,
    node: str,
    label: str | None,
    settings: Settings | None = None,
    *,
    warn: Warn,
    etcd: Sequence[str] = (),
    needs_node: bool = True,
) -> Files:
    """Read manifests as seen from one node, with nothing in etcd yet.

    Args:
        config: the file with the settings, if one is named.
        node: its name; "": from no node.
        settings: those that hold; None: they are looked for.
        warn: gets the warnings about settings, and the notes that explain an error.
        etcd: the servers of etcd that the command talks to.
        needs_node: the own Node has to be there.

    Raises:
        SettingsError: the settings are refused.
        InputError: a path that is named cannot be read, or there is no such Node.
    """
    objects, notes, gaps = read_with_gaps(paths, _stdin() if Path("-") in paths else b"")
    settings = settings or settings_of(config, objects, warn, etcd)
    reconciler = Reconciler(settings, node, label or node)
    bodies = tuple((item.identity, item.completed()) for item in objects)
    reconciler.intake.take_all(bodies)
    reconciler.note_gaps(gaps)
    bad = [note for note in notes if note.reason in INPUT_REASONS]
    has_bad_input = bool(bad) or reconciler.intake.has_malformed
    files = Files(reconciler, bodies, tuple(notes), has_bad_input)
    if needs_node:
        require_node(files, node, warn)
    return files


def read_changed(
    before: Files | None,
    paths: Sequence[Path],
    then: Sequence[Path],
    config: Path | None,
    node: str,
    *,
    warn: Warn,
    etcd: Sequence[str] = (),
) -> Files:
    """Read manifests after a change, with the settings before it unless they are among them.

    Args:
        before: the cluster before the change, if it was read.
        paths: manifests before it.
        then: those that take the place of what they define; with a Node: the whole cluster.

    Raises:
        SettingsError: the settings are refused.
        InputError: a path that is named cannot be read.
    """
    objects, *_ = read_with_gaps(then)
    has_nodes = any(item.identity[0] == "Node" for item in objects)
    has_settings = any(item.settings is not None for item in objects)
    settings = before.reconciler.settings if before is not None and not has_settings else None
    every = then if has_nodes else [*paths, *then]
    return read_files(every, config, node, None, settings, warn=warn, etcd=etcd, needs_node=False)


def _stdin() -> bytes:
    """Read all of standard input.

    Raises:
        InputError: it cannot be read.
    """
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

    Raises:
        InputError: it is not there, or is malformed.
    """
    intake, nodes = files.reconciler.intake, files.reconciler.cluster.nodes
    if not node or node in nodes:
        return
    warn([*files.notes, *intake.notes()])
    problem = intake.problem_of(("Node", "", node))
    raise InputError(str(ownnode.warning(node, ownnode.near_names(node, nodes), problem)))


def read_server(
    api: ApiServer,
    config: Path | None,
    node: str,
    label: str | None,
    *,
    warn: Warn,
    etcd: Sequence[str] = (),
    needs_node: bool = True,
) -> Files:
    """Read the cluster as an API server has it now; arguments as ``read_files``.

    Raises:
        SettingsError: the settings are refused.
        InputError: there is no such Node.
        Unavailable: the API server does not answer as it should.
    """
    from srv6kv.sources.apisource import list_once

    settings = settings_of(config, (), warn, [*etcd, api.host])
    reconciler = Reconciler(settings, node, label or node)
    listed, gaps = list_once(api, node)
    reconciler.intake.take_all(listed)
    reconciler.note_gaps(gaps)
    files = Files(reconciler, listed, (), reconciler.intake.has_malformed)
    if needs_node:
        require_node(files, node, warn)
    return files


def read_node(
    api: ApiServer, config: Path | None, node: str, *, warn: Warn, etcd: Sequence[str] = ()
) -> Reconciler:
    """Read one Node, alone of all objects, from an API server; arguments as ``read_files``.

    Raises:
        SettingsError: the settings are refused.
        Unavailable: the API server does not answer as it should.
    """
    from srv6kv.sources.apiwatch import complete_list
    from srv6kv.sources.bodies import Resource

    reconciler = Reconciler(settings_of(config, (), warn, etcd), node, node)
    only = Resource("Node", "/api/v1/nodes", False, (("fieldSelector", f"metadata.name={node}"),))
    listed = complete_list(api, only, lambda _answer: None)
    reconciler.intake.take_all(listed.items.items())
    return reconciler


def settings_of(
    config: Path | None, objects: Sequence[RawObject], warn: WarnText, servers: Sequence[str] = ()
) -> Settings:
    """Find the settings (design.md section 5).

    Args:
        config: the file with them, if one is named.
        objects: manifests, which may have them in a ConfigMap.
        warn: gets warnings about them.
        servers: those that the command talks to, as URL or ``host:port``: their addresses are
            reserved.

    Raises:
        SettingsError: they are refused.
    """
    config_map = next((item.settings for item in objects if item.settings is not None), None)
    settings, warnings = settingsfile.find(config, os.environ, config_map)
    warn(warnings)
    return replace(settings, reserved=_addresses_of(servers))


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
    """Read the JSON value in a file.

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
