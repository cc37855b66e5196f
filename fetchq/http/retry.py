"""Decides whether and when a failed attempt is retried, and what an attempt shows about its host.

For another reason to retry, change this module: `_may_repeat` has the rule, and `_TRANSIENT` the causes that may pass;
`retryable` says the same in SQL for `fetchq retry`, as far as the columns of a record tell. (Which statuses are retried
is a setting, `retry_on`.) `signal_of` tells the schedule whether the host seems overloaded, or down. The clock and the
random numbers are parameters. Delays follow "exponential backoff and full jitter"; `retry_after` reads what the server
asks for.
"""

from __future__ import annotations

from enum import Enum, auto
from math import inf
from typing import TYPE_CHECKING, NamedTuple, Protocol

from fetchq.core.model import Cause
from fetchq.http.acceptance import IDEMPOTENT
from fetchq.http.head_fallback import falls_back_to_get
from fetchq.http.headway import made_headway, must_start_over
from fetchq.http.retry_after import asked_text, exceeded_limit, retry_after

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from fetchq.core.settings import Settings
    from fetchq.http.attempt import Attempt
    from fetchq.http.failure import AttemptFailed

__all__ = [
    "NONE_UNCOUNTED",
    "Outcome",
    "RetryPlan",
    "Signal",
    "UncountedAttempts",
    "is_down",
    "may_resend",
    "plan_retry",
    "retry_delay",
    "retryable",
    "signal_of",
    "was_stale",
    "with_retry_after",
]

LONGEST_WAIT = 30.0
"""The upper bound of the exponential backoff, in seconds."""
LOCAL_LIMIT_WAIT = 0.25
"""Seconds before the retry of an attempt that failed because of a limit of this machine."""
MAX_LOCAL_LIMIT_RETRIES = 240
"""The most retries of one request because of a limit of this machine. Further such failures follow the usual rules."""

_TRANSIENT = frozenset({Cause.CONNECT, Cause.DNS, Cause.TIMEOUT, Cause.TOO_SLOW, Cause.INCOMPLETE, Cause.CHECKSUM})
"""Causes of failures that may pass with time."""
_NOT_PROCESSED = frozenset({425, 429, 503})
"""Statuses that mean that the request was not processed, so that it may be repeated whatever its method."""


class Outcome(Protocol):
    """The attributes of a finished attempt that this module uses."""

    @property
    def cause(self) -> Cause | None: ...
    @property
    def permanent(self) -> bool:
        """Whether another attempt would fail in the same way, for example because the name does not exist."""

    @property
    def local_limit(self) -> bool:
        """Whether the attempt failed because this machine has no file descriptors or memory left."""

    @property
    def unmodified(self) -> bool:
        """Whether the server has confirmed the stored response of an earlier run (304)."""

    @property
    def sent(self) -> bool:
        """Whether some of the request may have reached a server."""

    @property
    def method(self) -> str: ...
    @property
    def status(self) -> int | None: ...
    @property
    def headers(self) -> Mapping[str, str]: ...


def was_stale(attempt: Attempt, failed: AttemptFailed) -> bool:
    """Whether the attempt failed because a reused connection was closed before any byte of the response arrived."""
    return failed.cause is Cause.CONNECT and attempt.reused and not attempt.answering


def may_resend(attempt: Attempt, failed: AttemptFailed) -> bool:
    """Whether a hop may be sent again, because its reused connection was stale, or had stray bytes on it.

    The request must be idempotent. A hop is sent again only once, which does not count as another attempt (RFC 9112,
    9.3.1).
    """
    resendable = not attempt.needs_fresh_connection and attempt.hop.method in IDEMPOTENT
    return resendable and ((attempt.reused and failed.stray) or was_stale(attempt, failed))


class RetryPlan(NamedTuple):
    """The retry that is due after a failed attempt."""

    delay: float
    """Seconds until the next attempt."""
    counts: bool = True
    """Whether the failed attempt counts among the attempts of the request."""
    revalidates: bool = True
    """Whether the next attempt may ask again if the stored response is still valid; otherwise it fetches the page."""
    headway: bool = False
    """Whether the attempt does not count towards `retries`, because it received more of a body that can be resumed."""
    starts_over: bool = False
    """Whether it does not count, because the parts of the body do not fit together, and the body starts over."""
    with_get: bool = False
    """Whether it was a HEAD, and the next one is a GET. It does not count if there was an answer."""


class UncountedAttempts(NamedTuple):
    """The attempts at a request that do not count towards `retries`."""

    local_limits: int = 0
    """How many failed because of a limit of this machine; the record does not count them as attempts either."""
    headways: int = 0
    """How many received enough of a body that the next one resumed."""
    started_over: bool = False
    """Whether one ended because the parts of the body did not fit together, so that the body started over."""
    ranges_unusable: bool = False
    """Whether no attempt may resume a body, because the server has sent a part that does not fit."""
    repeated_outage: int = 0
    """How many could not connect during an outage of the host in which an earlier one had failed, too."""
    fell_back: bool = False
    """Whether one was a HEAD whose answer a GET has followed."""

    def including(self, attempt: Attempt, plan: RetryPlan) -> UncountedAttempts:
        """These attempts and another one, after which the retry `plan` is due."""
        return UncountedAttempts(
            self.local_limits + (not plan.counts),
            self.headways + plan.headway,
            self.started_over or plan.starts_over,
            self.ranges_unusable or (attempt.continued is not None and attempt.continued.ranges_unusable),
            self.repeated_outage,
            self.fell_back or (plan.with_get and attempt.cause is Cause.STATUS),
        )


NONE_UNCOUNTED = UncountedAttempts()


def plan_retry(
    outcome: Attempt,
    attempts: int,
    uncounted: UncountedAttempts,
    settings: Settings,
    *,
    jitter: float,
    now: float,
    left: float = inf,
) -> RetryPlan | None:
    """The retry that is due after a failed attempt; None if the failure is final.

    `attempts`: how many attempts were made, this one included. `uncounted`: those that do not count towards `retries`.
    `jitter`: a random number from 0 to 1. `now`: wall-clock seconds, for a Retry-After that is a date. `left`: seconds
    until the deadline.
    """
    if must_start_over(outcome) and not uncounted.started_over:
        return RetryPlan(0.0, starts_over=True)
    if falls_back_to_get(outcome, settings):
        return RetryPlan(0.0, with_get=True)
    failed = attempts - sum(
        (uncounted.headways, uncounted.started_over, uncounted.repeated_outage, uncounted.fell_back)
    )
    if settings.retries and made_headway(outcome, uncounted.headways):
        delay = retry_delay(outcome, 1, settings, jitter=jitter, now=now, left=left)
        return None if delay is None else RetryPlan(delay, headway=True)
    if outcome.local_limit and uncounted.local_limits < MAX_LOCAL_LIMIT_RETRIES:
        return RetryPlan(LOCAL_LIMIT_WAIT, counts=False)
    if outcome.unmodified and outcome.cause is Cause.STORE:
        # The server has confirmed a stored body that is missing or damaged.
        return RetryPlan(0.0, revalidates=False)
    delay = retry_delay(outcome, failed, settings, jitter=jitter, now=now, left=left)
    return None if delay is None else RetryPlan(delay)


def retry_delay(
    outcome: Outcome, attempts: int, settings: Settings, *, jitter: float, now: float, left: float = inf
) -> float | None:
    """Seconds until the retry of an attempt that failed because of the server or the network; None for no retry.

    There is none if the server asks for a longer wait than the run allows. The parameters are those of `plan_retry`.
    """
    if outcome.cause is None or attempts > settings.retries or not _may_repeat(outcome, settings):
        return None
    # The exponent is limited, since a float would overflow; LONGEST_WAIT limits the delay long before that.
    backoff = jitter * min(LONGEST_WAIT, settings.retry_wait * 2.0 ** min(attempts - 1, 60))
    if outcome.status not in settings.retry_on:
        return backoff
    asked = retry_after(outcome.headers, now)
    if asked is None:
        return backoff
    return None if exceeded_limit(asked, settings, left) else max(backoff, asked)


def with_retry_after(outcome: Outcome, error: str, settings: Settings, *, now: float, left: float = inf) -> str:
    """The error of a row that is not tried again, with the wait that its server asks for if that is too long.

    The other parameters are those of `plan_retry`.
    """
    if outcome.status not in settings.retry_on or (asked := retry_after(outcome.headers, now)) is None:
        return error
    limit = exceeded_limit(asked, settings, left)
    return error if limit is None else f"{error}; {asked_text(asked)}, {limit}"


def _may_repeat(outcome: Outcome, settings: Settings) -> bool:
    if outcome.cause is Cause.STATUS:
        if outcome.status not in settings.retry_on:
            return False
        return outcome.method in IDEMPOTENT or outcome.status in _NOT_PROCESSED
    if outcome.cause not in _TRANSIENT or outcome.permanent:
        return False
    return outcome.method in IDEMPOTENT or not outcome.sent


class Signal(Enum):
    """What an attempt shows about its host."""

    GOOD = auto()
    """The host answers well."""
    ANSWERED = auto()
    """The host answers; the attempt does not show whether it is overloaded."""
    FAILED = auto()
    """The attempt failed in a way that is typical of an overloaded host."""
    REFUSED = auto()
    """The host asks for fewer requests: 429, or a Retry-After."""
    WAIT_TOO_LONG = auto()
    """The host asks for a longer wait than the run allows."""
    DOWN = auto()
    """No connection to the host could be made."""


_OVERLOAD = frozenset({Cause.CONNECT, Cause.INCOMPLETE, Cause.TIMEOUT})
_CONNECTING = frozenset({Cause.CONNECT, Cause.DNS, Cause.TIMEOUT})


def is_down(outcome: Outcome) -> bool:
    """Whether an attempt failed because no connection could be made."""
    return outcome.cause in _CONNECTING and not outcome.sent


def signal_of(outcome: Outcome, settings: Settings, now: float) -> tuple[Signal, float | None]:
    """What an attempt shows about its host, and for how many seconds the host asks for no requests, or None.

    `now`: wall-clock seconds. The Retry-After of a success or a redirect (202, say) is about its URL alone.
    """
    cause = outcome.cause
    if cause is None:
        return Signal.GOOD, None
    if cause is Cause.STATUS:
        status = outcome.status
        if status in (429, 503) or (status is not None and status >= 400 and status in settings.retry_on):
            asked = retry_after(outcome.headers, now)
            if asked is not None and exceeded_limit(asked, settings):
                return Signal.WAIT_TOO_LONG, asked
            if status == 429 or asked is not None:
                return Signal.REFUSED, asked
        return (Signal.FAILED if status == 503 else Signal.GOOD), None
    if is_down(outcome):
        return Signal.DOWN, None
    return (Signal.FAILED if cause in _OVERLOAD else Signal.ANSWERED), None


def retryable(retry_on: Iterable[int]) -> str:
    """The failures that are worth a retry, as an SQL condition over the columns of the record.

    A row whose host was given up because it asked for too long a wait has the cause `status`, and no status.
    """
    causes = ", ".join(f"'{cause}'" for cause in sorted({*_TRANSIENT, Cause.STORE}))
    statuses = ", ".join(map(str, sorted(retry_on)))
    return f"cause IN ({causes}) OR (cause = 'status' AND (status IS NULL OR status IN ({statuses})))"
