"""Divides the time for which workers are idle by the reason, in the proportion of samples."""

from __future__ import annotations

from collections import defaultdict
from enum import Enum
from time import thread_time
from typing import TYPE_CHECKING

from fetchq.scheduling.held import waiting_jobs
from fetchq.scheduling.limit import Limit

if TYPE_CHECKING:
    from fetchq.scheduling.schedule import Schedule
    from fetchq.workers.worker_clock import WorkerClock

__all__ = ["Idle", "IdleTime", "Reason"]

_INTERVAL = 0.01
"""The fewest seconds between two samples."""
_LONGEST_INTERVAL = 1.0
_COST = 0.005
"""The share of the time that samples may take."""
_SMOOTHING = 0.25
"""The weight of the latest sample in the smoothed cost of one."""
_MOST_HOSTS = 1000
"""The most hosts whose limits are told apart; the time of those that come later counts for no host."""


class Idle(Enum):
    """Why a worker has no job, apart from limits."""

    INPUT = "input"
    """The next row has not come from the input."""
    FINISHED = "finished"
    """No row is left for the worker."""
    TURN = "turn"
    """Another worker has its turn (mode `sync`)."""
    OUTPUT = "output"
    """Every row is done, but not every Result is written; or the reader of the Results of a `sync` run has its turn."""
    WAKING = "waking"
    """There is a job, and the worker will take it as soon as it runs."""


Reason = Idle | tuple[Limit, str | None]
"""Why a worker is idle: since a limit holds the waiting jobs, which is that of a host or of the run; or else `Idle`."""


class IdleTime:
    """The seconds for which workers were idle, by the reason. Not thread-safe: the threads of a pool share its lock.

    At first all workers are idle, and in the end, too, so that workers that begin late or end early count as well.
    """

    def __init__(self, workers: int, schedule: Schedule) -> None:
        self._workers = self.workers = workers
        """`workers`: how many are idle now."""
        self._schedule = schedule
        self._seconds: defaultdict[Reason, float] = defaultdict(float)
        self._undivided = 0.0
        """Seconds since the last sample."""
        self._since = 0.0
        """The time up to which all is counted."""
        self._shares: dict[Reason, float] = {Idle.INPUT: 1.0}
        """The reasons at the last sample, with their shares of the idle workers."""
        self._sampled = True
        """Whether the reasons must be sampled; in mode `sync` they are often known."""
        self._input_ended = False
        self._next_sample = 0.0
        self._cost = 0.0
        """The smoothed CPU seconds of a sample."""

    def begin(self, now: float) -> None:
        """Count from now on, since the run begins, or its warm-up is over."""
        self._since = now
        self._undivided = 0.0
        self._seconds.clear()

    def enter(self, clock: WorkerClock, now: float, *, ended: bool = False) -> None:
        """Note that a worker begins to wait for a job, unless it waits already. `ended`: it does not, but ends."""
        if not clock.is_idle:
            clock.is_idle = True
            self._count(now)
            self.workers += 1
            if not ended:
                self.sample(now)

    def leave(self, clock: WorkerClock, now: float) -> None:
        """Note that a worker has got a job, for which it has waited."""
        clock.is_idle = False
        self._count(now)
        self.workers -= 1

    def sample(self, now: float) -> None:
        """Look what the idle workers wait for, unless that was seen just now. To be called again and again."""
        if now < self._next_sample or not self.workers or not self._sampled:
            return
        self._count(now)
        began = thread_time()
        before, self._shares = self._shares, self._shares_at(now, self.workers)
        self._divide(before, self._shares)
        self._cost += (thread_time() - began - self._cost) * _SMOOTHING
        self._next_sample = now + min(max(_INTERVAL, self._cost / _COST), _LONGEST_INTERVAL)

    def changed(self, now: float) -> None:
        """Note that the workers wait for something else from now on."""
        self._count(now)
        self._divide(self._shares)
        self._shares = self._shares_at(now, self.workers)

    def input_ended(self, now: float) -> None:
        """Note that no more rows come from the input."""
        self._input_ended = True
        if self._sampled:
            self.changed(now)

    def all_wait(self, now: float, reason: Idle | None = None) -> None:
        """Note that from now on all workers wait, for this reason; None if it is to be found out, once."""
        self._switch(now, self._workers, {reason: 1.0} if reason is not None else self._shares_at(now, self._workers))

    def one_works(self, now: float) -> None:
        """Note that from now on one worker works, and the others wait for their turn."""
        self._switch(now, self._workers - 1, {Idle.TURN: 1.0})

    def end(self, now: float) -> None:
        """Note that every row is done: from now on workers are idle since their Results must still be written."""
        self._switch(now, self.workers, {Idle.OUTPUT: 1.0})

    def seconds(self, now: float) -> dict[Reason, float]:
        """Seconds until now by the reason, summed over the workers."""
        self._count(now)
        self._divide(self._shares)
        return dict(self._seconds)

    def _switch(self, now: float, workers: int, shares: dict[Reason, float]) -> None:
        self._count(now)
        self._divide(self._shares)
        self.workers, self._shares, self._sampled = workers, shares, False

    def _count(self, now: float) -> None:
        if now > self._since:
            self._undivided += self.workers * (now - self._since)
            self._since = now

    def _divide(self, *samples: dict[Reason, float]) -> None:
        """Divide the time since the last sample evenly between these samples, and by the shares that each has found."""
        if not self._undivided:
            return
        seconds = self._seconds
        for shares in samples:
            part = self._undivided / len(samples)
            for reason, share in shares.items():
                if isinstance(reason, tuple) and reason not in seconds and len(seconds) >= _MOST_HOSTS:
                    reason = (reason[0], None)
                seconds[reason] += part * share
        self._undivided = 0.0

    def _shares_at(self, now: float, idle: int) -> dict[Reason, float]:
        """The reasons for which `idle` workers have no job now, with their shares. A waiting job holds one worker."""
        jobs = waiting_jobs(self._schedule, now)
        idle = max(1, idle)  # a worker may begin to wait before the next sample
        waking = min(float(idle), jobs.ready)
        waiting = sum(jobs.held.values())
        held = min(idle - waking, waiting)
        none = Idle.FINISHED if self._input_ended else Idle.INPUT
        shares: dict[Reason, float] = {Idle.WAKING: waking / idle, none: (idle - waking - held) / idle}
        if held:
            shares |= {reason: held * count / waiting / idle for reason, count in jobs.held.items()}
        return {reason: share for reason, share in shares.items() if share}
