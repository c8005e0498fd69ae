"""Names, numbers, words and addresses of Kubernetes objects: right, or refused by their field."""

from __future__ import annotations

import re
from typing import NoReturn

from srv6kv.kube import wire
from srv6kv.kube.model import Ref
from srv6kv.net import addresses
from srv6kv.net.addresses import Prefix

PROTOCOLS = ("TCP", "UDP", "SCTP")

LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?\Z")
SUBDOMAIN = re.compile(
    r"(?=.{1,253}\Z)[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*\Z"
)


MOST_TEXT = 160
"""Characters of a field's path, and of what is wrong with it, in a note."""


class ParseError(ValueError):
    """A malformed object, or a part of one that cannot be used; the text is ``field: problem``."""

    def __init__(self, field: str, problem: str) -> None:
        self.field, self.problem = shortened(field), shortened(problem)
        super().__init__(f"{self.field}: {self.problem}" if field else self.problem)


def shortened(text: str) -> str:
    """Cut a text in the middle: its author decides how long it is, a note's reader does not."""
    half = MOST_TEXT // 2
    return text if len(text) <= MOST_TEXT else f"{text[:half]}...{text[-half:]}"


def refuse(field: str, text: str) -> NoReturn:
    """Raise ParseError for a field, as the functions below do."""
    raise ParseError(field, text)


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


def address(field: str, text: str) -> str:
    """The canonical address of either family."""
    try:
        return addresses.canonical_of_any(text)
    except ValueError as error:
        refuse(field, str(error))


def ipv6(field: str, text: str) -> str:
    """The canonical address of IPv6."""
    try:
        return addresses.canonical(text)
    except ValueError as error:
        refuse(field, str(error))


def ipv4(field: str, text: str) -> str:
    """The address of IPv4."""
    if not addresses.is_ipv4(text):
        refuse(field, f"{text!r} is not an IPv4 address")
    return text


def prefix(field: str, text: str) -> Prefix:
    """A prefix of either family."""
    try:
        return Prefix.parse_any(text)
    except ValueError as error:
        refuse(field, str(error))


def word(field: str, text: str | None, *words: str) -> str:
    """One of the words that the API knows, "" if unset."""
    if text and text not in words:
        refuse(field, f"{text!r} is not one of {', '.join(words)}")
    return text or ""
