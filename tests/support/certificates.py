"""Certificates for etcd and its clients, made anew as often as a test wants."""

from __future__ import annotations

import datetime
import socket
import ssl
from dataclasses import dataclass
from pathlib import Path

import trustme
from etcd_server import SECONDS, free_port

from srv6kv.etcd.embedded import EmbeddedEtcd
from srv6kv.etcd.store import Tls


class Certificates:
    """A certificate authority in a folder, and what it has signed.

    Attributes:
        ca: the file with its certificate.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._folder.mkdir(parents=True)
        self._authority = trustme.CA()
        self.ca = folder / "ca.pem"
        self._authority.cert_pem.write_to_path(self.ca)

    def issue(self, name: str, *hosts: str, has_expired: bool = False) -> tuple[Path, Path]:
        """The files of a certificate for these hosts and of its key; those of that name go."""
        now = datetime.datetime.now(datetime.UTC)
        end = now - datetime.timedelta(days=1) if has_expired else None
        start = now - datetime.timedelta(days=2) if has_expired else None
        made = self._authority.issue_cert(*hosts, common_name=name, not_before=start, not_after=end)
        cert, key = self.files(name)
        replace(cert, b"".join(blob.bytes() for blob in made.cert_chain_pems))
        replace(key, made.private_key_pem.bytes())
        return cert, key

    def files(self, name: str) -> tuple[Path, Path]:
        """Where a certificate and its key are."""
        return self._folder / f"{name}.pem", self._folder / f"{name}.key"

    def renew_ca(self) -> None:
        """Another authority signs from now on; only it is trusted."""
        self._authority = trustme.CA()
        replace(self.ca, self._authority.cert_pem.bytes())


def replace(path: Path, content: bytes) -> None:
    """Write a file as whole: nobody reads half of it."""
    other = path.with_suffix(path.suffix + ".new")
    other.write_bytes(content)
    other.rename(path)


@dataclass(frozen=True, slots=True)
class TlsEtcd:
    """An etcd that speaks only TLS, and wants a certificate of its clients.

    Attributes:
        endpoint: where clients find it; the scheme is for them to say.
    """

    certificates: Certificates
    server: EmbeddedEtcd
    endpoint: str

    def start(self) -> None:
        """Start it, and return when it has read its certificates.

        etcd says that it is ready before it reads them, and ends for good if what it then finds is
        no pair, as while they are being replaced.
        """
        self.server.start()
        host, _, port = self.endpoint.rpartition(":")
        context = ssl.create_default_context(cafile=self.certificates.ca)
        context.load_cert_chain(*self.certificates.files("client"))
        with (
            socket.create_connection((host, int(port)), SECONDS) as connection,
            context.wrap_socket(connection, server_hostname=host),
        ):
            return

    def tls(self, name: str = "client") -> Tls:
        """What a client of that name shows and trusts."""
        return Tls(self.certificates.ca, *self.certificates.files(name))


def tls_etcd(folder: Path) -> TlsEtcd:
    """Such an etcd, not started yet, with certificates for itself and for a client."""
    certificates = Certificates(folder / "certificates")
    cert, key = certificates.issue("server", "127.0.0.1")
    certificates.issue("client", "node1")
    endpoint = f"127.0.0.1:{free_port()}"
    options = (
        f"--listen-client-urls=https://{endpoint}",
        f"--advertise-client-urls=https://{endpoint}",
        f"--cert-file={cert}",
        f"--key-file={key}",
        f"--trusted-ca-file={certificates.ca}",
        "--client-cert-auth",
    )
    return TlsEtcd(certificates, EmbeddedEtcd(folder / "etcd", options=options), endpoint)
