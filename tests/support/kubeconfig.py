"""Credentials for API servers in files, as their users have them."""

from __future__ import annotations

import json
from pathlib import Path


def write_kubeconfig(
    path: Path, url: str, *, token: str = "", ca: Path | None = None, token_file: Path | None = None
) -> Path:
    """A kubeconfig for one server and one user."""
    cluster = {"server": url, **({"certificate-authority": str(ca)} if ca else {})}
    user = {"tokenFile": str(token_file)} if token_file else {"token": token} if token else {}
    body = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "c", "cluster": cluster}],
        "users": [{"name": "u", "user": user}],
        "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
        "current-context": "x",
    }
    path.write_text(json.dumps(body))
    return path
