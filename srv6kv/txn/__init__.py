"""A transaction as a value, its recorded text form, and what one etcd revision can hold."""
