"""Defines what a run tells of each attempt that is followed by another one: why, and when the next one is due."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fetchq.core.model import Cause, Request
    from fetchq.http.attempt import Attempt
    from fetchq.http.retry import RetryPlan
    from fetchq.scheduling.job import Job

__all__ = ["OnRetry", "RetryEvent", "retry_event"]


@dataclass(frozen=True, slots=True)
class RetryEvent:
    """A failed attempt at a row, or at a robots.txt, that is followed by another one."""

    request: Request
    worker: int
    """The number of the worker that made the attempt."""
    attempts: int
    """How many attempts at the request have failed so far."""
    status: int | None
    cause: Cause | None
    error: str
    """What went wrong, as one line of text."""
    delay: float
    """Seconds for which the next attempt waits at least."""
    with_get: bool
    """Whether the next attempt is a GET, since the server does not answer a HEAD as it should."""


def retry_event(job: Job, attempt: Attempt, worker: int, plan: RetryPlan) -> RetryEvent:
    """The event of an attempt that has failed, after which the retry `plan` is due."""
    return RetryEvent(
        request=job.request,
        worker=worker,
        attempts=job.attempts,
        status=attempt.status,
        cause=attempt.cause,
        error=attempt.error or "",
        delay=plan.delay,
        with_get=plan.with_get,
    )


OnRetry = Callable[[RetryEvent], object]
"""Called in the event loop, or in a worker's thread: it must be quick, and thread-safe."""
