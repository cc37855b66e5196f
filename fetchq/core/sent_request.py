"""Defines what a web archive needs of a row beside its Result: the requests that were sent, and the redirects."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from datetime import datetime

    from multidict import MultiMapping

    from fetchq.core.stored_response import BodyOrigin

__all__ = ["ArchivedRedirect", "SentRequest"]


class ArchivedRedirect(NamedTuple):
    """A redirect that was followed: the request of its hop, as in `SentRequest`, and the response."""

    url: str
    """The URL that was asked for; a user name and password in it are replaced by `***`."""
    method: str
    head: bytes
    """The request line and header section, with the empty line that ends them, without secrets."""
    with_body: bool
    """Whether the request had a body."""
    at: datetime
    """When the hop began, in UTC."""
    remote: str | None
    """The address that the connection led to, such as "192.0.2.1:443"."""
    http_version: str | None
    status: int | None
    reason: str | None
    headers: MultiMapping[str]
    """The header fields of the response, Location and Set-Cookie included, as received; of long ones only some."""
    body: bytes
    """The body as received, without its transfer coding but with its content coding; at most `MAX_DRAINED` bytes."""
    truncated: bool
    """Whether there was more: a longer body, which was not read, so that `body` is empty, or more fields."""


class SentRequest(NamedTuple):
    """The request that the final response answers, as a web archive may show it: without secrets."""

    head: bytes
    """The request line and header section, with the empty line that ends them."""
    with_body: bool
    """Whether a body was sent."""
    at: datetime
    """When the hop began, in UTC."""
    headers: MultiMapping[str] | None = None
    """The header fields of the response as received; None where the Result has the same ones."""
    body_origin: BodyOrigin | None = None
    """Where the body came from, if the response was a 304 that confirmed the body of an earlier run."""
    decoded: bool = True
    """Whether the Content-Encoding of the response, if it has one, was undone."""
    redirects: tuple[ArchivedRedirect, ...] = ()
    """The redirects that led to this request, in order."""
