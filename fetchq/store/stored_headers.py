"""Turns the header and trailer fields of a Result into a row of the ledger's table `headers`, and back.

The fields are kept as the lines that were received (RFC 9112, 5), which costs nothing to make: mostly, they are not
parsed yet.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fetchq.core.header_text import header_lists
from fetchq.core.lazy_headers import parse_fields
from fetchq.core.model import kept_headers
from fetchq.store.schema import sealed

if TYPE_CHECKING:
    from collections.abc import Mapping

    from multidict import MultiMapping

    from fetchq.core.headers import Headers
    from fetchq.core.model import Result

__all__ = ["add_header_lists", "fields_of", "header_row"]


def header_row(result: Result) -> tuple[Any, ...] | None:
    """The row of `headers` for a Result, with its checksum; None for a Result without headers."""
    kept = kept_headers(result)
    fields = kept if isinstance(kept, bytes) else _lines(kept)
    if not fields:
        return None
    trailers = None if result.trailers is None else _lines(result.trailers)
    return sealed((result.index, fields, trailers))


def fields_of(row: Mapping[str, Any]) -> tuple[Headers | None, Headers | None]:
    """The headers and the trailers in a row of records, each None where there are none. Raises ValueError."""
    fields, trailers = row.get("fields"), row.get("trailers")
    return (None if fields is None else parse_fields(fields)), (None if trailers is None else parse_fields(trailers))


def add_header_lists(record: dict[str, Any], row: Mapping[str, Any]) -> None:
    """Add the headers and the trailers to a record, as `Result.to_record` does. Raises ValueError."""
    headers, trailers = fields_of(row)
    record["headers"] = {} if headers is None else header_lists(headers)
    if trailers is not None:
        record["trailers"] = header_lists(trailers)


def _lines(fields: MultiMapping[str]) -> bytes:
    return "".join(f"{name}: {value}\r\n" for name, value in fields.items()).encode("utf-8", "surrogateescape")
