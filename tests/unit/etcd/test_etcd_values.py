"""The parts of the store that need no server: endpoints, limits, errors of gRPC."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import grpc
import pytest

from srv6kv.errors import Conflict, Refused, SettingsError, Srv6kvError, TooLarge, Unavailable
from srv6kv.etcd import failures
from srv6kv.etcd.endpoints import Endpoint, Login, Tls, endpoints_of, login_of
from srv6kv.etcd.values import end_of, key_text
from srv6kv.txn import limits
from srv6kv.txn.transaction import FullKey, Operation

HERE = Endpoint("127.0.0.1:2379", uses_tls=False)


class Answer(grpc.RpcError):  # type: ignore[misc]  # grpc ships no types
    """An error as grpc raises it."""

    def __init__(self, code: grpc.StatusCode, details: str | None) -> None:
        super().__init__()
        self._code = code
        self._details = details

    def code(self) -> grpc.StatusCode:
        """Of what kind."""
        return self._code

    def details(self) -> str | None:
        """In which words."""
        return self._details


@pytest.mark.parametrize(
    ("text", "uses_tls", "expected"),
    [
        ("etcd.kube-system:2379", False, Endpoint("etcd.kube-system:2379", False)),
        ("10.0.0.1:2379", True, Endpoint("10.0.0.1:2379", True)),
        ("[2001:db8::1]:2379", False, Endpoint("[2001:db8::1]:2379", False)),
        ("http://[::1]:2379/", True, Endpoint("[::1]:2379", False)),
        ("https://etcd:2379", False, Endpoint("etcd:2379", True)),
    ],
)
def test_endpoint(text: str, uses_tls: bool, expected: Endpoint) -> None:
    """A scheme decides about TLS; without one the other settings do."""
    assert endpoints_of([text], uses_tls=uses_tls) == (expected,)


def test_endpoints_with_commas() -> None:
    """Several endpoints may be in one text, as for etcdctl; each counts once."""
    assert endpoints_of(["a:1, b:2", "a:1"], uses_tls=False) == (
        Endpoint("a:1", False),
        Endpoint("b:2", False),
    )


@pytest.mark.parametrize(
    "text",
    [
        *("", "etcd", "etcd:", "etcd:0", "etcd:65536", "etcd:2379/x", ":2379", "e tcd:2379"),
        *("2001:db8::1:2379", "[etcd]:2379", "[::1]2379", "unix://etcd:2379", "http://"),
    ],
)
def test_bad_endpoint(text: str) -> None:
    """What is no endpoint is refused with the accepted forms."""
    with pytest.raises(SettingsError, match="expected host:port"):
        endpoints_of([text], uses_tls=False)


def test_no_endpoint() -> None:
    """An empty list of endpoints is refused."""
    with pytest.raises(SettingsError, match="no endpoint"):
        endpoints_of([], uses_tls=False)


def test_password_in_an_endpoint() -> None:
    """A password in an endpoint is refused and not repeated."""
    with pytest.raises(SettingsError) as error:
        endpoints_of(["http://root:secret@etcd:2379"], uses_tls=False)

    assert "secret" not in str(error.value)


def test_login() -> None:
    """A login has both parts, or is none, and does not print its password."""
    assert login_of(None, None) is None
    assert login_of("n1", "secret") == Login("n1", "secret")
    assert "secret" not in repr(login_of("n1", "secret"))
    for user, password in (("n1", None), (None, "secret"), ("", "secret")):
        with pytest.raises(SettingsError):
            login_of(user, password)


def test_half_a_client_certificate() -> None:
    """A client certificate needs its key."""
    with pytest.raises(SettingsError):
        Tls(cert=Path("client.pem"))


@pytest.mark.parametrize(
    ("key", "directory"),
    [
        ("/vnf-agent/n1/config/vpp/srv6/v2/policy/5555::1", "config/vpp/srv6/v2/policy/"),
        ("/vnf-agent/n1/config/vpp/v2/route/vrf/0/dst/::/0/gw/::", "config/vpp/v2/route/"),
        ("/vnf-agent/n1/config/vpp/v2/arp/tap/v2/2001::1", "config/vpp/v2/arp/"),
        (
            "/vnf-agent/n1/config/linux/iptables/v2/rulechain/srv6kv-a-OUTPUT",
            "config/linux/iptables/v2/rulechain/",
        ),
        ("/vnf-agent/n1/config/vpp/srv6/v2/srv6-global", "config/vpp/srv6/v2/"),
    ],
)
def test_directory_of_a_model(key: str, directory: str) -> None:
    """The directory of an agent's key is that of its model."""
    assert limits.directories_of([key]) == [f"/vnf-agent/n1/{directory}"]


def test_directory_of_other_keys() -> None:
    """The directory of another key is its parent, and each is named once."""
    assert limits.directories_of(["/srv6kv/n1/b", "alone", "/srv6kv/n1/a"]) == [
        "/srv6kv/n1/",
        "alone",
    ]


def test_branches_keep_the_order() -> None:
    """The branches hold at most 64 operations each, in their order, and no more of them fit."""
    operations = [Operation(FullKey(f"/{n}"), b"", 0) for n in range(limits.DEFAULT.most)]
    branches = limits.branches_of(operations)

    assert [len(branch) for branch in branches] == [64] * 64
    assert [one for branch in branches for one in branch] == operations


def test_too_many_models() -> None:
    """Keys of more models than can be compared are refused."""
    with pytest.raises(ValueError, match="models"):
        limits.check([Operation(FullKey(f"/{n % 63}/{n}"), b"", 0) for n in range(126)])


def test_size_counts_keys_and_values() -> None:
    """The size is that of keys and values in UTF-8; a deletion has only a key."""
    operations = [Operation(FullKey("/é"), b"123", 0), Operation(FullKey("/a"), None, 1)]

    assert limits.size_of(operations) == 3 + 3 + 2


def test_prefix_end() -> None:
    """The end of a prefix is the first key that does not begin with it."""
    assert end_of("/a/") == b"/a0"
    with pytest.raises(ValueError, match="empty"):
        end_of("")


def test_key_that_is_no_text() -> None:
    """Bytes of others that are no UTF-8 can be shown."""
    assert key_text(b"/\xff/\xc3\xa9") == "/\\xff/é"


@pytest.mark.parametrize(
    ("code", "details", "kind"),
    [
        ("UNAVAILABLE", "etcdserver: no leader", Unavailable),
        ("DEADLINE_EXCEEDED", "Deadline Exceeded", Unavailable),
        ("UNKNOWN", None, Unavailable),
        ("RESOURCE_EXHAUSTED", "etcdserver: too many requests", Unavailable),
        ("RESOURCE_EXHAUSTED", "etcdserver: mvcc: database space exceeded", Refused),
        ("PERMISSION_DENIED", "etcdserver: permission denied", Refused),
        ("INVALID_ARGUMENT", "etcdserver: request is too large", TooLarge),
        ("INVALID_ARGUMENT", "etcdserver: too many operations in txn request", TooLarge),
        ("RESOURCE_EXHAUSTED", "trying to send message larger than max (3 vs. 2)", TooLarge),
        ("RESOURCE_EXHAUSTED", "Received message larger than max (3 vs. 2)", TooLarge),
        ("UNKNOWN", "Received http2 header with status: 413", TooLarge),
        ("OUT_OF_RANGE", "etcdserver: mvcc: required revision has been compacted", Conflict),
    ],
)
def test_classes_of_errors(code: str, details: str | None, kind: type[Srv6kvError]) -> None:
    """Every error of gRPC is one of ours; the code decides, and in one case the text."""
    error = failures.classify(Answer(grpc.StatusCode[code], details), HERE, is_write=False)

    assert type(error) is kind
    assert str(error).startswith("etcd 127.0.0.1:2379: ")
    assert str(error).endswith(details or code)


def test_error_is_one_line() -> None:
    """However a server puts it, an error is one line."""
    error = Answer(grpc.StatusCode.UNAVAILABLE, "one\n  two")

    assert str(failures.classify(error, HERE, is_write=False)) == "etcd 127.0.0.1:2379: one two"


def test_error_of_a_write() -> None:
    """A write may be done unless it surely never left."""
    lost = Answer(grpc.StatusCode.UNAVAILABLE, "Socket closed")
    unsent = Answer(grpc.StatusCode.UNAVAILABLE, "failed to connect to all addresses; last error")

    assert failures.MAY_BE_DONE in str(failures.classify(lost, HERE, is_write=True))
    assert failures.MAY_BE_DONE not in str(failures.classify(unsent, HERE, is_write=True))


@pytest.mark.parametrize(
    "module", ["srv6kv.txn.limits", "srv6kv.etcd.values", "srv6kv.etcd.embedded"]
)
def test_values_need_no_grpc(module: str) -> None:
    """What others may import of the store loads neither gRPC nor etcd3."""
    script = f"import sys, {module}; print(sorted({{'grpc', 'etcd3'}} & set(sys.modules)))"

    loaded = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True).stdout

    assert loaded == "[]\n"
