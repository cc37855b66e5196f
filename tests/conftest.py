"""What the tests share: the servers, each on a port of its own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from faultserver import FaultServer

from fetchq.server import PracticeServer

MODES = ("async", "threads", "sync")


@pytest.fixture(params=MODES)
def mode(request: pytest.FixtureRequest) -> str:
    """Each of the three modes in turn."""
    return str(request.param)


@pytest.fixture(scope="session")
def practice() -> Iterator[PracticeServer]:
    with PracticeServer() as server:
        yield server


@pytest.fixture
def faults() -> Iterator[FaultServer]:
    with FaultServer() as server:
        yield server
