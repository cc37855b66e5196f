"""Settles attempts: each becomes the Result of its row, or leads to another attempt.

`fetchq.http.retry` decides which failures are retried, and after how long.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from random import random
from time import perf_counter, time
from typing import TYPE_CHECKING, Any

from fetchq.core.header_text import charset_of, wire_text
from fetchq.core.known import Known
from fetchq.core.model import Cause, Result, begin_result, finish_result
from fetchq.core.text import one_line, redact
from fetchq.http.failure import RUN_ENDED
from fetchq.http.guard import guard_for
from fetchq.http.hops import method_of
from fetchq.http.response import NO_HEADERS, field_map, kept_headers_of
from fetchq.http.retry import is_down, plan_retry, with_retry_after
from fetchq.http.revalidation import freshened
from fetchq.http.robots_txt import Rules, agent_of, rules_of
from fetchq.http.sendable import check_sendable
from fetchq.http.target import Target
from fetchq.http.url import Refused, parse_url, shown_url
from fetchq.workers.archived_request import sent_request
from fetchq.workers.exchange_log import ExchangeLog
from fetchq.workers.failure_limit import FailureLimit
from fetchq.workers.phase_totals import PhaseTotals
from fetchq.workers.retry_event import retry_event
from fetchq.workers.run_state import RunState

if TYPE_CHECKING:
    from fetchq.core.model import Request
    from fetchq.core.settings import Settings
    from fetchq.core.stored_response import StoredResponse
    from fetchq.http.attempt import Attempt
    from fetchq.scheduling.job import Job
    from fetchq.workers.retry_event import OnRetry
    from fetchq.workers.run_state import RunControl
    from fetchq.workers.worker_clock import WorkerClock

__all__ = ["Retry", "Settler"]

_RUNNING = RunState.RUNNING  # read once: for each row, a lookup in an Enum is slow in Python 3.11


@dataclass(frozen=True, slots=True)
class Retry:
    """The outcome of an attempt that is followed by another one."""

    after: float
    """The delay until the next attempt, in seconds."""


class Settler:
    """Checks each job before its attempt, and settles it afterwards. All workers of a run share one Settler."""

    def __init__(self, settings: Settings, control: RunControl, phases: PhaseTotals | None = None) -> None:
        """`phases`: adds up the phases of the attempts."""
        self._settings = settings
        self._control = control
        self._phases = (phases or PhaseTotals()).pending
        self._archives = settings.archives
        self._keeps_request = settings.archives or settings.names_files
        self._log = ExchangeLog() if settings.keeps_exchanges else None
        self._agent = agent_of(settings)
        self._guard = guard_for(settings)
        self.on_retry: OnRetry | None = None
        """Called with each attempt that is followed by another one."""
        self.failure_limit = FailureLimit()
        self._with_partial: set[Job] = set()
        """Jobs that keep the beginning of a body for the next attempt. Each may hold a whole body in memory, so there
        are at most as many as workers."""

    def begin(self, job: Job) -> Target:
        """The URL for the first attempt, or the next one, at a job. Raises `Refused` if no attempt is to be made."""
        if self._control.state is not _RUNNING:
            raise _cancelled()
        if job.first_taken is None:
            job.first_taken = time()
        if job.refused is not None:
            raise job.refused
        request = job.request
        if request.problem is not None:
            raise Refused(Cause.INVALID_URL, request.problem)
        if request._duplicate_of is not None:  # the writer replaces the Result with a copy of that row's Result
            raise Refused(Cause.INVALID_URL, f"the request is the same as that of row {request._duplicate_of}")
        if request.headers or request.method is not None or request.checksum is not None:
            check_sendable(request, self._settings)
        target = parse_url(request.url)
        if self._guard is not None and (refused := self._guard.refusal(target)) is not None:
            job.refused = refused
            raise refused
        return target

    def check_running(self) -> None:
        """Raise `Refused` (`cancelled`) once the run is stopped."""
        if self._control.state is not _RUNNING:
            raise _cancelled()

    def settle(self, job: Job, attempt: Attempt, clock: WorkerClock) -> Result | Retry:
        """The outcome of a finished attempt at a row. `clock`: the clock of the worker that made the attempt."""
        clock.fetched += 1
        self._phases.append(attempt.phases)
        if held := attempt.held:
            clock.busy -= held
            clock.limit_rate += held
        if self._log is not None:
            self._log.add(job, attempt, clock.number)
        if attempt.cause is not None:
            if (retry := self._retry(job, attempt, clock)) is not None:
                # A cancelled row is not done: a session that resumes the run fetches it.
                return retry if self._control.state is _RUNNING else self.refuse(job, _cancelled(), clock.number)
            self.failure_limit.count(job.request, attempt.cause)
        if attempt.partial is not None or job.partial is not None:
            self._drop_partials(job, attempt)
        result = self._result(job, attempt, clock.number)
        if self._log is not None:
            result = replace(result, _exchanges=self._log.pop(job))
        stored = job.request._stored_response
        return result if stored is None else _with_stored_head(result, attempt, stored)

    def settle_robots(self, job: Job, attempt: Attempt, clock: WorkerClock) -> Rules | Retry:
        """The outcome of a finished attempt at a robots.txt."""
        self._phases.append(attempt.phases)
        clock.busy -= attempt.held
        clock.limit_rate += attempt.held
        if attempt.cause is not None and (retry := self._retry(job, attempt, clock)) is not None:
            return retry if self._control.state is _RUNNING else Rules(unavailable=_cancelled().message)
        self._drop_partials(job, attempt)
        return rules_of(attempt, self._agent)

    def refuse(self, job: Job, refused: Refused, worker: int) -> Result:
        """The Result of a row for which no attempt, or no further one, is made. `worker`: the worker's number."""
        if job.partial is not None:
            job.partial.suspend()
            self._with_partial.discard(job)
        timing, elapsed = job.timing(None)
        request = job.request
        self.failure_limit.count(request, refused.cause)
        return Result(
            index=request.index,
            url=shown_url(request.url),
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
            worker=None if refused.cause is Cause.CANCELLED else worker,
            mode=self._settings.mode,
            http_version=None,
            remote=None,
            started=None if job.first_taken is None else datetime.fromtimestamp(job.first_taken, UTC),
            elapsed=elapsed,
            timing=timing,
            headers=NO_HEADERS,
            _duplicate_of=request._duplicate_of,
            passed=request.passed,  # type: ignore[arg-type]  # parsed once it is read
            _exchanges=() if self._log is None else self._log.pop(job),
        )

    def _retry(self, job: Job, attempt: Attempt, clock: WorkerClock) -> Retry | None:
        """Prepare the job for the retry that is due after a failure, and return that; None if the failure is final."""
        settings, now, left = self._settings, time(), self._control.deadline - perf_counter()
        if is_down(attempt) and not attempt.redirects:
            job.note_outage()
        jitter = random()  # noqa: S311  # no secret
        plan = plan_retry(attempt, job.attempts, job.uncounted, settings, jitter=jitter, now=now, left=left)
        if plan is None:
            attempt.error = with_retry_after(attempt, attempt.error or "", settings, now=now, left=left)
            return None
        job.uncounted = job.uncounted.including(attempt, plan)
        if not plan.counts:
            job.attempts -= 1
        if not plan.revalidates:
            job.request = replace(job.request, _stored_response=None)
        if plan.with_get:
            job.request = replace(job.request, method="GET")
        if self.on_retry is not None and self._control.state is _RUNNING:
            self.on_retry(retry_event(job, attempt, clock.number, plan))
        job.add(attempt)
        attempt.discard_body()
        self._keep_partial(job, attempt)
        return Retry(plan.delay)

    def _keep_partial(self, job: Job, attempt: Attempt) -> None:
        """Let the next attempt resume the body, unless too many jobs keep the beginning of a body already."""
        job.partial = partial = attempt.partial
        self._with_partial.discard(job)
        if partial is None:
            return
        if not job.uncounted.ranges_unusable and len(self._with_partial) < self._settings.workers:
            self._with_partial.add(job)
        elif job.uncounted.ranges_unusable:
            job.partial = None
            partial.discard()
        else:
            job.partial = None
            job.request = replace(job.request, _part=partial.suspend())

    def _drop_partials(self, job: Job, attempt: Attempt) -> None:
        """Free the beginning of a body that no further attempt will resume; a later session may, if it is kept."""
        if attempt.partial is not None:
            attempt.partial.suspend()
        if job.partial is not None:
            self._with_partial.discard(job)

    def _result(self, job: Job, attempt: Attempt, worker: int) -> Result:
        request, response, body = job.request, attempt.response, attempt.body
        url, final_url = request.url, attempt.hop.target.text
        result = begin_result()
        result.index = request.index
        result.url = redact(url) if "@" in url else url
        result.final_url = redact(final_url) if "@" in final_url else final_url
        result.method = attempt.method
        result.label = request.label
        result.passed = request.passed  # parsed once it is read
        result.ok = attempt.cause is None
        result.status = response.status
        result.reason = response.reason
        result.cause = attempt.cause
        result.error = attempt.error
        result.attempts = job.attempts
        result.redirects = attempt.redirects
        result.size = body.size
        result.wire_size = body.wire_size
        result.sha256 = body.digest
        result.content_type, result.charset = _content_types[response.content_type]
        result.content_encoding = body.content_encoding
        result.complete = attempt.complete
        result.path = None
        result.worker = worker
        result.mode = self._settings.mode
        result.http_version = response.http_version
        result.remote = attempt.remote
        result.started = job.first_taken  # a time once it is read
        result.timing, result.elapsed = job.timing(attempt)
        result.headers = kept_headers_of(response)
        result.body = body.content
        result._spool = body.spool
        if self._keeps_request and body.digest is not None:
            self._keep_request(result, attempt, request)
        if attempt.trailers:
            result.trailers = field_map(attempt.trailers)
        if attempt.history is not None:
            result.hops = attempt.history.hops
        return finish_result(result)

    def _keep_request(self, result: Any, attempt: Attempt, request: Request) -> None:
        """Keep in a Result, until its body is stored, what the body store needs to know of the request."""
        if self._archives:
            result._sent = sent_request(attempt)
        elif result._spool is not None:
            result._spool.file_name = request.filename


def _read_content_type(field: str | None) -> tuple[str | None, str | None]:
    """The text and the charset of a Content-Type header."""
    if field is None:
        return None, None
    text = wire_text(field)
    return text, charset_of(text)


_content_types = Known(_read_content_type)


def _with_stored_head(result: Result, attempt: Attempt, stored: StoredResponse) -> Result:
    """Add to the Result of a 304 what it leaves out of the stored response that it confirms (RFC 9111, 4.3.4)."""
    if not attempt.unmodified:
        return result
    headers = freshened(attempt.headers, stored)
    return replace(result, headers=headers, content_type=stored.content_type, charset=stored.charset)


def _cancelled() -> Refused:
    return Refused(Cause.CANCELLED, RUN_ENDED)
