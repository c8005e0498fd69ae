"""The etcd client (`store`), the session of a writer, and what they are made of."""

import os

# gRPC writes lines of its own to stderr at every failed handshake; what matters is in our errors.
os.environ.setdefault("GRPC_VERBOSITY", "NONE")
