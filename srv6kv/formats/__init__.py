"""Text forms of the agent's values: its log, VPP's commands and tables, tables for a terminal.

Rule: everything here is a pure function of values; nothing is read, written or logged.
"""
