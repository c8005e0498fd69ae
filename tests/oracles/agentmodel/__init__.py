"""A model of the ligato vpp-agent and of the VPP below it, for tests: see docs/agent-model.md."""

from agentmodel.agent import Agent
from agentmodel.graph import Op, State, Status, Txn
from agentmodel.live import LiveAgent
from agentmodel.objects import Call
from agentmodel.rest import serve
from agentmodel.vpp import FakeVpp

__all__ = ["Agent", "Call", "FakeVpp", "LiveAgent", "Op", "State", "Status", "Txn", "serve"]
