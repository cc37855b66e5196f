"""What the exceptions mean that aiohttp raises. A part of the async engine."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

import aiohttp
from aiohttp.http_exceptions import HttpProcessingError

from fetchq.core.model import Cause
from fetchq.engines.errors import closed_early, is_ours, network_failure
from fetchq.http.attempt import AttemptFailed

if TYPE_CHECKING:
    from fetchq.engines.aiohttp.connection import Connection
    from fetchq.http.attempt import Attempt

__all__ = ["failure_of"]

_ERRNO = re.compile(r"\[Errno ([0-9]+)\]")


def failure_of(attempt: Attempt, problem: Exception) -> AttemptFailed:
    """What an exception means. One that was raised by code of ours is a bug, and is raised again."""
    if isinstance(problem, AttemptFailed):
        return problem
    if is_ours(problem):
        raise problem
    connection: Connection | None = attempt.connection
    if isinstance(problem, aiohttp.ClientHttpProxyError):
        return AttemptFailed(Cause.CONNECT, f"it answered {problem.status} {problem.message}".rstrip())
    if isinstance(problem, aiohttp.ClientResponseError | HttpProcessingError):
        return AttemptFailed(Cause.PROTOCOL, f"not valid HTTP: {problem.message}")
    if isinstance(problem, aiohttp.ClientPayloadError):
        if connection is not None and isinstance(connection.exception(), HttpProcessingError):
            return AttemptFailed(Cause.PROTOCOL, f"not valid HTTP: {connection.exception()}")
        return closed_early(answering=True)
    if isinstance(problem, aiohttp.ServerDisconnectedError):
        return closed_early(answering=attempt.answering)
    if isinstance(problem, aiohttp.ClientConnectorError) and problem.os_error.errno is None:
        problem = _of_the_last_address(problem.os_error)
    failed = network_failure(problem, answering=attempt.answering)
    return failed or AttemptFailed(Cause.PROTOCOL, f"{type(problem).__name__}: {problem}")


def _of_the_last_address(problem: OSError) -> OSError:
    """Where several addresses failed, each in another way, only the text says how."""
    codes = _ERRNO.findall(str(problem))
    return OSError(int(codes[-1]), os.strerror(int(codes[-1]))) if codes else problem
