"""An explanation as an indented tree of lines, for reading.

Rule: no key and no address is ever cut or wrapped, so that a line can be copied into ``etcdctl``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from srv6kv.explain.account import (
    Address,
    EndpointPart,
    Explanation,
    Key,
    Place,
    ReceiveSide,
    Said,
    SlicePart,
    Verdict,
)
from srv6kv.foreign import visible

if TYPE_CHECKING:
    from rich.tree import Tree


def text_of(explanation: Explanation) -> str:
    """The tree as lines of plain text."""
    from rich.console import Console

    # As wide as the widest line could be: nothing is wrapped.
    console = Console(width=4096, color_system=None, force_terminal=False)
    with console.capture() as capture:
        console.print(_tree_of(explanation))
    return "".join(f"{line.rstrip()}\n" for line in capture.get().splitlines())


def _tree_of(explanation: Explanation) -> Tree:
    from rich.text import Text
    from rich.tree import Tree

    ports = ", ".join(explanation.ports) or "no ports"
    head = f"Service {explanation.service} ({ports}), seen from node {explanation.node}"
    tree = Tree(Text(visible.line(head)))
    if explanation.rule:
        _add(tree, f"not rendered, rule {explanation.rule}")
    for address in explanation.addresses:
        _add_address(tree, address)
    for part in explanation.slices:
        _add_slice(tree, part)
    if not explanation.slices and not explanation.rule:
        _add(tree, "no EndpointSlice names it")
    for item in explanation.warnings:
        _add(tree, f"warning {item.reason}: {item.subject}: {item.text}", [f"see {item.link}"])
    if explanation.rules:
        _add(tree, "rules", (f"{name}: {page}" for name, page in explanation.rules.items()))
    return tree


def _add(tree: Tree, text: str, lines: Iterable[str] = ()) -> Tree:
    from rich.text import Text

    branch = tree.add(Text(visible.line(text)))
    for line in lines:
        branch.add(Text(visible.line(line)))
    return branch


def _add_address(tree: Tree, address: Address) -> None:
    shared = f", shared with {', '.join(address.shared_with)}" if address.shared_with else ""
    branch = _add(tree, f"address {address.address} ({address.field}){shared}")
    if address.problem:
        _add(branch, f"not rendered: {address.problem}")
    for place in address.places:
        head = f"{place.vrf} VRF {place.vrf_id}, policy {place.policy}: {place.outcome}"
        _add(branch, head, _lines_of_place(place))


def _lines_of_place(place: Place) -> Iterator[str]:
    yield from map(_key, place.keys)
    for path in place.paths:
        behind = ", ".join(path.endpoints) or "no endpoint"
        yield f"weight {path.weight}: {' > '.join(path.segments)} to {behind}"


def _key(key: Key) -> str:
    said = f"agent: {key.agent}" if isinstance(key.agent, Said) else ""
    states = "; ".join(filter(None, (key.state, said)))
    return f"{key.key} ({states})" if states else key.key


def _add_slice(tree: Tree, item: SlicePart) -> None:
    branch = _add(tree, f"EndpointSlice {item.name}")
    for unused in item.unused:
        _add(branch, f"{unused.place or 'all of it'}: not used, rule {unused.rule}: {unused.why}")
    for part in item.endpoints:
        _add_endpoint(branch, part)


def _add_endpoint(tree: Tree, part: EndpointPart) -> None:
    where = ", ".join(filter(None, (part.what, part.node and f"node {part.node}", part.pod)))
    conditions = ", ".join(part.conditions) or "not ready"
    branch = _add(tree, f"{part.address} ({where}): {conditions}", map(_verdict, part.verdicts))
    if not part.verdicts:
        _add(branch, "dropped: its slice offers nothing that the service could use")
    if part.problem:
        _add(branch, f"cannot be sent to: {part.problem}")
    if part.receive_side is not None:
        _add(branch, "receive side", _receive_lines(part.receive_side))


def _verdict(verdict: Verdict) -> str:
    policy = f"policy {verdict.policy}: " if verdict.policy else ""
    kept = "kept" if verdict.kept else "dropped"
    return f"{policy}{kept} for {', '.join(verdict.ports)}, rule {verdict.rule}: {verdict.why}"


def _receive_lines(side: ReceiveSide) -> Iterator[str]:
    if side.problem:
        yield side.problem
    yield from map(_key, side.keys)
    yield from side.translations
