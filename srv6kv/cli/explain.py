"""``srv6kv explain``: why a service looks as it does from one node."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from srv6kv.cli import terminal
from srv6kv.cli.options import (
    agent_rest_option,
    agent_state_option,
    cluster_options,
    config_option,
    etcd_options,
    node_options,
    output_option,
    refuse_two_sources,
    rest_of,
    store_of,
)

if TYPE_CHECKING:
    from srv6kv.explain.account import Explanation


@click.command("explain")
@click.argument("service", metavar="[NAMESPACE/]SERVICE")
@cluster_options
@node_options
@config_option
@agent_state_option
@agent_rest_option
@partial(etcd_options, is_optional=True)
@output_option("text", "json")
def command(
    service: str,
    agent_state: Path | None,
    agent_rest: str | None,
    output: str,
    **options: Any,
) -> None:
    """Show a service's addresses, keys and endpoints, and the rule behind each decision.

    With --etcd the agent's keys are read from there, and each key is shown with its state: in
    etcd, missing, differs, or to be deleted. With --agent-rest, or where the agent publishes its
    states in etcd, the agent's state follows; --agent-rest also gives the attachment of pods of
    which etcd has no keys. docs/limits.md tells what the warnings mean.

    \b
    Example:
      srv6kv explain kube-system/kube-dns -f examples/seed/manifests \\
        --config examples/seed/contiv.conf --node node1 \\
        --agent-state examples/seed/agent-state-node1.json
    """
    from srv6kv.cli import cluster
    from srv6kv.explain import explain_in
    from srv6kv.offline import states
    from srv6kv.offline.files import service_named

    is_online = bool(options["endpoints"])
    refuse_two_sources(agent_state, options)
    files = cluster.read(options)
    terminal.warn(files.notes)
    reconciler = files.reconciler
    ref = service_named(service, reconciler.cluster, reconciler.intake.notes()).ref
    prefix, rest = reconciler.prefix, rest_of(agent_rest)
    if is_online:
        store = store_of(options)
        entries, said = states.read(store, reconciler.prefixes, prefix, rest, terminal.warn)
    else:
        entries = cluster.read_agent_state(agent_state, prefix)
        said = rest.statuses() if rest is not None else None
    states.add_attachments(reconciler.cluster, rest)
    reconciler.reset(entries)
    _print(explain_in(files, ref, is_online=is_online, states=said), output)
    terminal.warn(reconciler.intake.notes())
    if files.has_bad_input:
        raise click.exceptions.Exit(2)


def _print(explanation: Explanation, output: str) -> None:
    if output == "json":
        from srv6kv.cli import output as printer

        printer.print_json(explanation)
        return
    from srv6kv.show import trees

    terminal.show(trees.text_of(explanation))
