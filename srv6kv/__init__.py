"""Kubernetes services on SRv6, written into etcd for an unchanged ligato vpp-agent."""

__version__ = "0.1.0"
