"""Kubernetes objects as values: model, wire format, parsing. Pure."""
