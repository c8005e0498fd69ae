"""``srv6kv explain``: why a service looks as it does from one node."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import msgspec

from srv6kv import foreign
from srv6kv.cli import terminal
from srv6kv.cli.options import (
    agent_rest_option,
    agent_state_option,
    cluster_options,
    config_option,
    etcd_options,
    node_options,
)
from srv6kv.errors import InputError

if TYPE_CHECKING:
    from srv6kv.agent.status import ValueStatus
    from srv6kv.cli.cluster import Files
    from srv6kv.explain.account import Explanation
    from srv6kv.kube.model import EndpointSlice, Ref


@click.command("explain")
@click.argument("service", metavar="[NAMESPACE/]SERVICE")
@cluster_options
@node_options
@config_option
@agent_state_option
@agent_rest_option
@partial(etcd_options, is_optional=True)
@click.option(
    "-o", "--output", type=click.Choice(["text", "json"]), default="text", show_default=True
)
def command(
    service: str,
    paths: tuple[Path, ...],
    node: str,
    label: str | None,
    config: Path | None,
    agent_state: Path | None,
    agent_rest: str | None,
    output: str,
    **servers: Any,
) -> None:
    """Show a service's addresses, keys and endpoints, and the rule behind each decision.

    With --etcd the agent's keys are read from there, and each key is shown with its state: in
    etcd, missing, differs, or to be deleted. With --agent-rest, or where the agent publishes its
    states in etcd, what the agent says of it follows; --agent-rest also tells the wiring of pods of
    which etcd has no keys. docs/limits.md tells what the notes mean.

    \b
    Example:
      srv6kv explain kube-system/kube-dns -f examples/seed/manifests \\
        --config examples/seed/contiv.conf --node node1 \\
        --agent-state examples/seed/agent-state-node1.json
    """
    from srv6kv.cli import cluster, states

    if agent_state is not None and servers["endpoints"]:
        raise click.UsageError("--agent-state and --etcd exclude each other")
    files = cluster.read_any(paths, servers, config, node, label)
    cluster.say_notes(files.notes)
    ref = _ref_of(service, files)
    reconciler = files.reconciler
    prefix = reconciler.prefix
    if servers["endpoints"]:
        entries, said = states.read(servers, reconciler.prefixes, prefix, agent_rest)
    else:
        entries, said = cluster.read_agent_state(agent_state, prefix), states.asked(agent_rest)
    states.learn_wiring(reconciler.cluster, agent_rest)
    reconciler.reset(entries)
    _print(_explained(ref, files, said, is_online=bool(servers["endpoints"])), output)
    cluster.say_notes(list(reconciler.intake.notes()))
    if files.has_bad_input:
        raise click.exceptions.Exit(2)


def _ref_of(text: str, files: Files) -> Ref:
    """The service that is meant.

    Raises:
        InputError: there is none of that name, or it is malformed.
    """
    import difflib

    from srv6kv.kube.model import Ref
    from srv6kv.notes import Kind, Subject

    namespace, _, name = text.rpartition("/")
    ref = Ref(namespace or "default", name)
    services = files.reconciler.cluster.services
    if ref in services:
        return ref
    for note in files.reconciler.intake.notes():
        if note.subject == Subject(Kind.SERVICE, ref):
            raise InputError(str(note))
    near = difflib.get_close_matches(str(ref), map(str, services), n=3)
    near += [str(other) for other in sorted(services) if other.name == name]
    hint = f"; near it: {', '.join(dict.fromkeys(near))}" if near else ""
    raise InputError(f"Service {ref}: no such service{hint}")


def _explained(
    ref: Ref, files: Files, states: dict[str, ValueStatus] | None, *, is_online: bool
) -> Explanation:
    from srv6kv.explain import explain

    body = next(
        body
        for identity, body in reversed(files.objects)
        if identity == ("Service", ref.namespace, ref.name)
    )
    spec = (foreign.plain(body) if isinstance(body, msgspec.Raw) else body)["spec"]
    assert isinstance(spec, dict)  # it was parsed
    found = files.reconciler.plan()
    slices = _slices_in(ref.namespace, files)
    return explain(ref, files.reconciler, found, slices, spec, is_online=is_online, states=states)


def _slices_in(namespace: str, files: Files) -> list[EndpointSlice]:
    """The slices of a namespace, with those that the cluster does not keep."""
    from srv6kv.kube.model import EndpointSlice
    from srv6kv.kube.parse import ParseError, parse

    slices = {}
    for (kind, *place), body in files.objects:
        if (kind, place[0]) == ("EndpointSlice", namespace):
            try:
                found = parse(kind, body)
            except ParseError:
                continue  # the intake has a note on it
            assert isinstance(found, EndpointSlice)
            slices[found.ref] = found
    return list(slices.values())


def _print(explanation: Explanation, output: str) -> None:
    if output == "json":
        from srv6kv.cli import output as printer

        printer.print_json(explanation)
        return
    from srv6kv.show import trees

    terminal.show(trees.text_of(explanation))
