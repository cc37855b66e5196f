"""Makes text safe to show: no character in it is invisible or acts on a terminal, and no password is in it."""

from __future__ import annotations

import re
from typing import Any

__all__ = [
    "is_visible",
    "json_printable",
    "one_line",
    "printable",
    "redact",
    "redact_all",
    "redact_url",
    "shortened",
    "without_surrogates",
]

_BLANK_LETTERS = "\u115f\u1160\u2800\u3164\uffa0"
_IGNORABLE = frozenset(
    map(
        chr,
        (0x34F, 0x17B4, 0x17B5, *range(0x180B, 0x1810), *range(0xFE00, 0xFE10), *range(0xE0100, 0xE01F0)),
    )
).union(_BLANK_LETTERS)
"""Marks and letters that a terminal need not show (Default_Ignorable_Code_Point of Unicode): the Hangul fillers,
variation selectors and a few more, beside the Braille pattern without dots. All others are controls, format characters
or not assigned."""
_SPACES = frozenset("\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u202f\u205f\u3000")
"""The spaces of Unicode, which Python does not count as printable."""
_DOUBTFUL = re.compile(rf"(?:[^\w\x20-\x7e\ufffd]|[{_BLANK_LETTERS}])+")
"""Runs of all but letters, digits, ASCII and the replacement character, of which a damaged text may consist."""
_USERINFO = re.compile(r"(?<=//)[^/?#]*@")
_PLAIN_AUTHORITY = re.compile(
    r"https?://(?:[^/?#\\\s]*@)?(?:\[[0-9a-f:.]*\]|[^/?#\\\s@:\[\]]+)(?::[0-9]{0,5})?(?=[/?#]|\Z)", re.IGNORECASE
)
_ALL_TO_LAST_AT = re.compile(
    r"^(\s*+(?:(?:https?|ftps?|sftp|wss?|mailto|socks5h?|socks4a?):)?+[/\\]*+).*@", re.DOTALL | re.IGNORECASE
)
"""Only a known scheme is kept: in user:password@host, the user would look like one."""


def redact(text: str) -> str:
    """`text` with the userinfo of every URL in it (`//user:password@`) replaced by `//***@`."""
    return _USERINFO.sub("***@", text) if "@" in text else text


def redact_all(text: str) -> str:
    """Like `redact`, for a text that may be a malformed URL: it replaces all between the scheme and the last @."""
    return _ALL_TO_LAST_AT.sub(r"\1***@", text) if "@" in text else text


def redact_url(text: str) -> str:
    """A URL without its userinfo; `redact_all` where it seems malformed. `fetchq.http.url.shown_url` parses it."""
    return redact(text) if _PLAIN_AUTHORITY.match(text) else redact_all(text)


def printable(text: str) -> str:
    r"""`text` with an escape, \u or \U, in place of every character that acts on a terminal or may be invisible.

    That is, by the tables of Unicode that Python has: controls, format characters (BiDi marks, zero widths, the soft
    hyphen, tags), line separators, surrogates, private and unassigned characters, and the ignorable ones.
    """
    if text.isascii() and text.isprintable():  # nearly all texts
        return text
    return _DOUBTFUL.sub(_escape_run, text)


def json_printable(text: str) -> str:
    """Like `printable`, with the escapes of JSON (RFC 8259, 7): beyond U+FFFF, those of two surrogates."""
    return _DOUBTFUL.sub(_escape_json_run, text)


def _escape_run(found: re.Match[str]) -> str:
    return found[0].translate(_ESCAPES)


def _escape_json_run(found: re.Match[str]) -> str:
    return found[0].translate(_JSON_ESCAPES)


class _Escapes(dict[int, str]):
    """What to write for each character, by its code, as `str.translate` asks. It remembers the first ones."""

    def __init__(self, *, json: bool) -> None:
        self._json = json

    def __missing__(self, code: int) -> str:
        text = _escaped(chr(code), json=self._json)
        if len(self) < _MOST_ESCAPES:
            self[code] = text
        return text


def _escaped(one: str, *, json: bool) -> str:
    if one not in _IGNORABLE and (one.isprintable() or one in _SPACES):
        return one
    code = ord(one)
    if code <= 0xFFFF:
        return f"\\u{code:04x}"
    if not json:
        return f"\\U{code:08x}"
    code -= 0x10000
    return f"\\u{0xD800 + (code >> 10):04x}\\u{0xDC00 + (code & 0x3FF):04x}"


_MOST_ESCAPES = 5000
_ESCAPES, _JSON_ESCAPES = _Escapes(json=False), _Escapes(json=True)


def is_visible(one: str) -> bool:
    """Whether a character is a plain space, or one that leaves a mark on a screen."""
    return one.isprintable() and one not in _IGNORABLE


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
