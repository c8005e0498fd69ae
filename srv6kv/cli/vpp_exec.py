"""``srv6kv vpp-exec``: what VPP needs before it has any SR policy."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from srv6kv.cli import terminal
from srv6kv.cli.options import (
    PATH,
    api_of,
    cluster_options,
    config_option,
    node_option,
    optional_etcd_options,
    read_etcd,
)
from srv6kv.errors import InputError


@click.command("vpp-exec")
@cluster_options
@node_option
@config_option
@optional_etcd_options
@click.option("--out", type=PATH, help="Write to this file instead of printing.")
def command(
    paths: tuple[Path, ...], node: str, config: Path | None, out: Path | None, **servers: Any
) -> None:
    """Print the commands for VPP's start-up exec file: encap source and flow hash.

    Both count for policies that are made later, and the agent makes policies before it could set
    them: so VPP reads them when it starts. With --etcd the node's record of Contiv, if there is
    one, has its address, as it does for run.

    \b
    Example:
      srv6kv vpp-exec -f examples/seed/manifests --config examples/seed/contiv.conf --node node1
    """
    from srv6kv.cli import cluster
    from srv6kv.cluster import noderecords
    from srv6kv.cluster.topology import topology_of
    from srv6kv.notes import Kind, Subject
    from srv6kv.offline.reading import read_node
    from srv6kv.vpp import startup

    if paths:
        reconciler = cluster.read_files(paths, config, node).reconciler
    else:  # the Node, alone of all objects
        reconciler = read_node(api_of(servers), cluster.given(config), node)
    settings, known = reconciler.settings, reconciler.cluster
    if servers["endpoints"]:
        entries = read_etcd(servers, [noderecords.PREFIX])
        known.replace_node_records({item.key: item.value for item in entries})
        terminal.warn(sorted(known.records.notes()))
    topology = topology_of(known.nodes.values(), node, settings, known.records.by_name())
    own = topology.own
    if own is None or own.ip is None:
        notes = [*reconciler.intake.notes(), *topology.notes]
        why = [str(note) for note in notes if note.subject == Subject(Kind.NODE, node)]
        raise InputError("; ".join(why) or f"Node {node}: not known")
    text = startup.commands(own.ip, settings.main_vrf)
    if out is None:
        terminal.show(text)
        return
    try:
        out.write_text(text, encoding="ascii")
    except OSError as error:
        raise InputError(f"{out}: cannot be written: {error.strerror}") from None
