"""Masks the values of header fields that may hold secrets, for files that people pass on."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from fetchq.core.header_text import wire_text
from fetchq.core.text import redact, redact_all
from fetchq.http.cross_origin import HARMLESS_HEADERS
from fetchq.http.redirects import redirect_target
from fetchq.http.url import Refused

if TYPE_CHECKING:
    from collections.abc import Mapping

    from multidict import MultiMapping

__all__ = ["MASK", "masked_request", "masked_response"]

MASK = "***"
_SET_COOKIE = frozenset({"set-cookie", "set-cookie2"})
_SECRET_WORDS = (
    *("access-key", "api-key", "apikey", "auth-key", "authentication-info", "authorization", "cookie", "credential"),
    *("jwt", "password", "secret", "session", "token"),
)
"""Parts of the names of response fields that may hold secrets, in lower case."""
_LOCATIONS = frozenset({"location", "content-location"})
_USERINFO = re.compile(r"^(\s*+(?:[a-z][a-z0-9+.-]*+:|[/\\]\t*+[/\\])[/\\\t]*+)[^/\\?#]*@", re.IGNORECASE)
r"""What redirects to `http:user@host`, `http:/user@host` and `\\user@host` have as userinfo, by the URL standard."""


def masked_request(fields: Mapping[str, str]) -> dict[str, str]:
    """The fields with `MASK` for every value that is not known to be harmless. Of cookies, the names are kept."""
    return {name: _of_request(name.lower(), value) for name, value in fields.items()}


def masked_response(fields: MultiMapping[str]) -> list[tuple[str, str]]:
    """The fields, in order, with `MASK` for values that may be secret, and for the userinfo of URLs.

    Of a cookie, the name and the attributes are kept.
    """
    return [(wire_text(name), _of_response(name.lower(), wire_text(value))) for name, value in fields.items()]


def _of_request(name: str, value: str) -> str:
    if name in HARMLESS_HEADERS:
        return value
    return "; ".join(map(_masked_pair, value.split(";"))) if name == "cookie" else MASK


def _of_response(name: str, value: str) -> str:
    if name in _SET_COOKIE:
        pair, semicolon, attributes = value.partition(";")
        return _masked_pair(pair) + semicolon + attributes
    if any(word in name for word in _SECRET_WORDS):
        return MASK
    return _without_userinfo(value) if name in _LOCATIONS and "@" in value else redact(value)


def _without_userinfo(location: str) -> str:
    """A URL as servers send it, without its userinfo, also where it is malformed or only browsers understand it."""
    try:
        redirect_target("http://host/", [location])
    except Refused:
        return redact_all(location)
    return _USERINFO.sub(rf"\1{MASK}@", redact(location))


def _masked_pair(pair: str) -> str:
    """The pair of a cookie without its value; one without a name is all value."""
    name, equals, _ = pair.strip().partition("=")
    return f"{name}={MASK}" if equals else MASK
