"""``srv6kv verify``: whether the agent and VPP have what etcd says."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from srv6kv.cli.options import PATH, agent_rest_option, etcd_options, read_etcd

if TYPE_CHECKING:
    from srv6kv.agent.rest import AgentRest
    from srv6kv.agent.status import ValueStatus
    from srv6kv.formats.showsr_values import ShowSr
    from srv6kv.verify import Difference

_SRV6 = "config/vpp/srv6/v2/"


@click.command("verify")
@click.option(
    "--label",
    required=True,
    envvar="MICROSERVICE_LABEL",
    help="Microservice label of the agent [default: $MICROSERVICE_LABEL].",
)
@agent_rest_option
@click.option(
    "--vpp",
    "files",
    type=PATH,
    multiple=True,
    help="What VPP printed for 'show sr localsids', 'policies', 'steering-policies' and 'encaps"
    " source addr', in one file or several; - is standard input; repeatable.",
)
@click.option(
    "--vppctl",
    is_flag=False,
    flag_value="vppctl",
    metavar="[COMMAND]",
    help='Ask VPP by this command [without one: "vppctl"].',
)
@click.option(
    "--interfaces",
    type=PATH,
    help="JSON object of logical to VPP interface names, to compare those too.",
)
@etcd_options
@click.option(
    "-o", "--output", type=click.Choice(["table", "json"]), default="table", show_default=True
)
def command(
    label: str,
    agent_rest: str | None,
    files: tuple[Path, ...],
    vppctl: str | None,
    interfaces: Path | None,
    output: str,
    **etcd: Any,
) -> None:
    """Compare etcd with the agent's states and with VPP; name each difference, its likely cause
    and its cure. Writes nothing.

    The agent's states come from --agent-rest, else from etcd if the agent publishes them there.
    What VPP has comes from --vpp or --vppctl, else through the agent's REST server. What could not
    be compared is said on standard error. docs/verify.md lists the differences.

    \b
    Example:
      srv6kv verify --label node1 --vpp examples/verify/node1.txt \\
        --interfaces examples/verify/interfaces.json
    """
    from srv6kv import verify
    from srv6kv.agent.rest import AgentRest
    from srv6kv.cli import cluster

    if files and vppctl is not None:
        raise click.UsageError("--vpp and --vppctl exclude each other")
    names = cluster.read_json(interfaces, dict[str, str]) if interfaces else {}
    rest = AgentRest(agent_rest) if agent_rest else None
    entries = _entries(label, etcd)
    held = verify.held_of(label, entries, decoded)
    states = rest.statuses() if rest else published(label, entries)
    shown = _shown(files, vppctl, rest)
    left_out = list(verify.not_compared(held, states, shown, names))
    if left_out:
        click.echo(f"note: not compared: {'; '.join(left_out)}", err=True)
    found = verify.compare(held, states, shown, names)
    _print(found, sum(map(held.concerns, held.keys)), left_out, output)
    if not all(item.is_foreign for item in found):
        raise click.exceptions.Exit(1)


def _entries(label: str, etcd: dict[str, Any]) -> dict[str, bytes]:
    """The configuration of the label, the published states, and what srv6kv has noted."""
    from srv6kv.agent import keys
    from srv6kv.agent.status import STATUS
    from srv6kv.ownership import own_prefix

    if not label or "/" in label:
        raise click.BadParameter(f"{label!r} is the label of no agent", param_hint="'--label'")
    prefix = keys.agent_prefix(label)
    found = read_etcd(etcd, [prefix + keys.CONFIG, prefix + STATUS, own_prefix(label)])
    return {item.key: item.value for item in found}


def _shown(files: Sequence[Path], vppctl: str | None, rest: AgentRest | None) -> ShowSr | None:
    """What VPP has, from the first source that is given."""
    from srv6kv.cli import vpptexts

    if files:
        return vpptexts.read_files(files)
    if vppctl is not None:
        return vpptexts.ask(vpptexts.vppctl(vppctl), vppctl)
    return vpptexts.ask(rest.vpp_command, rest.url) if rest is not None else None


def decoded(key: str, value: bytes) -> dict[str, Any]:
    """A value with the agent's own names.

    Raises:
        ValueError: the agent could not decode it, or knows no such kind of key.
    """
    from google.protobuf import json_format

    from srv6kv.formats import schema

    message = schema.parse_json(key, value)
    found: dict[str, Any] = json_format.MessageToDict(message, preserving_proto_field_name=True)
    return found


def published(label: str, entries: dict[str, bytes]) -> dict[str, ValueStatus] | None:
    """The states in etcd; one line on stderr for each that makes no sense; None without any."""
    from srv6kv.agent import keys
    from srv6kv.agent.status import STATUS, parse_status

    states = {}
    prefix = keys.agent_prefix(label)
    below = [key for key in entries if key.startswith(prefix + STATUS)]
    for key in below:
        try:
            status = parse_status(key.removeprefix(prefix), entries[key])
            states[status.key] = status
        except ValueError as error:
            click.echo(f"note: {error}", err=True)
    return states if below else None


def _print(
    found: Sequence[Difference], compared: int, left_out: Sequence[str], output: str
) -> None:
    from srv6kv.cli import output as printer

    foreign = [item for item in found if item.is_foreign]
    others = [item for item in found if not item.is_foreign]
    if output == "json":
        printer.print_json(
            {
                "same": not others,
                "compared": compared,
                "differences": [asdict(item) for item in others],
                "foreign": [asdict(item) for item in foreign],
                "not_compared": left_out,
            }
        )
        return
    if found:
        printer.print_tables([_table([*others, *foreign])])
    subjects = len({item.subject for item in others})
    how_many = f"{len(others)} in {subjects} objects" if others else "none"
    more = f"; {len(foreign)} foreign" if foreign else ""
    click.echo(f"differences: {how_many}; {compared} keys compared{more}")


def _table(found: Sequence[Difference]) -> Any:
    from rich.table import Table
    from rich.text import Text

    table = Table(title="Differences", title_justify="left", show_lines=True)
    for name in ("object", "where", "difference", "likely cause", "cure"):
        table.add_column(name, overflow="fold", no_wrap=name == "where")
    for item in found:
        cells = (
            *(item.subject.removeprefix(_SRV6), item.where, f"{item.reason}: {item.what}"),
            *(item.cause, item.cure),
        )
        table.add_row(*map(Text, cells))
    return table
