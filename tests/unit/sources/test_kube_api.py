"""Who srv6kv is for an API server, and how it is connected."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest
from apiserver import TOKEN, FakeApiServer
from certificates import Certificates, replace
from cluster_seen import Follow, SeenCluster, is_followed, services
from kubeconfig import write_kubeconfig

from srv6kv.errors import InputError
from srv6kv.notes import Reason
from srv6kv.sources.api import ApiError, ApiServer

pytestmark = pytest.mark.usefixtures("quick")


def test_denied(api: FakeApiServer, follow: Follow) -> None:
    """Who may not read keeps what is known, says what is missing, and goes on when allowed."""
    api.apply(*services("stays"))
    seen = follow(api)
    seen.wait(lambda: seen.listed > 0)
    api.forbidden = {"services"}
    api.cut()
    seen.source.relist()
    seen.wait(lambda: any(note.reason == Reason.API_FORBIDDEN for note in seen.notes))
    (note,) = (note for note in seen.notes if note.reason == Reason.API_FORBIDDEN)
    api.forbidden = set()
    is_followed(api, seen, "later")

    assert 'cannot list resource "services"' in note.text
    assert seen.gone == []


def test_rotated_token(api: FakeApiServer, tmp_path: Path) -> None:
    """A token that was renewed in its file is used, before the old one has run out and after."""
    file = tmp_path / "token"
    file.write_text(TOKEN)
    write_kubeconfig(api.kubeconfig, api.url, token_file=file)
    with SeenCluster(api.kubeconfig) as seen:
        seen.wait(lambda: seen.listed > 0)
        replace(file, b"another")
        api.tokens = {"another"}
        api.cut()
        is_followed(api, seen, "later")
        late = api.came("watch", "services")[-1]

    assert late.token == "another"
    assert seen.gone == []


def test_service_account(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a pod its service account is used, over TLS, with its token read again."""
    certificates = Certificates(tmp_path / "certificates")
    account = tmp_path / "account"
    account.mkdir()
    (account / "token").write_text("first")
    (account / "ca.crt").write_bytes(certificates.ca.read_bytes())
    incluster = pytest.importorskip("kubernetes.config.incluster_config")
    monkeypatch.setattr(incluster, "SERVICE_TOKEN_FILENAME", str(account / "token"))
    monkeypatch.setattr(incluster, "SERVICE_CERT_FILENAME", str(account / "ca.crt"))
    with FakeApiServer(tmp_path, certificates.issue("server", "127.0.0.1")) as api:
        api.tokens = {"first"}
        host, _, port = api.url.removeprefix("https://").partition(":")
        monkeypatch.setenv("KUBERNETES_SERVICE_HOST", host)
        monkeypatch.setenv("KUBERNETES_SERVICE_PORT", port)
        with SeenCluster(None) as seen:
            seen.wait(lambda: seen.listed > 0)
            replace(account / "token", b"second")
            api.tokens = {"second"}
            api.cut()
            is_followed(api, seen, "later")

    assert api.came("watch", "services")[-1].token == "second"


def test_untrusted_server(tmp_path: Path) -> None:
    """A server whose certificate another authority signed is no server."""
    ours, theirs = (Certificates(tmp_path / name) for name in ("ours", "theirs"))
    with FakeApiServer(tmp_path, theirs.issue("server", "127.0.0.1")) as api:
        write_kubeconfig(api.kubeconfig, api.url, token=TOKEN, ca=ours.ca)
        with pytest.raises(ApiError) as refused:
            ApiServer(api.kubeconfig).get("/api/v1/services")

    assert f"GET {api.url}/api/v1/services: " in str(refused.value)
    assert api.requests == []


def test_no_credentials(tmp_path: Path) -> None:
    """A kubeconfig that is missing or none is an error that names it."""
    broken = tmp_path / "broken"
    broken.write_text("{")
    for path in (tmp_path / "missing", broken):
        with pytest.raises(InputError, match=str(path)):
            ApiServer(path)


def test_a_server_without_a_scheme_is_refused(tmp_path: Path) -> None:
    """To try it as http would send the token in the clear."""
    kubeconfig = tmp_path / "config"
    write_kubeconfig(kubeconfig, "api.example:6443", token="t")

    with pytest.raises(InputError, match=r"'api.example:6443' is no URL"):
        ApiServer(kubeconfig)


def test_keepalive(api: FakeApiServer) -> None:
    """The kernel asks a silent peer after 10 s and gives up within 25 s."""
    with ApiServer(api.kubeconfig).get("/api/v1/services?watch=1&timeoutSeconds=60") as answer:
        connection = answer._response.connection.sock
        found = {
            name: connection.getsockopt(socket.IPPROTO_TCP, getattr(socket, name))
            for name in ("TCP_KEEPIDLE", "TCP_KEEPINTVL", "TCP_KEEPCNT", "TCP_USER_TIMEOUT")
        }
        is_on = connection.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)

    assert is_on == 1
    assert found == {
        "TCP_KEEPIDLE": 10,
        "TCP_KEEPINTVL": 5,
        "TCP_KEEPCNT": 3,
        "TCP_USER_TIMEOUT": 25_000,
    }
