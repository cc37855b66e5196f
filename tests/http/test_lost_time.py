"""What is lost while nothing that comes can be read counts in no timeout, however the beats and the loss fall."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.factories import make_attempt

from fetchq.core.model import Cause
from fetchq.core.settings import Settings
from fetchq.http.failure import AttemptFailed
from fetchq.http.lost_time import LostTime

JITTER = 0.04
"""Seconds by which a beat is late on any machine."""


@given(st.lists(st.floats(0, JITTER), max_size=200))
def test_beats_that_are_hardly_late_lose_nothing(late: list[float]) -> None:
    lost, now = LostTime(Settings()), 5.0
    lost.beat(now)
    for seconds in late:
        now += lost.interval + seconds
        lost.beat(now)
    assert lost.until(now) == 0


@given(stops=st.lists(st.floats(1, 1000), max_size=20), asked=st.floats(0, 0.2))
def test_each_stop_is_lost_but_for_an_interval_whoever_asks_first(stops: list[float], asked: float) -> None:
    lost, now = LostTime(Settings()), 5.0
    lost.beat(now)
    for number, seconds in enumerate(stops, 1):
        now += seconds
        before = lost.until(now)
        lost.beat(now)
        assert lost.until(now + asked) == before
        most = sum(stops[:number])
        assert most - number * lost.interval - 1e-6 <= before <= most + 1e-6


def test_what_passes_while_nothing_is_under_way_is_not_lost() -> None:
    lost = LostTime(Settings())
    lost.beat(5.0)
    lost.pause()
    assert lost.until(1000.0) == 0
    lost.beat(1000.0)
    assert lost.until(1000.0) == 0


LIMITS: dict[str, Any] = {"timeout": 50.0, "read_timeout": 20.0, "connect_timeout": 10.0}


@pytest.mark.parametrize(("connected", "limit"), [(False, 10.0), (True, 20.0)])
def test_a_timeout_ends_later_by_what_was_lost_and_no_more(connected: bool, limit: float) -> None:
    attempt = make_attempt(Settings(**LIMITS))
    lost, began = attempt.plan.lost_time, attempt.began
    if connected:
        attempt.progress_at = began
    else:
        attempt.connecting_since = began
    lost.beat(began + 1)
    assert attempt.time_left(began + 1)[0] == pytest.approx(limit - 1)
    back = began + 1 + lost.interval + 1000
    assert attempt.time_left(back)[0] == pytest.approx(limit - 1 - lost.interval)
    lost.beat(back)
    lost.pause()
    assert attempt.time_left(back + limit)[0] < 0


def test_a_body_is_not_slow_for_the_time_that_was_lost() -> None:
    attempt = make_attempt(Settings(min_speed=100, min_speed_time=10))
    lost, began = attempt.plan.lost_time, attempt.began
    attempt._window_start = began
    attempt._window_bytes = 5_000
    lost.beat(began + 10)
    attempt._check_speed(began + 1000)
    lost.beat(began + 1000)
    lost.pause()
    attempt._window_bytes = 100
    with pytest.raises(AttemptFailed) as caught:
        attempt._check_speed(began + 1100)
    assert caught.value.cause is Cause.TOO_SLOW
