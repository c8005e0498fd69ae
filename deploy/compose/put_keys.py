"""Puts the keys of agent-state.json under a label: what a CNI would have told the agent.

Usage: put_keys.py FILE, with MICROSERVICE_LABEL and SRV6KV_ETCD (host:port) in the environment.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from srv6kv.etcd.store import Etcd3Store
from srv6kv.ligato.keys import agent_prefix


def main() -> None:
    """Puts every key; putting them again changes nothing."""
    state = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    prefix = agent_prefix(os.environ["MICROSERVICE_LABEL"])
    store = Etcd3Store([os.environ["SRV6KV_ETCD"]])
    try:
        for key, value in state.items():
            store.put(prefix + key, json.dumps(value))
    finally:
        store.close()
    print(f"{len(state)} keys under {prefix}")


if __name__ == "__main__":
    main()
