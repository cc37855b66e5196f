"""Keeps the state of an attempt: its connection, and what came of its response."""

from __future__ import annotations

from math import inf
from time import perf_counter
from typing import TYPE_CHECKING

from fetchq.core.model import Cause, Complete
from fetchq.http.addresses import check_family
from fetchq.http.attempt_clock import AttemptClock
from fetchq.http.body import NO_BODY
from fetchq.http.cookies import CookieJar
from fetchq.http.hops import with_cookies
from fetchq.http.phases import CONNECT, LAG, RECEIVE, WAIT
from fetchq.http.redirect_history import RedirectHistory
from fetchq.http.response import NO_RESPONSE, ResponseHead

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from yarl import URL

    from fetchq.core.headers import Headers
    from fetchq.core.model import Request
    from fetchq.core.stored_response import StoredResponse
    from fetchq.http.body import ReceivedBody
    from fetchq.http.hop import Hop
    from fetchq.http.hops import HopPlan
    from fetchq.http.range_resume import Partial
    from fetchq.http.target import Target

__all__ = ["AttemptState"]


class AttemptState(AttemptClock):
    """What is known of an attempt so far. Times are those of `time.perf_counter`."""

    # An instance dictionary would have too many keys for Python to share them between objects; this is the hot path.
    # fmt: off
    __slots__ = (
        "_drained", "_first_target", "answering", "as_sent", "body", "cause", "complete", "continued", "cookies",
        "error",
        "history", "hop", "local_limit", "method", "needs_fresh_connection", "on_sent", "partial", "permanent", "plan",
        "proxy", "redirecting", "redirects", "remote", "request", "response", "reused", "sent", "tls_known", "trailers",
        "unmodified",
    )
    # fmt: on
    hop: Hop
    """The request being sent, or the one sent last."""
    as_sent: Hop
    """The same with the headers that it gets when it is sent: the cookies of the run, and a Range."""
    partial: Partial | None
    """The beginning of the body: from an earlier attempt or, after `finish`, for the next one. Then the engine's caller
    passes it on or discards it."""
    continued: Partial | None
    """The part that a response was to continue: it does, or it has failed because it does not fit."""
    _drained: bytearray
    """The body of a redirect, as far as it was read."""
    history: RedirectHistory | None
    """The redirects that were followed; None before the first one."""
    cookies: CookieJar | None
    """The cookies of the run; in a run without, those of this attempt, or None until a redirect sets the first one."""

    def __init__(self, plan: HopPlan, request: Request, target: Target, partial: Partial | None = None) -> None:
        AttemptClock.__init__(self, plan.settings, plan.lost_time)  # `super()` would take longer
        self.plan = plan
        self.hop = self.as_sent = plan.first(request, target)
        self.method = self.hop.method
        """The method of the first hop."""
        self.request = request
        self.partial = partial
        self.continued = None
        self.remote: str | None = None
        """The address that the connection leads to, such as "192.0.2.1:443"."""
        self.sent = False
        """Whether some of the request may have reached a server."""
        self.reused = False
        """Whether the connection had served a request before."""
        self.needs_fresh_connection = False
        """Whether the hop is sent again, on a new connection, because the server had closed a reused one."""
        self.answering = False
        """Whether the first byte of this hop's response has arrived."""
        self.tls_known = False
        """Whether there was a TLS handshake."""
        self.proxy: URL | None = None
        """The proxy, as long as the engine is connecting to it or opening a tunnel through it; else None."""
        self.on_sent: Callable[[], None] | None = None
        """Called when the request is sent for the first time."""
        self.response: ResponseHead = NO_RESPONSE
        self.unmodified = False
        """Whether the server has confirmed with a 304 that the stored response is still valid (RFC 9110, 15.4.5)."""
        self.complete: Complete | None = None
        self.trailers: Sequence[tuple[bytes, bytes]] = ()  # the trailer fields, as received (RFC 9110, 6.5)
        self.redirects = 0
        self.redirecting = False
        self.body: ReceivedBody = NO_BODY
        self._first_target = target
        self.history, self.cookies = None, plan.cookies
        # The failure that ended the attempt, if any; set by `finish`.
        self.cause: Cause | None = None
        self.error: str | None = None
        self.permanent = self.local_limit = False

    @property
    def stored_response(self) -> StoredResponse | None:
        """The response that an earlier run has stored, if this run refreshes it."""
        return self.request._stored_response

    @property
    def anonymous(self) -> bool:
        """Whether the server of this hop is not shown the client certificate: it has another host than the row's URL.

        That certificate tells who asks, as a password does. False in a run without one.
        """
        if self.settings.cert is None or self.settings.location_trusted:
            return False
        return self.hop.url.raw_host != self._first_target.url.raw_host

    @property
    def status(self) -> int | None:
        """The status of the response; None if there was none."""
        return self.response.status

    @property
    def headers(self) -> Headers:
        """The headers of the response; empty if there was none."""
        return self.response.headers

    def begin_exchange(self, proxy: URL | None = None) -> Hop:
        """Note that the engine looks for a connection for the hop. Returns the hop as it is to be sent.

        Raises `AttemptFailed`.
        """
        settings, hop = self.settings, self.hop
        self.proxy = proxy
        if settings.ipv4 or settings.ipv6:
            check_family((proxy or hop.url).raw_host or "", ipv4=settings.ipv4)
        self.connecting_since, self.connecting_phase = self.last_lap, CONNECT
        self.answering = self.reused = False
        self.last_byte_at = inf
        if self.cookies is not None:
            hop = with_cookies(hop, self.cookies)
        if self.partial is not None:
            hop = self.partial.range_request(hop, self.redirects)
        self.as_sent = hop
        return hop

    def connected(self, *, reused: bool) -> None:
        """Note that the request is about to be sent on a connection.

        The time since the last lap was fetchq's own: the engine has counted what connecting took.
        """
        now = self.progress_at = perf_counter()
        self.phases[LAG] += now - self.last_lap
        self.last_lap = now
        self.connecting_since = self.proxy = None
        self.reused = reused
        self.sent = True

    def request_sent(self) -> None:
        """Note that the request has been sent: the first time, call `on_sent`."""
        if self.on_sent is not None:
            on_sent, self.on_sent = self.on_sent, None
            on_sent()

    def first_byte(self, arrived: float) -> None:
        """Note that the first byte of the response has arrived, and when."""
        self.answering = True
        phases = self.phases
        self.first_byte_at, self._received_before = arrived, phases[RECEIVE]
        if arrived > self.last_lap:
            phases[WAIT] += arrived - self.last_lap
            self.last_lap = arrived
