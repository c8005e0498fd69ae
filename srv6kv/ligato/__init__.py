"""What the vpp-agent accepts: keys, values, validity, schema."""
