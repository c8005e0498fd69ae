"""The parts of srv6kv.store; nothing else imports them, except `values` and `limits`."""
