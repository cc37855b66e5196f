"""Defines the hop: one request of an attempt, to one server."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from yarl import URL

    from fetchq.http.target import Target

__all__ = ["Hop", "new_hop"]


class Hop(NamedTuple):
    """One request to one server. `headers` are sent in addition to `fetchq.http.hops.DEFAULT_HEADERS`."""

    target: Target
    method: str
    headers: dict[str, str]
    body: bytes | None
    conditional: bool = False
    """Whether the request asks if the response that an earlier run has stored is still valid (RFC 9110, 13)."""
    from_netrc: bool = False
    """Whether the Authorization header is from the netrc file, so that it is for this host alone."""

    def __repr__(self) -> str:  # without headers and body, which would be in a traceback that shows variables
        return f"Hop({self.method}, {self.target.text!r})"

    @property
    def url(self) -> URL:
        """The URL that it is sent to."""
        return self.target.url

    @property
    def accept_encoding(self) -> str | None:
        """The Accept-Encoding that the user has set; None stands for the one of `DEFAULT_HEADERS`."""
        return next((value for name, value in self.headers.items() if name.lower() == "accept-encoding"), None)

    @property
    def ranged(self) -> bool:
        """Whether the request asks only for a part of the representation."""
        return any(name.lower() == "range" for name in self.headers)


new_hop: Any = partial(tuple.__new__, Hop)
"""Makes a Hop of a tuple that has all its fields, in a third of the time that its own constructor takes."""
