"""``srv6kv doctor``: whether all is there that srv6kv needs."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from srv6kv.cli.options import (
    agent_rest_option,
    agent_state_option,
    cluster_options,
    config_option,
    etcd_options,
    node_options,
    store_of,
)

if TYPE_CHECKING:
    from srv6kv.doctor.findings import Finding
    from srv6kv.etcd.store import Etcd3Store
    from srv6kv.etcd.values import KeyValue
    from srv6kv.sync.reconciler import Reconciler


@click.command("doctor")
@cluster_options
@node_options
@config_option
@agent_state_option
@agent_rest_option
@partial(etcd_options, is_optional=True)
@click.option(
    "-o", "--output", type=click.Choice(["table", "json"]), default="table", show_default=True
)
def command(
    paths: tuple[Path, ...],
    node: str,
    label: str | None,
    config: Path | None,
    agent_state: Path | None,
    agent_rest: str | None,
    output: str,
    **servers: Any,
) -> None:
    """Check what srv6kv needs of settings, cluster, CNI and etcd. Writes nothing.

    Each check is ok, a warning, an error, or not checked; docs/cni-contract.md tells what is
    expected. Without --agent-state the keys come from etcd (127.0.0.1:2379 unless --etcd says
    else). With --agent-rest those that the agent has from others than etcd count too. Exit code 1
    if there is an error.

    \b
    Example:
      srv6kv doctor -f examples/seed/manifests --config examples/seed/contiv.conf \\
        --node node1 --agent-state examples/cni/ok.json
    """
    from srv6kv.cli import cluster, states
    from srv6kv.doctor.findings import ERROR, Finding
    from srv6kv.errors import SettingsError

    if agent_state is not None and servers["endpoints"]:
        raise click.UsageError("--agent-state and --etcd exclude each other")
    try:
        files = cluster.read_any(paths, servers, config, node, label, needs_node=False)
    except SettingsError as error:
        _end([Finding("settings", ERROR, str(error), "docs/settings.md")], output)
        return
    states.learn_wiring(files.reconciler.cluster, agent_rest)
    found = _findings(files.reconciler, label or node, agent_state, servers)
    cluster.say_notes([*files.notes, *sorted(files.reconciler.intake.notes())])
    _end(found, output, has_bad_input=files.has_bad_input)


def _findings(
    reconciler: Reconciler, label: str, agent_state: Path | None, servers: dict[str, Any]
) -> list[Finding]:
    """What there is to say with the keys of a file, else with those of etcd."""
    from srv6kv.cli import cluster

    if agent_state is not None:
        held = cluster.read_agent_state(agent_state, reconciler.prefix)
        return [*_examine(reconciler, held), *_offline()]
    store = store_of({**servers, "endpoints": servers["endpoints"] or ("127.0.0.1:2379",)})
    try:
        held = store.read(reconciler.prefixes).entries
        return [*_examine(reconciler, held), *_online(store, reconciler, label, held)]
    finally:
        store.close()


def _examine(reconciler: Reconciler, held: Sequence[KeyValue]) -> list[Finding]:
    from srv6kv import doctor

    reconciler.reset(held)
    entries = {key: value for key, value, _ in reconciler.cluster.told.items()}
    entries |= {
        item.key.removeprefix(reconciler.prefix): item.value
        for item in held
        if item.key.startswith(reconciler.prefix)
    }
    return doctor.examine(reconciler, entries)


def _offline() -> Iterator[Finding]:
    from srv6kv.doctor.findings import NOT_CHECKED, Finding

    for check in ("agent", "ranges", "writer", "etcd"):
        yield Finding(check, NOT_CHECKED, "etcd is not asked", "leave out --agent-state")


def _online(
    store: Etcd3Store, reconciler: Reconciler, label: str, held: Sequence[KeyValue]
) -> Iterator[Finding]:
    from srv6kv import doctor
    from srv6kv.doctor import agent
    from srv6kv.doctor.findings import OK, Finding

    said, _ = store.get(reconciler.prefix + agent.KEY)
    yield agent.status(said, time.time())
    name = f"{reconciler.own_prefix}ranges"
    yield doctor.ranges_of_note(next((item.value for item in held if item.key == name), None))
    writer = store.holder(label)
    yield Finding("writer", OK, f"{writer} writes" if writer else "nobody writes now")
    yield _transactions(store, reconciler.own_prefix)


def _transactions(store: Etcd3Store, prefix: str) -> Finding:
    """How large transactions the server takes."""
    from srv6kv.doctor.findings import ERROR, OK, WARNING, Finding
    from srv6kv.errors import Refused
    from srv6kv.etcd.probe import operations_taken, version_of
    from srv6kv.txn.limits import DEFAULT_OPERATIONS, LEAST_OPERATIONS

    version = version_of(store)
    try:
        taken = operations_taken(store, prefix)
    except Refused as error:
        cure = f"let srv6kv read and write below {prefix}"
        return Finding("etcd", ERROR, f"{version}: {error}", cure)
    text = f"{version}, takes transactions of {taken} operations"
    cure = f"start etcd with --max-txn-ops={DEFAULT_OPERATIONS} or more"
    if taken < LEAST_OPERATIONS:
        return Finding("etcd", ERROR, f"{text}: no key can be written with its guards", cure)
    if taken < DEFAULT_OPERATIONS:
        return Finding("etcd", WARNING, f"{text}: a large change takes several revisions", cure)
    return Finding("etcd", OK, text)


def _end(found: Sequence[Finding], output: str, *, has_bad_input: bool = False) -> None:
    """Print the findings, and end with the exit code that they mean."""
    from srv6kv.cli import output as printer
    from srv6kv.doctor.findings import ERROR

    is_well = all(item.verdict != ERROR for item in found)
    if output == "json":
        printer.print_json({"checks": [asdict(item) for item in found], "ok": is_well})
    else:
        printer.print_tables([_table(found)])
    if has_bad_input:
        raise click.exceptions.Exit(2)
    if not is_well:
        raise click.exceptions.Exit(1)


def _table(found: Sequence[Finding]) -> Any:
    from rich.table import Table

    from srv6kv.show.tables import cells

    table = Table(title="Doctor", title_justify="left")
    for name in ("check", "verdict", "found", "cure"):
        table.add_column(name, overflow="fold", no_wrap=name in ("check", "verdict"))
    for item in found:
        table.add_row(*cells((item.check, item.verdict, item.found, item.cure)))
    return table
