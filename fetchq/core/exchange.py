"""Defines an exchange: one request that was sent and its response, for the views that show each of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from multidict import MultiMapping

    from fetchq.core.cause import Cause
    from fetchq.core.redirect_hop import HopTiming

__all__ = ["Exchange"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """A request for one hop of one attempt, and its response or the failure that came instead.

    A row has one for each redirect that it followed, and one for the response after them; then those of its next
    attempt, if it was tried again.
    """

    began: float
    """When its first phase began, as `time.perf_counter` in the process of the run."""
    ended: float
    """When its last phase ended."""
    timing: HopTiming
    decode: float
    """Seconds, as in `Timing`; so is `store`."""
    store: float
    queued: float = 0.0
    """Seconds for which the row has waited for a free worker before this hop, since its last attempt."""
    held: float
    """Seconds for which it was held before, and by `limit_rate` meanwhile."""
    url: str
    """The URL as it was sent: percent-encoded, without userinfo and fragment."""
    method: str
    request_headers: Mapping[str, str]
    """The header fields that were sent, with `***` in place of values that may be secret."""
    request_size: int | None
    """Bytes of the request's body; None if it had none."""
    reused: bool
    """Whether the connection had served a request before."""
    remote: str | None
    """The address that the connection leads to, such as "192.0.2.1:443"."""
    http_version: str | None
    status: int | None
    reason: str | None
    headers: MultiMapping[str]
    """The header fields of the response, as received; empty without a response."""
    size: int
    """Bytes of the body, decoded."""
    wire_size: int | None
    """Bytes of the body as received; None if it was too long to be read, after a redirect."""
    cause: Cause | None = None
    error: str | None = None
    attempt: int = 1
    """The attempt that it belongs to."""
    worker: int = 0
    """The worker that made the attempt."""
