"""Names, numbers, words and addresses of Kubernetes objects: right, or refused by their field."""

from __future__ import annotations

import re
from typing import NoReturn

from srv6kv import addresses
from srv6kv.kube import wire
from srv6kv.kube.model import Ref

PROTOCOLS = ("TCP", "UDP", "SCTP")

LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?\Z")
SUBDOMAIN = re.compile(
    r"(?=.{1,253}\Z)[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*\Z"
)


class ParseError(ValueError):
    """A malformed object; the text is ``field: what is wrong``."""


def located(message: str) -> str:
    """``field: message`` from msgspec's ``message - at `$.field` ``."""
    text, _, path = message.partition(" - at `$")
    path = path.rstrip("`").lstrip(".")
    return f"{path}: {text}" if path else text


def refuse(field: str, text: str) -> NoReturn:
    """Raise what is wrong with a field.

    Raises:
        ParseError: always; the functions below raise it as well.
    """
    raise ParseError(f"{field}: {text}")


def name_of(metadata: wire.Metadata, rule: re.Pattern[str]) -> str:
    """The object's name, which is a ``LABEL`` or a ``SUBDOMAIN``."""
    if not rule.match(metadata.name):
        refuse("metadata.name", f"{metadata.name!r} is not a Kubernetes name")
    return metadata.name


def ref_of(metadata: wire.Metadata, rule: re.Pattern[str]) -> Ref:
    """The object's namespace, ``default`` if unset, and name."""
    namespace = metadata.namespace or "default"
    if not LABEL.match(namespace):
        refuse("metadata.namespace", f"{namespace!r} is not a Kubernetes name")
    return Ref(namespace, name_of(metadata, rule))


def ipv6(field: str, text: str) -> str | None:
    """The canonical address; None for an IPv4 one, which belongs to the other family."""
    if addresses.is_ipv4(text):
        return None
    try:
        return addresses.canonical(text)
    except ValueError as error:
        refuse(field, str(error))


def address(field: str, text: str) -> str:
    """The canonical address of either family."""
    try:
        return addresses.canonical_of_any(text)
    except ValueError as error:
        refuse(field, str(error))


def port_number(field: str, number: int) -> int:
    """A number of 1 to 65535."""
    if not 1 <= number <= 65535:
        refuse(field, f"{number} is not a port number")
    return number


def protocol(field: str, text: str | None) -> str:
    """A protocol that has ports; TCP if unset."""
    return word(field, text, *PROTOCOLS) or "TCP"


def word(field: str, text: str | None, *words: str) -> str:
    """One of the words that the API knows, "" if unset: a misspelt one would be ignored."""
    if text and text not in words:
        refuse(field, f"{text!r} is not one of {', '.join(words)}")
    return text or ""
