"""The state of one node without I/O: reconciler, rollout, mass-delete guard."""
