"""Knows the keys of JSON rows and the columns of CSV lists: which are read, passed on, or likely to be mistakes."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from fetchq.core.nearest import nearest
from fetchq.core.passed_columns import passed_text

__all__ = ["ALL_OTHERS", "CSV_COLUMNS", "JSON_KEYS", "PARTS", "Columns", "check_passed"]

PARTS = ("json", "params", "auth", "bearer", "cookies")
"""What becomes part of the URL, the headers and the body (`complete_parts`)."""
CSV_COLUMNS = ("method", "body", "label", "priority", "checksum", "filename", *PARTS)
"""The columns that are read, in addition to that of the URL."""
JSON_KEYS = (*CSV_COLUMNS, "headers")
"""The keys that are read, in addition to that of the URL."""
_URL = "url"
"""The column of the URL, unless another one is chosen; then it is known not to be meant."""
ALL_OTHERS = "*"
"""Stands for all columns that are not read."""

_OTHER_WORDS = {"data": "body", "payload": "body"}
"""Words of other programs for what is read, by which nothing else is likely to be meant."""
_WORDS = _OTHER_WORDS | {
    "cookie": "cookies",
    "digest": "checksum",
    "query": "params",
    "sha256": "checksum",
    "token": "bearer",
}
_NEAR = 0.76
"""A word with at least this similarity (0 to 1) to another is mistyped: "metod" is, but "path" is no "auth"."""


def check_passed(passed: Iterable[str], url_column: str) -> None:
    """Raise ValueError if a column to be passed on is one that fetchq reads, and that may hold a secret."""
    taken = next((name for name in passed if name in JSON_KEYS or name == url_column), None)
    if taken is not None:
        raise ValueError(f"{taken!r} is read by fetchq; only other columns are passed on")


class Columns:
    """The columns of a list, or the keys of its rows, that are read or passed on."""

    def __init__(self, url: str = _URL, passed: Collection[str] = (), *, strict: bool = False) -> None:
        """`passed`: columns that are passed on, or `ALL_OTHERS`. `strict`: whether a CSV list may have no others."""
        self.url = url
        self.strict = strict
        self.named = tuple(dict.fromkeys(name for name in passed if name != ALL_OTHERS))
        self.all_others = ALL_OTHERS in passed
        self.passes = self.all_others or bool(self.named)
        """Whether rows pass something on."""
        self._read = frozenset((url, *JSON_KEYS))
        self.known = self._read.union(self.named, (_URL,))
        """The keys that a JSON row may have, unless it passes all others on."""

        self.nothing = self.passed_on({})
        """What a row passes on that has none of these columns."""

    def check_keys(self, row: Mapping[str, Any]) -> None:
        """Raise ValueError if the row has a key that is neither read nor passed on."""
        if row.keys() <= self.known or self.all_others:
            return
        unknown = [key for key in row if key not in self.known]
        near = {key: word for key in unknown if (word := self._near(key, row, JSON_KEYS, _WORDS)) is not None}
        key = next(iter(near), unknown[0])
        hint = f"did you mean {near[key]!r}?" if near else f"--pass {_shown(key)} puts it into the record"
        raise ValueError(f"unknown key {_shown(key)!r}; {hint}")

    def unread(self, header: Collection[str]) -> list[str]:
        """The columns of a CSV list that are neither read nor passed on."""
        known = {self.url, _URL, *CSV_COLUMNS, *self.named, ""}
        return [] if self.all_others else [name for name in header if name not in known]

    def near_miss(self, name: str, header: Collection[str]) -> str | None:
        """The column of a CSV list that an unread one is likely to be meant for."""
        return self._near(name, header, CSV_COLUMNS, _OTHER_WORDS)

    def passed_on(self, row: Mapping[str, Any]) -> str | None:
        """What a row passes on, as text; None if nothing is to be. A column that it lacks is null."""
        if self.all_others:
            others = {name: value for name, value in row.items() if name not in self._read}
            return passed_text(dict.fromkeys(self.named) | others)
        return passed_text({name: row.get(name) for name in self.named}) if self.named else None

    def _near(self, name: str, given: Collection[str], words: Iterable[str], others: dict[str, str]) -> str | None:
        missing = [word for word in (self.url, *words) if word not in given]
        if (word := others.get(name.lower())) in missing:
            return word
        return nearest(name.lower(), missing, _NEAR)


def _shown(key: str) -> str:
    from fetchq.inputs.lines import display_text

    return display_text(key, 40)
