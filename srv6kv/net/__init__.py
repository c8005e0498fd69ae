"""Addresses, SIDs and BSIDs as numbers and text. Imports nothing else of srv6kv."""
