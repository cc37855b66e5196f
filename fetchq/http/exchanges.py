"""Makes the exchanges of an attempt: each of its requests with the response, for the views that show them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from fetchq.core.exchange import Exchange
from fetchq.http.hops import absolute_form, request_fields
from fetchq.http.masked_fields import masked_request
from fetchq.http.phases import DECODE, STORE
from fetchq.http.redirect_history import hop_timing

if TYPE_CHECKING:
    from fetchq.http.attempt_state import AttemptState

__all__ = ["exchanges_of", "record_redirect"]


def record_redirect(attempt: AttemptState, body: bytearray | None) -> None:
    """Add the redirect with which the hop has ended to the attempt's history. `body`: None if it was not read."""
    history = attempt.history
    assert history is not None
    if attempt.settings.keeps_exchanges:
        size = None if body is None else len(body)
        history.exchanges += (_exchange(attempt, size=size or 0, wire_size=size),)
    history.add(
        attempt.hop,
        attempt.response,
        body,
        attempt.remote,
        attempt.phases,
        attempt.held,
        tls_known=attempt.tls_known,
    )


def exchanges_of(attempt: AttemptState) -> tuple[Exchange, ...]:
    """All exchanges of an attempt that has ended, in order."""
    history, body = attempt.history, attempt.body
    last = _exchange(attempt, size=body.size, wire_size=body.wire_size)
    last = replace(last, cause=attempt.cause, error=attempt.error)
    return (last,) if history is None else (*history.exchanges, last)


def _exchange(attempt: AttemptState, *, size: int, wire_size: int | None) -> Exchange:
    """The exchange of the current hop, which has ended."""
    history, phases, held = attempt.history, attempt.phases, attempt.held
    if history is not None:
        phases, held = history.since(phases, held)
    hop, response = attempt.as_sent, attempt.response
    return Exchange(
        began=attempt.last_lap - sum(phases) - held,
        ended=attempt.last_lap,
        held=held,
        timing=hop_timing(phases, tls_known=attempt.tls_known),
        decode=phases[DECODE],
        store=phases[STORE],
        url=absolute_form(hop),
        method=hop.method,
        request_headers=masked_request(request_fields(hop)),
        request_size=None if hop.body is None else len(hop.body),
        reused=attempt.reused,
        remote=attempt.remote if attempt.connecting_since is None else None,  # else that of an earlier hop
        http_version=response.http_version,
        status=response.status,
        reason=response.reason,
        headers=response.headers,
        size=size,
        wire_size=wire_size,
    )
