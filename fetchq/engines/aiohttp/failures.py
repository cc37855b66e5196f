"""Maps the exceptions that aiohttp raises to causes."""

from __future__ import annotations

import os
import re

import aiohttp
from aiohttp.http_exceptions import HttpProcessingError

from fetchq.core.model import Cause
from fetchq.engines.errors import closed_early, network_failure, raised_by_fetchq
from fetchq.http.failure import AttemptFailed
from fetchq.http.wire_checks import not_http

__all__ = ["failure_of"]

_ERRNO = re.compile(r"\[Errno ([0-9]+)\]")


def failure_of(problem: Exception, *, answering: bool) -> AttemptFailed:
    """The failure that an exception stands for. An exception of fetchq's own code is a bug, and is raised again.

    `answering`: whether some of the response had arrived.
    """
    if isinstance(problem, AttemptFailed):
        return problem
    if raised_by_fetchq(problem):
        raise problem
    if isinstance(problem, aiohttp.ClientResponseError | HttpProcessingError):
        return not_http(problem.message)
    if isinstance(problem, aiohttp.ClientPayloadError):
        return closed_early(answering=True)
    if isinstance(problem, aiohttp.ServerDisconnectedError):
        return closed_early(answering=answering)
    if type(problem) is OSError and problem.errno is None:
        problem = _last_error(problem)
    failed = network_failure(problem, answering=answering)
    return failed or AttemptFailed(Cause.PROTOCOL, f"{type(problem).__name__}: {problem}")


def _last_error(problem: OSError) -> OSError:
    """The error of the last address, if several addresses failed differently; only the text has their error numbers."""
    codes = _ERRNO.findall(str(problem))
    return OSError(int(codes[-1]), os.strerror(int(codes[-1]))) if codes else problem
