"""``srv6kv verify``: whether the agent and VPP have what etcd says."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from srv6kv.cli import terminal
from srv6kv.cli.options import (
    PATH,
    agent_rest_option,
    etcd_options,
    output_option,
    read_etcd,
    required_label,
    rest_of,
)

if TYPE_CHECKING:
    from srv6kv.agent.rest import AgentRest
    from srv6kv.verify import Difference
    from srv6kv.vpp.showsr_values import ShowSr


@click.command("verify")
@required_label()
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
    help="JSON object of logical to VPP interface names, to compare those too; else the agent is"
    " asked for them (--agent-rest).",
)
@etcd_options
@output_option("table", "json")
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
    and its remedy. Writes nothing.

    The agent's states come from --agent-rest, else from etcd if the agent publishes them there.
    What VPP has comes from --vpp or --vppctl, else through the agent's REST server. What could not
    be compared is printed on standard error. docs/verify.md lists the differences.

    Exit codes: 0 the same, 1 there is a difference, 2 bad input, 3 a server is out of reach.

    \b
    Example:
      srv6kv verify --label node1 --vpp examples/verify/node1.txt \\
        --interfaces examples/verify/interfaces.json
    """
    from srv6kv.offline import reading
    from srv6kv.verify import look, vppask

    if files and vppctl is not None:
        raise click.UsageError("--vpp and --vppctl exclude each other")
    given = reading.read_json(interfaces, dict[str, str]) if interfaces else {}
    rest = rest_of(agent_rest)
    copied = reading.read_vpp(files) if files else None

    ask_agent = None if rest is None else lambda: look.asked(rest)

    def compare() -> look.Look:
        entries = read_etcd(etcd, look.prefixes_of(label))
        asked, nameless = vppask.interface_names(rest) if rest is not None else ({}, "")
        return look.look(
            label,
            entries,
            ask_agent,
            lambda: copied or _shown(vppctl, rest),
            {**asked, **given},
            nameless,
        )

    seen, found, changing = look.lasting(compare)
    left_out = list(seen.remarks)
    if changing:
        left_out.append(f"{len(changing)} keys that change just now ({min(changing)})")
    if left_out:
        terminal.say(f"warning: not compared: {'; '.join(left_out)}", err=True)
    look.refuse_nothing(label, seen, found)
    _print(found, seen.compared, left_out, output)
    if any(item.remedy.means is not None for item in found if not item.is_foreign):
        repair = f"'srv6kv repair --label {label} --agent-rest {agent_rest or 'URL'}'"
        terminal.say(f"hint: {repair} finds by itself what each key needs", err=True)
    terminal.end(is_negative=not all(item.is_foreign for item in found))


def _shown(vppctl: str | None, rest: AgentRest | None) -> ShowSr | None:
    """What VPP has, from the first source that is given."""
    from srv6kv.verify import vppask

    if vppctl is not None:
        return vppask.ask(vppask.vppctl(vppctl), vppctl)
    return vppask.ask(rest.vpp_command, rest.url) if rest is not None else None


def _print(
    found: Sequence[Difference], compared: int, left_out: Sequence[str], output: str
) -> None:
    from srv6kv.show import tables

    foreign = [item for item in found if item.is_foreign]
    others = [item for item in found if not item.is_foreign]
    if output == "json":
        shown = {"differences": list(map(_plain, others)), "foreign": list(map(_plain, foreign))}
        about = {"same": not others, "compared": compared, "not_compared": left_out}
        terminal.show_json({**shown, **about})
        return
    if found:
        terminal.show_tables([tables.differences_table([*others, *foreign])])
    subjects = len({item.subject for item in others})
    how_many = f"{len(others)} in {subjects} objects" if others else "none"
    more = f"; {len(foreign)} foreign" if foreign else ""
    terminal.say(f"differences: {how_many}; {compared} keys compared{more}")


def _plain(item: Difference) -> dict[str, Any]:
    return {**asdict(item), "remedy": item.remedy.text, "means": item.remedy.means}
