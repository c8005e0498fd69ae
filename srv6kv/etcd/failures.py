"""What an error of gRPC means to us: a table, and the few texts that decide where codes do not."""

from __future__ import annotations

import grpc

from srv6kv.errors import Conflict, Refused, Srv6kvError, TooLarge, Unavailable
from srv6kv.etcd.endpoints import Endpoint

# No answer that counts. Every other code is a definite no.
_UNAVAILABLE = frozenset(
    {
        grpc.StatusCode.ABORTED,
        grpc.StatusCode.CANCELLED,
        grpc.StatusCode.DATA_LOSS,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.INTERNAL,
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.UNKNOWN,
    }
)
# A simple token is forgotten when it idles or its server restarts; any change of users makes a
# signed one old, which a write may find out only when its turn comes, undone; and without a token a
# call that needs one has no user.
_TOKEN = (
    "invalid auth token",
    "revision of auth store is old",
    "revision in header is old",
    "user name is empty",
)
_NOT_SENT = ("failed to connect to all addresses", "DNS resolution failed")
# What gRPC and etcd say in their own words, and what an operator can do with it; the first counts.
_HINTS = (
    ("Hostname Verification Check failed", "its certificate is not for this address"),
    ("certificate has expired", "its certificate has expired"),
    ("CERTIFICATE_VERIFY_FAILED", "its certificate is not signed by the CA that we trust"),
    ("BAD_CERTIFICATE", "it wants a client certificate, or another one than ours"),
    ("SSLV3_ALERT", "it refuses our certificate"),
    ("Failed to create security handshaker", "CA, certificate and key: no PEM, or no pair"),
    ("Handshake read failed", "perhaps it does not speak TLS"),
    ("database space exceeded", "its quota is used up: compact, defragment, disarm the alarm"),
)
TOO_MANY_OPERATIONS = "too many operations in txn request"
# etcd's own, gRPC's at either end of any hop, and a proxy's in terms of HTTP.
_TOO_LARGE = (TOO_MANY_OPERATIONS, "request is too large", "message larger than max", "status: 413")
MAY_BE_DONE = "the write may or may not be done"


class GivenUp(grpc.RpcError):  # type: ignore[misc]  # grpc ships no types
    """A call that we end before its deadline, as an error of gRPC."""

    def __init__(self, *, is_silent: bool) -> None:
        super().__init__()
        self._is_silent = is_silent

    def code(self) -> grpc.StatusCode:
        """That of a call that was not answered in time."""
        return grpc.StatusCode.DEADLINE_EXCEEDED

    def details(self) -> str:
        """Why it was given up."""
        return "no answer, other members do" if self._is_silent else "no answer from an old leader"


def classify(error: grpc.RpcError, endpoint: Endpoint, *, is_write: bool) -> Srv6kvError:
    """The error as one of ours, in one line that names the endpoint."""
    code, details = error.code(), details_of(error)
    text = f"etcd {endpoint}: {_hint(details, endpoint)}{details or code.name}"
    if code is grpc.StatusCode.OUT_OF_RANGE:
        # The revision that we asked for is compacted, or the server lost its data.
        return Conflict(text)
    if "too many requests" in details:
        return Unavailable(text)
    if any(words in details for words in _TOO_LARGE):
        return TooLarge(text)
    if code not in _UNAVAILABLE:
        return Refused(text)
    if is_write and may_be_sent(error):
        return Unavailable(f"{text}; {MAY_BE_DONE}")
    return Unavailable(text)


def _hint(details: str, endpoint: Endpoint) -> str:
    for text, hint in _HINTS:
        if text in details:
            return f"{hint}: "
    # etcd closes a connection that does not begin as TLS does.
    is_shut = "Socket closed" in details and _NOT_SENT[0] in details
    return "perhaps it speaks TLS, which needs https://: " if is_shut else ""


def may_be_sent(error: grpc.RpcError) -> bool:
    """False if the call surely never left, so that another endpoint may be asked."""
    details = details_of(error)
    return not any(text in details for text in _NOT_SENT)


def is_token_error(error: grpc.RpcError) -> bool:
    """Whether a new token may help."""
    details = details_of(error)
    return error.code() is grpc.StatusCode.UNAUTHENTICATED or any(
        text in details for text in _TOKEN
    )


def is_login_needless(error: grpc.RpcError) -> bool:
    """Whether the server knows no users, so that it wants no token."""
    return "authentication is not enabled" in details_of(error)


def details_of(error: grpc.RpcError) -> str:
    """What the server or gRPC says, in one line."""
    return " ".join((error.details() or "").split())
