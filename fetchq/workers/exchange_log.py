"""Collects the exchanges of the rows that are under way, in a run whose views show them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from fetchq.http.exchanges import exchanges_of

if TYPE_CHECKING:
    from fetchq.core.exchange import Exchange
    from fetchq.http.attempt import Attempt
    from fetchq.scheduling.job import Job

__all__ = ["ExchangeLog"]


class ExchangeLog:
    """The exchanges of each job that has been attempted, until it is settled."""

    def __init__(self) -> None:
        self._exchanges: dict[Job, tuple[Exchange, ...]] = {}

    def add(self, job: Job, attempt: Attempt, worker: int) -> None:
        """Add those of an attempt that has ended. `worker`: the number of the worker that made it."""
        earlier = self._exchanges.get(job, ())
        number = 1 + (earlier[-1].attempt if earlier else 0)
        first, *rest = (replace(one, attempt=number, worker=worker) for one in exchanges_of(attempt))
        # What the job has waited since the last attempt comes before the first request of this one.
        queued = job.queued - sum(one.queued for one in earlier)
        held = job.held - sum(one.held for one in earlier) + first.held
        self._exchanges[job] = (*earlier, replace(first, queued=queued, held=held), *rest)

    def pop(self, job: Job) -> tuple[Exchange, ...]:
        """All exchanges of a job, which is settled now."""
        return self._exchanges.pop(job, ())
