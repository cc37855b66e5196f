"""Says which headers of a request are sent to another origin (scheme, host or port) after a redirect.

A header is sent if its value cannot be a secret: those that describe the client, what it accepts, conditions, or a body
that is sent again. These are the CORS-safelisted headers of the Fetch standard and similar ones. Authorization, Cookie
and Proxy-Authorization are not sent, as in curl, nor are headers that fetchq does not know, such as X-Api-Key. With
`location_trusted`, all headers are sent, but not from https to http, where anybody on the way could read them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["HARMLESS_HEADERS", "harmless", "not_sent_note", "secret_names"]

# fmt: off
HARMLESS_HEADERS = frozenset({
    "accept", "accept-charset", "accept-datetime", "accept-encoding", "accept-language", "cache-control",
    "content-encoding", "content-language", "content-length", "content-type", "dnt", "host", "if-match",
    "if-modified-since", "if-none-match", "if-range", "if-unmodified-since", "pragma", "range",
    "upgrade-insecure-requests", "user-agent",
})
# fmt: on
"""Headers, in lower case, that hold no secrets. Any other header may hold one, as X-Api-Key does."""


def harmless(headers: Mapping[str, str]) -> dict[str, str]:
    """The headers that hold no secrets."""
    return {name: value for name, value in headers.items() if name.lower() in HARMLESS_HEADERS}


def secret_names(headers: Iterable[str]) -> tuple[str, ...]:
    """The names of the headers that may hold secrets."""
    return tuple(name for name in headers if name.lower() not in HARMLESS_HEADERS)


def not_sent_note(names: Iterable[str], origin: str, *, trusted: bool = False) -> str:
    """A remark, with a space before it, that these headers were not sent to another origin; empty for no names.

    `trusted`: whether they would have been, if it had TLS.
    """
    listed = list(names)
    if not listed:
        return ""
    was, them = ("was", "it") if len(listed) == 1 else ("were", "them")
    why = "which is without TLS" if trusted else f"another origin; --location-trusted sends {them}"
    return f" ({', '.join(listed)} {was} not sent to {origin}, {why})"
