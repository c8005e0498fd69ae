"""Writes that end: adopt, cleanup, replay, and the writer session that they share."""
