"""Reads the inputs of a run: a URL, a list in a file or a pipe, or rows in a database.

A list is read in chunks; the rows of a chunk are yielded before the next chunk is read.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, closing
from typing import BinaryIO, Protocol, TypeAlias

from fetchq.core.model import Request
from fetchq.inputs.compressed import ExpansionError
from fetchq.inputs.lines import RowParser, SourceError, url_row
from fetchq.inputs.splitting import MAX_ROW

__all__ = ["Batches", "Input", "ListInput", "ParserFactory", "StoredRows", "UrlInput"]

_CHUNK = MAX_ROW
"""Bytes of a chunk: not more than a row, so that only the first line of a chunk can be too long."""

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
    remark: str | None
    """What the user should know of it, as far as it has been read: one line."""
    left_out: str | None
    """What of it is no row, once it was read: one line."""

    def batches(self, index: int) -> Batches:
        """Yield the rows, numbered from `index` on, in a batch for each read, which may be empty."""
        ...


class UrlInput:
    """An argument that is a URL: one row."""

    rereadable = True
    size = 0
    remark: str | None = None
    left_out: str | None = None

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
    remark: str | None = None
    left_out: str | None = None

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
        self.remark: str | None = None
        self.left_out: str | None = None

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
        with self._open() as stream:
            # read1 returns what has arrived, where read would wait for more.
            read: Callable[[int], bytes] = getattr(stream, "read1", stream.read)
            while chunk := self._chunk(read, parser):
                yield parser.feed(chunk)
                self.remark = parser.remark
        yield parser.finish()
        self.remark, self.left_out = parser.remark, parser.left_out

    def _open(self) -> AbstractContextManager[BinaryIO]:
        try:
            return self._opener()
        except OSError as problem:
            raise SourceError(f"{self.name} cannot be read: {problem.strerror}") from problem

    def _chunk(self, read: Callable[[int], bytes], parser: RowParser) -> bytes:
        try:
            return read(_CHUNK)
        except ExpansionError as problem:
            raise SourceError(f"{self.name}: {problem} (after {parser.unit} {parser.number})") from None
        except self._errors as problem:
            why = getattr(problem, "strerror", None) or problem
            if not parser.number:
                raise SourceError(f"{self.name} cannot be read: {why}") from problem
            raise SourceError(
                f"{self.name} is damaged after {parser.unit} {parser.number}: {why}; what came before it was read"
            ) from problem
