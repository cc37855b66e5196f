"""Reads the templates for the names of files (`--name`), such as `{host}/{path}`, and fills them in.

The syntax is that of `str.format`, with the fields of `FIELDS`. A slash separates folders.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from string import Formatter
from typing import NamedTuple

from fetchq.core.nearest import nearest
from fetchq.core.safe_name import safe_name

__all__ = ["FIELDS", "NameTemplate"]

FIELDS = ("index", "label", "host", "path", "query", "filename", "stem", "ext", "segment", "sha256")
"""The fields of a template. `fetchq.store.sinks.body_fields` says what they are."""
_WIDTH = re.compile(r"0[1-9][0-9]?")
_PRECISION = re.compile(r"\.[1-9][0-9]{0,2}")


class _Part(NamedTuple):
    """A literal text, and the field that follows it."""

    literal: str
    field: str | None
    spec: str


class NameTemplate:
    """A template, checked: no name that it makes leaves the folder."""

    def __init__(self, text: str) -> None:
        """Raises ValueError, with a message for people."""
        try:
            self._parts = [_Part(text, field, spec or "") for text, field, spec, _ in _parsed(text)]
        except ValueError as problem:
            raise ValueError(f"{text!r} is no template: {problem}") from None
        _check_folders(text, self._parts)

    def parts(self, value_of: Callable[[str], str | int]) -> list[str]:
        """The names of the folders and of the file, each safe. `value_of` gives the value of a field.

        A slash in a value separates folders, too.
        """
        filled = [
            part.literal if part.field is None else part.literal + format(value_of(part.field), part.spec)
            for part in self._parts
        ]
        names = [name for name in "".join(filled).split("/") if name not in ("", ".", "..")]
        return [safe_name(name) for name in names] or ["_"]


def _parsed(text: str) -> list[tuple[str, str | None, str | None, str | None]]:
    """What `str.format` makes of a template: literals, fields, and how these are formatted. Raises ValueError."""
    parts = list(Formatter().parse(text))
    for _, field, spec, conversion in parts:
        if field is None:
            continue
        if field not in FIELDS:
            raise ValueError(_unknown(field))
        if conversion is not None:
            raise ValueError(f"{{{field}!{conversion}}} converts a field, which is not possible here")
        if spec and not (_WIDTH if field == "index" else _PRECISION).fullmatch(spec):
            form = "a width, as in {index:06}" if field == "index" else f"a length, as in {{{field}:.8}}"
            raise ValueError(f"{spec!r} is not {form}")
    return parts


def _unknown(field: str) -> str:
    if (near := nearest(field.strip().lower(), FIELDS)) is not None:
        return f"there is no {{{field}}}; did you mean {{{near}}}?"
    return f"there is no {{{field}}}, only {', '.join(f'{{{one}}}' for one in FIELDS)}"


def _check_folders(text: str, parts: list[_Part]) -> None:
    """Raise ValueError for a template that leads out of the folder, hides a file, or names none.

    What a field may be is not known yet: NUL stands for each.
    """
    names = "".join(part.literal if part.field is None else f"{part.literal}\0" for part in parts).split("/")
    if not text or not names[-1]:
        raise ValueError(f"{text!r} names no file" + (", but a folder" if text else ""))
    if not names[0] or ".." in names or "\\" in text:
        raise ValueError(f"{text!r} leaves the folder of the run")
    if hidden := next((name for name in names if name.startswith(".")), None):
        raise ValueError(f"{text!r} would hide {'a file' if hidden is names[-1] else 'a folder'}: a dot comes first")
