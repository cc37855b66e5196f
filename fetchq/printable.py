"""Text from the network, made safe to show: nothing in it acts on a terminal, and no secret is in it."""

from __future__ import annotations

import re

from fetchq.model import redact

__all__ = ["one_line", "printable"]

# C0 and C1 controls, line separators, what reorders or hides text (BiDi marks, zero widths), and lone surrogates.
_ACTIVE = re.compile(r"[\x00-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff]")


def printable(text: str) -> str:
    """`text` with every character that acts on a terminal as a \\u escape."""
    return _ACTIVE.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def one_line(text: str) -> str:
    """`text` for people: one line, printable, without secrets, of a bounded length."""
    return printable(" ".join(redact(text).split()))[:500]
