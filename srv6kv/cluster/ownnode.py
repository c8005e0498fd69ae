"""The own Node: its name, and the warning while this process has not seen it.

Rule: pure. Nothing is written or deleted for a node whose Node object this process has never seen
(rule M6): without it every pod looks remote. Once seen, its last good version stays while it
is away, so ``kube.intake`` never removes it.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from srv6kv.notes import Kind, Note, Reason, Subject

MOST_NEAR = 3


def warning(name: str, near: Iterable[str], problem: str = "") -> Note:
    """Return the warning while the own Node has not been seen.

    Args:
        name: of the own Node.
        near: the names of Nodes that may be meant.
        problem: what is wrong with the Node of that name; "": there is none.
    """
    if problem:
        what = f"never seen well-formed: {problem}"
    else:
        names = ", ".join(near)
        what = "there is no Node of this name" + (f"; near it: {names}" if names else "")
        what += '; give --node the name that "kubectl get nodes" shows'
    text = f"{what}; nothing is written or deleted for it until it has been seen"
    return Note(Subject(Kind.NODE, name), Reason.OWN_NODE_UNKNOWN, text)


def near_names(name: str, names: Iterable[str]) -> tuple[str, ...]:
    """The names that may be meant: in another case, with or without a domain, or mistyped."""
    hosts: dict[str, list[str]] = {}
    for one in sorted(names):
        hosts.setdefault(_host_of(one), []).append(one)
    wanted = _host_of(name)
    close = [wanted] if wanted in hosts else difflib.get_close_matches(wanted, hosts, MOST_NEAR)
    found = [one for host in sorted(close) for one in hosts[host]]
    return tuple(sorted(found, key=lambda one: one.casefold() != name.casefold())[:MOST_NEAR])


def _host_of(name: str) -> str:
    return name.casefold().partition(".")[0]
