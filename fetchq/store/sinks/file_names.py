"""Names the files of bodies: readable, safe on every file system, and the same in every session."""

from __future__ import annotations

import re
from mimetypes import guess_extension
from urllib.parse import unquote

__all__ = ["body_name", "folder_of", "row_of"]

PER_FOLDER = 1000
"""Rows whose files share a folder."""
_MOST = 80
"""The most characters of a name that come from the URL."""
_UNSAFE = re.compile(r"(?:[^A-Za-z0-9._-]|\.\.)+")
_SUFFIX = re.compile(r"\.[A-Za-z0-9]{1,8}$")
_NAME = re.compile(r"(\d+)(?:~(\d+))?-")
# Media types that mimetypes does not know, or gives an unusual suffix.
_SUFFIXES = {
    "application/gzip": ".gz",
    "application/javascript": ".js",
    "application/octet-stream": ".bin",
    "application/xhtml+xml": ".xhtml",
    "application/x-ndjson": ".ndjson",
    "image/jpeg": ".jpg",
    "image/webp": ".webp",
    "text/html": ".html",
    "text/javascript": ".js",
    "text/markdown": ".md",
    "text/plain": ".txt",
}


def folder_of(index: int) -> str:
    """The subfolder for row `index`."""
    return f"{index // PER_FOLDER:06d}"


def body_name(index: int, url: str, content_type: str | None, generation: int = 0) -> str:
    """The file name for the body of row `index`: unique, in ASCII, and shorter than 120 characters.

    `url`: that of the request; the URL after redirects is the server's choice, and must not name a file here.
    """
    # Without the query: it may hold secrets, and rarely says what the file is.
    rest = url.partition("://")[2].partition("#")[0].partition("?")[0]
    host, _, path = rest.rpartition("@")[2].partition("/")
    last = unquote(path.rstrip("/").rpartition("/")[2], errors="replace")
    found = _SUFFIX.search(last)
    suffix = found[0].lower() if found else _suffix_of(content_type)
    stem = f"{host}-{last[: found.start()] if found else last}"
    # Digits come first: the name is not reserved on Windows (CON), not hidden, and no option of a command.
    number = f"{index:08d}" if not generation else f"{index:08d}~{generation}"
    return f"{number}-{_UNSAFE.sub('_', stem)[:_MOST].strip('._-')}{suffix}"


def row_of(name: str) -> tuple[int, int] | None:
    """The row and the generation in a name that `body_name` has made; None for another name."""
    found = _NAME.match(name)
    return (int(found[1]), int(found[2] or 0)) if found else None


def _suffix_of(content_type: str | None) -> str:
    media = (content_type or "").partition(";")[0].strip().lower()
    return _SUFFIXES.get(media) or guess_extension(media) or ".bin"
