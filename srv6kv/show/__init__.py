"""Text, tables and pictures for people."""
