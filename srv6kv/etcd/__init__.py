"""The parts of srv6kv.etcd.store; nothing else imports them, except `values` and `limits`."""

import os

# gRPC writes lines of its own to stderr at every failed handshake; what matters is in our errors.
os.environ.setdefault("GRPC_VERBOSITY", "NONE")
