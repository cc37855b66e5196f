"""Opens a tunnel through an HTTP proxy: the CONNECT request, and what its response means (RFC 9110, 9.3.6).

Both engines send and read it themselves. Their libraries take a 204 for a refusal; one takes a 103 for the final
response, and the other refuses a 200 with a Content-Length, although a response that opens a tunnel has no body.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from fetchq.core.header_text import wire_text
from fetchq.core.model import Cause
from fetchq.http.failure import AttemptFailed, not_tls
from fetchq.http.framing import find_head
from fetchq.http.hops import DEFAULT_HEADERS
from fetchq.http.wire_checks import bad_head, check_interim

if TYPE_CHECKING:
    from yarl import URL

    from fetchq.http.hop import Hop

__all__ = ["ConnectAnswer", "connect_request"]

_STATUS_LINE = re.compile(rb"HTTP/1\.[0-9][ \t]+([1-5][0-9][0-9])(?: ([^\r\n]*))?\r?\n")
_TEMPORARY = frozenset({408, 425, 429, 500, 502, 503, 504})
"""Statuses that mean that the proxy could not reach the server, or not at the moment."""


def connect_request(hop: Hop, authorization: dict[str, str]) -> bytes:
    """The request for a tunnel to the hop's server. `authorization`: the Proxy-Authorization header, if any.

    Of the hop's own headers, only the User-Agent goes to the proxy: the others are meant for the server.
    """
    place = _authority(hop.url)
    agents = [value for name, value in hop.headers.items() if name.lower() == "user-agent"]
    fields = {"Host": place, "User-Agent": agents[0] if agents else DEFAULT_HEADERS["User-Agent"], **authorization}
    lines = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    return f"CONNECT {place} HTTP/1.1\r\n{lines}\r\n".encode()


def _authority(url: URL) -> str:
    """The host and the port of a URL, which CONNECT names in any case (RFC 9112, 3.2.3)."""
    return f"{url.host_subcomponent}:{url.port}"


class ConnectAnswer:
    """The response to a CONNECT request, which may arrive in several pieces."""

    def __init__(self) -> None:
        self._raw = b""
        self._interim = 0

    def feed(self, data: bytes) -> bool:
        """Take the next bytes. Returns whether the tunnel is open. Raises `AttemptFailed`.

        `proxy`: the proxy refuses. `connect`: it could not reach the server. `protocol`: this is not valid HTTP.
        """
        seen = len(self._raw)
        self._raw += data
        head, end = find_head(self._raw, seen)
        while end:
            self._raw = self._raw[end:]
            if self._is_final(head):
                return True
            head, end = find_head(self._raw)
        return False

    def check_silence(self) -> None:
        """Raise `AttemptFailed` (`tls`) if the server has sent bytes already: in TLS the client begins."""
        if self._raw:
            raise not_tls()

    def _is_final(self, head: bytes) -> bool:
        line = _STATUS_LINE.match(head)
        if line is None:
            raise bad_head(head)
        status = int(line[1])
        if status < 200:
            self._interim += 1
            check_interim(head, status, self._interim)
            return False
        if status < 300:
            return True
        said = f"it answered {status} {wire_text((line[2] or b'').decode('utf-8', 'surrogateescape'))}".rstrip()
        if status in _TEMPORARY:
            raise AttemptFailed(Cause.CONNECT, said)
        raise AttemptFailed(Cause.PROXY, said, permanent=True)
