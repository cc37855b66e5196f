"""Lets other threads have their turn beside a thread that has long work in Python.

A thread with long work gives the GIL to another one only after that has asked for it for 5 ms (its switch interval),
and an event loop asks in each of its turns. So the thread sleeps for a moment after each half of a millisecond of work.
It has to be a moment: if it only released the GIL (`sleep(0)`), it would have it back before any other thread has woken
up.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from math import inf
from time import sleep, thread_time
from typing import TypeVar

__all__ = ["GilTurns", "in_turns"]

T = TypeVar("T")

_LONGEST = 0.0005
"""Seconds of CPU after which others have a turn."""
_MOMENT = 0.00005


class GilTurns:
    """Long work of one thread. It is to be told whenever the work can be interrupted."""

    __slots__ = ("_began",)

    def __init__(self, *, alone: bool = False) -> None:
        """`alone`: whether the run has no other thread that could want the GIL."""
        self._began = inf if alone else thread_time()

    def may_pass(self) -> None:
        """Let the other threads have their turn, if this one had a long one."""
        if self._began < inf and thread_time() - self._began > _LONGEST:
            sleep(_MOMENT)
            self._began = thread_time()


def in_turns(items: Iterable[T], at_once: int = 1) -> Iterator[T]:
    """The same items; other threads may have their turn after every `at_once` of them. For loops with long work.

    In an event loop, such work has to be short, since the loop would sleep, too.
    """
    turns = GilTurns()
    for number, item in enumerate(items, 1):
        yield item
        if number % at_once == 0:
            turns.may_pass()
