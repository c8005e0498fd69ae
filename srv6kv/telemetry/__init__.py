"""What ``srv6kv run`` reports: progress, metrics, health, status pages, log lines."""
