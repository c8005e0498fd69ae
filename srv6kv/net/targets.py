"""What one steering applies to."""

from __future__ import annotations

Target = tuple[int, str]
"""VRF id and destination of what one steering applies to. A destination is an address, or the text
``network/length`` of more than one."""
