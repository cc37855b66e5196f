"""Checks that the request of a row can be sent."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fetchq.core.model import Cause
from fetchq.core.parsers import read_headers, read_method
from fetchq.http.hops import method_of
from fetchq.http.url import Refused

if TYPE_CHECKING:
    from fetchq.core.model import Request
    from fetchq.core.settings import Settings

__all__ = ["check_sendable"]


def check_sendable(request: Request, settings: Settings) -> None:
    """Raise `Refused` (`invalid_url`) if the method or the headers cannot be sent, or if nothing can have the checksum.

    With a wrong Content-Length, the server would take the rest of the body for another request (RFC 9112, 11.2).
    """
    if request.checksum is not None and method_of(request, settings) == "HEAD":
        raise Refused(Cause.INVALID_URL, "a checksum needs a body, and the response to HEAD has none")
    body = settings.data if request.body is None else request.body
    lengths = [value.strip(" \t") for name, value in request.headers if str(name).lower() == "content-length"]
    if lengths and lengths != [str(len(body or b""))]:
        raise Refused(Cause.INVALID_URL, "the header Content-Length is not the length of the body")
    try:
        if request.method is not None:
            read_method(request.method)
        read_headers([pair for pair in request.headers if str(pair[0]).lower() != "content-length"])
    except ValueError as problem:
        raise Refused(Cause.INVALID_URL, str(problem)) from None
