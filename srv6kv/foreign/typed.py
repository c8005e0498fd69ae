"""msgspec's knowledge of our types, made before there are threads.

It is made when a type is first decoded, and two threads that do so at the same time may end the
process by a segmentation fault (msgspec 0.22.0): the watches of Kubernetes begin together.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec


def prepare() -> int:
    """Make what is known of every type that is loaded by now; how many there are."""
    kinds = set(_below(msgspec.Struct))
    for kind in kinds:
        msgspec.json.Decoder(kind)
    return len(kinds)


def _below(kind: type[Any]) -> Iterator[type[Any]]:
    child: type[Any]
    for child in kind.__subclasses__():
        if child.__module__.startswith("srv6kv."):
            yield child
        yield from _below(child)
