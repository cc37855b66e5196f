"""How many attempts each host got, and how long they took: counted for every host, dropped ones included."""

from __future__ import annotations

import pytest
from support.factories import Outcome

from fetchq.core.model import Cause, Request
from fetchq.core.settings import Settings
from fetchq.http.phases import WAIT
from fetchq.scheduling import hosts as hosts_module
from fetchq.scheduling.host_load import HostLoad, greatest_loads
from fetchq.scheduling.job import Job
from fetchq.scheduling.schedule import Schedule


def fetch(schedule: Schedule, host: str, seconds: float, cause: Cause | None = None, at: float = 1000.0) -> None:
    outcome = Outcome(cause)
    outcome.phases[WAIT] = seconds
    schedule.add(Job(Request(f"http://{host}/"), at), at)
    job = schedule.take(at)
    schedule.done(job, outcome, at + seconds, 0.0)  # type: ignore[arg-type]  # it is like one


def test_the_hosts_that_took_longest_come_first_with_what_failed() -> None:
    schedule = Schedule(Settings(adapt=False))
    for host, seconds, cause in (("a", 1.0, None), ("b", 2.0, None), ("b", 3.0, Cause.TIMEOUT), ("c", 0.5, None)):
        fetch(schedule, host, seconds, cause)
    assert schedule.hosts.loads() == [
        HostLoad("http://b", 2, 5.0, 3.0),
        HostLoad("http://a", 1, 1.0, 0.0),
        HostLoad("http://c", 1, 0.5, 0.0),
    ]
    assert schedule.hosts.loads()[0].mean == 2.5


def test_a_host_that_was_dropped_and_came_back_is_counted_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hosts_module, "_MOST_IDLE", 1)
    schedule = Schedule(Settings())
    for at, host in enumerate(("a", "b", "a", "c", "a")):
        fetch(schedule, host, 1.0, at=1000.0 + at)
    assert {load.host: (load.attempts, load.seconds) for load in schedule.hosts.loads()} == {
        "http://a": (3, 3.0),
        "http://b": (1, 1.0),
        "http://c": (1, 1.0),
    }


def test_of_a_million_hosts_only_the_greatest_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hosts_module, "_MOST_IDLE", 1)
    schedule = Schedule(Settings())
    for number in range(5000):
        fetch(schedule, f"h{number}", 9.0 if number == 7 else 1.0, at=1000.0 + number)
    loads = schedule.hosts.loads()
    assert len(loads) == 100
    assert loads[0] == HostLoad("http://h7", 1, 9.0, 0.0)
    assert len(schedule.hosts._loads._dropped) <= 2000


def test_what_two_processes_did_at_one_host_is_added_up() -> None:
    loads = [HostLoad("http://a", 1, 2.0, 0.5), HostLoad("http://b", 4, 2.5, 0.0), HostLoad("http://a", 2, 1.0, 0.25)]
    assert greatest_loads(loads) == [HostLoad("http://a", 3, 3.0, 0.75), HostLoad("http://b", 4, 2.5, 0.0)]
