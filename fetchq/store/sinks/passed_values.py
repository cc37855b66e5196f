"""Gives flat formats of records their columns for what rows pass on.

Each column that the user has named is one of its own, `passed_sku` for sku, as `timing` is timing_wait and so on. Where
all others are passed on (`*`), and nobody knows their names before the last row, one column has them as JSON.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fetchq.core.passed_columns import passed_text

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["passed_headings", "passed_texts", "passed_values"]


def passed_headings(passed: Sequence[str]) -> list[str]:
    """The names of the columns, for the names that the user has given."""
    return ["passed"] if "*" in passed else [f"passed_{name}" for name in passed]


def passed_values(record: dict[str, Any], passed: Sequence[str]) -> list[Any]:
    """The values of the columns in a record, as JSON has them."""
    values = record.get("passed")
    if "*" in passed:
        return [None if values is None else passed_text(values)]
    return [None] * len(passed) if values is None else [values.get(name) for name in passed]


def passed_texts(record: dict[str, Any], passed: Sequence[str]) -> list[str | None]:
    """`passed_values` as texts: what is no text, in JSON."""
    from json import dumps

    values = passed_values(record, passed)
    return [one if one is None or isinstance(one, str) else dumps(one, ensure_ascii=False) for one in values]
