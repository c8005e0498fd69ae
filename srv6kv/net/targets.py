"""What one steering takes."""

from __future__ import annotations

Target = tuple[int, str]
"""VRF id and destination: what one steering takes. A destination is an address, or the text
``network/length`` of more than one."""
