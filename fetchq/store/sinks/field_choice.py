"""Chooses which fields of a record are written, and in which order (`--fields`)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from fetchq.core.nearest import hint
from fetchq.store.sinks.passed_values import passed_headings

__all__ = ["check_included", "columns_of", "only_fields", "read_fields", "values_reader"]

_INCLUDED = {"headers": ("headers",), "trailers": ("headers",), "hops": ("hops",), "body": ("text", "base64")}
"""The fields that a record has only if it includes them, and what asks for each."""
_TIMING = "timing"
_PASSED = "passed"


def read_fields(given: object) -> tuple[str, ...]:
    """Parse names of fields: a text such as "url,status,timing_wait", or several names. Drops duplicates.

    Raises ValueError for an unknown name, with the most similar one that there is.
    """
    if not isinstance(given, str | Iterable):
        raise ValueError(f"{given!r} is not a list of fields")
    names = given.split(",") if isinstance(given, str) else given
    chosen = tuple(dict.fromkeys(str(name).strip() for name in names if str(name).strip()))
    if not chosen:
        return ()
    known = _known()
    for name in chosen:
        if name not in known and not name.startswith(f"{_PASSED}_"):
            raise ValueError(f"{name!r} is no field of the record{hint(name, known)}")
    return chosen


def check_included(chosen: Sequence[str], include: Sequence[str], passed: Sequence[str]) -> None:
    """Raise ValueError for a chosen field that the records do not include, or that the rows do not pass on."""
    for name in chosen:
        if name == _PASSED or name.startswith(f"{_PASSED}_"):
            column = name.removeprefix(_PASSED).removeprefix("_")
            if not passed or (column and column not in passed and "*" not in passed):
                raise ValueError(f"{name} needs --pass {column or 'COLUMN'}")
        asked_by = _INCLUDED.get(name)
        if asked_by is not None and not set(asked_by) & set(include):
            raise ValueError(f"{name} needs --include {' or '.join(asked_by)}")


def only_fields(chosen: Sequence[str]) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """The function that makes a record of these fields alone, in this order."""
    values_of = values_reader(chosen)
    return lambda record: dict(zip(chosen, values_of(record), strict=True))


def values_reader(chosen: Sequence[str]) -> Callable[[dict[str, Any]], list[Any]]:
    """The function that returns the values of these fields, which may be phases of `timing`, or columns that a row has
    passed on; None for a missing one."""
    readers = [_reader(name) for name in chosen]
    return lambda record: [read(record) for read in readers]


def columns_of(chosen: Sequence[str], passed: Sequence[str]) -> list[str]:
    """The columns of a table with these fields: `timing` is a column for each phase, and the body comes last.

    `passed`: the columns that the rows pass on, each of which is one, too.
    """
    several = {_TIMING: _phases(), _PASSED: passed_headings(passed)}
    columns = [one for name in chosen for one in several.get(name, (name,))]
    return sorted(dict.fromkeys(columns), key=lambda name: name == "body")


def _reader(name: str) -> Callable[[dict[str, Any]], Any]:
    if name in _phases():
        phase = name.removeprefix(f"{_TIMING}_")
        return lambda record: record[_TIMING][phase]
    if name.startswith(f"{_PASSED}_"):
        column = name.removeprefix(f"{_PASSED}_")
        return lambda record: (record.get(_PASSED) or {}).get(column)
    return lambda record: record.get(name)


def _known() -> tuple[str, ...]:
    from fetchq.core.model import RECORD_FIELDS

    return (*RECORD_FIELDS, *_phases(), *_INCLUDED, _PASSED)


def _phases() -> tuple[str, ...]:
    from fetchq.core.record_fields import PHASE_FIELDS  # here, since `fetchq --help` does not need it

    return tuple(PHASE_FIELDS)
