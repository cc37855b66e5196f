"""The inputs of a run: a URL, rows that are kept somewhere, and lists in files or coming through a pipe.

Lists are read a piece at a time; the rows of a piece are handed over before the next piece is asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, closing
from typing import BinaryIO, Protocol, TypeAlias

from fetchq.core.model import Request
from fetchq.inputs.lines import CUT, LIMIT, UTF8, Rows, SourceError, url_row

__all__ = ["Batches", "Input", "KeptRows", "List", "Opened", "Url"]

_PIECE = LIMIT  # no more, so that only the first line of a piece can be too long
_HEAD = 1_024
"""Bytes kept of a line that is too long."""

Batches: TypeAlias = Generator[list[Request], None, None]
Opened: TypeAlias = Callable[[], AbstractContextManager[BinaryIO]]


class Input(Protocol):
    """Some of the rows of a run."""

    name: str
    once: bool
    """It can be read only once, and nobody knows when it ends."""
    size: int
    """Bytes on the disk."""

    def batches(self, index: int) -> Batches:
        """Its rows, the first of them number `index` of the run; a batch per read, so some are empty."""
        ...


class Url:
    """One row."""

    once = False
    size = 0

    def __init__(self, url: str, name: str) -> None:
        self.name = name
        self._url = url

    def batches(self, index: int) -> Batches:
        yield [url_row(self._url, index, self.name)]


class KeptRows:
    """Rows that are kept somewhere, and come in pages."""

    name = "the kept rows"
    once = False
    size = 0

    def __init__(self, page: Callable[[int], list[Request]]) -> None:
        self._page = page

    def batches(self, index: int) -> Batches:
        while page := self._page(index):
            yield page
            index = page[-1].index + 1


class List:
    """A list of rows, in a file or coming through a pipe. `errors` is what a read may raise."""

    def __init__(
        self, name: str, once: bool, opened: Opened, errors: tuple[type[Exception], ...], rows: Callable[[int], Rows]
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

    def batches(self, index: int) -> Batches:
        yield from self._read(self._rows(index))

    def _read(self, rows: Rows) -> Batches:
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
