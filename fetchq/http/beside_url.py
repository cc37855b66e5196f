"""Says what is wrong with a line of a list that holds more than a URL."""

from __future__ import annotations

import re

__all__ = ["beside_url", "scheme_name"]

_REMARK = re.compile(r"\S++[ \t]+(#[^@]*)")
_MORE = re.compile(r"(.*?)https?://\S+(.*)", re.IGNORECASE | re.DOTALL)
_KNOWN_SCHEMES = frozenset({"data", "file", "ftp", "ftps", "javascript", "mailto", "sftp", "sip", "ssh", "ws", "wss"})


def scheme_name(scheme: str, text: str) -> str:
    """What an error calls the scheme of a URL, which may be the user in user:password@host."""
    name = scheme.lower()
    return f"the scheme {name}:" if "@" not in text or name in _KNOWN_SCHEMES else "another scheme than http"


def beside_url(text: str) -> str | None:
    """What stands beside the URL in a line of a list, such as a remark; None if that is not known.

    Of the text it shows no more than marks and remarks, since half a password could be in it.
    """
    if (remark := _REMARK.fullmatch(text)) is not None:
        return f"there is a remark after the URL: {remark[1][:80]!r}"
    if (found := _MORE.fullmatch(text)) is None:
        return None
    before, after = found.groups()
    if re.search(r"\shttps?://", after, re.IGNORECASE):
        return "there are several URLs, and each needs a line of its own"
    if re.fullmatch(r"[^\w@\s]{1,5} ?", before):
        return f"there is {before!r} before the URL"
    return "there is text before the URL" if before.strip() else None
