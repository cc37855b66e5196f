"""What the tests of the engines share."""

from __future__ import annotations

import pytest


@pytest.fixture
def mode(engine_mode: str) -> str:
    """A mode of each engine: threads and sync share one. Where a pool has a part in it a test asks for `every_mode`."""
    return engine_mode
