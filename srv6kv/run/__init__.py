"""The loop of ``srv6kv run``."""
