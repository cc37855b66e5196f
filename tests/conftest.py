"""What the tests share: the servers, each on a port of its own."""

from __future__ import annotations

import os
from collections.abc import Iterator

import aiohttp  # noqa: F401  # before the next line: in debug mode its parser is stricter than the one that users get
import pytest
from faultserver import FaultServer

from fetchq.server import PracticeServer

os.environ["PYTHONASYNCIODEBUG"] = "1"

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
