"""Bringing VPP back to what etcd says, where the agent would not by itself (agent rule A46).

Pure: what is wrong (``choose``, ``asked``), the steps that mend it (``means``, ``move``,
``never``), and what is owed meanwhile (``ground``). ``cli/repairing.py`` does them.
"""
