"""``srv6kv verify``: whether the agent and VPP have what etcd says."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Sequence, Set
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from srv6kv.cli import terminal
from srv6kv.cli.options import (
    PATH,
    agent_rest_option,
    etcd_options,
    label_option,
    read_etcd,
    rest_of,
    unknown_label,
)

if TYPE_CHECKING:
    from srv6kv.agent.rest import AgentRest
    from srv6kv.agent.status import ValueStatus
    from srv6kv.etcd.values import KeyValue
    from srv6kv.verify import Difference
    from srv6kv.vpp.showsr_values import ShowSr

REPAIR = "srv6kv repair"
_SRV6 = "config/vpp/srv6/v2/"


@click.command("verify")
@label_option
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

    Exit codes: 0 the same, 1 there is a difference, 2 bad input, 3 somebody is out of reach.

    \b
    Example:
      srv6kv verify --label node1 --vpp examples/verify/node1.txt \\
        --interfaces examples/verify/interfaces.json
    """
    from srv6kv.cli import cluster
    from srv6kv.offline import vpptexts

    if files and vppctl is not None:
        raise click.UsageError("--vpp and --vppctl exclude each other")
    names = cluster.read_json(interfaces, dict[str, str]) if interfaces else {}
    rest = rest_of(agent_rest)
    copied = vpptexts.read_files(files) if files else None

    def look() -> Look:
        entries = read_etcd(etcd, _prefixes(label))
        return _look(label, entries, rest, lambda: copied or _shown(vppctl, rest), names)

    seen, found, changing = _lasting(look)
    left_out = [*seen.remarks, *_changing(changing)]
    if left_out:
        terminal.say(f"warning: not compared: {'; '.join(left_out)}", err=True)
    _refuse_nothing(label, seen, found)
    _print(found, seen.compared, left_out, output)
    if not all(item.is_foreign for item in found):
        if any(REPAIR in item.cure for item in found):
            terminal.say(_hint(label, agent_rest), err=True)
        raise click.exceptions.Exit(1)


@dataclass(frozen=True, slots=True)
class Look:
    """What was there at one look.

    Attributes:
        revisions: of each key of etcd.
        has_states: whether the agent was asked; ``has_vpp``: whether VPP was.
        remarks: what could not be compared.
        compared: how many keys were.
    """

    found: Sequence[Difference]
    revisions: Set[tuple[str, int]]
    has_states: bool
    has_vpp: bool
    remarks: Sequence[str]
    compared: int

    @property
    def is_different(self) -> bool:
        """Whether anything is."""
        return not all(item.is_foreign for item in self.found)


def _look(
    label: str,
    entries: Sequence[KeyValue],
    rest: AgentRest | None,
    ask_vpp: Callable[[], ShowSr | None],
    names: dict[str, str],
) -> Look:
    from srv6kv import verify
    from srv6kv.ligato import keys, schema

    held = verify.held_of(label, {item.key: item.value for item in entries}, schema.decoded)
    prefix = keys.agent_prefix(label)
    states, remarks = (rest.statuses(), []) if rest else _published(prefix, entries)
    shown = ask_vpp()
    return Look(
        verify.compare(held, states, shown, names),
        {(item.key.removeprefix(prefix), item.mod_revision) for item in entries},
        states is not None,
        shown is not None,
        [*remarks, *verify.not_compared(held, states, shown, names)],
        sum(map(held.concerns, held.keys)),
    )


def _published(
    prefix: str, entries: Sequence[KeyValue]
) -> tuple[dict[str, ValueStatus] | None, list[str]]:
    """The states in etcd, None without any; and a remark on each that makes no sense."""
    from srv6kv.agent.view import View

    view = View(prefix)
    view.reset(item for item in entries if view.owns(item.key))
    remarks = list(view.unreadable.values())
    return (view.statuses if view.told or remarks else None), remarks


def _lasting(look: Callable[[], Look]) -> tuple[Look, list[Difference], set[str]]:
    """The last look, the differences that an earlier one had too, and the keys with differences
    that changed in between, of which nothing is said."""
    from srv6kv.cli import looking

    seen = look()
    if not seen.is_different:
        return seen, list(seen.found), set()
    time.sleep(looking.AGAIN_SECONDS)
    earlier, seen = seen, look()
    before = {(item.subject, item.where) for item in earlier.found}
    changing = {key for key, _ in earlier.revisions ^ seen.revisions}
    changing &= {item.subject for item in (*earlier.found, *seen.found)}
    lasting = [item for item in seen.found if (item.subject, item.where) in before]
    return seen, [item for item in lasting if item.subject not in changing], changing


def _changing(keys: Collection[str]) -> list[str]:
    return [f"{len(keys)} keys that change just now ({min(keys)})"] if keys else []


def _refuse_nothing(label: str, seen: Look, found: Sequence[Difference]) -> None:
    """Who is the same as nobody is not the same.

    Raises:
        InputError: etcd has nothing of the label, or neither agent nor VPP is known.
    """
    from srv6kv.errors import InputError

    if found:
        return
    if not seen.revisions:
        raise InputError(unknown_label(label))
    if not (seen.has_states or seen.has_vpp):
        raise InputError(
            f"nobody tells what the agent of {label} or its VPP has: give --agent-rest, --vpp or"
            " --vppctl, or let the agent publish its states (ENABLE_STATUS_PUBLISHING)"
        )


def _hint(label: str, agent_rest: str | None) -> str:
    more = f" --agent-rest {agent_rest}" if agent_rest else " --agent-rest URL"
    return f"hint: '{REPAIR} --label {label}{more}' finds by itself what each key needs"


def _prefixes(label: str) -> list[str]:
    """The configuration of the label, the published states, and what srv6kv has noted."""
    from srv6kv.agent.status import STATUS
    from srv6kv.ligato import keys
    from srv6kv.plan.ownership import own_prefix

    prefix = keys.agent_prefix(label)
    return [prefix + keys.CONFIG, prefix + STATUS, own_prefix(label)]


def _shown(vppctl: str | None, rest: AgentRest | None) -> ShowSr | None:
    """What VPP has, from the first source that is given."""
    from srv6kv.offline import vpptexts

    if vppctl is not None:
        return vpptexts.ask(vpptexts.vppctl(vppctl), vppctl)
    return vpptexts.ask(rest.vpp_command, rest.url) if rest is not None else None


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
    terminal.say(f"differences: {how_many}; {compared} keys compared{more}")


def _table(found: Sequence[Difference]) -> Any:
    from rich.table import Table

    from srv6kv.show.tables import cells

    table = Table(title="Differences", title_justify="left", show_lines=True)
    for name in ("object", "where", "difference", "likely cause", "cure"):
        table.add_column(name, overflow="fold", no_wrap=name == "where")
    for item in found:
        row = (
            *(item.subject.removeprefix(_SRV6), item.where, f"{item.reason}: {item.what}"),
            *(item.cause, item.cure),
        )
        table.add_row(*cells(row))
    return table
