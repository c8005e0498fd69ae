"""``srv6kv simulate``: the endpoint that VPP chooses for a flow, and flows that a change moves."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from srv6kv.cli import terminal
from srv6kv.cli.options import (
    PATH,
    agent_states_option,
    config_option,
    kube_options,
    manifests_option,
    optional_etcd_options,
    output_option,
    read_etcd,
    refuse_two_sources,
)

if TYPE_CHECKING:
    from srv6kv.simulate.answer import Answer
    from srv6kv.simulate.flow import After, Before, Hash


@click.command("simulate")
@click.argument("destination", metavar="DESTINATION")
@click.option(
    "--from",
    "sender",
    required=True,
    help="NODE/POD-ADDRESS, NODE for its host, or outside@NODE[/ADDRESS], each with the source port"
    " behind it if it is known: node1/[2001::2]:40000.",
)
@click.option(
    "--protocol",
    type=click.Choice(["tcp", "udp"], case_sensitive=False),
    help="Protocol of the flow [default: as DESTINATION says, else the service's].",
)
@manifests_option()
@config_option
@agent_states_option
@click.option(
    "--then",
    type=PATH,
    multiple=True,
    help="Manifests after the change, a file or a directory; what they do not define stays as in -f"
    " unless they have Nodes; repeatable.",
)
@click.option(
    "--plan",
    is_flag=True,
    help="The change that 'srv6kv plan' would write to --etcd, for -f or the API server.",
)
@click.option(
    "--vpp",
    "files",
    type=PATH,
    multiple=True,
    help="What VPP on the sender's node printed for 'show sr policies': its order of lists counts;"
    " - is standard input; repeatable.",
)
@click.option("--vpp-version", default="23.06", show_default=True, help="Version of VPP.")
@click.option(
    "--flow-hash",
    metavar="WORDS",
    help="What is hashed, in VPP's words or as its number"
    " [default: src dst sport dport proto, with --flow-label also flowlabel].",
)
@click.option("--flow-label", metavar="NUMBER", help="IPv6 flow label of the packet.")
@kube_options
@optional_etcd_options
@output_option("table", "json")
def command(
    destination: str,
    sender: str,
    protocol: str | None,
    vpp_version: str,
    flow_hash: str | None,
    flow_label: str | None,
    output: str,
    **options: Any,
) -> None:
    """Show which endpoint VPP chooses for a flow, the share of every endpoint, and with --then or
    --plan the share of flows that a change moves.

    DESTINATION is ADDRESS:PORT[/PROTO] (brackets or none) or [NAMESPACE/]SERVICE[:PORT][/PROTO].
    The nodes are those of the manifests, as render makes them, or with --etcd those whose agents
    have keys there. It computes what VPP would do and asks no VPP: docs/simulate.md says how.
    Ends with 1 if the flow is lost.

    \b
    Example:
      srv6kv simulate balanced --from 'node1/[2001:0:0:1::2]:40000' \\
        -f examples/seed/manifests -f examples/paths --config examples/seed/contiv.conf \\
        --then examples/simulate/balanced.yaml
    """
    from srv6kv.cli import cluster
    from srv6kv.ligato import keys
    from srv6kv.offline.reading import read_vpp
    from srv6kv.plan.ownership import own_prefix
    from srv6kv.simulate import flow, question
    from srv6kv.trace import destinations

    _check(**options)
    hashed = hash_of(vpp_version, flow_hash, flow_label)
    source, port = question.sender_of(sender)
    node = destinations.node_of(source)
    is_known = options["paths"] or options["plan"]
    known = cluster.read(options | {"node": node, "label": None}) if is_known else None
    entries = read_etcd(options, [keys.AGENT, own_prefix(node)]) if options["endpoints"] else None
    before = flow.before_of(known, cluster.states_of(options["states"]), entries)
    after = _after(before, node, options) if options["then"] or options["plan"] else None
    asked = question.destination_of(destination, (protocol or "").upper(), before.scene.cluster)
    shown = read_vpp(options["files"]) if options["files"] else None
    found = flow.answer(before, asked, source, port, hashed, shown, after)
    _print(found, output)
    bad = {*before.scene.bad_input, *(after.bad_input if after is not None else ())}
    terminal.warn(sorted(bad))
    terminal.end(is_bad_input=bool(bad), is_negative=not found.is_served)


def _after(before: Before, node: str, options: dict[str, Any]) -> After:
    from srv6kv.cli.cluster import given
    from srv6kv.offline.reading import read_changed
    from srv6kv.simulate import flow

    then, what = options["then"], given(options["config"])
    files = read_changed(before.files, options["paths"], then, what, node) if then else None
    return flow.after_of(before, node, files)


def _check(
    paths: tuple[Path, ...],
    states: tuple[str, ...],
    then: tuple[Path, ...],
    plan: bool,
    files: tuple[Path, ...],
    **servers: Any,
) -> None:
    if not paths and not servers["endpoints"]:
        raise click.UsageError("give manifests with -f, or --etcd")
    refuse_two_sources(states, servers)
    if plan and (then or not servers["endpoints"]):
        raise click.UsageError("--plan needs --etcd, and no --then")
    if [str(path) for path in (*paths, *files, *then)].count("-") > 1:
        raise click.UsageError("standard input can be read once")
    if Path("-") in then:
        raise click.UsageError("--then reads files and directories only")


def hash_of(version: str, words: str | None, label: str | None) -> Hash:
    """The options about VPP."""
    from srv6kv.simulate import flowhash
    from srv6kv.simulate.buckets import version_is_capped
    from srv6kv.simulate.flow import Hash

    try:
        number = int(label or "0", 0)
    except ValueError:
        number = -1
    if label == "" or not 0 <= number < 1 << 20:
        raise click.BadParameter(f"--flow-label {label!r} is not a number of 20 bits")
    config = flowhash.FIVE_TUPLE if label is None else flowhash.WITH_FLOW_LABEL
    try:
        config = config if words is None else flowhash.config_of(words)
    except ValueError as error:
        raise click.BadParameter(f"--flow-hash: {error}") from None
    if ("flowlabel" in config) != (label is not None):
        raise click.BadParameter("--flow-label and flowlabel in --flow-hash need each other")
    try:
        return Hash(config, number, version_is_capped(version))
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


def _print(found: Answer, output: str) -> None:
    from srv6kv.show import shares

    if output == "json":
        terminal.show_json(found)
        return
    for line in shares.lines(found):
        terminal.say(line)
    if found.balanced is not None:
        terminal.show_tables([shares.shares_table(found.balanced)])
    if found.change is not None:
        if found.change.policies:
            terminal.show_tables([shares.change_table(found.change)])
        for line in filter(None, (shares.change_line(found.change), shares.then_line(found))):
            terminal.say(line)
    terminal.warn(found.assumptions)
