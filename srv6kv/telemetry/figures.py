"""Numbers about a node's state; pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Set

from srv6kv.kube.model import Ref
from srv6kv.ligato import keys
from srv6kv.notes import Kind, Note
from srv6kv.txn.transaction import Transaction

STATES = ("rendered", "degraded", "denied", "skipped")

_MODELS = {
    keys.LOCALSID: "localsid",
    keys.POLICY: "policy",
    keys.STEERING: "steering",
    keys.ROUTE: "route",
    keys.VRF_TABLE: "vrf-table",
    keys.RULE_CHAIN: "rulechain",
}


def service_states(
    known: Set[Ref], steered: Iterable[Ref], notes: Iterable[Note]
) -> dict[str, int]:
    """Return how many services are rendered without a note, rendered with one (degraded), not
    rendered with one (denied), or have neither: headless, without endpoints, another proxy's
    (skipped)."""
    rendered = known & set(steered)
    noted = known & {n.subject.ref for n in notes if n.subject.kind == Kind.SERVICE}
    degraded = len(rendered & noted)
    denied = len(noted) - degraded
    skipped = len(known) - len(rendered) - denied
    return dict(zip(STATES, (len(rendered) - degraded, degraded, denied, skipped), strict=True))


def models_of(held: Iterable[str], prefix: str) -> Counter[str]:
    """How many of these keys (full form) belong to each model; a model without one is 0."""
    found = Counter(dict.fromkeys(_MODELS.values(), 0))
    found.update(_model_of(key.removeprefix(prefix)) for key in held)
    return found


def change_of_models(transaction: Transaction, prefix: str) -> Counter[str]:
    """By how much a transaction changes the number of keys of each model."""
    change: Counter[str] = Counter()
    for operation in transaction.operations:
        model = _model_of(operation.key.removeprefix(prefix))
        if operation.value is None:
            change[model] -= 1
        elif operation.guard == 0:
            change[model] += 1
    return change


def _model_of(key: str) -> str:
    for start, model in _MODELS.items():
        if key.startswith(start):
            return model
    return "other"
