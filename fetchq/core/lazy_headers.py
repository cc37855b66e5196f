"""Parses the header fields of a response when they are first read, which for most rows is never."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from multidict import CIMultiDict, istr

from fetchq.core.header_text import wire_text
from fetchq.core.headers import Headers
from fetchq.core.lazy_field import keep_unparsed

if TYPE_CHECKING:
    KeptHeaders = Headers | bytes
    """Header fields: parsed, or as the lines that were received, each with its CRLF."""

__all__ = ["field_reader", "keep_headers_unparsed", "parse_fields", "parsed"]


def keep_headers_unparsed(kind: type) -> Callable[[Any], KeptHeaders]:
    """Let objects of a slotted class keep their `headers` as the lines received, until somebody reads them.

    Returns the function that tells how an object keeps them. Lines must be whole, and valid (RFC 9112, 5).
    """
    return keep_unparsed(kind, "headers", bytes, parse_fields)


def parse_fields(lines: bytes) -> Headers:
    """The fields of these lines. Bytes that are not UTF-8 become lone surrogates."""
    headers: CIMultiDict[str] = CIMultiDict()
    for line in lines.split(b"\r\n")[:-1]:
        name, _, value = line.partition(b":")
        headers.add(name.decode("ascii"), value.strip(b" \t").decode("utf-8", "surrogateescape"))
    return Headers(headers)


def parsed(kept: KeptHeaders) -> Headers:
    """The fields of headers as they are kept, which stay so."""
    return parse_fields(kept) if isinstance(kept, bytes) else kept


def field_reader(*names: str) -> Callable[[KeptHeaders], list[str | None]]:
    """A function that reads these fields from headers as they are kept, without parsing the others.

    It returns the first value of each, as `wire_text` has it, or None if there is none.
    """
    first_letters = "".join(sorted({letter for name in names for letter in (name[0].lower(), name[0].upper())}))
    field = re.compile(rf"\n(?=[{first_letters}])({'|'.join(names)}):([^\r]*)".encode(), re.IGNORECASE)
    places = {name.lower().encode(): place for place, name in enumerate(names)}
    keys = [istr(name) for name in names]

    def read(kept: KeptHeaders) -> list[str | None]:
        values: list[str | None] = [None] * len(keys)
        if isinstance(kept, bytes):
            for name, value in reversed(field.findall(b"\n" + kept)):
                values[places[name.lower()]] = wire_text(value.strip(b" \t").decode("utf-8", "surrogateescape"))
            return values
        for place, key in enumerate(keys):
            if (text := kept.get(key)) is not None:
                values[place] = wire_text(text)
        return values

    return read
