"""Reads and writes the cookies of a run as a Netscape cookie file, as curl, wget and browsers' extensions do.

A line is a cookie: domain, whether subdomains get it, path, whether it is for https alone, its expiry in seconds since
1970 (0: the session), name and value, separated by tabs. `#HttpOnly_` before a domain is not a comment: pages cannot
read the cookie. `http.cookiejar.MozillaCookieJar` would drop the session cookies that curl has written.
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

from fetchq.core.atomic_file import atomic_write, refuse_link
from fetchq.core.disk import StorageError
from fetchq.core.settings import SettingsError
from fetchq.http.cookies import Cookie, CookieJar

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["load_cookies", "save_cookies"]

_HEAD = "# Netscape HTTP Cookie File\n# Written by fetchq. It holds secrets.\n\n"
_LARGEST = 100_000_000
"""Bytes."""
_HTTP_ONLY = "#HttpOnly_"
_FLAGS = {"TRUE": True, "FALSE": False}
_END = re.compile(r"-?[0-9]{1,18}(?:\.[0-9]*)?")
_WITH_PORT = re.compile(r"^([^:]+):[0-9]+$")
"""wget adds a port that is not 80. A cookie has none (RFC 6265, 8.5)."""
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


def load_cookies(path: str) -> CookieJar:
    """The jar with the cookies of a file; an empty one if there is no such file yet, or it is a device or a pipe.

    Raises `SettingsError` if the file cannot be read, or is no cookie file, and if it could not be written.
    """
    jar = CookieJar()
    try:
        refuse_link(path)
        if os.path.isfile(path):  # a device or a pipe might never end
            if os.path.getsize(path) > _LARGEST:
                raise ValueError("it is too large")
            with open(path, encoding="utf-8", errors="surrogateescape") as file:
                for cookie in _read(file):
                    jar.put(cookie)
    except OSError as problem:
        raise SettingsError("cookie_jar", f"{path!r} cannot be read: {problem.strerror or problem}") from None
    except ValueError as problem:
        raise SettingsError("cookie_jar", f"{path!r} is not a Netscape cookie file: {problem}") from None
    folder = os.path.dirname(os.path.abspath(path))
    if not os.path.isdir(folder) or not os.access(folder, os.W_OK):
        raise SettingsError("cookie_jar", f"{path!r} cannot be written: there is no such folder, or it is read-only")
    return jar


def save_cookies(path: str, jar: CookieJar) -> None:
    """Write the cookies that have not expired. Only its owner can read a new file. Raises `StorageError`."""
    text = _HEAD + "".join(_line(cookie) for cookie in jar)
    try:
        with atomic_write(path, private=True) as stream:
            stream.write(text.encode("utf-8", "surrogateescape"))
    except OSError as problem:
        raise StorageError(f"the cookies cannot be written to {path!r}: {problem.strerror or problem}") from None


def _read(lines: Iterable[str]) -> Iterable[Cookie]:
    """The cookies of these lines. Raises ValueError, which shows no value."""
    for number, raw in enumerate(lines, 1):
        line = raw.rstrip("\r\n").removeprefix("\ufeff")
        http_only = line.startswith(_HTTP_ONLY)
        if not http_only and (not line.strip() or line.startswith("#")):
            continue
        # A line without a value may end with the name.
        fields = [*line.removeprefix(_HTTP_ONLY).split("\t"), ""][:7]
        if len(fields) < 7 or line.count("\t") > 6:
            raise ValueError(f"line {number} has not seven fields")
        domain, subdomains, path, secure, end, name, value = fields
        flags = (subdomains.upper(), secure.upper())
        if (
            not domain
            or not _END.fullmatch(end)
            or _CONTROL.search(line.replace("\t", ""))
            or not {*flags} <= {*_FLAGS}
        ):
            raise ValueError(f"line {number} is no cookie")
        yield Cookie(
            _WITH_PORT.sub(r"\1", domain.removeprefix(".").lower()),
            path if path.startswith("/") else "/",
            name,
            value,
            not _FLAGS[flags[0]],
            _FLAGS[flags[1]],
            http_only,
            float(end) or None,
        )


def _line(cookie: Cookie) -> str:
    fields = (
        f"{_HTTP_ONLY if cookie.http_only else ''}{'' if cookie.host_only else '.'}{cookie.domain}",
        "FALSE" if cookie.host_only else "TRUE",
        cookie.path,
        "TRUE" if cookie.secure else "FALSE",
        "0" if cookie.expires is None else str(int(cookie.expires)),
        cookie.name,
        cookie.value,
    )
    return "\t".join(fields) + "\n"
