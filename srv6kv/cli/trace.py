"""``srv6kv trace``: the path of a packet."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from srv6kv.cli import terminal
from srv6kv.cli.options import (
    agent_states_option,
    config_option,
    etcd_options,
    manifests_option,
    read_etcd,
)

if TYPE_CHECKING:
    from srv6kv.cli.sites import Scene
    from srv6kv.trace import Trace


@click.command("trace")
@click.argument("destination", metavar="DESTINATION")
@click.option(
    "--from",
    "sender",
    required=True,
    help="NODE/POD-ADDRESS, NODE for its host, or outside@NODE[/ADDRESS] for its uplink.",
)
@manifests_option
@config_option
@agent_states_option
@partial(etcd_options, is_optional=True)
@click.option(
    "-o", "--output", type=click.Choice(["text", "json", "svg"]), default="text", show_default=True
)
def command(
    destination: str,
    sender: str,
    paths: tuple[Path, ...],
    config: Path | None,
    states: tuple[str, ...],
    output: str,
    **etcd: Any,
) -> None:
    """Show the path of a new connection's first packet, and every end that it can have.

    DESTINATION is ADDRESS:PORT[/PROTO] (brackets or none) or [NAMESPACE/]SERVICE:PORT[/PROTO]. The
    nodes are those of the manifests, as render makes them, or with --etcd those whose agents
    have keys there. Ends with 1 if nobody gets the packet.

    \b
    Example:
      srv6kv trace podthere:80 --from node1/2001:0:0:1::2 -f examples/seed/manifests \\
        --config examples/seed/contiv.conf -o svg > path.svg
    """
    from srv6kv.cli import cluster, destinations
    from srv6kv.cli import output as printer

    if states and etcd["endpoints"]:
        raise click.UsageError("--agent-state and --etcd exclude each other")
    if not paths and not etcd["endpoints"]:
        raise click.UsageError("give manifests with -f, or --etcd")
    scene = _scene(paths, config, states, etcd, destinations.node_of(sender))
    found = traced(scene, destination, sender)
    if output == "json":
        printer.print_json(found)
    else:
        terminal.show(text_of(found, output))
        for note in found.notes:
            terminal.say(f"note: {note}", err=True)
    if scene.bad_input:
        cluster.say_notes(scene.bad_input)
        raise click.exceptions.Exit(2)
    if not found.is_delivered:
        raise click.exceptions.Exit(1)


def _scene(
    paths: tuple[Path, ...],
    config: Path | None,
    states: tuple[str, ...],
    etcd: dict[str, Any],
    node: str,
) -> Scene:
    from srv6kv.cli import cluster, sites
    from srv6kv.ligato import keys

    named = sites.states_of(states)
    files = cluster.read_files(paths, config, "", None) if paths else None
    if etcd["endpoints"]:
        return sites.held(read_etcd(etcd, [keys.AGENT]), files)
    assert files is not None
    cluster.require_node(files, node)
    return sites.rendered_files(files, named)


def traced(scene: Scene, destination: str, sender: str) -> Trace:
    """The path that is asked for.

    Raises:
        InputError: sender or destination is none that is there.
    """
    from dataclasses import replace

    from srv6kv.cli import destinations
    from srv6kv.net.addresses import is_ipv4
    from srv6kv.trace import Network

    network = Network(scene.sites)
    source = destinations.source_of(sender, network)
    target = destinations.target_of(destination, source, scene.cluster)
    choices = destinations.choices_of(source, target, scene.cluster, ipv4=is_ipv4(target.address))
    found = network.trace(destinations.question_of(source, target, network), choices)
    return replace(found, notes=(*scene.notes, *found.notes))


def text_of(found: Trace, output: str) -> str:
    """A path as ``text`` or ``svg``."""
    if output == "svg":
        from srv6kv.show import picture

        return picture.svg_of(found)
    from srv6kv.show import paths

    return paths.text_of(found)
