"""Chooses the suffix of a file by the media type of its content."""

from __future__ import annotations

from mimetypes import guess_extension

from fetchq.core.known import Known

__all__ = ["suffixes"]

# Media types that mimetypes does not know, or for which it has an unusual suffix.
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


def _suffix_of(content_type: str | None) -> str:
    media = (content_type or "").partition(";")[0].strip().lower()
    return _SUFFIXES.get(media) or guess_extension(media) or ".bin"


suffixes = Known(_suffix_of)
"""The suffix, with its dot, for each Content-Type; `.bin` where none is known."""
