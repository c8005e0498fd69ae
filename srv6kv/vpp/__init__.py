"""VPP's own text: what ``show sr`` prints, read and written, and CLI commands."""
