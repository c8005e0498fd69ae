"""The agent's transaction log, read and written."""
