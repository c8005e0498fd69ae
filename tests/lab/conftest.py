"""The lab that the tests of this folder share."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from lab import binaries
from lab.lab import Lab, started


@pytest.fixture(scope="session")
def lab() -> Iterator[Lab]:
    """Two nodes with everything; a test that changes something puts it back."""
    if os.environ.get("PYTEST_XDIST_WORKER"):
        pytest.skip("the lab runs by itself: scripts/test tests/lab")
    try:
        found = binaries.find()
    except binaries.Lacking as reason:
        pytest.skip(str(reason))
    with started(found) as lab:
        yield lab
