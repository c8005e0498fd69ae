"""What a live vpp-agent reports: states, REST, boots."""
