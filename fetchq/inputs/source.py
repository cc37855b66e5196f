"""From the arguments of the command line to Requests: URLs, files (also compressed ones) and standard input."""

from __future__ import annotations

import os
import re
import stat
import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, closing, nullcontext, suppress
from dataclasses import dataclass
from functools import partial
from typing import Any, BinaryIO, Self, TypeAlias
from weakref import WeakSet

from fetchq.core.model import Request
from fetchq.core.row_set import RowSet
from fetchq.core.text import redact_all
from fetchq.http.content_coding import zstd_module
from fetchq.inputs.csv import CsvRows
from fetchq.inputs.lines import JsonRows, Rows, SourceError, TextRows
from fetchq.inputs.readers import Batches, Input, KeptRows, List, Url

__all__ = ["KeptList", "Source", "SourceError", "open_kept", "open_kept_rows", "open_sources", "standard_input"]

MOST_COUNTED = 100_000_000
"""Bytes of lists up to which `Source.count` reads them."""
Choice: TypeAlias = Callable[[list[Request]], list[Request]]
_HOST = re.compile(r"(?:[\w-]+(?:\.[\w-]+)+|localhost)(?::\d+)?(?:[/?#].*)?")
_LIST = re.compile(r"[^/]+\.(?:txt|csv|tsv|jsonl?|ndjson|gz|zst|list|lst|log|urls)", re.IGNORECASE)


def open_sources(
    arguments: Sequence[str],
    *,
    input_format: str | None = None,
    url_column: str = "url",
    stdin: BinaryIO | None = None,
) -> Source:
    """The rows of all arguments, in order: URLs, files, or `-` for standard input (`stdin`, else the process's).

    `input_format`: "text", "csv" or "jsonl"; None guesses it from each name. Raises `SourceError` for all that can be
    known before the first row is fetched: a file missing, unreadable or damaged at its start, a CSV file without the
    column `url_column`, standard input given twice.
    """
    if arguments.count("-") > 1:
        raise SourceError("standard input (-) is given twice")
    inputs: list[Input] = []
    for at, argument in enumerate(arguments):
        if "://" in argument:
            inputs.append(Url(argument, f"argument {at + 1}"))
            continue
        name = _name(argument)
        suffix = f" of {name}" if len(arguments) > 1 else ""
        rows = partial(_rows, input_format, argument, url_column, name=name, suffix=suffix)
        if argument == "-":
            opened, errors = _opener(argument, standard_input(stdin))
            inputs.append(List(name, True, opened, errors, rows))
        else:
            inputs.append(_file(argument, rows, name))
    return Source(inputs)


def _name(argument: str) -> str:
    return "standard input" if argument == "-" else repr(argument)


@dataclass(frozen=True, slots=True)
class KeptList:
    """A list of a durable run, in a file."""

    path: str
    given: str
    """The argument that named it: what it is called, and how its form is guessed."""
    form: str | None = None
    """Its form, where `input_format` does not hold for it."""
    stream: BinaryIO | None = None
    """Its bytes, where they are still coming in."""


def open_kept(lists: Sequence[KeptList], *, input_format: str | None = None, url_column: str = "url") -> Source:
    """The rows of these lists, in order. The rest is as for `open_sources`."""
    inputs: list[Input] = []
    for one in lists:
        name = _name(one.given)
        suffix = f" of {name}" if len(lists) > 1 else ""
        rows = partial(_rows, one.form or input_format, one.given, url_column, name=name, suffix=suffix)
        if one.stream is None:
            inputs.append(_file(one.path, rows, name))
        else:
            opened, errors = _opener(one.given, one.stream)
            inputs.append(List(name, True, opened, errors, rows))
    return Source(inputs)


def open_kept_rows(page: Callable[[int], list[Request]]) -> Source:
    """Rows that `page` gives, some from the number it is told on, and none at the end."""
    return Source([KeptRows(page)])


class Source:
    """The rows of a run, in batches: what one read gave. It may be iterated again, unless it reads from a pipe."""

    def __init__(self, inputs: Sequence[Input]) -> None:
        self._inputs = inputs
        self._started = self._closed = False
        self._running: WeakSet[Batches] = WeakSet()
        self.finite = not any(one.once for one in inputs)
        """False where nobody knows when it ends: a pipe or a terminal is among the inputs."""
        self.total = len(inputs) if all(isinstance(one, Url) for one in inputs) else None
        """The number of rows, where it is known without reading; `count` reads."""
        self._done: RowSet | None = None
        self._choose: Choice | None = None
        self.read = 0
        """Rows that an iteration has come to, also those that are left out."""
        self.ended = False
        """An iteration has come to the end."""

    def __iter__(self) -> Batches:
        """Batches that are not empty. Raises `SourceError` where a list cannot be read on; what came before stays."""
        if self._closed:
            raise ValueError("the source is closed")
        once = next((one for one in self._inputs if one.once), None)
        if self._started and once is not None:
            raise SourceError(f"{once.name} can be read only once")
        self._started = True
        batches = self._handed_out()
        self._running.add(batches)
        return batches

    def leave_out(self, done: RowSet, choose: Choice | None = None) -> None:
        """Hand out no rows but the others; also `total` and `count` are then of these.

        `choose` is told of all rows and says what is handed out, in place of `done`.
        """
        self._choose = choose
        if self.total is not None:
            self.total += len(self._done or ()) - len(done)
        self._done = done

    def _handed_out(self) -> Batches:
        self.read = 0
        self.ended = False
        done, choose = self._done, self._choose
        with closing(self._batches()) as batches:
            for batch in batches:
                self.read += len(batch)
                if choose is not None:
                    left = choose(batch)
                else:
                    left = [request for request in batch if request.index not in done] if done else batch
                if left:
                    yield left
        self.ended = not self._closed

    def count(self) -> int | None:
        """The number of rows, found by reading everything once more; None where that takes too long or cannot be done.

        It may run in a thread beside an iteration.
        """
        if not self.finite or sum(one.size for one in self._inputs) > MOST_COUNTED:
            return None
        rows = 0
        try:
            for batch in self._batches():
                rows += len(batch)
        except SourceError:
            return None  # the run will come to it, and say so
        return None if self._closed else rows - len(self._done or ())

    def _batches(self) -> Batches:
        index = 0
        for one in self._inputs:
            with closing(one.batches(index)) as batches:
                for batch in batches:
                    if self._closed:
                        return
                    if batch:
                        index += len(batch)
                        yield batch

    def close(self) -> None:
        """Close what is open. A read that another thread is in goes on; the iteration ends after it."""
        self._closed = True
        for batches in list(self._running):
            with suppress(ValueError):  # running, in another thread
                batches.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


# --- from an argument to its input ---------------------------------------------------------------------------------


def standard_input(stdin: BinaryIO | None = None) -> BinaryIO:
    """`stdin`, else the process's, ready to be read from. Raises SourceError when there is none."""
    stream = stdin or getattr(sys.stdin, "buffer", None)
    if stream is None or stream.closed:
        raise SourceError("there is no standard input to read from")
    # A pipe that does not block would look like one that has ended. Not everything called a stream is a pipe.
    with suppress(AttributeError, OSError):
        os.set_blocking(stream.fileno(), True)
    # Without its buffer, the lock of which a thread that waits for the pipe would hold at the end of the process.
    bare: BinaryIO = getattr(stream, "raw", stream)
    return bare


def _file(path: str, rows: Callable[[int], Rows], name: str) -> List:
    status = _status(path)
    if stat.S_ISDIR(status.st_mode):
        raise SourceError(f"{path!r} is a folder, not a file of URLs")
    once = not stat.S_ISREG(status.st_mode)
    opened, errors = _opener(path)
    found = List(name, once, opened, errors, rows)
    found.size = status.st_size
    if once:  # what is read of a pipe to check it is gone
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
    except (FileNotFoundError, NotADirectoryError, ValueError):  # ValueError: a NUL in it
        bare = _HOST.fullmatch(path) and not _LIST.fullmatch(path)
        hint = " (a URL needs http:// or https://)" if bare else ""
        raise SourceError(f"there is no file {redact_all(path)!r}{hint}") from None
    except OSError as problem:
        raise SourceError(f"{redact_all(path)!r} cannot be read: {problem.strerror}") from problem


def _opener(path: str, stream: BinaryIO | None = None) -> tuple[Callable[[], Any], tuple[type[Exception], ...]]:
    """What opens the file, or `stream` with its bytes; and what reading from it may then raise."""
    name = path.lower()
    if name.endswith(".gz"):
        import gzip
        import zlib

        return partial(gzip.open, stream or path, "rb"), (OSError, EOFError, zlib.error)
    if name.endswith(".zst"):
        zstd = zstd_module()
        return partial(zstd.open, stream or path, "rb"), (OSError, EOFError, zstd.ZstdError)
    if stream is not None:
        return partial(_held, stream), (OSError,)
    return partial(open, path, "rb", buffering=0), (OSError,)


def _held(stream: BinaryIO) -> AbstractContextManager[BinaryIO]:
    """Whoever gave the stream closes it."""
    return nullcontext(stream)


def _rows(given: str | None, path: str, column: str, index: int, *, name: str, suffix: str) -> Rows:
    bare = re.sub(r"\.(?:gz|zst)$", "", path.lower())
    if given == "csv" or (given is None and bare.endswith((".csv", ".tsv"))):
        return CsvRows(index, suffix, name=name, column=column, tabs=bare.endswith(".tsv"))
    if given == "jsonl" or (given is None and bare.endswith((".jsonl", ".ndjson"))):
        return JsonRows(index, suffix, column=column)
    return TextRows(index, suffix)
