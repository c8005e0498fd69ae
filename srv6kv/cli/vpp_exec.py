"""``srv6kv vpp-exec``: what VPP needs before it has any SR policy."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from srv6kv.cli import terminal
from srv6kv.cli.options import PATH, api_of, cluster_options, config_option, etcd_options, read_etcd
from srv6kv.errors import InputError

if TYPE_CHECKING:
    from srv6kv.sync.reconciler import Reconciler


@click.command("vpp-exec")
@cluster_options
@click.option("--node", required=True, envvar="NODE_NAME", help="Kubernetes name of the node.")
@config_option
@partial(etcd_options, is_optional=True)
@click.option("--out", type=PATH, help="Write to this file instead of printing.")
def command(
    paths: tuple[Path, ...], node: str, config: Path | None, out: Path | None, **servers: Any
) -> None:
    """Print the commands for VPP's start-up exec file: encap source and flow hash.

    Both count for policies that are made later, and the agent makes policies before it could set
    them: so VPP reads them when it starts. With --etcd the node's record of Contiv, if there is
    one, tells its address, as it does for run.

    \b
    Example:
      srv6kv vpp-exec -f examples/seed/manifests --config examples/seed/contiv.conf --node node1
    """
    from srv6kv.cluster.topology import topology_of
    from srv6kv.notes import Kind, Subject

    reconciler = _read(paths, config, node, servers)
    settings = reconciler.settings
    if servers["endpoints"]:
        _read_records(reconciler, servers)
    known = reconciler.cluster
    topology = topology_of(known.nodes.values(), node, settings, known.records.by_name())
    own = topology.own
    if own is None or own.ip is None:
        notes = [*reconciler.intake.notes(), *topology.notes]
        why = [str(note) for note in notes if note.subject == Subject(Kind.NODE, node)]
        raise InputError("; ".join(why) or f"Node {node}: not known")
    text = commands(own.ip, settings.main_vrf)
    if out is None:
        terminal.show(text)
        return
    try:
        out.write_text(text, encoding="ascii")
    except OSError as error:
        raise InputError(f"{out}: cannot be written: {error.strerror}") from None


def _read(
    paths: tuple[Path, ...], config: Path | None, node: str, servers: dict[str, Any]
) -> Reconciler:
    """The settings and the Node, from manifests or, alone of all objects, from the API server."""
    from srv6kv.cli import cluster
    from srv6kv.offline.reading import read_node

    if paths:
        return cluster.read_files(paths, config, node).reconciler
    return read_node(api_of(servers), cluster.given(config), node)


def _read_records(reconciler: Reconciler, servers: dict[str, Any]) -> None:
    from srv6kv.cluster import noderecords

    entries = read_etcd(servers, [noderecords.PREFIX])
    reconciler.cluster.replace_node_records({item.key: item.value for item in entries})
    terminal.warn(sorted(reconciler.cluster.records.notes()))


def commands(source: str, main_vrf: int) -> str:
    """The commands, one a line (decision 0033).

    Without the first, encapsulated packets have the source ``::``. The second takes the flow label
    out of the hash that chooses an endpoint: a client that changes it, as Linux does after a lost
    packet, would go on at another endpoint.

    Args:
        source: the node's address.
        main_vrf: the VRF of the policies. VPP starts with VRF 0 only, so another one is left as
            it is.
    """
    lines = [f"set sr encaps source addr {source}"]
    if main_vrf == 0:
        lines.append("set ip6 flow-hash table 0 src dst sport dport proto")
    return "\n".join(lines) + "\n"
