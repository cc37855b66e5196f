"""The attempts of a run fit into the files that the process may have open; the limit is raised where that helps."""

from __future__ import annotations

import resource
import subprocess
import sys

import pytest

from fetchq.cli.practice.server import PracticeServer
from fetchq.core.settings import Settings
from fetchq.engines.fd_limit import IDLE_EACH, fd_budget


class Limits:
    """The process's limit of open files, as a test would have it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.soft = self.hard = 0
        self.granted = True
        monkeypatch.setattr(resource, "getrlimit", lambda _: (self.soft, self.hard))
        monkeypatch.setattr(resource, "setrlimit", self._set)
        monkeypatch.setattr("os.listdir", lambda _: ["0", "1", "2", "3"])

    def _set(self, _: int, limits: tuple[int, int]) -> None:
        if not self.granted:
            raise ValueError("current limit exceeds maximum limit")
        self.soft, self.hard = limits


@pytest.fixture
def limits(monkeypatch: pytest.MonkeyPatch) -> Limits:
    return Limits(monkeypatch)


def test_a_limit_that_is_high_enough_is_left_alone(limits: Limits) -> None:
    limits.soft, limits.hard = 1024, 4096
    assert fd_budget(Settings(workers=100)) == (100, 216)
    assert limits.soft == 1024


def test_a_limit_that_is_too_low_is_raised_as_far_as_needed(limits: Limits) -> None:
    limits.soft, limits.hard = 256, 100_000
    assert fd_budget(Settings(workers=1000)) == (1000, 2016)
    assert limits.soft == 4 + 64 + 2 * 1000 + 2016


def test_where_it_may_not_be_raised_fewer_attempts_are_made_at_a_time(limits: Limits) -> None:
    limits.soft, limits.hard = 256, 1024
    attempts, idle = fd_budget(Settings(workers=10_000))
    assert limits.soft == 1024
    assert (attempts, idle) == ((1024 - 68) // 2, 0)
    limits.soft, limits.granted = 256, False
    assert fd_budget(Settings(workers=10_000)).attempts == (256 - 68) // 2


def test_one_attempt_is_made_however_little_room_there_is(limits: Limits) -> None:
    limits.soft = limits.hard = 16
    assert fd_budget(Settings(workers=5)) == (1, 0)


def test_large_bodies_of_a_durable_run_need_room_too(limits: Limits) -> None:
    limits.soft = limits.hard = 668
    assert fd_budget(Settings(workers=1000)).attempts == 300
    assert fd_budget(Settings(workers=1000, output="run")).attempts == 200


def test_no_limit_is_no_limit(limits: Limits) -> None:
    limits.soft = limits.hard = resource.RLIM_INFINITY
    assert fd_budget(Settings(workers=100_000)).attempts == 100_000
    limits.soft = 256
    assert fd_budget(Settings(workers=1000)).attempts == 1000


def test_a_worker_of_threads_may_keep_a_connection_to_each_of_several_hosts(limits: Limits) -> None:
    limits.soft = limits.hard = 10_000
    assert fd_budget(Settings(workers=100, mode="threads")) == (100, IDLE_EACH * 100)


PROGRAM = """
import resource, sys
from fetchq import fetch_all_sync
mode, server = sys.argv[1:]
resource.setrlimit(resource.RLIMIT_NOFILE, (150, 150))
results = fetch_all_sync([f"{server}/delay/0.01?{n}" for n in range(600)], mode=mode, workers=500)
assert all(result.ok for result in results), {str(result.error) for result in results}
assert all(result.attempts == 1 for result in results)
"""
"""The limit is that of the client alone: a server that shared it would need room for connections that it has not yet
seen end. There are more Results than may wait for the reader, so that all threads have their turn."""


@pytest.mark.parametrize("mode", ["async", "threads"])
def test_a_run_never_comes_to_the_limit(mode: str, practice: PracticeServer) -> None:
    command = [sys.executable, "-W", "error", "-c", PROGRAM, mode, practice.url]
    done = subprocess.run(command, check=False, capture_output=True, timeout=30)
    assert done.returncode == 0, done.stderr.decode()
