"""Reads the sender and the destination of a flow from text."""

from __future__ import annotations

from srv6kv.cluster.cluster import Cluster
from srv6kv.errors import InputError
from srv6kv.offline.files import service_named
from srv6kv.trace import destinations


def sender_of(text: str) -> tuple[str, int | None]:
    """Split ``--from`` into what ``trace`` takes and the port."""
    node, slash, address = text.partition("/")
    if address.startswith("["):
        address, _, rest = address[1:].partition("]")
        colon, port = rest[:1], rest[1:]
        if rest and colon != ":":
            raise InputError(f"--from {text}: what follows ] is no port")
    elif slash:
        is_plain = address.count(":") != 1
        address, colon, port = (address, "", "") if is_plain else address.partition(":")
    else:
        node, colon, port = node.partition(":")
    number = destinations.port_of(f"--from {text}", port) if colon else None
    return f"{node}{slash}{address}", number


def destination_of(text: str, protocol: str, known: Cluster) -> str:
    """Return the destination as ``trace`` takes it.

    It has the port of a service that has only one, and the protocol that is asked for.

    Args:
        protocol: in upper case; "" if none is asked for.
    """
    where, slash, named = text.rpartition("/")
    if not slash or named.upper() not in destinations.PROTOCOLS:
        where, named = text, protocol
    elif protocol and named.upper() != protocol:
        raise InputError(f"{text}: --protocol {protocol.lower()} is another one")
    if where and ":" not in where and not destinations.is_address(where):
        service = service_named(where, known)
        ports = [one for one in service.ports if named.upper() in ("", one.protocol)]
        if len(ports) != 1:
            has = ", ".join(f"{one.number}/{one.protocol}" for one in service.ports)
            raise InputError(f"{text}: give one of its ports: {has or 'it has none'}")
        where, named = f"{where}:{ports[0].number}", ports[0].protocol
    return f"{where}/{named}" if named else where
