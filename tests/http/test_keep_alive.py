"""What Keep-Alive headers announce, and which idle connections may carry what cannot be sent twice."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fetchq.core.known import RecentSet
from fetchq.http.keep_alive import LONGEST_IDLE, MARGIN, PROOF, Announced, ReusePolicy


def announced(*values: str) -> Announced:
    one = Announced()
    for value in values:
        one.read(value)
    return one


@pytest.mark.parametrize(
    ("value", "timeout"),
    [
        ("timeout=5", 5),
        ("timeout=5, max=100", 5),
        ("max=100,timeout=15", 15),
        ("TIMEOUT = 7; max=1", 7),
        ('timeout="20"', 20),
        ("115", None),
        ("timeout=soon", None),
        ("timeout=-5", None),
        ("idle-timeout=5", None),
        ("", None),
    ],
)
def test_the_timeout_is_read_however_it_is_written(value: str, timeout: int | None) -> None:
    assert announced(value).timeout == timeout


def test_a_timeout_holds_until_another_is_announced() -> None:
    assert announced("timeout=5", "max=3").timeout == 5
    assert announced("timeout=5", "timeout=2").timeout == 2


@pytest.mark.parametrize(
    ("values", "takes"),
    [
        (["max=1"], [False]),
        (["max=0"], [False]),
        (["max=2", "max=2"], [True, False]),
        (["max=3"] * 3, [True, True, False]),
        (["max=2", "max=1", "max=0"], [True, True, False]),
        (["max=100", "max=99", "max=98"], [True, True, True]),
        (["timeout=5", "max=2"], [True, False]),
        (["timeout=5", "", "max=x"], [True, True, True]),
    ],
)
def test_max_counts_the_requests_of_the_connection_or_where_it_falls_those_that_are_left(
    values: list[str], takes: list[bool]
) -> None:
    one = Announced()
    assert [one.read(value) for value in values] == takes


@given(st.text(max_size=30) | st.from_regex(r"(timeout|max)\s?=\s?[0-9]{0,30}(, ?(timeout|max)=[0-9]{0,12})?"))
def test_no_value_of_the_header_is_an_error(value: str) -> None:
    ReusePolicy().wait_before_reuse("a", 0.0, announced(value))


@given(st.floats(0, 100), st.none() | st.integers(0, 60))
def test_a_connection_is_only_used_a_second_before_its_server_closes_it(idle: float, timeout: int | None) -> None:
    policy = ReusePolicy()
    wait = policy.wait_before_reuse("a", idle, None if timeout is None else announced(f"timeout={timeout}"))
    if timeout is None:
        assert (wait is None) == (idle >= LONGEST_IDLE)
    else:
        assert (wait is None) == (idle + MARGIN >= timeout)


def test_a_server_shows_once_that_it_keeps_its_connections() -> None:
    policy = ReusePolicy()
    assert policy.wait_before_reuse("a", 0.005, None) == pytest.approx(PROOF - 0.005)
    assert policy.wait_before_reuse("a", PROOF, None) == 0.0
    policy.found_open("a")
    assert policy.wait_before_reuse("a", 0.0, None) == 0.0
    assert policy.wait_before_reuse("b", 0.0, None) == PROOF


def test_where_a_connection_died_that_should_have_been_good_none_is_reused() -> None:
    policy = ReusePolicy()
    policy.found_open("a")
    policy.found_closed("a", 0.3, None)
    assert policy.wait_before_reuse("a", 0.0, None) is None
    assert policy.wait_before_reuse("b", 0.0, None) is not None


def test_a_connection_that_died_of_old_age_says_nothing_of_younger_ones() -> None:
    policy = ReusePolicy()
    policy.found_closed("a", 5.0, None)
    policy.found_closed("a", 4.0, announced("timeout=5"))
    assert policy.wait_before_reuse("a", 0.5, None) == 0.0
    policy.found_closed("a", 3.0, announced("timeout=5"))
    assert policy.wait_before_reuse("a", 0.5, None) is None


def test_what_is_known_of_origins_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(RecentSet, "_MOST", 100)
    policy = ReusePolicy()
    for origin in range(1000):
        policy.found_open(origin)
        policy.found_closed(origin, 0.0, None)
    assert policy.wait_before_reuse(999, 0.0, None) is None
    assert len(policy._keep_open) <= 100
    assert len(policy._close_early) <= 100
