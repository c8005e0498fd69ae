"""``srv6kv trace``: the path of a packet."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from srv6kv.cli import terminal
from srv6kv.cli.options import (
    agent_states_option,
    config_option,
    manifests_option,
    optional_etcd_options,
    output_option,
    read_etcd,
    refuse_two_sources,
)

if TYPE_CHECKING:
    from srv6kv.trace import Trace
    from srv6kv.trace.sites import Scene


@click.command("trace")
@click.argument("destination", metavar="DESTINATION")
@click.option(
    "--from",
    "sender",
    required=True,
    help="NODE/POD-ADDRESS, NODE for its host, or outside@NODE[/ADDRESS] for its uplink.",
)
@manifests_option()
@config_option
@agent_states_option
@optional_etcd_options
@output_option("text", "json", "svg")
def command(destination: str, sender: str, output: str, **options: Any) -> None:
    """Show the path of a new connection's first packet, and every end that it can have.

    DESTINATION is ADDRESS:PORT[/PROTO] (brackets or none) or [NAMESPACE/]SERVICE:PORT[/PROTO]. The
    nodes are those of the manifests, as render makes them, or with --etcd those whose agents
    have keys there. Ends with 1 if the packet is lost.

    \b
    Example:
      srv6kv trace podthere:80 --from node1/2001:0:0:1::2 -f examples/seed/manifests \\
        --config examples/seed/contiv.conf -o svg > path.svg
    """
    from srv6kv.trace import destinations

    refuse_two_sources(options["states"], options)
    if not options["paths"] and not options["endpoints"]:
        raise click.UsageError("give manifests with -f, or --etcd")
    scene = _scene(options, destinations.node_of(sender))
    found = traced(scene, destination, sender)
    if output == "json":
        terminal.show_json(found)
    else:
        terminal.show(text_of(found, output))
        terminal.warn(found.assumptions)
    terminal.warn(scene.bad_input)
    terminal.end(is_bad_input=bool(scene.bad_input), is_negative=not found.is_delivered)


def _scene(options: dict[str, Any], node: str) -> Scene:
    from srv6kv.cli import cluster
    from srv6kv.ligato import keys
    from srv6kv.offline.reading import require_node
    from srv6kv.trace import sites

    given, paths = cluster.states_of(options["states"]), options["paths"]
    files = cluster.read_files(paths, options["config"], "") if paths else None
    if options["endpoints"]:
        return sites.in_etcd(read_etcd(options, [keys.AGENT]), files)
    assert files is not None
    require_node(files, node, terminal.warn)
    return sites.rendered(files, given)


def traced(scene: Scene, destination: str, sender: str) -> Trace:
    """Trace the packet that is asked for."""
    from dataclasses import replace

    from srv6kv.trace import Network, destinations

    network = Network(scene.sites)
    source = destinations.source_of(sender, network)
    found = destinations.traced(network, scene.cluster, source, destination)
    return replace(found, assumptions=(*scene.assumptions, *found.assumptions))


def text_of(found: Trace, output: str) -> str:
    """Return a path as ``text`` or ``svg``."""
    if output == "svg":
        from srv6kv.show import picture

        return picture.svg_of(found)
    from srv6kv.show import paths

    return paths.text_of(found)
