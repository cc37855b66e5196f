"""Makes an Arrow table of Results: the columns of a Parquet file of records, with what else is wanted."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from itertools import islice
from json import dumps
from typing import TYPE_CHECKING, Any

import pyarrow

from fetchq.core.included import included
from fetchq.core.redirect_hop import hop_records
from fetchq.core.text import without_surrogates
from fetchq.store.sinks.records_parquet import (
    FIELD_LIST,
    HOPS_COLUMN,
    RECORD_SCHEMA,
    ROW_GROUP,
    field_list,
    record_arrays,
)

if TYPE_CHECKING:
    from fetchq.core.model import Result

__all__ = ["record_table"]

_INCLUDED: dict[str, list[tuple[pyarrow.Field, Callable[[Result], object]]]] = {
    "headers": [
        (pyarrow.field("headers", FIELD_LIST, nullable=False), lambda result: field_list(result.headers)),
        (pyarrow.field("trailers", FIELD_LIST), lambda result: field_list(result.trailers)),
    ],
    "hops": [(HOPS_COLUMN, lambda result: hop_records(result.hops))],
    "body": [(pyarrow.field("body", pyarrow.large_binary(), nullable=False), lambda result: _kept(result).body)],
    "text": [(pyarrow.field("text", pyarrow.large_string(), nullable=False), lambda result: _kept(result).text())],
}
"""The columns for what a table can include, each with the function that gives its value."""


def record_table(results: Iterable[Result], include: Iterable[str] = ()) -> pyarrow.Table:
    """The records of these Results, in their order.

    A column of the list that was passed on is `passed_sku` for sku, of the type of its values; as JSON where they have
    several types, or are lists or objects. `include`: "headers", for `headers` and `trailers`; "hops"; "body", the
    bytes; "text", the body as text. Raises ValueError for another word, and for a Result whose body is not in memory.
    """
    added = [column for what in included(include, _INCLUDED) for column in _INCLUDED[what]]
    schema = pyarrow.schema([*RECORD_SCHEMA, *(field for field, _ in added)])
    batches: list[pyarrow.RecordBatch] = []
    passed: list[dict[str, Any] | None] = []
    rows = iter(results)
    while batch := list(islice(rows, ROW_GROUP)):
        arrays = record_arrays([one._record() for one in batch])
        arrays += [_array([value_of(one) for one in batch], field.type) for field, value_of in added]
        batches.append(pyarrow.record_batch(arrays, schema=schema))
        passed += [one.passed for one in batch]
    table = pyarrow.Table.from_batches(batches, schema)
    for name in dict.fromkeys(name for columns in passed if columns is not None for name in columns):
        table = table.append_column(f"passed_{name}", _inferred([columns and columns.get(name) for columns in passed]))
    return table


def _kept(result: Result) -> Result:
    """This Result. Raises ValueError if it had a whole body that it does not hold."""
    if result.size and result.sha256 is not None and not result.body:
        where = "keep_body=False leaves bodies out, and those of a folder are read with open_run(...).body(result)"
        raise ValueError(f"include: row {result.index} has no body in memory: {where}")
    return result


def _array(values: Sequence[object], type_: pyarrow.DataType | None) -> pyarrow.Array:
    try:
        return pyarrow.array(values, type_)
    except UnicodeEncodeError:
        return pyarrow.array(without_surrogates(values), type_)


def _inferred(values: list[Any]) -> pyarrow.Array:
    """An array of the type of these JSON values. If they have several, or are lists or objects, of texts.

    Arrow would give all objects the keys of all of them.
    """
    with suppress(pyarrow.ArrowInvalid, pyarrow.ArrowTypeError, OverflowError):
        if not any(isinstance(one, dict | list) for one in values):
            return _array(values, None)
    texts = [one if one is None or isinstance(one, str) else dumps(one, ensure_ascii=False) for one in values]
    return _array(texts, pyarrow.string())
