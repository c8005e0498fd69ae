"""``srv6kv explain``: why a service looks as it does from one node."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from srv6kv.cli import terminal
from srv6kv.cli.options import (
    agent_rest_option,
    agent_state_option,
    optional_etcd_options,
    output_option,
    refuse_two_sources,
    rest_of,
    seen_options,
    store_of,
)


@click.command("explain")
@click.argument("service", metavar="[NAMESPACE/]SERVICE")
@seen_options
@agent_state_option
@agent_rest_option
@optional_etcd_options
@output_option("text", "json")
def command(
    service: str, agent_state: Path | None, agent_rest: str | None, output: str, **options: Any
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
    from srv6kv.offline import reading, states
    from srv6kv.offline.files import service_named
    from srv6kv.show import trees

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
        entries = reading.read_agent_state(agent_state, prefix)
        said = rest.statuses() if rest is not None else None
    states.add_attachments(reconciler.cluster, rest)
    reconciler.reset(entries)
    explanation = explain_in(files, ref, is_online=is_online, states=said)
    if output == "json":
        terminal.show_json(explanation)
    else:
        terminal.show(trees.text_of(explanation))
    terminal.warn(reconciler.intake.notes())
    terminal.end(is_bad_input=files.has_bad_input)
