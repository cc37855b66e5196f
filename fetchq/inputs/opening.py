"""Opens the arguments of the command line as inputs: URLs, files (also compressed ones) and standard input."""

from __future__ import annotations

import os
import re
import stat
import sys
from collections.abc import Callable, Sequence
from contextlib import nullcontext, suppress
from dataclasses import dataclass
from functools import partial
from typing import Any, BinaryIO, TypeAlias

from fetchq.core.model import Request
from fetchq.core.text import redact_all
from fetchq.http.zstd_decoder import zstd_module
from fetchq.inputs.columns import Columns
from fetchq.inputs.compressed import CompressedList
from fetchq.inputs.guessing import Form, GuessingParser
from fetchq.inputs.lines import RowParser, SourceError, TextParser
from fetchq.inputs.readers import Input, ListInput, ParserFactory, StoredRows, UrlInput
from fetchq.inputs.source import Source

__all__ = ["StoredList", "open_sources", "open_stored_lists", "open_stored_rows", "standard_input"]

_Opening: TypeAlias = tuple[Callable[[], Any], tuple[type[Exception], ...]]
"""A function that opens a stream of bytes, and the exceptions that reading from it may raise."""
_FORMATS = {".csv": "csv", ".tsv": "csv", ".json": "json", ".jsonl": "jsonl", ".ndjson": "jsonl"}
"""The formats of lists by the ends of their names. JSON is known by its beginning as well."""
_PAGES = {
    ".md": "markdown",
    ".markdown": "markdown",
    ".html": "html",
    ".htm": "html",
    ".xhtml": "html",
    ".xml": "sitemap",
}
"""The formats of pages, likewise."""
_HOST = re.compile(r"(?:[\w-]+(?:\.[\w-]+)+|localhost)(?::\d+)?(?:[/?#].*)?")
_LIST_NAME = re.compile(r"[^/]+\.(?:txt|csv|tsv|jsonl?|ndjson|md|html?|xml|gz|zst|list|lst|log|urls)", re.IGNORECASE)


def open_sources(
    arguments: Sequence[str],
    *,
    input_format: str | None = None,
    url_column: str = "url",
    passed: Sequence[str] = (),
    strict_columns: bool = False,
    limit: int | None = None,
    shuffle: int | None = None,
    base_url: str | None = None,
    stdin: BinaryIO | None = None,
) -> Source:
    """The rows of all arguments, in order. An argument is a URL, a file, or `-` for standard input.

    `input_format` is "text", "csv", "jsonl", "json", or that of a page, whose links are the rows: "markdown", "html" or
    "sitemap"; if it is None, each name tells the format, and JSON is known by its beginning. `base_url`: what relative
    links are relative to. `passed`: other columns that are passed on; `strict_columns`: whether a CSV list may have no
    others (`Columns`). `limit` and `shuffle` are the `limit` and the `seed` of `Source`. `stdin` replaces the process's
    standard input. Raises `SourceError` for errors that show before the first row is fetched: a file that is missing,
    unreadable or damaged at its start, a CSV file without the column `url_column`, or a second `-`.
    """
    if arguments.count("-") > 1:
        raise SourceError("standard input (-) is given twice")
    columns = Columns(url_column, passed, strict=strict_columns)
    inputs: list[Input] = []
    for at, argument in enumerate(arguments):
        if "://" in argument:
            inputs.append(UrlInput(argument, f"argument {at + 1}"))
            continue
        name = _name(argument)
        suffix = f" of {name}" if len(arguments) > 1 else ""
        parser = partial(_parser, input_format, argument, columns, base_url=base_url, name=name, suffix=suffix)
        if argument == "-":
            inputs.append(_stream_input(argument, standard_input(stdin), parser))
        else:
            inputs.append(_file_input(argument, parser, name))
    return Source(inputs, limit=limit, seed=shuffle)


@dataclass(frozen=True, slots=True)
class StoredList:
    """A list of a durable run: the user's file, or the copy of a pipe or of arguments in the run's folder."""

    path: str
    given: str
    """The argument that named the list, for messages, and for guessing the input format."""
    input_format: str | None = None
    """The input format, if it is not that of the run; then its columns are the usual ones, too."""
    stream: BinaryIO | None = None
    """The bytes of the copy, if it is still being written."""


def open_stored_lists(
    lists: Sequence[StoredList],
    *,
    input_format: str | None = None,
    url_column: str = "url",
    passed: Sequence[str] = (),
    strict_columns: bool = False,
    limit: int | None = None,
    shuffle: int | None = None,
    base_url: str | None = None,
) -> Source:
    """The rows of these lists, in order. See `open_sources` for the other parameters and for errors."""
    columns = Columns(url_column, passed, strict=strict_columns)
    inputs: list[Input] = []
    for one in lists:
        name = _name(one.given)
        suffix = f" of {name}" if len(lists) > 1 else ""
        form, read = (input_format, columns) if one.input_format is None else (one.input_format, Columns())
        parser = partial(_parser, form, one.given, read, base_url=base_url, name=name, suffix=suffix)
        if one.stream is None:
            inputs.append(_file_input(one.path, parser, name))
        else:
            inputs.append(_stream_input(one.given, one.stream, parser))
    return Source(inputs, limit=limit, seed=shuffle)


def open_stored_rows(page: Callable[[int], list[Request]]) -> Source:
    """The rows of a database. `page` returns some rows, from an index on, and an empty list after the last row."""
    return Source([StoredRows(page)])


def standard_input(stdin: BinaryIO | None = None) -> BinaryIO:
    """`stdin`, or else the process's standard input, unbuffered. Raises SourceError if it is closed or missing."""
    stream = stdin or getattr(sys.stdin, "buffer", None)
    if stream is None or stream.closed:
        raise SourceError("there is no standard input to read from")
    # A read from an empty non-blocking pipe would look like its end. A stream in Python code has no descriptor.
    with suppress(AttributeError, OSError):
        os.set_blocking(stream.fileno(), True)
    # A thread that waits for the pipe would otherwise hold the lock of the buffer when the process ends.
    raw: BinaryIO = getattr(stream, "raw", stream)
    return raw


def _name(argument: str) -> str:
    return "standard input" if argument == "-" else repr(argument)


def _stream_input(argument: str, stream: BinaryIO, parser: ParserFactory) -> ListInput:
    opener, errors = _opening(argument, stream)
    return ListInput(_name(argument), opener, errors, parser, rereadable=False)


def _file_input(path: str, parser: ParserFactory, name: str) -> ListInput:
    status = _status(path)
    if stat.S_ISDIR(status.st_mode):
        raise SourceError(f"{path!r} is a folder, not a file of URLs")
    rereadable = stat.S_ISREG(status.st_mode)
    opener, errors = _opening(path)
    found = ListInput(name, opener, errors, parser, rereadable=rereadable, size=status.st_size)
    if not rereadable:  # rows that a check reads from a pipe would be lost
        if not os.access(path, os.R_OK):
            raise SourceError(f"{path!r} cannot be read: permission denied")
    elif not status.st_size and path.lower().endswith((".gz", ".zst")):
        raise SourceError(f"{path!r} cannot be read: it is empty, not even compressed")
    else:
        found.check()
    return found


def _status(path: str) -> os.stat_result:
    try:
        return os.stat(path)
    except (FileNotFoundError, NotADirectoryError, ValueError):  # ValueError: the path has a NUL
        bare = _HOST.fullmatch(path) and not _LIST_NAME.fullmatch(path)
        hint = " (a URL needs http:// or https://)" if bare else ""
        raise SourceError(f"there is no file {redact_all(path)!r}{hint}") from None
    except OSError as problem:
        raise SourceError(f"{redact_all(path)!r} cannot be read: {problem.strerror}") from problem


def _opening(path: str, stream: BinaryIO | None = None) -> _Opening:
    """How to open the file, or `stream` in its place, and to decompress it."""
    name = path.lower()
    if name.endswith(".gz"):
        import gzip
        import zlib

        return partial(CompressedList, gzip.open, path, stream), (OSError, EOFError, zlib.error)
    if name.endswith(".zst"):
        zstd = zstd_module()
        return partial(CompressedList, zstd.open, path, stream), (OSError, EOFError, zstd.ZstdError)
    if stream is not None:
        return partial(nullcontext, stream), (OSError,)  # the caller closes it
    return partial(open, path, "rb", buffering=0), (OSError,)


def _parser(
    input_format: str | None,
    path: str,
    columns: Columns,
    index: int,
    *,
    base_url: str | None,
    name: str,
    suffix: str,
) -> RowParser:
    """The parser for a list, by its format, its name and its beginning, whose first row has the number `index`."""
    bare = re.sub(r"\.(?:gz|zst)$", "", path.lower())
    form = (_FORMATS | _PAGES).get(os.path.splitext(bare)[1]) if input_format is None else input_format
    if form == "csv":
        from fetchq.inputs.csv import CsvParser  # here, like those of JSON, since a plain list needs neither

        return CsvParser(index, suffix, name=name, columns=columns, tabs=bare.endswith(".tsv"))
    if form is not None and form in _PAGES.values():
        from fetchq.inputs.pages import page_parser

        return page_parser(form, index, name=path if path != "-" else name, base_url=base_url)
    if form == "text":
        return TextParser(index, suffix)

    def choose(seen: Form) -> RowParser:
        if form is None and seen is Form.OTHER:
            return TextParser(index, suffix)
        from fetchq.inputs.json import JsonArrayParser, JsonLinesParser

        if seen is Form.ARRAY:
            return JsonArrayParser(index, suffix, columns=columns, name=name)
        return JsonLinesParser(index, suffix, columns=columns, name="" if form == "jsonl" else name)

    return GuessingParser(index, choose)
