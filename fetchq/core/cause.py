"""Defines two closed sets of words in a record: the causes of failures, and whether a body is complete."""

from __future__ import annotations

from enum import StrEnum

__all__ = ["Cause", "Complete"]


class Cause(StrEnum):
    """Why a request did not succeed."""

    INVALID_URL = "invalid_url"
    """The input row is unusable."""
    BLOCKED = "blocked"
    """The scheme or the address is not allowed, or the host's robots.txt disallows it."""
    DNS = "dns"
    CONNECT = "connect"
    PROXY = "proxy"
    """The proxy refuses, for example because it asks for another password (407)."""
    TLS = "tls"
    TIMEOUT = "timeout"
    TOO_SLOW = "too_slow"
    """The body arrived at fewer bytes per second than the minimum speed."""
    PROTOCOL = "protocol"
    """The response is not valid HTTP (RFC 9110, RFC 9112)."""
    INCOMPLETE = "incomplete"
    """The body ended before its declared end (RFC 9112, 6.3)."""
    DECODE = "decode"
    """The content coding is broken or unknown."""
    TOO_LARGE = "too_large"
    CHECKSUM = "checksum"
    """The body is whole, and not the one that its row has the checksum of."""
    REDIRECT = "redirect"
    """Too many redirects, perhaps in a loop, or a bad Location."""
    STATUS = "status"
    """The response is complete, but its status is not accepted."""
    CANCELLED = "cancelled"
    STORE = "store"
    """The result could not be written."""
    CALLBACK = "callback"
    """The function that `fetch_map` was given has raised an exception."""


class Complete(StrEnum):
    """Whether the body was received completely."""

    YES = "yes"
    UNVERIFIED = "unverified"
    """The end of the connection was the end of the body, so a missing part would go unnoticed (RFC 9112, 6.3)."""
    NO = "no"
