"""Makes text safe to show: no character in it acts on a terminal, and no password is in it."""

from __future__ import annotations

import re
from typing import Any

__all__ = ["one_line", "printable", "redact", "redact_all", "shortened", "without_surrogates"]

# C0 and C1 controls, line separators, lone surrogates, and characters that reorder or hide text (BiDi marks, zero-width
# characters).
_ACTIVE = re.compile(r"[\x00-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff]")
_USERINFO = re.compile(r"(?<=//)[^/?#]*@")
_SCHEME_TO_LAST_AT = re.compile(r"^([^:/@]*+:?+[/\\]*+).*@", re.DOTALL)


def redact(text: str) -> str:
    """`text` with the userinfo of every URL in it (`//user:password@`) replaced by `//***@`."""
    return _USERINFO.sub("***@", text) if "@" in text else text


def redact_all(text: str) -> str:
    """Like `redact`, for a text that may be a malformed URL: it replaces all between the scheme and the last @."""
    return _SCHEME_TO_LAST_AT.sub(r"\1***@", text) if "@" in text else text


def printable(text: str) -> str:
    """`text` with a \\u escape in place of every character that acts on a terminal."""
    if text.isascii() and text.isprintable():  # nearly all texts
        return text
    return _ACTIVE.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def one_line(text: str) -> str:
    """`text` as one printable line without passwords, of at most 500 characters."""
    return printable(" ".join(redact(text).split()))[:500]


def shortened(text: str, most: int) -> str:
    """At most the first `most` characters of `text`; where it is longer, the last of them is an ellipsis."""
    return text if len(text) <= most else text[: most - 1] + "…"


def without_surrogates(value: Any) -> Any:
    """A JSON value with every lone surrogate in it escaped, so that its texts can be encoded as UTF-8.

    Python turns bytes of a command line that are not UTF-8 into lone surrogates.
    """
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode()
    if isinstance(value, dict):
        return {without_surrogates(key): without_surrogates(one) for key, one in value.items()}
    if isinstance(value, list):
        return [without_surrogates(one) for one in value]
    return value
