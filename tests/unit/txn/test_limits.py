"""What one revision of etcd holds, and how a large transaction is laid out."""

from __future__ import annotations

import pytest

from srv6kv.txn.limits import (
    DEFAULT,
    MAX_BYTES,
    PLAN_BYTES,
    Limits,
    branches_of,
    check,
    directories_of,
)
from srv6kv.txn.transaction import FullKey, Operation

MODEL = "/vnf-agent/k8s-1/config/vpp/v2/route/"


def puts(number: int, prefix: str = MODEL, size: int = 1) -> list[Operation]:
    """Puts of new keys, each with a value of so many bytes."""
    return [Operation(FullKey(f"{prefix}{one}"), bytes(size), 0) for one in range(number)]


@pytest.mark.parametrize(
    ("operations", "fault"),
    [
        (puts(DEFAULT.most + 1), "4097 operations; one revision holds 4096"),
        (puts(1, "/", MAX_BYTES), f"{MAX_BYTES + 2} bytes; one revision holds {MAX_BYTES}"),
        (puts(1) * 2, "a key occurs twice in one transaction"),
        (
            [one for number in range(63) for one in puts(2, f"/folder/{number}/")],
            "keys of 63 models in one transaction",
        ),
    ],
    ids=["operations", "bytes", "twice", "models"],
)
def test_what_no_revision_holds(operations: list[Operation], fault: str) -> None:
    """It is refused, and the text says what there is too much of."""
    with pytest.raises(ValueError, match=f"^{fault}$"):
        check(operations)


@pytest.mark.parametrize(
    "operations",
    [
        puts(DEFAULT.most),
        puts(1, "/", MAX_BYTES - 2),
        [one for number in range(62) for one in puts(2, f"/folder/{number}/")],
        # So few are guarded key by key, whatever their models.
        [one for number in range(DEFAULT.flat) for one in puts(1, f"/folder/{number}/")],
    ],
    ids=["operations", "bytes", "models", "flat"],
)
def test_what_a_revision_just_holds(operations: list[Operation]) -> None:
    """It is not refused."""
    check(operations)


def test_a_small_server_is_not_known_to_have_room_beside_a_plan() -> None:
    """A default server takes our own notes beside a full plan, one with other limits may not."""
    full = puts(1, "/", PLAN_BYTES)

    assert DEFAULT.holds(full)
    assert not Limits(size=PLAN_BYTES - 1).holds(full)
    assert not DEFAULT.holds(puts(DEFAULT.most + 1))


def test_branches_hold_as_many_as_a_level() -> None:
    """In their order; a server that takes few operations has no second level."""
    operations = puts(65)

    assert branches_of(operations) == [operations[:64], operations[64:]]
    assert branches_of([]) == []
    assert Limits(operations=31).branches == 0


def test_a_key_is_covered_by_its_model_or_its_folder() -> None:
    """A key that has no folder covers itself."""
    keys = [f"{MODEL}vrf/1/dst/::/0", f"{MODEL}x", "/srv6kv/k8s-1/writer", "/top", "bare"]

    assert directories_of(keys) == ["/", "/srv6kv/k8s-1/", MODEL, "bare"]
