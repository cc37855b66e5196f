"""Keeps what an attempt learns on its way through redirects. An attempt that follows none has no history."""

from __future__ import annotations

from datetime import UTC, datetime
from time import time
from typing import TYPE_CHECKING

from fetchq.core.redirect_hop import RedirectHop
from fetchq.core.sent_request import ArchivedRedirect
from fetchq.core.text import redact
from fetchq.http.hops import redacted_head

if TYPE_CHECKING:
    from fetchq.http.hops import Hop
    from fetchq.http.response import ResponseHead

__all__ = ["RedirectHistory"]


class RedirectHistory:
    """The redirects that one attempt has followed."""

    __slots__ = ("_archives", "archived", "hops")

    def __init__(self, *, archives: bool) -> None:
        """`archives`: whether the redirects are also kept for a web archive."""
        self._archives = archives
        self.hops: tuple[RedirectHop, ...] = ()
        self.archived: tuple[ArchivedRedirect, ...] = ()
        """The same redirects for a web archive."""

    def add(self, hop: Hop, response: ResponseHead, body: bytearray | None, remote: str | None, elapsed: float) -> None:
        """Add a redirect. `body`: None if it was too long to be read. `elapsed`: seconds of the attempt so far."""
        assert response.status is not None
        elapsed -= sum(earlier.elapsed for earlier in self.hops)
        url = redact(hop.text)
        self.hops += (RedirectHop(response.status, url, elapsed),)
        if self._archives:
            redirect = ArchivedRedirect(
                url=url,
                method=hop.method,
                head=redacted_head(hop),
                with_body=hop.body is not None,
                at=datetime.fromtimestamp(time() - elapsed, UTC),
                remote=remote,
                http_version=response.http_version,
                status=response.status,
                reason=response.reason,
                headers=response.headers,
                body=bytes(body or b""),
                truncated=body is None,
            )
            self.archived += (redirect,)
