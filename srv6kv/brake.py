"""Whether a plan may be done, or waits until the cluster has been listed once more.

Rule: pure. The first plan after a start is made of one list only, and one list may be shortened by
whoever answers it; and whatever says that most services are gone may be wrong (design.md 6).
"""

from __future__ import annotations

from collections.abc import Callable

from srv6kv.notes import Note
from srv6kv.plan import Plan

HELD = "MassDeleteHeld"
FEWEST_POLICIES = 10
_GROWING = {"create", "grow"}


class Brake:
    """Remembers which list is to agree.

    Attributes:
        asked: the number of the list that is waited for; 0: none.
    """

    def __init__(self) -> None:
        self.asked = 0
        self._is_first = True
        self._agreed: frozenset[str] = frozenset()

    def holds(self, plan: Plan, policies: Callable[[], int], listed: int) -> bool:
        """Whether the plan has to wait. If so and nothing is ``asked``, a list has to be.

        Args:
            plan: made of all that is known now.
            policies: how many policies of ours etcd holds.
            listed: how often the whole cluster was listed.
        """
        gone = frozenset(
            operation.key
            for transaction in plan.transactions
            for operation in transaction.operations
            if not operation.is_put
        )
        if 0 < self.asked <= listed:
            self.asked, self._agreed, self._is_first = 0, gone, False
        if self._is_first and (gone or plan.effects.keys() - _GROWING):
            return True
        self._is_first = False
        lost = plan.effects["remove"]
        if not 2 * lost > FEWEST_POLICIES <= policies() < 2 * lost:
            self.asked, self._agreed = 0, frozenset()
            return False
        # What was agreed on once may have failed half-way.
        return not gone <= self._agreed


def note(plan: Plan) -> Note:
    """What there is to say while a plan waits."""
    lost = plan.effects["remove"]
    what = f"{lost} policies would be deleted" if lost else "policies would lose endpoints"
    text = f"{what}; nothing is written until a second list of the cluster agrees"
    return Note("Cluster", HELD, text)
