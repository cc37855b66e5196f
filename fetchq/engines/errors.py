"""Maps exceptions of the network to causes, in the same way for all engines."""

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

__all__ = ["closed_early", "network_failure", "no_such_name", "out_of_descriptors", "raised_by_fetchq"]

_NO_SUCH_NAME = {getattr(socket, name) for name in ("EAI_NONAME", "EAI_NODATA") if hasattr(socket, name)}
_LOCAL_LIMITS = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
"""Error numbers which mean that this machine has no file descriptors or memory left."""
_RESETS = frozenset({errno.ECONNRESET, errno.EPIPE, errno.ECONNABORTED, errno.ENOTCONN})
"""Error numbers of a connection that the other side has reset. Whatever is done to the socket next gets one of them."""
_RESET_TYPES = (ConnectionResetError, BrokenPipeError, ConnectionAbortedError)
_LOOKUP_DESCRIPTORS = 4
"""File descriptors that the lookup of a name needs: a file, and sockets."""


def network_failure(problem: BaseException, *, answering: bool) -> AttemptFailed | None:
    """The failure that `problem` stands for, from the network exceptions in its chain; None if there are none.

    `answering`: whether some of the response had arrived.
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
        if isinstance(one, ssl.SSLWantReadError | ssl.SSLWantWriteError):
            continue  # TLS waited for the network, whose error is in the chain, too
        if isinstance(one, ssl.SSLError):
            reason = (getattr(one, "reason", None) or str(one)).replace("_", " ").lower()
            return AttemptFailed(Cause.TLS, f"TLS failed: {reason}")
        if isinstance(one, socket.gaierror):
            return (
                no_such_name() if one.errno in _NO_SUCH_NAME else AttemptFailed(Cause.DNS, f"no answer: {one.strerror}")
            )
        if isinstance(one, TimeoutError) and one.errno is None:
            return AttemptFailed(Cause.TIMEOUT, "timed out")
        if isinstance(one, OSError) and one.errno in _LOCAL_LIMITS:
            return _local_limit(one)
        if isinstance(one, _RESET_TYPES) or (isinstance(one, OSError) and one.errno in _RESETS):
            return closed_early(answering=answering, how="reset")
        if isinstance(one, OSError) and one.errno is not None:
            return AttemptFailed(Cause.INCOMPLETE if answering else Cause.CONNECT, _message(one))
    return None


def _rank(one: BaseException) -> int:
    """The order in which exceptions of a chain are examined: TLS errors first, since libraries wrap them in others."""
    if isinstance(one, ssl.SSLError):
        return 0 if getattr(one, "reason", None) else 1
    return 0 if isinstance(one, AttemptFailed) else 2


def out_of_descriptors() -> AttemptFailed | None:
    """The failure for a lookup if there are too few file descriptors left; None if there are enough.

    Resolvers do not report this: they say that there is no such name, or no server.
    """
    with ExitStack() as opened:
        try:
            for _ in range(_LOOKUP_DESCRIPTORS):
                opened.enter_context(socket.socket())
        except OSError as problem:
            return _local_limit(problem) if problem.errno in _LOCAL_LIMITS else None
    return None


def _local_limit(problem: OSError) -> AttemptFailed:
    return AttemptFailed(Cause.CONNECT, f"this machine is at a limit: {problem.strerror}", local_limit=True)


def closed_early(*, answering: bool, how: str = "closed") -> AttemptFailed:
    """The failure for a connection that ended early: `connect` before a response, `incomplete` within one."""
    if answering:
        return AttemptFailed(Cause.INCOMPLETE, f"the connection was {how} before the end of the answer")
    return AttemptFailed(Cause.CONNECT, f"the connection was {how} before an answer")


def no_such_name() -> AttemptFailed:
    """The failure for a name that does not exist, according to the resolver, so that a retry would not help."""
    return AttemptFailed(Cause.DNS, "there is no such name", permanent=True)


def _chain(problem: BaseException) -> Iterator[BaseException]:
    """Yield `problem` and the exceptions that it wraps, in the various ways of the libraries, each once."""
    seen: set[int] = set()
    waiting: list[object] = [problem]
    while waiting:
        one = waiting.pop(0)
        if isinstance(one, BaseException) and id(one) not in seen:
            seen.add(id(one))
            yield one
            waiting += [getattr(one, "os_error", None), getattr(one, "reason", None), *one.args]
            waiting += [one.__cause__, None if one.__suppress_context__ else one.__context__]


def _message(problem: OSError) -> str:
    # Only strerror, since str() would repeat the address, which is in the record.
    name = errno.errorcode.get(problem.errno or 0)
    messages = {
        "ECONNREFUSED": "connection refused",
        "ENETUNREACH": "network unreachable",
        "EHOSTUNREACH": "host unreachable",
    }
    return messages.get(name or "", problem.strerror or name or "connection failed")


def raised_by_fetchq(problem: Exception) -> bool:
    """Whether fetchq's own code raised an exception, which is then a bug, and must not count as a network failure."""
    if isinstance(problem, OSError):  # a socket is not Python code: its exceptions come from its caller's frame
        return False
    trace = problem.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return trace is not None and trace.tb_frame.f_globals.get("__name__", "").startswith("fetchq.")
