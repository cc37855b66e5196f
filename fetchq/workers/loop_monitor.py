"""Measures how late the event loop is, and names the code of the user's program that blocks it."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections import Counter, defaultdict
from contextlib import suppress
from time import perf_counter, thread_time
from typing import TYPE_CHECKING
from weakref import ref

from fetchq.workers.blocking_code import CodePlace, depth_of, running_user_code

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["LoopMonitor"]

_BEAT = 0.02
"""Seconds from one call of the timer to the next."""
_THREAD_DELAY = 0.005
"""Seconds after which the thread is started, since a run of one URL may have ended by then."""
_LOOK = 0.05
"""Seconds from one look of the thread to the next."""
_LATE = 0.05
"""By how many seconds the timer must be late for the thread to look what the loop runs."""
_MOST_PLACES = 100
"""The most functions that are told apart."""
_LATENESS = 1000
"""The delays of the timer are counted in buckets of a millisecond; the last bucket has all that are longer."""


class LoopMonitor:
    """Watches an event loop from `start` to `stop`, which are called in it.

    A timer shows that the loop runs. While it is late, a thread looks again and again what the loop runs instead.
    """

    def __init__(self, on_beat: Callable[[float], None]) -> None:
        """`on_beat` is called with the time every few milliseconds, as far as the loop is free."""
        self._on_beat = on_beat
        self._loop = asyncio.get_running_loop()
        self._loop_thread = threading.get_ident()
        self._timer: asyncio.TimerHandle | None = None
        self._thread_timer: asyncio.TimerHandle | None = None
        self._beat_at = 0.0
        """When the timer was called last."""
        self._below = 0
        """How many frames of the thread are below those of the loop's callbacks."""
        self._seen: list[CodePlace | None] = []
        """What the loop ran at each look since the timer was called last; None for code that is not the user's. A list,
        to which the thread may append while the loop copies it."""
        self._lines: dict[CodePlace, Counter[int]] = {}
        self._blocked: defaultdict[CodePlace, float] = defaultdict(float)
        self._delays = [0] * _LATENESS
        self.longest_delay = 0.0
        """The longest delay of the timer, in seconds."""
        self.cpu = 0.0
        """CPU seconds of the loop's thread; known when the monitor has stopped."""
        self._ended = threading.Event()
        self._thread = threading.Thread(target=_watch, args=(ref(self), self._ended), name="fetchq-loop", daemon=True)

    def start(self) -> None:
        """Begin to watch."""
        self._beat_at = perf_counter()
        self.cpu = -thread_time()
        self._timer = self._loop.call_later(_BEAT, self._beat)
        self._thread_timer = self._loop.call_later(_THREAD_DELAY, self._start_thread)

    def restart(self) -> None:
        """Count from now on. Called in the loop."""
        self._blocked.clear()
        self._delays = [0] * _LATENESS
        self.longest_delay = 0.0
        self.cpu = -thread_time()

    def stop(self) -> None:
        """Watch no longer, and end the thread."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
            assert self._thread_timer is not None, "both are set together"
            self._thread_timer.cancel()
            self._count(perf_counter())
            self.cpu += thread_time()
        self._ended.set()
        if self._thread.ident is not None:
            self._thread.join()

    def delay(self, percent: float) -> float:
        """The delay of the timer in seconds that `percent` (0 to 100) of all its calls do not exceed."""
        rank, seen = sum(self._delays) * percent / 100, 0
        for bucket, count in enumerate(self._delays):
            seen += count
            if count and seen >= rank:
                return min((bucket + 1) / 1000, self.longest_delay)
        return 0.0

    def blocked(self) -> dict[str, float]:
        """Seconds for which functions of the user's program have blocked the loop, the longest first.

        Each is named with its file and the line at which it was seen most often: `slow_callback (scrape.py:12)`.
        """
        return {
            f"{place.function} ({place.file}:{self._lines[place].most_common(1)[0][0]})": seconds
            for place, seconds in sorted(self._blocked.items(), key=lambda one: -one[1])
        }

    def look(self) -> bool:
        """If the timer is late, look what the loop runs. Returns False if the loop is closed. Called in the thread."""
        if self._loop.is_closed():
            return False
        if not self._loop.is_running():  # it may go on later
            self._beat_at = perf_counter()
        elif perf_counter() - self._beat_at > _BEAT + _LATE:
            frame = sys._current_frames().get(self._loop_thread)
            found = None if frame is None else running_user_code(frame, self._below)
            if found is None or (found[0] not in self._lines and len(self._lines) >= _MOST_PLACES):
                self._seen.append(None)
            else:
                place, line = found
                self._lines.setdefault(place, Counter())[line] += 1
                self._seen.append(place)
        return True

    def _start_thread(self) -> None:
        with suppress(RuntimeError):  # without another thread the run goes on, and nothing is named
            self._thread.start()

    def _beat(self) -> None:
        now = perf_counter()
        self._below = depth_of(sys._getframe().f_back)
        self._count(now)
        self._on_beat(now)
        self._timer = self._loop.call_later(_BEAT, self._beat)

    def _count(self, now: float) -> None:
        """Count the delay of the timer, and divide it between the functions that were seen meanwhile."""
        since, self._beat_at = now - self._beat_at, now
        delay = max(0.0, since - _BEAT)
        self._delays[min(int(delay * 1000), _LATENESS - 1)] += 1
        self.longest_delay = max(self.longest_delay, delay)
        if self._seen:
            seen, self._seen = self._seen.copy(), []
            share = since / len(seen)
            for place in seen:
                if place is not None:
                    self._blocked[place] += share


def _watch(monitor: ref[LoopMonitor], ended: threading.Event) -> None:
    """Let the monitor look until the end of the run, which it may not see if its loop was left behind."""
    while not ended.wait(_LOOK):
        watching = monitor()
        if watching is None or not watching.look():
            return
        del watching
