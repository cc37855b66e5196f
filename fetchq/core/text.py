"""Text from the network, made safe to show: nothing in it acts on a terminal, and no secret is in it."""

from __future__ import annotations

import re
from typing import Any

from fetchq.core.model import redact

__all__ = ["one_line", "printable", "without_surrogates"]

# C0 and C1 controls, line separators, what reorders or hides text (BiDi marks, zero widths), and lone surrogates.
_ACTIVE = re.compile(r"[\x00-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff]")


def printable(text: str) -> str:
    """`text` with every character that acts on a terminal as a \\u escape."""
    if text.isascii() and text.isprintable():  # as nearly all of them are
        return text
    return _ACTIVE.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def one_line(text: str) -> str:
    """`text` for people: one line, printable, without secrets, of a bounded length."""
    return printable(" ".join(redact(text).split()))[:500]


def without_surrogates(value: Any) -> Any:
    """The same, of texts that UTF-8 can hold. A command line's bytes that are no UTF-8 come as lone surrogates."""
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode()
    if isinstance(value, dict):
        return {without_surrogates(key): without_surrogates(one) for key, one in value.items()}
    if isinstance(value, list):
        return [without_surrogates(one) for one in value]
    return value
