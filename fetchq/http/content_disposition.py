"""Reads the file name that a server suggests in Content-Disposition (RFC 6266)."""

from __future__ import annotations

import re
from urllib.parse import unquote_to_bytes

__all__ = ["suggested_name"]

_PARAMETER = re.compile(
    r"(?:\A|;)[ \t]*+([!#$%&'*+.^_`|~0-9A-Za-z-]++)[ \t]*+=[ \t]*+(?:\"((?:[^\"\\]|\\.)*+)\"|([^;\"]*+))"
)
"""The name of a parameter, and its value: quoted, or up to the next semicolon, since many forget to quote blanks."""
_ESCAPED = re.compile(r'\\(["\\])')
_EXTENDED = re.compile(r"(utf-8|iso-8859-1)'[^']*+'((?:[!#$&+.^_`|~0-9A-Za-z-]|%[0-9A-Fa-f]{2})++)", re.IGNORECASE)
"""A value that names its charset (RFC 8187, 3.2.1)."""
_FOLDERS = re.compile(r"[/\\]")


def suggested_name(field: str | None) -> str | None:
    """The file name in a Content-Disposition, without folders before it (RFC 6266, 4.3); None if there is none.

    `filename*` takes precedence over `filename`, unless it cannot be decoded. The name may have any characters.
    """
    if field is None:
        return None
    values: dict[str, str] = {}
    for name, quoted, plain in _PARAMETER.findall(field):
        values.setdefault(name.lower(), _ESCAPED.sub(r"\1", quoted) or plain.strip(" \t"))
    name = _decoded(values.get("filename*", "")) or values.get("filename", "")
    return _FOLDERS.split(name)[-1].strip() or None


def _decoded(value: str) -> str | None:
    found = _EXTENDED.fullmatch(value)
    if found is None:
        return None
    try:
        return unquote_to_bytes(found[2]).decode(found[1])
    except UnicodeDecodeError:
        return None
