"""From the arguments of the command line to Requests: URLs, files (also compressed ones) and standard input.

Lists are read a piece at a time; the rows of a piece are handed over before the next piece is asked for.
"""

from __future__ import annotations

import os
import re
import stat
import sys
from collections.abc import Callable, Generator, Sequence
from contextlib import AbstractContextManager, closing, nullcontext, suppress
from functools import partial
from typing import Any, BinaryIO, Protocol, Self, TypeAlias
from weakref import WeakSet

from fetchq.csv_rows import CsvRows
from fetchq.decode import zstd_module
from fetchq.model import Request, redact_all
from fetchq.rows import CUT, LIMIT, UTF8, JsonRows, Rows, SourceError, TextRows, url_row

__all__ = ["Source", "SourceError", "open_sources"]

_PIECE = LIMIT  # no more, so that only the first line of a piece can be too long
MOST_COUNTED = 100_000_000
"""Bytes of lists up to which `Source.count` reads them."""
_HEAD = 1_024
"""Bytes kept of a line that is too long."""
_HOST = re.compile(r"(?:[\w-]+(?:\.[\w-]+)+|localhost)(?::\d+)?(?:[/?#].*)?")
_LIST = re.compile(r"[^/]+\.(?:txt|csv|tsv|jsonl?|ndjson|gz|zst|list|lst|log|urls)", re.IGNORECASE)

_Batches: TypeAlias = Generator[list[Request], None, None]
_Opened: TypeAlias = Callable[[], AbstractContextManager[BinaryIO]]


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
    inputs: list[_Input] = []
    for at, argument in enumerate(arguments):
        if "://" in argument:
            inputs.append(_Url(argument, f"argument {at + 1}"))
            continue
        name = "standard input" if argument == "-" else repr(argument)
        suffix = f" of {name}" if len(arguments) > 1 else ""
        rows = partial(_rows, input_format, argument, url_column, name=name, suffix=suffix)
        inputs.append(_standard_input(stdin, rows) if argument == "-" else _file(argument, rows))
    return Source(inputs)


class Source:
    """The rows of a run, in batches: what one read gave. It may be iterated again, unless it reads from a pipe."""

    def __init__(self, inputs: Sequence[_Input]) -> None:
        self._inputs = inputs
        self._started = self._closed = False
        self._running: WeakSet[_Batches] = WeakSet()
        self.finite = not any(one.once for one in inputs)
        """False where nobody knows when it ends: a pipe or a terminal is among the inputs."""
        self.total = len(inputs) if all(isinstance(one, _Url) for one in inputs) else None
        """The number of rows, where it is known without reading; `count` reads."""

    def __iter__(self) -> _Batches:
        """Batches that are not empty. Raises `SourceError` where a list cannot be read on; what came before stays."""
        if self._closed:
            raise ValueError("the source is closed")
        once = next((one for one in self._inputs if one.once), None)
        if self._started and once is not None:
            raise SourceError(f"{once.name} can be read only once")
        self._started = True
        batches = self._batches()
        self._running.add(batches)
        return batches

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
        return None if self._closed else rows

    def _batches(self) -> _Batches:
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


# --- the inputs ----------------------------------------------------------------------------------------------------


class _Input(Protocol):
    name: str
    once: bool
    """It can be read only once, and nobody knows when it ends."""
    size: int
    """Bytes on the disk."""

    def batches(self, index: int) -> _Batches:
        """Its rows, the first of them number `index` of the run; a batch per read, so some are empty."""
        ...


class _Url:
    once = False
    size = 0

    def __init__(self, url: str, name: str) -> None:
        self.name = name
        self._url = url

    def batches(self, index: int) -> _Batches:
        yield [url_row(self._url, index, self.name)]


class _List:
    """A list of rows, in a file or coming through a pipe. `errors` is what a read may raise."""

    def __init__(
        self, name: str, once: bool, opened: _Opened, errors: tuple[type[Exception], ...], rows: Callable[[int], Rows]
    ) -> None:
        self.name = name
        self.once = once
        self.size = 0
        self._opened = opened
        self._errors = errors
        self._rows = rows

    def check(self) -> None:
        """Read as much as it takes to see that this is a list. Raises SourceError."""
        rows = self._rows(0)
        with closing(self._read(rows)) as batches:
            for _ in batches:
                if rows.ready:
                    break

    def batches(self, index: int) -> _Batches:
        yield from self._read(self._rows(index))

    def _read(self, rows: Rows) -> _Batches:
        lines = _Lines()
        with self._open() as stream:
            # read1: what has arrived, where read would wait until there is more.
            read: Callable[[int], bytes] = getattr(stream, "read1", stream.read)
            while piece := self._piece(read, rows):
                text = lines.cut(piece)
                yield [] if text is None else rows.take(text)
        text = lines.rest()
        yield ([] if text is None else rows.take(text)) + rows.finish()

    def _open(self) -> AbstractContextManager[BinaryIO]:
        try:
            return self._opened()
        except OSError as problem:
            raise SourceError(f"{self.name} cannot be read: {problem.strerror}") from problem

    def _piece(self, read: Callable[[int], bytes], rows: Rows) -> bytes:
        try:
            return read(_PIECE)
        except self._errors as problem:
            why = getattr(problem, "strerror", None) or problem
            if not rows.number:
                raise SourceError(f"{self.name} cannot be read: {why}") from problem
            raise SourceError(
                f"{self.name} is damaged after line {rows.number}: {why}; what came before it was read"
            ) from problem


class _Lines:
    """Cuts pieces of bytes into lines. Holds at most one line."""

    def __init__(self) -> None:
        self._held = bytearray()
        self._cut = False
        self._first = True

    def cut(self, piece: bytes) -> str | None:
        """The lines that `piece` completes, as `Rows.take` wants them; None when there are none."""
        head, newline, rest = piece.partition(b"\n")
        self._hold(head)
        if not newline:
            return None
        text = self._release()
        whole, newline, tail = rest.rpartition(b"\n")
        if newline:
            text = f"{text}\n{whole.decode(*UTF8)}"
        self._hold(tail)
        return text

    def rest(self) -> str | None:
        """The last line, when no newline ends it."""
        return self._release() if self._held else None

    def _hold(self, piece: bytes) -> None:
        if not self._cut:
            self._held += piece
            self._cut = len(self._held) > LIMIT + 1  # one more: a "\r" that belongs to the line's end

    def _release(self) -> str:
        line = bytes(self._held)
        if self._cut or len(line.removesuffix(b"\r")) > LIMIT:
            text = line[:_HEAD].decode(*UTF8) + CUT
        else:
            text = line.decode(*UTF8)
        if self._first:
            text = text.removeprefix("\ufeff")
        self._held, self._cut, self._first = bytearray(), False, False
        return text


# --- from an argument to its input ---------------------------------------------------------------------------------


def _standard_input(stdin: BinaryIO | None, rows: Callable[[int], Rows]) -> _List:
    stream = stdin or getattr(sys.stdin, "buffer", None)
    if stream is None or stream.closed:
        raise SourceError("there is no standard input to read from")
    # A pipe that does not block would look like one that has ended. Not everything called a stream is a pipe.
    with suppress(AttributeError, OSError):
        os.set_blocking(stream.fileno(), True)
    # Without its buffer, the lock of which a thread that waits for the pipe would hold at the end of the process.
    bare = getattr(stream, "raw", stream)
    return _List("standard input", True, lambda: nullcontext(bare), (OSError,), rows)


def _file(path: str, rows: Callable[[int], Rows]) -> _List:
    status = _status(path)
    if stat.S_ISDIR(status.st_mode):
        raise SourceError(f"{path!r} is a folder, not a file of URLs")
    once = not stat.S_ISREG(status.st_mode)
    opened, errors = _opener(path)
    found = _List(repr(path), once, opened, errors, rows)
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


def _opener(path: str) -> tuple[Callable[[], Any], tuple[type[Exception], ...]]:
    """What opens the file, and what reading from it may then raise."""
    name = path.lower()
    if name.endswith(".gz"):
        import gzip
        import zlib

        return partial(gzip.open, path, "rb"), (OSError, EOFError, zlib.error)
    if name.endswith(".zst"):
        zstd = zstd_module()
        return partial(zstd.open, path, "rb"), (OSError, EOFError, zstd.ZstdError)
    return partial(open, path, "rb", buffering=0), (OSError,)


def _rows(given: str | None, path: str, column: str, index: int, *, name: str, suffix: str) -> Rows:
    bare = re.sub(r"\.(?:gz|zst)$", "", path.lower())
    if given == "csv" or (given is None and bare.endswith((".csv", ".tsv"))):
        return CsvRows(index, suffix, name=name, column=column, tabs=bare.endswith(".tsv"))
    if given == "jsonl" or (given is None and bare.endswith((".jsonl", ".ndjson"))):
        return JsonRows(index, suffix, column=column)
    return TextRows(index, suffix)
