"""Says what people should know of the sources at the end of a run: links that are no rows, patterns in URLs."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from fetchq.core.text import printable, redact_all

if TYPE_CHECKING:
    from fetchq.inputs.source import Source

__all__ = ["source_notes"]

_PATTERN = re.compile(r"\[(?:[0-9]+-[0-9]+|[A-Za-z]-[A-Za-z])(?::[0-9]+)?\]|\{[^{}]*,[^{}]*\}")
"""What `curl` and `aria2c -P` expand in a URL."""


def source_notes(source: Source, arguments: Sequence[str], *, failed: bool) -> list[str]:
    """The links of pages that were left out; and, if some rows `failed`, that a URL has a pattern of curl's."""
    notes = source.left_out
    given = next((one for one in arguments if "://" in one and _PATTERN.search(one)), None) if failed else None
    if given is not None:
        hint = "fetchq expands no patterns; bash does, of {1..3} and {a,b} outside of quotes"
        notes.append(f"{redact_all(given)} was asked for as it is: {hint}")
    return [printable(note) for note in notes]
