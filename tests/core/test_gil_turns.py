"""Turns of other threads beside long work."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from time import thread_time

import pytest

from fetchq.core import gil_turns
from fetchq.core.gil_turns import GilTurns, in_turns


def test_the_items_are_the_same_in_the_same_order() -> None:
    assert list(in_turns(range(1000), 64)) == list(range(1000))
    assert list(in_turns(iter(()), 64)) == []


def test_short_work_gives_nothing_away(monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []
    monkeypatch.setattr(gil_turns, "sleep", slept.append)
    monkeypatch.setattr(gil_turns, "thread_time", lambda: 0.0)
    assert len(list(in_turns(range(1000)))) == 1000
    assert slept == []


def test_another_thread_has_its_turns_while_long_work_goes_on() -> None:
    turns, over, interval = 0, threading.Event(), sys.getswitchinterval()

    def count() -> None:
        nonlocal turns
        while not over.wait(0.0001):
            turns += 1

    def long_work() -> Iterator[None]:
        for _ in range(50):
            until = thread_time() + 2 * gil_turns._LONGEST
            while thread_time() < until:
                pass
            yield

    other = threading.Thread(target=count)
    other.start()
    try:
        sys.setswitchinterval(60)  # otherwise the other thread would ask for the GIL after 5 ms
        for _ in in_turns(long_work()):
            pass
        had = turns
    finally:
        sys.setswitchinterval(interval)
        over.set()
        other.join()
    assert had >= 10


def test_a_thread_that_is_alone_gives_nothing_away(monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []
    monkeypatch.setattr(gil_turns, "sleep", slept.append)
    for alone in (True, False):
        turns = GilTurns(alone=alone)
        until = thread_time() + 2 * gil_turns._LONGEST
        while thread_time() < until:
            pass
        turns.may_pass()
    assert slept == [gil_turns._MOMENT]
