"""One attempt at a request, without I/O: every rule that makes a response good or bad.

An engine drives an `Attempt` with what its HTTP library hands it; the rules live here once, so that all engines give
the same answer to the same server.
"""

from __future__ import annotations

from contextvars import ContextVar
from functools import lru_cache
from time import perf_counter
from typing import TYPE_CHECKING, Any

from multidict import CIMultiDict, CIMultiDictProxy, istr

from fetchq.core.header_text import wire_text
from fetchq.core.model import Cause, Complete
from fetchq.core.text import one_line
from fetchq.http.body import Intake
from fetchq.http.failure import AttemptFailed
from fetchq.http.framing import framing
from fetchq.http.hops import REDIRECTS, Hop, HopPlan
from fetchq.http.phases import CONNECT, DECODE, DNS, RECEIVE, STORE, TLS, WAIT, AttemptClock
from fetchq.http.range_resume import check_end, goes_on, left_of
from fetchq.http.retry import IDEMPOTENT
from fetchq.http.revalidation import check_confirms, confirm
from fetchq.http.url import Refused, Target, check_family

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from multidict import MultiMapping
    from yarl import URL

    from fetchq.core.body_spool import Origin, Spool
    from fetchq.core.model import Request
    from fetchq.core.settings import Settings
    from fetchq.http.range_resume import Partial

__all__ = [
    "CONNECT",
    "DECODE",
    "DNS",
    "RECEIVE",
    "STORE",
    "TLS",
    "WAIT",
    "Attempt",
    "AttemptFailed",
    "current_attempt",
    "header_map",
]

DRAINED = 65536
"""Bytes of a redirect's body that are read to keep the connection; a longer one is cut off with its connection."""

current_attempt: ContextVar[Attempt] = ContextVar("current_attempt")
"""The attempt that the running task or thread is making: how an engine's hooks inside its library find it."""


_CONTENT_ENCODING = istr("Content-Encoding")


@lru_cache(256)
def _reason(reason: str) -> str:
    return one_line(wire_text(reason))


class Attempt(AttemptClock):
    """The state of one attempt. Seconds come from `time.perf_counter`."""

    # An instance dictionary would outgrow what Python shares between objects, and this is the hot path.
    # fmt: off
    __slots__ = (
        "_drained", "_window_bytes", "answering", "body", "cause", "complete", "connection", "content_encoding",
        "digest", "engine", "error", "expired", "framed", "headers", "hop", "http_version", "intake", "kept", "known",
        "length", "method", "on_sent", "partial", "peer_closed", "permanent", "proxy", "reason", "redirecting",
        "redirects", "remote", "resent", "reused", "sent", "size", "spool", "starved", "status", "tls_known", "total",
        "wire_size",
    )
    # fmt: on
    takes = Intake

    def __init__(
        self, settings: Settings, plan: HopPlan, request: Request, target: Target, partial: Partial | None = None
    ) -> None:
        super().__init__(settings)
        self.hop: Hop = plan.first(request, target)
        self.method = self.hop.method
        self.known = request.known
        self.kept: Origin | None = None
        # How it ended, once it has.
        self.cause: Cause | None = None
        self.error: str | None = None
        self.permanent = self.starved = False
        # The response.
        self.status: int | None = None
        self.reason: str | None = None
        self.headers: MultiMapping[str] = NO_HEADERS
        self.http_version: str | None = None
        self.content_encoding: str | None = None
        self.complete: Complete | None = None
        self.length: int | None = None
        """The bytes of the body, as the head tells: its Content-Length, mostly; None where it does not."""
        self.total: int | None = None
        """The complete length of a body that this response goes on with."""
        self.framed = True
        """The end of the body shows in the message itself."""
        self.redirects = 0
        self.redirecting = False
        # The body.
        self.size = self.wire_size = 0
        self.digest: str | None = None
        self.body = b""
        self.intake: Intake | None = None
        """What takes it; None for a redirect's, which nobody wants."""
        self.partial = partial
        """The beginning of the body, from an earlier attempt or, at the end, for the next one. Whoever comes to have
        the finished attempt hands it on, or discards it."""
        self._drained = 0
        """Bytes of a redirect's body."""
        self.spool: Spool | None = None
        """The whole body, where it is to be stored."""
        self._window_bytes = 0
        # The connection.
        self.remote: str | None = None
        self.sent = False
        """Some of the request may have reached a server."""
        self.reused = False
        """The connection had served a request before."""
        self.on_sent: Callable[[], None] | None = None
        self.resent = False
        self.answering = False
        """Some of this hop's response is there."""
        self.peer_closed = False
        self.tls_known = False
        self.proxy: URL | None = None
        """The proxy, until it is connected to, and through it, where that takes a tunnel."""
        self.expired: AttemptFailed | None = None
        """Set before the attempt is interrupted from outside: why."""
        self.engine: Any = None
        self.connection: Any = None
        """These two are the engine's own, for its hooks."""

    # --- the connection ---

    def begin_exchange(self, proxy: URL | None = None) -> None:
        """A hop begins, or the same one again on a fresh connection: first, a connection is needed.

        Raises `AttemptFailed`.
        """
        self.proxy = proxy
        if self.settings.ipv4 or self.settings.ipv6:
            check_family((proxy or self.hop.url).raw_host or "", ipv4=self.settings.ipv4)
        self.connecting_since = self._last
        self.connection = None
        self.answering = self.peer_closed = self.reused = False

    def connected(self, *, reused: bool) -> None:
        """There is a connection, and the request goes out on it."""
        self.progress_at = self.lap(CONNECT)
        self.connecting_since = self.proxy = None
        self.reused = reused
        self.sent = True

    def going_out(self) -> None:
        """The request is on its way: tell who wants to know, the first time."""
        if self.on_sent is not None:
            on_sent, self.on_sent = self.on_sent, None
            on_sent()

    def may_resend(self, failed: AttemptFailed) -> bool:
        """A kept connection was closed just as it was used again: one more try is free (RFC 9112, 9.3.1)."""
        unanswered = failed.cause is Cause.CONNECT and self.reused and not self.answering
        return unanswered and not self.resent and self.hop.method in IDEMPOTENT

    @property
    def asked(self) -> Hop:
        """The hop as it is to be sent."""
        return self.hop if self.partial is None else self.partial.asked(self.hop)

    # --- the response ---

    def on_response(
        self, status: int, reason: str | None, headers: MultiMapping[str], version: tuple[int, int]
    ) -> None:
        """The head of the final response of this hop is in. Raises `AttemptFailed`."""
        self.status = status
        self.reason = _reason(reason) if reason else reason
        self.headers = headers
        self.http_version = f"{version[0]}.{version[1]}"
        self.complete = Complete.NO
        self.length, self.framed = framing(self.hop.method, status, headers, version)
        settings = self.settings
        self.redirecting = status in REDIRECTS and settings.max_redirects > 0
        self._window_start = self._last
        if self.redirecting:
            self._drained = 0
            return
        if self.partial is not None and goes_on(self):
            return
        if status == 206 and not self.hop.ranged:
            raise AttemptFailed(Cause.PROTOCOL, "a part (206) of what was asked for whole")
        if self.unmodified and self.known is not None:
            check_confirms(headers, self.known)
        self.intake = self.takes(settings)
        if self.length is not None and self.length > settings.max_filesize:
            self.intake.check_length(self.length, coded=_CONTENT_ENCODING in headers)
        if _CONTENT_ENCODING in headers:
            coding = one_line(wire_text(", ".join(headers.getall(_CONTENT_ENCODING))))
            self.content_encoding = coding
            self.intake.expect(coding, self.length)

    @property
    def drains(self) -> bool:
        """A redirect's body is worth reading to its end, for the sake of the connection."""
        return self.framed and (self.length or 0) <= DRAINED

    def on_data(self, data: bytes) -> None:
        """Some of the body, without its transfer coding. Raises `AttemptFailed`."""
        now = self.progress_at = perf_counter()
        phases = self.phases
        phases[RECEIVE] += now - self._last
        self._last = now
        intake = self.intake
        if intake is None:
            self._drained += len(data)
            if self._drained > DRAINED:
                raise AttemptFailed(Cause.TOO_LARGE, f"a redirect with a body of more than {DRAINED} bytes")
            return
        intake.take(data)
        self._last = perf_counter()
        phases[DECODE] += self._last - now
        self._window_bytes += len(data)
        if now - self._window_start >= self.settings.min_speed_time:
            self._check_speed(now)

    def _check_speed(self, now: float) -> None:
        seconds = now - self._window_start
        if self._window_bytes < self.settings.min_speed * seconds:
            speed = self._window_bytes / seconds
            raise AttemptFailed(Cause.TOO_SLOW, f"{speed:.0f} bytes/s over {seconds:.0f} s")
        self._window_start, self._window_bytes = now, 0

    def on_end(self) -> None:
        """The body has ended as HTTP says. Raises `AttemptFailed`."""
        intake = self.intake
        received = self._drained if intake is None else intake.wire_size
        if self.length is not None and (received != self.length or self.total is not None):
            check_end(received, self.length, self.total)
        self.complete = Complete.YES if self.framed or self.total is not None else Complete.UNVERIFIED
        if intake is None:
            return
        self.digest, self.body = intake.end()
        if self.status not in self.settings.accept and not self.unmodified:
            said = f"{self.status} {self.reason}" if self.reason else f"{self.status}"
            raise AttemptFailed(Cause.STATUS, said)

    def follow(self, plan: HopPlan) -> None:
        """Turn to where the redirect leads. Raises `AttemptFailed`."""
        if self.redirects >= self.settings.max_redirects:
            raise AttemptFailed(Cause.REDIRECT, f"more than {self.settings.max_redirects} redirects")
        assert self.status is not None
        try:
            self.hop = plan.next(self.hop, self.status, self.headers.getall("Location", []), self.known)
        except Refused as refused:
            raise AttemptFailed(refused.cause, refused.message) from None
        self.redirects += 1
        self.redirecting = False
        self.resent = False
        self.status = self.reason = self.complete = None
        self.headers = NO_HEADERS
        self._window_bytes = 0

    @property
    def unmodified(self) -> bool:
        """This hop has asked whether what is known of the page still holds, and it does (RFC 9110, 15.4.5)."""
        return self.status == 304 and self.hop.asks

    # --- the end ---

    def finish(self, failed: AttemptFailed | None) -> None:
        """Close the books; afterwards this is the attempt's outcome, as the policy and the pool read it."""
        self.lap(RECEIVE if self.status is not None else WAIT if self.connecting_since is None else CONNECT)
        intake = self.intake
        if intake is not None:
            self.size, self.wire_size = intake.size, intake.wire_size
            if self.digest is not None:
                self.spool = intake.spool  # only a whole body is stored
            elif failed is not None and (left := left_of(self, failed.cause)) is not None:
                self.partial = left
            else:
                intake.discard()
        if failed is None and self.unmodified:
            confirm(self)
        if failed is not None:
            if failed.cause is Cause.PROTOCOL:
                self._forget_response()
            self.cause = failed.cause
            self.error = one_line(self._to_the_proxy(failed))
            self.permanent = failed.permanent
            self.starved = failed.starved
        self.intake = self.connection = self.engine = None

    def _to_the_proxy(self, failed: AttemptFailed) -> str:
        """The failure, and that it was the proxy's, where it was. The proxy's password is nobody's business."""
        if self.proxy is None or failed.starved or failed.cause is Cause.CANCELLED:
            return failed.message
        return f"the proxy {self.proxy.host_subcomponent}:{self.proxy.port}: {failed.message}"

    def drop_spool(self) -> None:
        """The body is not wanted after all."""
        if self.spool is not None:
            self.spool.discard()
            self.spool = None

    def _forget_response(self) -> None:
        """What is not HTTP is no response: how much of it could be read depends on the packets it came in."""
        self.status = self.reason = self.http_version = self.complete = self.content_encoding = None
        self.headers = NO_HEADERS
        self.size = self.wire_size = 0


def header_map(raw: Iterable[tuple[bytes, bytes]]) -> CIMultiDictProxy[str]:
    """Headers as a server wrote them; bytes that are not UTF-8 become lone surrogates."""
    pairs = [(name.decode("utf-8", "surrogateescape"), value.decode("utf-8", "surrogateescape")) for name, value in raw]
    return CIMultiDictProxy(CIMultiDict(pairs))


NO_HEADERS: CIMultiDictProxy[str] = CIMultiDictProxy(CIMultiDict())
