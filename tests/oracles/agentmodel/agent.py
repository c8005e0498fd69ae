"""One agent process over one VPP: what it takes from etcd, what it makes of that."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping

from agentmodel import log, plain, values
from agentmodel.descriptors import Descriptor, Globals, LocalSids, Steerings
from agentmodel.graph import State, Status, Txn
from agentmodel.policies import Policies
from agentmodel.scheduler import Scheduler
from agentmodel.values import Api, Undecodable
from agentmodel.vpp import FakeVpp


def _descriptors(*, takes_index: bool) -> dict[str, Descriptor]:
    return {
        values.LOCALSID: LocalSids(),
        values.POLICY: Policies(),
        values.STEERING: Steerings(takes_index=takes_index),
        values.GLOBAL: Globals(),
        values.ROUTE: plain.Routes(),
        values.VRF_TABLE: plain.VrfTables(),
        values.ARP: plain.Neighbours(),
        values.INTERFACE: plain.Interfaces(),
        values.LINUX_INTERFACE: plain.LinuxInterfaces(),
        values.RULE_CHAIN: plain.RuleChains(),
    }


_START = "2026-11-22 23:27:51.552 +0000 UTC"
_TOOK = "400us"


class Agent:
    """An agent, key by key; time is virtual.

    Args:
        vpp: the VPP below it.
        api: v2 or v3: the names of fields and the text of the log (agent rule A30).
        version: of the agent; decides on the start and on steerings by index.
        rechecks: as of ``applying.Graph``.

    Attributes:
        said: what it logs besides transactions.
        values: the etcd that it knows: short keys and bytes; a restart begins with it.
        source: what a resync after a reconnect reads.
        born: Unix time of its start, as it tells it; 0: it does not.
        asked: how often its REST server was asked, by path.
        given: what it was given in process; a restart begins without.
        lost_vpp: Unix time at which it has given VPP up, which it never takes back; 0: it has not.
        on_event: called after every transaction, for who publishes.
    """

    def __init__(
        self,
        vpp: FakeVpp,
        api: Api = "v3",
        version: tuple[int, int] = (3, 5),
        *,
        rechecks: bool = False,
    ) -> None:
        self.vpp = vpp
        self._rechecks = rechecks
        self.api = api
        self.version = version if api == "v3" else (2, 5)
        self.said: list[str] = []
        self.born = 0
        self.lost_vpp = 0
        self.asked: Counter[str] = Counter()
        self.values: dict[str, bytes] = {}
        self.source: Callable[[], Mapping[str, bytes]] = lambda: self.values
        self.on_event: Callable[[], None] = lambda: None
        self._printed: list[Txn] = []
        self._begin()
        vpp.on_restart.append(self._reconnect)

    @property
    def connection(self) -> dict[str, object]:
        """The state of its connection to VPP, as its plugin govpp has it."""
        if not self.lost_vpp:
            return {"state": 1, "last_change": self.born or 1}
        why = "VPP connection lost (event: {State:Failed Error:connect: connection refused})"
        return {"state": 2, "last_change": self.lost_vpp, "error": why}

    def _begin(self) -> None:
        self.lost_vpp = 0
        takes_index = self.version < (3, 5)
        self.scheduler = Scheduler(self.vpp, _descriptors(takes_index=takes_index))
        self.scheduler.rechecks = self._rechecks
        self.scheduler.on_txn = self._print
        self._has_started = False
        self.given: dict[str, bytes] = {}

    def _print(self, txn: Txn) -> None:
        self._printed.append(txn)

    # Events -------------------------------------------------------------------------------------

    def resync(self, entries: Mapping[str, bytes]) -> Txn | None:
        """All that etcd holds. What cannot be decoded is absent; one key that is not its value's
        makes the whole void (agent rule A35)."""
        wanted = {}
        self.values = dict(entries)
        for key, text in (self.given | self.values).items():
            model = values.model_of(key)
            if model is None or not text:
                continue
            try:
                value = values.decode(key, text, self.api)
            except Undecodable as error:
                self.said.append(f'unmarshal value for key "{key}" failed: {error}')
                continue
            if (own := values.key_of(model, value)) != key:
                self.said.append(f"resync returned error: {_mismatch(key, own)}")
                return None
            wanted[key] = value
        return self._resynced(wanted)

    def _resynced(self, wanted: Mapping[str, object]) -> Txn:
        if not self._has_started and self.version >= (3, 3):
            self.scheduler.resync({}, "DownstreamResync")  # agent rule A36
        self._has_started = True
        txn = self.scheduler.resync(wanted)
        self.on_event()
        return txn

    def change(self, key: str, text: bytes | None) -> Txn | None:
        """One key comes, changes or (None) goes: one transaction. None: it was dropped."""
        model = values.model_of(key)
        if text is None:
            self.values.pop(key, None)
        else:
            self.values[key] = text
        if model is None or text == b"":
            return None
        value = None
        if text is not None:
            try:
                value = values.decode(key, text, self.api)
            except Undecodable as error:
                self.said.append(f'decoding value for key "{key}" failed: {error}')
                return None
            if (own := values.key_of(model, value)) != key:
                self.said.append(_mismatch(key, own))
                return None
        txn = self.scheduler.change({key: value})
        self.on_event()
        return txn

    def give(self, changes: Mapping[str, bytes | None]) -> Txn:
        """What it embeds, as Contiv's plugins, gives or (None) takes these in one transaction; etcd
        does not know of it."""
        for key, text in changes.items():
            self.given.pop(key, None)
            if text is not None:
                self.given[key] = text
        decoded = {
            key: None if text is None else values.decode(key, text, self.api)
            for key, text in changes.items()
        }
        txn = self.scheduler.change(decoded)
        self.on_event()
        return txn

    def restart(self, entries: Mapping[str, bytes] | None = None) -> None:
        """A new process; VPP goes on. It reads etcd: what is given, else what it knew."""
        self._begin()
        self.resync(self.source() if entries is None else entries)

    def restart_with_vpp(self) -> None:
        """Both end and come again, as in the agent's images, which end as one (agent rule A46)."""
        self._begin()
        self.vpp.restart()
        self.resync(self.source())

    def _reconnect(self) -> None:
        """VPP is there again; by default a full resync follows (agent rule A38), unless VPP was
        away for too long."""
        if self._has_started and not self.lost_vpp:
            self.said.append("VPP has restarted")
            self.resync(self.source())

    # Time ---------------------------------------------------------------------------------------

    def advance(self, seconds: float) -> None:
        """Let virtual time go by."""
        self.scheduler.advance(seconds)
        self.on_event()

    def rest(self) -> None:
        """Let virtual time go by until nothing is retried any more."""
        self.scheduler.rest()
        self.on_event()

    # Questions ----------------------------------------------------------------------------------

    def states(self) -> dict[str, Status]:
        """The state of every key that it knows, by key."""
        return {key: node.status for key, node in sorted(self.scheduler.nodes.items())}

    def state(self, key: str) -> State:
        """The state of one key; NONEXISTENT: it does not know it."""
        node = self.scheduler.nodes.get(key)
        return node.state if node is not None else State.NONEXISTENT

    @property
    def history(self) -> list[Txn]:
        """Its transactions since it began."""
        return self.scheduler.history

    def errors(self) -> list[str]:
        """Every error of every transaction since it began, as ``key: text``."""
        return [f"{op.key}: {op.error}" for txn in self.history for op in txn.errors]

    @property
    def log(self) -> str:
        """All that it has printed about transactions, over restarts."""
        texts = (log.text_of(txn, _START, _TOOK, self.api) for txn in self._printed)
        return "\n".join(texts)


def _mismatch(key: str, own: str) -> str:
    return f'given key "{key}" does not match with key generated from value: "{own}"'
