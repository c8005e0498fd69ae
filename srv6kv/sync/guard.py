"""The mass-delete guard: whether a plan may be done, or waits until the cluster has been listed
again (docs/kubernetes.md).

Rule: pure; the caller says what time it is. A server or proxy may shorten a list, so:

* the first plan after a start, if it takes anything away, waits for a second list;
* a plan that takes much waits for a second list, asked for at once, and a third, asked for later
  over a new connection. Much is more than half of at least ten policies, endpoints or localsids, at
  once or by several plans within ten seconds: files that are deleted one by one are one loss.
* so does a plan that takes anything away after a list had nothing at all of a kind of objects;
* a source that reports nothing at all is not accepted, however long.
"""

from __future__ import annotations

from collections import Counter
from enum import Enum, auto

from srv6kv.notes import Kind, Note, Reason, Subject
from srv6kv.sync.losses import KINDS, POLICIES, Loss, sum_of

FEWEST = 10
AGAIN_SECONDS = 10.0
"""So much later than the second list the third is asked for; so far back losses are added up."""
_SAMPLE_SECONDS = 1.0
SILENT = Note(
    Subject(Kind.CLUSTER),
    Reason.MASS_DELETE_HELD,
    "the source tells of no Service, EndpointSlice or Node at all; all keys stay as they are until"
    " it does",
)


class Verdict(Enum):
    """What to do with a plan: do it; hold it and ask for a list, or for one over new connections,
    whose number goes into ``asked``; or hold it."""

    GO = auto()
    ASK = auto()
    ASK_OVER_NEW_CONNECTION = auto()
    WAIT = auto()


class MassDeleteGuard:
    """Remembers which lists are to agree.

    Args:
        again_seconds: how long the second list waits for the third.

    Attributes:
        asked: the number of the list that is waited for; 0: none.
    """

    def __init__(self, again_seconds: float = AGAIN_SECONDS) -> None:
        self.asked = 0
        self.note: Note | None = None
        self._again_seconds = again_seconds
        self._is_first = True
        self._is_much = self._is_suspect = False
        self._lists = 0
        self._due = 0.0
        self._confirmed: Counter[tuple[str, str]] = Counter()
        self._agreed: Counter[tuple[str, str]] = Counter()
        self._samples: list[tuple[float, Counter[str]]] = []

    @property
    def due(self) -> float | None:
        """When a held plan is to be judged again, though nothing has happened; None: never."""
        return self._due if self._lists > 1 and not self.asked else None

    def begin_again(self) -> None:
        """Judge the next plan as the first after a start: the source was not accepted."""
        self._release()
        self._is_first = True

    def suspect(self) -> None:
        """Require as many lists for any loss as for a large one: a list had nothing at all of a
        kind of objects."""
        self._is_suspect = True

    def judge(self, loss: Loss, listed: int, now: float) -> Verdict:
        """Decide whether a plan, made of all that is known now, has to wait."""
        if 0 < self.asked <= listed:
            self.asked = 0
            self._lists += 1
            self._confirmed = self._confirmed & loss.lost
            self._due = now + self._again_seconds
        if not self._lists:
            oldest = now - self._again_seconds
            self._samples = [one for one in self._samples if one[0] > oldest]
        is_much = bool(self._excess(loss, self._agreed)) or (self._is_suspect and loss.takes)
        needed = 3 if is_much else 2 if self._is_first and loss.takes else 0
        if self._lists < needed:
            return self._hold(loss, now, is_much=is_much)
        if is_much and self._excess(loss, self._confirmed):  # the lists agree on something else
            self._lists = 0
            return self._hold(loss, now, is_much=True)
        if is_much:
            self._agreed, self._samples = self._confirmed, []
        elif self._agreed and not self._excess(loss, Counter()):
            self._agreed = Counter()
        if not self._agreed:
            self._remember(loss, now)
        self._is_first = self._is_suspect = False
        self._release()
        return Verdict.GO

    def _hold(self, loss: Loss, now: float, *, is_much: bool) -> Verdict:
        if not self._lists or is_much != self._is_much:
            self.note = _much_note(loss, self._again_seconds) if is_much else _first_note(loss)
            self._is_much = is_much
        if not self._lists:
            self._lists, self._confirmed = 1, loss.lost
            return Verdict.ASK
        if self.asked or now < self._due:
            return Verdict.WAIT
        return Verdict.ASK_OVER_NEW_CONNECTION

    def _release(self) -> None:
        self.asked = self._lists = 0
        self.note = None
        self._confirmed = Counter()

    def _excess(self, loss: Loss, agreed: Counter[tuple[str, str]]) -> list[str]:
        """The kinds of which more goes than may, beside what is agreed."""
        rest, known = loss.lost - agreed, loss.lost & agreed
        found = []
        for kind in KINDS:
            actual = loss.actual[kind]
            most = max([actual, *(sample[kind] for _, sample in self._samples)])
            lost = sum_of(rest, kind)
            gone = most - loss.left[kind] - sum_of(known, kind)
            if lost and (2 * lost > actual >= FEWEST or 2 * gone > most >= FEWEST):
                found.append(kind)
        return found

    def _remember(self, loss: Loss, now: float) -> None:
        """Remember what etcd held before a plan, at most once a second."""
        if self._samples and now < self._samples[-1][0] + _SAMPLE_SECONDS:
            since, sample = self._samples[-1]
            self._samples[-1] = (since, sample | loss.actual)
        else:
            self._samples.append((now, loss.actual))


def warning_of(loss: Loss) -> Note | None:
    """Why ``run`` would hold a plan that is not its first; None: it would not."""
    guard = MassDeleteGuard()
    guard.judge(Loss(), 0, 0.0)
    guard.judge(loss, 0, 0.0)
    return guard.note


def _much_note(loss: Loss, seconds: float) -> Note:
    lost = {kind: sum_of(loss.lost, kind) for kind in KINDS}
    parts = [f"{number} of {loss.actual[kind]} {kind}" for kind, number in lost.items() if number]
    *most, last = parts or ["some keys"]
    listed = " and ".join([*([", ".join(most)] if most else []), last])
    text = (
        f"{listed} would go; nothing is written until two more lists of the cluster agree, the last"
        f" one {seconds:g} s later over a new connection"
    )
    return Note(Subject(Kind.CLUSTER), Reason.MASS_DELETE_HELD, text)


def _first_note(loss: Loss) -> Note:
    lost = sum_of(loss.lost, POLICIES)
    what = f"{lost} policies would be deleted" if lost else "keys would go or lose endpoints"
    text = f"{what}; nothing is written until a second list of the cluster agrees"
    return Note(Subject(Kind.CLUSTER), Reason.MASS_DELETE_HELD, text)
