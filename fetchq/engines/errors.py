"""From an exception of the network to a cause: one vocabulary for all engines, mapped at the edge."""

from __future__ import annotations

import errno
import socket
import ssl
from contextlib import ExitStack
from typing import TYPE_CHECKING

from fetchq.core.model import Cause
from fetchq.http.failure import AttemptFailed

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["closed_early", "is_ours", "network_failure", "no_such_name", "out_of_descriptors"]

_NO_SUCH_NAME = {getattr(socket, name) for name in ("EAI_NONAME", "EAI_NODATA") if hasattr(socket, name)}
_STARVED = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
"""What a machine says that has no descriptors or memory left: the server is not to blame."""
_OF_A_LOOKUP = 4
"""Descriptors that looking a name up takes: a file to read, and sockets."""


def network_failure(problem: BaseException, *, answering: bool) -> AttemptFailed | None:
    """What `problem` means, by the first exception of the network in its chain; None when there is none.

    `answering`: some of the response was already there.
    """
    chain = list(_chain(problem))
    chain.sort(key=_rank)
    for one in chain:
        if isinstance(one, AttemptFailed):
            return one
        if isinstance(one, ssl.SSLCertVerificationError):
            return AttemptFailed(Cause.TLS, f"the certificate is not valid: {getattr(one, 'verify_message', one)}")
        if isinstance(one, ssl.SSLEOFError | ssl.SSLZeroReturnError):
            return closed_early(answering=answering)
        if isinstance(one, ssl.SSLError):
            reason = (getattr(one, "reason", None) or str(one)).replace("_", " ").lower()
            return AttemptFailed(Cause.TLS, f"TLS failed: {reason}")
        if isinstance(one, socket.gaierror):
            return (
                no_such_name() if one.errno in _NO_SUCH_NAME else AttemptFailed(Cause.DNS, f"no answer: {one.strerror}")
            )
        if isinstance(one, TimeoutError) and one.errno is None:
            return AttemptFailed(Cause.TIMEOUT, "timed out")
        if isinstance(one, OSError) and one.errno in _STARVED:
            return _starved(one)
        if isinstance(one, ConnectionResetError | BrokenPipeError | ConnectionAbortedError):
            return closed_early(answering=answering, how="reset")
        if isinstance(one, OSError) and one.errno is not None:
            return AttemptFailed(Cause.INCOMPLETE if answering else Cause.CONNECT, _said(one))
    return None


def _rank(one: BaseException) -> int:
    """What TLS says comes first: a library may have made an error of its own number, or of its own words, out of it."""
    if isinstance(one, ssl.SSLError):
        return 0 if getattr(one, "reason", None) else 1
    return 0 if isinstance(one, AttemptFailed) else 2


def out_of_descriptors() -> AttemptFailed | None:
    """Whether this machine has none left. Resolvers do not say so: they know of no such name then, or of no server."""
    with ExitStack() as opened:
        try:
            for _ in range(_OF_A_LOOKUP):
                opened.enter_context(socket.socket())
        except OSError as problem:
            return _starved(problem) if problem.errno in _STARVED else None
    return None


def _starved(problem: OSError) -> AttemptFailed:
    return AttemptFailed(Cause.CONNECT, f"this machine is at a limit: {problem.strerror}", starved=True)


def closed_early(*, answering: bool, how: str = "closed") -> AttemptFailed:
    """The connection ended first: before an answer that is `connect`, inside of one `incomplete`."""
    if answering:
        return AttemptFailed(Cause.INCOMPLETE, f"the connection was {how} before the end of the answer")
    return AttemptFailed(Cause.CONNECT, f"the connection was {how} before an answer")


def no_such_name() -> AttemptFailed:
    """The resolver knows for sure: asking again will not help."""
    return AttemptFailed(Cause.DNS, "there is no such name", permanent=True)


def _chain(problem: BaseException) -> Iterator[BaseException]:
    """`problem` and what it was made of, libraries' wrappers included; each once."""
    seen: set[int] = set()
    waiting: list[object] = [problem]
    while waiting:
        one = waiting.pop(0)
        if isinstance(one, BaseException) and id(one) not in seen:
            seen.add(id(one))
            yield one
            waiting += [getattr(one, "os_error", None), getattr(one, "reason", None), *one.args]
            waiting += [one.__cause__, None if one.__suppress_context__ else one.__context__]


def _said(problem: OSError) -> str:
    # strerror alone: str() would repeat the address, which the record has.
    name = errno.errorcode.get(problem.errno or 0)
    known = {
        "ECONNREFUSED": "connection refused",
        "ENETUNREACH": "network unreachable",
        "EHOSTUNREACH": "host unreachable",
    }
    return known.get(name or "", problem.strerror or name or "connection failed")


def is_ours(problem: Exception) -> bool:
    """It was raised by code of fetchq's: a bug, which must not pass for a failure of the network."""
    if isinstance(problem, OSError):  # what a socket raises, raises in the frame of who called it
        return False
    trace = problem.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return trace is not None and trace.tb_frame.f_globals.get("__name__", "").startswith("fetchq.")
