"""Runs the shards of a job: those of a lane one after the other, those of different lanes at the same time.

A shard whose attempt fails is tried again. When it has failed three times, the next one of its lane has its turn. A
shard whose process has died twice is tried for the last time while nothing else runs, since a process may have been
running several shards.
"""

from __future__ import annotations

import threading
from collections import Counter, deque
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass, field
from time import monotonic
from typing import TYPE_CHECKING
from uuid import uuid4

from fetchq.cluster.attempt import ShardFailedError, StoppedError, UnfitProcessError, stop_name
from fetchq.cluster.executors import ClusterError, ShardExecutor, ShardProcessDiedError
from fetchq.cluster.lease import is_held
from fetchq.cluster.marker import ATTEMPTS, Marker, done_shards, read_marker
from fetchq.cluster.tasks import TaskMaker
from fetchq.core.disk import StorageError
from fetchq.core.text import one_line

if TYPE_CHECKING:
    from fetchq.cluster.job import Job, Lane, Shard
    from fetchq.cluster.storage import JobStorage
    from fetchq.core.settings import Settings

__all__ = ["Driven", "Driver"]

_POLL = 0.2
"""Seconds after which the driver looks whether it was stopped."""
_MOST_IN_A_ROW = 5
"""How many shards may be given up one after the other: more of them have a common reason, such as a full disk."""
_LOOK = 5.0
"""Seconds between two looks at the number of workers, and at what other processes hold."""


@dataclass(slots=True)
class Driven:
    """What a call of the driver has come to."""

    shards: int = 0
    """How many shards it has seen done, by its own attempts."""
    rows: int = 0
    ok: int = 0
    failed: int = 0
    causes: Counter[str] = field(default_factory=Counter)
    given_up: dict[int, str] = field(default_factory=dict)
    """The shards that could not be run, with the reason."""
    duration: float = 0.0
    """In seconds."""

    def add(self, marker: Marker) -> None:
        """Count a shard that is done."""
        self.shards += 1
        self.rows += marker.rows
        self.ok += marker.ok
        self.failed += marker.failed
        self.causes.update(marker.causes)


class Driver:
    """Runs the shards that are left of a job. `stop` and `abort` may be called by another thread."""

    def __init__(
        self,
        storage: JobStorage,
        job: Job,
        settings: Settings,
        *,
        on_done: Callable[[Shard, Marker], None] = lambda *_: None,
        say: Callable[[str], None] = lambda _: None,
    ) -> None:
        """`on_done` is called with each shard that is done, and `say` with lines for the user.

        Raises `SettingsError` if a limit cannot be divided among the lanes.
        """
        self.outcome = Driven()
        self.run = uuid4().hex[:16]
        """What this call is known by in the files of the job."""
        self._storage = storage
        self._tasks = TaskMaker(storage, job, settings, self.run)
        self._on_done = on_done
        self._say = say
        self._job = job
        self._ready: deque[Shard] = deque()
        """The next shards of the lanes in which none is running."""
        self._alone: deque[Shard] = deque()
        """Shards that are to run while nothing else does."""
        self._running: dict[Future[Marker], Shard] = {}
        self._failures: Counter[int] = Counter()
        self._in_a_row = 0
        """How many shards were given up since one was done."""
        self._stopped, self._aborted = False, threading.Event()
        self._waiting_for: set[int] = set()
        """The lanes that another process holds, and that was said."""

    def stop(self) -> None:
        """Begin no more shards; those under way may finish."""
        self._stopped = True

    def abort(self) -> None:
        """End now: what is under way is dropped."""
        self._stopped = True
        self._aborted.set()

    @property
    def stopped(self) -> bool:
        """Whether `stop` or `abort` was called."""
        return self._stopped

    def prepare(self) -> int:
        """Find out which shards are left. Returns their number. Raises `StorageError`."""
        done = done_shards(self._storage)
        self._left: dict[int, deque[Shard]] = {}
        for lane in self._job.lanes:
            left = deque(self._job.shards[number] for number in lane.shards if number not in done)
            if left:
                self._left[lane.number] = left
        # The lanes with the most rows first, so that none of them is alone at the end.
        by_rows = sorted(self._left.values(), key=lambda shards: -sum(shard.rows for shard in shards))
        self._ready.extend(shards.popleft() for shards in by_rows)
        return len(self._job.shards) - len(done)

    def drive(self, executor: ShardExecutor) -> None:
        """Run the shards that are left.

        Raises `ClusterError`, also if one shard after the other fails, `UnfitProcessError` and `StorageError`.
        """
        began = monotonic()
        try:
            self._drive(executor)
        finally:
            self.outcome.duration = monotonic() - began
            if self._running and executor.remote:
                self._storage.write(stop_name(self.run), b"")  # the shards look for it

    def _drive(self, executor: ShardExecutor) -> None:
        slots, looked = executor.slots(), monotonic()
        while not self._aborted.is_set():
            if not self._stopped:
                self._submit(executor, slots)
            if not self._running:
                if self._stopped or not (self._ready or self._alone):
                    return
                if not slots:
                    self._aborted.wait(_POLL)
            done, _ = wait(self._running, _POLL, FIRST_COMPLETED) if self._running else ((), ())
            for future in done:
                self._settle(future, self._running.pop(future))
            if monotonic() - looked > _LOOK:
                slots, looked = executor.slots(), monotonic()
                self._look_at_leases()

    def _submit(self, executor: ShardExecutor, slots: int) -> None:
        while self._ready and len(self._running) < slots:
            self._begin(executor, self._ready.popleft())
        if self._alone and slots and not self._running:
            self._begin(executor, self._alone.popleft())

    def _begin(self, executor: ShardExecutor, shard: Shard) -> None:
        self._running[executor.submit(self._tasks.task(shard))] = shard

    def _settle(self, future: Future[Marker], shard: Shard) -> None:
        """Act on the end of an attempt. Raises what concerns all shards."""
        try:
            marker = future.result()
        except (ClusterError, StorageError, UnfitProcessError):
            raise
        except StoppedError:
            if not self._stopped:  # another one has taken its lane
                self._ready.append(shard)
            return
        except ShardFailedError as problem:
            self._failed(shard, str(problem), final=problem.final, died=False)
            return
        except ShardProcessDiedError as problem:
            found = read_marker(self._storage, shard)  # it may have died just after it was done
            if found is None:
                self._failed(shard, str(problem), final=False, died=True)
                return
            marker = found
        except Exception as problem:  # noqa: BLE001  # of the engine: what it cannot send, or not read
            self._failed(shard, one_line(f"{type(problem).__name__}: {problem}"), final=False, died=False)
            return
        self._in_a_row = 0
        self.outcome.add(marker)
        self._on_done(shard, marker)
        self._go_on(shard)

    def _failed(self, shard: Shard, why: str, *, final: bool, died: bool) -> None:
        self._failures[shard.number] += 1
        failures = self._failures[shard.number]
        if final or failures >= ATTEMPTS:
            self.outcome.given_up[shard.number] = why
            self._say(f"shard {shard.number} is given up: {why}")
            self._in_a_row += 1
            if self._in_a_row >= _MOST_IN_A_ROW and (self._running or self._ready or self._alone):
                raise ClusterError(f"{self._in_a_row} shards failed one after the other")
            self._go_on(shard)
            return
        self._say(f"shard {shard.number} failed, and is tried again ({failures} of {ATTEMPTS}): {why}")
        (self._alone if died and failures == ATTEMPTS - 1 else self._ready).append(shard)

    def _go_on(self, shard: Shard) -> None:
        """The lane of a shard that has ended is ready for its next one."""
        if left := self._left[shard.lane]:
            self._ready.append(left.popleft())

    def _look_at_leases(self) -> None:
        """Say once of each lane that another process holds it, which may be what is waited for."""
        lanes = {lane.number: lane for lane in self._job.lanes}
        for shard in set(self._running.values()):
            lane: Lane = lanes[shard.lane]
            if lane.number in self._waiting_for:
                continue
            held = is_held(self._storage, lane.lease)
            if held is not None and held.get("run") != self.run:
                self._waiting_for.add(lane.number)
                self._say(f"lane {lane.number} is held by another process, on {held.get('host')}: waiting for it")
