"""From the desired state and what etcd holds to transactions."""
