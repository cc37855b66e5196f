"""What the tests share: the servers, each on a port of its own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from faults.server import FaultServer
from support.cli import Cli, left_threads

from fetchq.cli.practice.server import PracticeServer

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


@pytest.fixture
def cli(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsysbinary: Any) -> Iterator[Cli]:
    """The command line, in an empty folder of its own."""
    with Cli(tmp_path, monkeypatch, capsysbinary) as one:
        yield one


@pytest.fixture
def no_jitter(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each retry comes as late as the settings let it; one in thirty thousand would come within a millisecond."""
    monkeypatch.setattr("fetchq.workers.settle.random", lambda: 1.0)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The working folder, which is empty; no thread may be left in the end."""
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    assert left_threads() == []
