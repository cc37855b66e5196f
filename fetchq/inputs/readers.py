"""Reads the inputs of a run: a URL, a list in a file or a pipe, or rows in a database.

A list is read in chunks; the rows of a chunk are yielded before the next chunk is read.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, closing
from typing import BinaryIO, Protocol, TypeAlias

from fetchq.core.model import Request
from fetchq.inputs.lines import MAX_ROW, TRUNCATED, UTF8, RowParser, SourceError, url_row

__all__ = ["Batches", "Input", "ListInput", "ParserFactory", "StoredRows", "UrlInput"]

_CHUNK = MAX_ROW
"""Bytes of a chunk: not more than a row, so that only the first line of a chunk can be too long."""
_HEAD = 1_024
"""How many bytes are kept of a line that is too long."""

Batches: TypeAlias = Generator[list[Request], None, None]
ParserFactory: TypeAlias = Callable[[int], RowParser]
"""Makes the parser of a list, from the number of its first row."""


class Input(Protocol):
    """An input of a run, which yields rows."""

    name: str
    rereadable: bool
    """False for a pipe or a terminal, which can be read only once, and whose end is unknown."""
    size: int
    """Its bytes on the disk."""

    def batches(self, index: int) -> Batches:
        """Yield the rows, numbered from `index` on, in a batch for each read, which may be empty."""
        ...


class UrlInput:
    """An argument that is a URL: one row."""

    rereadable = True
    size = 0

    def __init__(self, url: str, name: str) -> None:
        self.name = name
        self._url = url

    def batches(self, index: int) -> Batches:
        yield [url_row(self._url, index, self.name)]


class StoredRows:
    """Rows in a database, which are read in pages."""

    name = "the kept rows"
    rereadable = True
    size = 0

    def __init__(self, page: Callable[[int], list[Request]]) -> None:
        self._page = page

    def batches(self, index: int) -> Batches:
        while page := self._page(index):
            yield page
            index = page[-1].index + 1


class ListInput:
    """A list of rows in a file or a pipe. `errors` are the exceptions that a read may raise."""

    def __init__(
        self,
        name: str,
        opener: Callable[[], AbstractContextManager[BinaryIO]],
        errors: tuple[type[Exception], ...],
        parser: ParserFactory,
        *,
        rereadable: bool,
        size: int = 0,
    ) -> None:
        self.name = name
        self.rereadable = rereadable
        self.size = size
        self._opener = opener
        self._errors = errors
        self._parser = parser

    def check(self) -> None:
        """Read until the list is known to have its format. Raises SourceError."""
        parser = self._parser(0)
        with closing(self._read(parser)) as batches:
            for _ in batches:
                if parser.format_known:
                    break

    def batches(self, index: int) -> Batches:
        yield from self._read(self._parser(index))

    def _read(self, parser: RowParser) -> Batches:
        lines = _LineSplitter()
        with self._open() as stream:
            # read1 returns what has arrived, where read would wait for more.
            read: Callable[[int], bytes] = getattr(stream, "read1", stream.read)
            while chunk := self._chunk(read, parser):
                text = lines.feed(chunk)
                yield [] if text is None else parser.feed(text)
        text = lines.finish()
        yield ([] if text is None else parser.feed(text)) + parser.finish()

    def _open(self) -> AbstractContextManager[BinaryIO]:
        try:
            return self._opener()
        except OSError as problem:
            raise SourceError(f"{self.name} cannot be read: {problem.strerror}") from problem

    def _chunk(self, read: Callable[[int], bytes], parser: RowParser) -> bytes:
        try:
            return read(_CHUNK)
        except self._errors as problem:
            why = getattr(problem, "strerror", None) or problem
            if not parser.number:
                raise SourceError(f"{self.name} cannot be read: {why}") from problem
            raise SourceError(
                f"{self.name} is damaged after line {parser.number}: {why}; what came before it was read"
            ) from problem


class _LineSplitter:
    """Splits chunks of bytes into lines of text. It holds at most one incomplete line."""

    def __init__(self) -> None:
        self._held = bytearray()
        self._too_long = False
        self._first = True

    def feed(self, chunk: bytes) -> str | None:
        """The lines that `chunk` completes, as `RowParser.feed` takes them; None if it completes none."""
        head, newline, rest = chunk.partition(b"\n")
        self._hold(head)
        if not newline:
            return None
        text = self._release()
        complete, newline, tail = rest.rpartition(b"\n")
        if newline:
            text = f"{text}\n{complete.decode(*UTF8)}"
        self._hold(tail)
        return text

    def finish(self) -> str | None:
        """The last line, if no newline ends it."""
        return self._release() if self._held else None

    def _hold(self, piece: bytes) -> None:
        if not self._too_long:
            self._held += piece
            self._too_long = len(self._held) > MAX_ROW + 1  # one more byte, for the "\r" of a line end

    def _release(self) -> str:
        line = bytes(self._held)
        if self._too_long or len(line.removesuffix(b"\r")) > MAX_ROW:
            text = line[:_HEAD].decode(*UTF8) + TRUNCATED
        else:
            text = line.decode(*UTF8)
        if self._first:
            text = text.removeprefix("\ufeff")
        self._held, self._too_long, self._first = bytearray(), False, False
        return text
