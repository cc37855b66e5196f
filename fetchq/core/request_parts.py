"""Turns what people write of a request (JSON, params, auth, cookies) into its URL, headers and body.

So a row is complete once it is read, and only what reads rows knows of these forms. No message of an error shows a
value, which may be a secret.
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Iterable, Mapping
from typing import Any

from fetchq.core.parsers import read_text, read_user

__all__ = [
    "basic_auth",
    "bearer_auth",
    "complete_parts",
    "cookie_text",
    "json_body",
    "query_text",
    "read_token",
    "user_text",
    "with_query",
]

_TOKEN = re.compile(r"[!-~]+")
_COOKIE_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_COOKIE_VALUE = re.compile(r"[^\x00-\x1f\x7f;\ud800-\udfff]*")
_JSON = ("Content-Type", "application/json")

HeaderPairs = tuple[tuple[str, str], ...]


def complete_parts(
    url: str,
    headers: HeaderPairs,
    body: bytes | None,
    *,
    json: object = None,
    params: object = None,
    auth: object = None,
    bearer: object = None,
    cookies: object = None,
) -> tuple[str, HeaderPairs, bytes | None]:
    """The URL, headers and body of a request with these parts; None stands for a part that is not given.

    `json`: a body of any JSON values. `params`: a mapping, pairs or a text, added to the query. `auth`: "user:password"
    or the two. `bearer`: a token. `cookies`: a mapping, pairs, or a text such as "a=1; b=2". Raises ValueError.
    """
    names = {name.lower() for name, _ in headers}
    if json is not None:
        if body is not None:
            raise ValueError("'json' and 'body' are both the body; give one of them")
        body = json_body(json)
        if "content-type" not in names:
            headers += (_JSON,)
    if params is not None:
        url = with_query(url, query_text(params))
    if auth is not None or bearer is not None:
        if auth is not None and bearer is not None:
            raise ValueError("'auth' and 'bearer' are both the header Authorization; give one of them")
        if "authorization" in names:
            raise ValueError(f"{'bearer' if auth is None else 'auth'!r} and a header Authorization; give one of them")
        headers += (("Authorization", bearer_auth(bearer) if auth is None else basic_auth(*_login(auth))),)
    if cookies is not None and (text := cookie_text(cookies)):
        headers += (("Cookie", text),)
    return url, headers, body


def json_body(value: object) -> bytes:
    """The value as JSON (RFC 8259) in UTF-8. Raises ValueError."""
    from json import dumps

    try:
        return dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()
    except TypeError:
        raise ValueError("'json' has a value that JSON does not know") from None
    except UnicodeEncodeError:
        raise ValueError("'json' has a text that is not Unicode") from None
    except ValueError:
        raise ValueError("'json' has a number that JSON does not know, or holds itself") from None
    except RecursionError:
        raise ValueError("nested too deep") from None


def query_text(params: object) -> str:
    """The parameters as a query (application/x-www-form-urlencoded). Raises ValueError.

    As in requests, a list repeats its name, None leaves it out, and a text is taken as it is.
    """
    from urllib.parse import quote_plus

    if isinstance(params, str):
        return read_text(params).strip().lstrip("?&").rstrip("&").replace(" ", "%20").replace("#", "%23")
    found = []
    for name, value in _pairs(params, "params"):
        several = value if isinstance(value, list | tuple) else (value,)
        found += [(quote_plus(name), quote_plus(_scalar(one, "params"))) for one in several if one is not None]
    return "&".join([f"{name}={value}" for name, value in found])


def with_query(url: str, query: str) -> str:
    """The URL with more parameters at the end of its query, before the fragment."""
    if not query:
        return url
    before, mark, fragment = url.partition("#")
    joint = "?" if "?" not in before else "" if before[-1] in "?&" else "&"
    return f"{before}{joint}{query}{mark}{fragment}"


def basic_auth(user: str, password: str) -> str:
    """The Authorization header for basic authentication, in UTF-8 (RFC 7617)."""
    # What a netrc file has in another encoding is sent as it is, as curl does.
    return "Basic " + b64encode(f"{user}:{password}".encode("utf-8", "surrogateescape")).decode("ascii")


def bearer_auth(token: object) -> str:
    """The Authorization header for a bearer token (RFC 6750, 2.1). Raises ValueError."""
    return f"Bearer {read_token(token)}"


def read_token(given: object) -> str:
    """Parse a bearer token: visible ASCII characters. Raises ValueError."""
    if not isinstance(given, str) or not _TOKEN.fullmatch(given):
        raise ValueError("a bearer token is one word of ASCII characters, without 'Bearer'")
    return given


def user_text(auth: object) -> str:
    """The "user:password" of a text, or of a pair of the two. Raises ValueError."""
    return ":".join(_login(auth))


def _login(auth: object) -> tuple[str, str]:
    if isinstance(auth, list | tuple):
        if len(auth) != 2 or not all(isinstance(part, str) for part in auth) or ":" in auth[0]:
            raise ValueError("'auth' is a user, without a colon, and a password, both texts")
        auth = f"{auth[0]}:{auth[1]}"
    try:
        user, _, password = read_user(auth).partition(":")
    except ValueError:
        raise ValueError("'auth' is given as user:password") from None
    return user, password


def cookie_text(cookies: object) -> str:
    """The Cookie header (RFC 6265, 4.2.1). Raises ValueError."""
    if isinstance(cookies, str):
        return read_text(cookies)
    found = []
    for name, value in _pairs(cookies, "cookies"):
        text = _scalar(value, "cookies")
        if not _COOKIE_NAME.fullmatch(name) or not _COOKIE_VALUE.fullmatch(text):
            raise ValueError("'cookies' has a name or a value that cannot be sent")
        found.append(f"{name}={text}")
    return "; ".join(found)


def _pairs(given: object, part: str) -> list[tuple[str, Any]]:
    pairs: Any = given.items() if isinstance(given, Mapping) else given
    found = []
    for pair in pairs if isinstance(pairs, Iterable) and not isinstance(pairs, str | bytes) else (None,):
        if not isinstance(pair, tuple | list) or len(pair) != 2 or not isinstance(pair[0], str):
            raise ValueError(f"{part!r} is neither names with their values nor a text")
        found.append((pair[0], pair[1]))
    return found


def _scalar(value: object, part: str) -> str:
    """A value as a text: true and false as in JSON. Raises ValueError for what is no text, number or bool."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if not isinstance(value, str | int | float):
        raise ValueError(f"{part!r} has a value that is neither a text nor a number")
    text = str(value)
    if any("\ud800" <= sign <= "\udfff" for sign in text):
        raise ValueError(f"{part!r} has a text that is not Unicode")
    return text
