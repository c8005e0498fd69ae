"""What a live vpp-agent says: states, REST, boots."""
