"""Drives one attempt, without I/O, by the rules that decide whether a response is good.

An engine tells an `Attempt` what its HTTP library receives. The rules are in one place, so that all engines give the
same Result for the same response.
"""

from __future__ import annotations

from math import inf
from time import perf_counter, sleep
from typing import TYPE_CHECKING

from multidict import istr

from fetchq.core.body_spool import MAX_IN_MEMORY
from fetchq.core.header_text import wire_text
from fetchq.core.model import Cause, Complete
from fetchq.core.text import one_line
from fetchq.http.acceptance import ends_well, retried_note
from fetchq.http.attempt_state import AttemptState
from fetchq.http.body import NO_BODY
from fetchq.http.body_checksum import checksum_failure
from fetchq.http.coding_policy import asks_for, published_format
from fetchq.http.content_coding import codings_in
from fetchq.http.cookies import CookieJar
from fetchq.http.exchanges import record_redirect
from fetchq.http.failure import AttemptFailed, message_of, status_failure
from fetchq.http.headway import explain_timeout
from fetchq.http.phases import DECODE, LAG, RECEIVE, STORE
from fetchq.http.range_resume import check_end, combine_partial, resumable_part
from fetchq.http.redirect_history import RedirectHistory
from fetchq.http.redirects import REDIRECTS
from fetchq.http.response import NO_RESPONSE, read_head
from fetchq.http.revalidation import check_validators, take_stored_record
from fetchq.http.stored_part import describe_part
from fetchq.http.url import Refused

if TYPE_CHECKING:
    from collections.abc import Iterable

    from fetchq.http.response import ResponseHead

__all__ = ["WAIT_FOR_WINDOW", "Attempt"]

WAIT_FOR_WINDOW = 0.005
"""Seconds between two looks whether a body that is decoded from the disk may go on (`fetchq.http.large_windows`)."""
MAX_DRAINED = 65536
"""Bytes of a redirect's body that are read so that its connection can be reused; it is closed if the body is longer."""

_CONTENT_ENCODING, _LOCATION, _SET_COOKIE = istr("Content-Encoding"), istr("Location"), istr("Set-Cookie")


class Attempt(AttemptState):
    """The state of one attempt and, after `finish`, its outcome. Times are those of `time.perf_counter`."""

    __slots__ = ()

    def on_response(
        self, status: int, reason: str | None, raw_headers: Iterable[tuple[bytes, bytes]], version: tuple[int, int]
    ) -> bool:
        """Take the head of the final response of this hop. `version`: the HTTP version, such as (1, 1).

        Returns whether the body is to be read. That of a redirect is only read if it is short, so that the connection
        can be reused. Raises `AttemptFailed`.
        """
        return self.on_head(read_head(self.hop.method, status, reason, raw_headers, version))

    def on_head(self, response: ResponseHead) -> bool:
        """`on_response` for a head that was read."""
        self.response = response
        self.complete = Complete.NO
        settings, status = self.settings, response.status
        # Without a Location the response is final (RFC 9110, 15.4).
        self.redirecting = status in REDIRECTS and settings.max_redirects > 0 and _LOCATION in response.headers
        if (self.redirecting or self.cookies is not None) and _SET_COOKIE in response.headers:
            if self.cookies is None:
                self.cookies = CookieJar()
            self.cookies.store(self.hop.url, response.headers.getall(_SET_COOKIE))
        self._window_start = self.progress_at
        if self.redirecting:
            self._drained = bytearray()
            return response.framed and (response.length or 0) <= MAX_DRAINED
        if self.partial is not None and combine_partial(self):
            return True
        if status == 206 and not self.hop.ranged:
            raise AttemptFailed(Cause.PROTOCOL, "a part (206) of what was asked for whole")
        self.unmodified = status == 304 and self.hop.conditional
        if self.unmodified and self.stored_response is not None:
            check_validators(response.headers, self.stored_response)
        body = self.body = self.plan.body_class(settings, stores=self.plan.stores)
        if response.length is not None and response.length > self.plan.checked_above:
            body.check_length(response.length, coded=response.coded)
        if response.coded:
            self._expect_coding()
        return True

    def _expect_coding(self) -> None:
        headers = self.response.headers
        content_encoding = one_line(wire_text(", ".join(headers.getall(_CONTENT_ENCODING))))
        self.body.expect_coding(
            content_encoding,
            self.response.length,
            asked=asks_for(self.hop.accept_encoding, codings_in(content_encoding)),
            published=published_format((self._first_target.url.raw_path, self.hop.url.raw_path), headers),
        )

    def on_data(self, data: bytes, step: float = inf) -> bool:
        """Take a piece of the body, without its transfer coding. Raises `AttemptFailed`.

        `step`: for how many seconds it may be decoded; the rest is for `decode_on`. Returns whether the engine has to
        look at `body.write_due`, after which it calls `body.write`, which blocks, and at `body.rest`.
        """
        now = self.progress_at = perf_counter()
        phases, began, last = self.phases, self.last_lap, self.last_byte_at
        if last > now:
            phases[RECEIVE] += now - began
        elif last > began:
            phases[RECEIVE] += last - began
            phases[LAG] += now - last
        else:
            phases[LAG] += now - began
        self.last_lap = now
        if self.redirecting:
            self._drained += data
            if len(self._drained) > MAX_DRAINED:
                raise AttemptFailed(Cause.TOO_LARGE, f"a redirect with a body of more than {MAX_DRAINED} bytes")
            return False
        body = self.body
        body.feed(data, now + step)
        self.last_lap = perf_counter()
        phases[DECODE] += self.last_lap - now
        self._window_bytes += len(data)
        if now - self._window_start >= self.settings.min_speed_time:
            self._check_speed(now)
        if body.size > MAX_IN_MEMORY and body.write_due:
            describe_part(self)
            return True
        return body.rest is not None or body.held_back

    def decode_on(self, step: float) -> None:
        """Decode more of what `on_data` has left. Raises `AttemptFailed`."""
        self.body.go_on(self.lap_own() + step)
        self.lap(DECODE)
        if self.body.write_due:
            describe_part(self)

    def catch_up(self) -> None:
        """Write and decode what `on_data` or `end_data` has left. It blocks. Raises `AttemptFailed`."""
        while True:
            if self.body.write_due:
                self.body.write()
                self.progress_at = self.lap(STORE)
            if self.body.rest is None:
                return
            if self.body.waits:
                sleep(WAIT_FOR_WINDOW)
            self.decode_on(inf)

    def end_data(self, step: float) -> None:
        """Decode what was held back of a body that has ended, before `on_end`. Raises `AttemptFailed`."""
        self.body.end(self.lap_received() + step)
        self.lap(DECODE)

    def on_end(self) -> None:
        """Note that the message has ended, by the rules of HTTP. Raises `AttemptFailed`."""
        response = self.response
        received = len(self._drained) if self.redirecting else self.body.wire_size
        if response.length is not None and (received != response.length or response.total is not None):
            check_end(received, response.length, response.total)
        self.complete = Complete.YES if response.framed or response.total is not None else Complete.UNVERIFIED
        if self.redirecting:
            return
        self.body.finish()
        if response.status not in self.plan.final and not (self.unmodified or ends_well(self)):
            raise self._status_failure()

    def takes_whole(self, response: ResponseHead) -> bool:
        """Whether the whole body can be taken in one step: it is not to be decoded, and need not go to the disk yet."""
        return not response.coded and (not self.plan.stores or (response.length or 0) <= MAX_IN_MEMORY)

    def on_whole_body(self, data: bytes) -> None:
        """`on_data` and `on_end`, for a body that has arrived whole, if `takes_whole`. Raises `AttemptFailed`."""
        now = perf_counter()
        phases = self.phases
        phases[LAG] += now - self.last_lap  # the last byte has arrived with the first one
        self.body.take_whole(data)
        self.last_lap = perf_counter()
        phases[DECODE] += self.last_lap - now
        self.complete = Complete.YES
        if self.response.status not in self.plan.final and not ends_well(self):
            raise self._status_failure()

    def follow_redirect(self) -> None:
        """Make the redirect's target the next hop. Raises `AttemptFailed`."""
        if self.redirects >= self.settings.max_redirects:
            raise AttemptFailed(Cause.REDIRECT, f"more than {self.settings.max_redirects} redirects")
        response = self.response
        if self.history is None:
            self.history = RedirectHistory(self.hop, archives=self.settings.archives)
        try:
            hop = self.history.follow(self.plan, self.hop, response, self.stored_response)
        except Refused as refused:
            raise AttemptFailed(refused.cause, refused.message) from None
        self.lap_received()
        record_redirect(self, None if self.complete is Complete.NO else self._drained)
        self.hop = hop
        self.redirects += 1
        self.redirecting = self.needs_fresh_connection = False
        self.response = NO_RESPONSE
        self.complete = None
        self.trailers = ()
        self._window_bytes = 0

    def finish(self, failed: AttemptFailed | None) -> None:
        """End the attempt, with this failure if there was one. Retry policy and workers then read its outcome."""
        now = perf_counter()
        if self.last_byte_at <= self.last_lap:
            self.phases[LAG] += now - self.last_lap
            self.last_lap = now
        else:
            self._end_phases(now, responded=self.response.status is not None)
        if self.body.truncated:
            well = self.response.status in self.plan.final or ends_well(self)
            failed = None if well else self._status_failure()
        if failed is None and self.request.checksum is not None and not self.settings.head:
            failed = checksum_failure(self)
        if failed is None:
            if self.unmodified:
                take_stored_record(self)
            return
        if self.body.digest is None:  # an incomplete body is not stored
            if (part := resumable_part(self, failed.cause)) is not None:
                self.partial = part
            elif failed.cause is Cause.CANCELLED:
                self.body.suspend()
            else:
                self.body.discard()
        if failed.cause is Cause.TIMEOUT:
            failed = explain_timeout(self, failed, now)
        if failed.cause is Cause.PROTOCOL:
            # An invalid response is not recorded: how much of it could be parsed depends on the packets it came in.
            self.response, self.body, self.complete, self.unmodified = NO_RESPONSE, NO_BODY, None, False
        self.cause = failed.cause
        self.error = one_line(message_of(failed, self.proxy))
        self.permanent = failed.permanent
        self.local_limit = failed.local_limit

    def stop_clock(self) -> None:
        """End the last phase of an attempt that will not `finish`, since its task was cancelled."""
        responded = self.response.status is not None
        self._end_phases(perf_counter(), responded=responded)

    def _status_failure(self) -> AttemptFailed:
        status, reason = self.response.status, self.response.reason
        note = "" if self.history is None else self.history.note(status, self.hop)
        return status_failure(status, reason, note or retried_note(status, self.settings))

    def discard_body(self) -> None:
        """Free the body of an attempt that is retried, except for a `partial` that the next attempt resumes."""
        if self.body.digest is not None:
            self.body.discard()
