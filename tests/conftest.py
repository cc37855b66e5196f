"""What the tests share: the servers, each on a port of its own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from faults.server import FaultServer
from support.cli import Cli
from support.leaks import left_threads
from support.modes import ENGINE_MODES, MODES
from support.tls import Authority

from fetchq.cli.practice.server import PracticeServer


@pytest.fixture(params=MODES)
def mode(request: pytest.FixtureRequest) -> str:
    """Each of the three modes in turn, where the pool matters."""
    return str(request.param)


@pytest.fixture(params=ENGINE_MODES)
def engine_mode(request: pytest.FixtureRequest) -> str:
    """A mode of each engine, for rules of the engines: threads and sync share one."""
    return str(request.param)


@pytest.fixture(scope="session", autouse=True)
def one_issuer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Let the system trust one certificate authority: reading the usual 150 takes 20 ms of each run."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setenv("SSL_CERT_FILE", Authority(tmp_path_factory.mktemp("issuers")).cacert)
        yield


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
