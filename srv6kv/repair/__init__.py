"""Bringing VPP back to what etcd says, where the agent would not by itself (agent rule A46).

Pure: what is wrong (``choose``, ``asked``), the steps that repair it (``means``, ``rebind``,
``never``), and what is owed meanwhile (``ground``). With effects: what the agent and VPP have
(``observer``), how the steps are done (``repairer``), and their course (``procedure``).
"""
