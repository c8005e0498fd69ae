"""Where etcd is and how to get in, as values. Pure."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from srv6kv.errors import SettingsError

EXAMPLES = "host:port, [address]:port or http(s)://host:port"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One server: `host:port` with IPv6 addresses in brackets, and whether it speaks TLS."""

    address: str
    uses_tls: bool

    def __str__(self) -> str:
        return self.address


@dataclass(frozen=True, slots=True)
class Tls:
    """Files in PEM: who is trusted (None: the system's roots), and who we are."""

    ca: Path | None = None
    cert: Path | None = None
    key: Path | None = None

    def __post_init__(self) -> None:
        if (self.cert is None) != (self.key is None):
            raise SettingsError("etcd: a client certificate and its key go together")


@dataclass(frozen=True, slots=True)
class Login:
    """A user of etcd."""

    user: str
    password: str = field(repr=False)


def login_of(user: str | None, password: str | None) -> Login | None:
    """The login, None without one; half of one is refused."""
    if user is None and password is None:
        return None
    if not user or password is None:
        raise SettingsError("etcd: user and password go together")
    return Login(user, password)


def endpoints_of(texts: Iterable[str], *, uses_tls: bool) -> tuple[Endpoint, ...]:
    """The endpoints in their order, several in a text with commas between."""
    parts = [part.strip() for text in texts for part in text.split(",")]
    if not parts:
        raise SettingsError(f"etcd: no endpoint; expected {EXAMPLES}")
    return tuple(dict.fromkeys(_endpoint_of(part, uses_tls) for part in parts))


def _endpoint_of(text: str, uses_tls: bool) -> Endpoint:
    scheme, separator, rest = text.rpartition("://")
    if separator and scheme not in ("http", "https"):
        raise SettingsError(f"etcd endpoint: scheme {scheme!r} is unknown; expected {EXAMPLES}")
    if "@" in rest:
        # The text is not repeated: it holds a password.
        raise SettingsError("etcd endpoint: no user and password here; they have their own options")
    host, colon, port = rest.removesuffix("/").rpartition(":")
    if not (colon and _is_host(host) and _is_port(port)):
        raise SettingsError(f"etcd endpoint {text!r}: expected {EXAMPLES}")
    return Endpoint(f"{host}:{port}", scheme == "https" if separator else uses_tls)


def _is_host(host: str) -> bool:
    if host.startswith("[") and host.endswith("]"):
        try:
            ipaddress.IPv6Address(host[1:-1])
        except ValueError:
            return False
        return True
    return bool(host) and not set(host) & set(":/[]? ")


def _is_port(port: str) -> bool:
    return port.isascii() and port.isdigit() and 0 < int(port) < 65536
