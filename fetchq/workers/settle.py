"""What the pools share: from a finished attempt to a Result or another try, and the clocks of the workers.

The pools themselves (`async_pool`, `thread_pool`, `serial_pool`) only differ in how they wait.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import lru_cache
from random import random
from time import time
from typing import TYPE_CHECKING, Any

from codetiming import Timer
from multidict import istr

from fetchq.core.header_text import charset_of, wire_text
from fetchq.core.model import Cause, Result, Sent, make_result
from fetchq.core.text import one_line, redact, redact_all
from fetchq.http.attempt import NO_HEADERS
from fetchq.http.hops import check_sendable, head_shown, method_of
from fetchq.http.retry import retry_delay
from fetchq.http.revalidation import freshened
from fetchq.http.robots_txt import Rules, agent_of, rules_of
from fetchq.http.url import Refused, Target, parse_url

if TYPE_CHECKING:
    from fetchq.core.settings import Settings
    from fetchq.http.attempt import Attempt
    from fetchq.scheduling.job import Job

__all__ = ["HEAD_START", "Desk", "Timer", "WorkerClock"]

HEAD_START = 0.02
"""Seconds for which the source is read before the first worker begins, unless it ends: the first thousands of rows may
be of one slow host, which would else have all the workers before another one is known."""
STARVED_WAIT = 0.25
"""Seconds before another try when this machine is at a limit: that costs the server, and the request, nothing."""
MOST_STARVED = 240

_CONTENT_TYPE = istr("Content-Type")
_ENDED_FIRST = "the run ended first"
_NEITHER = (None, None)
_NOT_READ = (Cause.INVALID_URL, Cause.BLOCKED)


@lru_cache(256)
def _media(content_type: str) -> tuple[str, str | None]:
    text = wire_text(content_type)
    return text, charset_of(text)


@dataclass(slots=True)
class WorkerClock:
    """How much one worker did: attempts, and the seconds in them."""

    number: int
    fetched: int = 0
    busy: float = 0.0


class Desk:
    """Decides what becomes of each attempt. One per run, for all its threads, each of which has a clock of its own."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._archives = settings.archives
        self._agent = agent_of(settings)
        self.clocks = [WorkerClock(number) for number in range(1, settings.workers + 1)]
        self._carrying: set[Job] = set()
        """Jobs that have the beginning of a body: no more of them than workers, since each may hold a whole body."""
        self.stopping = False
        """No attempt is begun any more; what has not finished is answered with `cancelled`."""

    def timer(self) -> Timer:
        """A worker's timer. Without a name: codetiming keeps every measurement of a named one."""
        return Timer(logger=None)

    def target_of(self, job: Job) -> Target:
        """Where the request goes. Raises `Refused`."""
        if job.refused is not None:
            raise job.refused
        request = job.request
        if request.problem is not None:
            raise Refused(Cause.INVALID_URL, request.problem)
        if request.duplicate_of is not None:  # the writer puts a copy of that row's Result in the place of this one's
            raise Refused(Cause.INVALID_URL, f"the request is the same as that of row {request.duplicate_of}")
        if request.headers or request.method is not None:
            check_sendable(request, self._settings)
        return parse_url(request.url)

    def settle(self, job: Job, attempt: Attempt, worker: int) -> Result | float:
        """The Result of a row, or the seconds after which its job is to go again."""
        clock = self.clocks[worker - 1]
        clock.fetched += 1
        clock.busy -= attempt.held
        if attempt.cause is not None and (delay := self._delay(job, attempt)) is not None:
            self._again(job, attempt)
            # Without the stop this would not have been the end of the row: a run that goes on takes it up.
            return self.cancel(job) if self.stopping else delay
        if attempt.partial is not None:
            attempt.partial.discard()
        if job.partial is not None:
            self._carrying.discard(job)
        return self._result(job, attempt, worker)

    def settle_robots(self, job: Job, attempt: Attempt, worker: int) -> Rules | float:
        """The rules that a robots.txt holds, or the seconds after which its job is to go again."""
        self.clocks[worker - 1].busy -= attempt.held
        if attempt.cause is not None and (delay := self._delay(job, attempt)) is not None:
            self._again(job, attempt)
            return self.cancel_robots() if self.stopping else delay
        if attempt.partial is not None:
            attempt.partial.discard()
        if job.partial is not None:
            self._carrying.discard(job)
        return rules_of(attempt, self._agent)

    def _delay(self, job: Job, attempt: Attempt) -> float | None:
        """The seconds after which another attempt is due, the job made ready for it; None after the last one."""
        if attempt.starved and job.starved < MOST_STARVED:
            job.starved += 1
            job.attempts -= 1
            return STARVED_WAIT
        if attempt.unmodified and attempt.cause is Cause.STORE:
            # What the server says still holds is not there any more, or damaged: it is fetched whole.
            job.request = replace(job.request, known=None)
            return 0.0
        return retry_delay(attempt, job.attempts, self._settings, jitter=random(), now=time())  # noqa: S311

    def _again(self, job: Job, attempt: Attempt) -> None:
        """Keep what the job's next attempt needs of this one."""
        job.add(attempt)
        attempt.drop_spool()
        job.partial = partial = attempt.partial
        self._carrying.discard(job)
        if partial is not None:
            self._carrying.add(job)
            if len(self._carrying) > self._settings.workers:
                self._carrying.discard(job)
                job.partial = None
                partial.discard()

    def _result(self, job: Job, attempt: Attempt, worker: int) -> Result:
        request = job.request
        timing, elapsed = job.timing(attempt)
        headers: Any = attempt.headers  # a CIMultiDictProxy: engines have no other
        if attempt.unmodified and attempt.known is not None:
            media, charset = attempt.known.content_type, attempt.known.charset
            headers = freshened(headers, attempt.known)
        else:
            content_type = headers.get(_CONTENT_TYPE)
            media, charset = _NEITHER if content_type is None else _media(content_type)
        return make_result(
            request.index,
            redact(request.url) if "@" in request.url else request.url,
            redact(attempt.hop.text),
            attempt.method,
            request.label,
            attempt.cause is None,
            attempt.status,
            attempt.reason,
            attempt.cause,
            attempt.error,
            job.attempts,
            attempt.redirects,
            attempt.size,
            attempt.wire_size,
            attempt.digest,
            media,
            charset,
            attempt.content_encoding,
            attempt.complete,
            None,
            worker,
            self._settings.mode,
            attempt.http_version,
            attempt.remote,
            _moment(job),
            elapsed,
            timing,
            headers,
            attempt.body,
            attempt.spool,
            _sent(attempt) if self._archives and attempt.digest is not None else None,
        )

    def refuse(self, job: Job, refused: Refused, worker: int | None) -> Result:
        """The Result of a row that is not, or no longer, tried."""
        if job.partial is not None:
            job.partial.discard()
            self._carrying.discard(job)
        timing, elapsed = job.timing(None)
        request = job.request
        return Result(
            index=request.index,
            url=redact_all(request.url) if _unread(job, refused) else redact(request.url),
            final_url=None,
            method=method_of(request, self._settings),
            label=request.label,
            ok=False,
            status=None,
            reason=None,
            cause=refused.cause,
            error=one_line(refused.message),
            attempts=job.attempts,
            redirects=0,
            size=0,
            wire_size=0,
            sha256=None,
            content_type=None,
            charset=None,
            content_encoding=None,
            complete=None,
            path=None,
            worker=worker,
            mode=self._settings.mode,
            http_version=None,
            remote=None,
            started=_moment(job),
            elapsed=elapsed,
            timing=timing,
            headers=NO_HEADERS,
            duplicate_of=request.duplicate_of,
        )

    def cancel_robots(self) -> Rules:
        """The rules of a robots.txt that the run ended before: nothing is allowed."""
        return Rules(why_not=_ENDED_FIRST)

    def cancel(self, job: Job) -> Result:
        """The Result of a row that the run ended before."""
        return self.refuse(job, Refused(Cause.CANCELLED, _ENDED_FIRST), None)


def _unread(job: Job, refused: Refused) -> bool:
    """Nobody could make a URL of what it asks for; the queue only refuses what it could read."""
    return refused.cause in _NOT_READ and refused is not job.refused


def _moment(job: Job) -> datetime | None:
    return None if job.first_taken is None else datetime.fromtimestamp(job.first_taken, UTC)


def _sent(attempt: Attempt) -> Sent:
    began = datetime.fromtimestamp(time() - attempt.held - sum(attempt.phases), UTC)
    return Sent(head_shown(attempt.hop), attempt.hop.body is not None, began, attempt.headers, attempt.kept)
