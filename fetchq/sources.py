"""From the arguments of the command line to Requests: files, compressed ones too, URLs and standard input.

Everything is read as it is asked for, a piece at a time, and each piece's rows are handed over before the next is read.
"""

from __future__ import annotations

import os
import re
import stat
import sys
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import AbstractContextManager, closing, nullcontext, suppress
from functools import partial
from typing import Any, BinaryIO, Protocol
from weakref import WeakSet

from fetchq.model import Request
from fetchq.rows import CUT, LIMIT, UTF8, CsvRows, JsonRows, Rows, SourceError, TextRows, url_row

__all__ = ["Source", "SourceError", "open_sources"]

_PIECE = LIMIT  # were it more, lines other than the first of a piece could be too long
_HEAD = 1_024
"""Bytes kept of a line that is too long."""
_HOST = re.compile(r"(?:[\w-]+(?:\.[\w-]+)+|localhost)(?::\d+)?(?:[/?#].*)?", re.DOTALL)
_LIST_NAMES = (".txt", ".csv", ".tsv", ".json", ".jsonl", ".ndjson", ".gz", ".zst", ".list", ".lst", ".urls", ".log")

type_Batches = Generator[list[Request], None, None]


def open_sources(
    arguments: Sequence[str],
    *,
    input_format: str | None = None,
    url_column: str = "url",
    stdin: BinaryIO | None = None,
) -> Source:
    """The rows of all arguments, in their order: files, URLs, or `-` for standard input.

    `input_format` is "text", "csv" or "jsonl"; None guesses it from the name. Raises SourceError for what can be known
    before the first row is fetched: a file that is missing, unreadable or damaged at its start, a CSV without
    `url_column`, standard input named twice.
    """
    if arguments.count("-") > 1:
        raise SourceError("standard input (-) is given twice")
    inputs: list[_Input] = []
    for at, argument in enumerate(arguments):
        if "://" in argument:
            inputs.append(_Url(argument, f"argument {at + 1}"))
            continue
        name = "standard input" if argument == "-" else repr(argument)
        suffix = f" of {name}" if len(arguments) > 1 else ""
        rows = partial(_rows, _guessed(argument), input_format, url_column, name, suffix)
        inputs.append(_stdin(rows, stdin) if argument == "-" else _file(argument, rows))
    return Source(inputs)
