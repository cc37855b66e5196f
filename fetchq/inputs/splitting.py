"""Splits the bytes of a list into its rows: the lines of a text, or the elements of a JSON array.

Bytes arrive in chunks of any size. At most one incomplete row is held, and only the beginning of one that is too long.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from enum import Enum, auto
from typing import NamedTuple

__all__ = ["MAX_ROW", "TRUNCATED", "UTF8", "Element", "ElementKind", "ElementSplitter", "LineSplitter"]

MAX_ROW = 65_536
"""The most bytes of a row."""
UTF8 = ("utf-8", "surrogateescape")
"""The encoding and error handler for all rows: bytes that are not UTF-8 become surrogates, U+DC80 to U+DCFF."""
TRUNCATED = "\ud800"
"""Marks the end of a row that was too long, so that only its beginning was kept. No decoded row can contain it."""
_HEAD = 1_024
"""How many bytes are kept of a row that is too long."""
_SPACE = b" \t\r\n"
_STRING = rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"'
_TOKEN = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+("?)|[\[\]{},]', re.DOTALL)
"""What tells where an element ends: a bracket, a comma, or a string, in which they mean nothing. The group is the quote
that ends the string; it is empty if the string goes on after the chunk."""
_FLAT = re.compile(rb'((?:[^"\[\]{},]++|%b|\{(?:[^"\[\]{}]++|%b)*+\})*+),' % (_STRING, _STRING), re.DOTALL)
"""A text or an object without arrays and objects in it, with the comma that ends it: most elements, in one step."""
_IN_STRING = re.compile(rb'[^"\\]*+(?:\\.[^"\\]*+)*+', re.DOTALL)


class _Row:
    """The row that is being read."""

    def __init__(self) -> None:
        self._held = bytearray()
        self._too_long = False

    def __bool__(self) -> bool:
        return bool(self._held)

    def add(self, piece: bytes) -> None:
        if not self._too_long:
            self._held += piece
            self._too_long = len(self._held) > MAX_ROW + 1  # one more byte, for the "\r" of a line end

    def take(self, blanks: bytes = b"") -> str:
        """The whole row, without `blanks` around it. The next row begins."""
        row = bytes(self._held).strip(blanks) if blanks else bytes(self._held)
        too_long = self._too_long or len(row.removesuffix(b"\r")) > MAX_ROW
        self._held, self._too_long = bytearray(), False
        return row[:_HEAD].decode(*UTF8) + TRUNCATED if too_long else row.decode(*UTF8)


class LineSplitter:
    """Splits chunks of bytes into lines of text, without the byte order mark that a list may begin with."""

    def __init__(self) -> None:
        self._row = _Row()
        self._first = True

    def feed(self, chunk: bytes) -> str | None:
        """The lines that `chunk` completes, without the last newline; None if it completes none."""
        head, newline, rest = chunk.partition(b"\n")
        self._row.add(head)
        if not newline:
            return None
        text = self._take()
        complete, newline, tail = rest.rpartition(b"\n")
        if newline:
            text = f"{text}\n{complete.decode(*UTF8)}"
        self._row.add(tail)
        return text

    def finish(self) -> str | None:
        """The last line, if no newline ends it."""
        return self._take() if self._row else None

    def _take(self) -> str:
        text = self._row.take()
        if self._first:
            self._first = False
            text = text.removeprefix("\ufeff")
        return text


class ElementKind(Enum):
    """How a piece of a JSON array was found."""

    WHOLE = auto()
    CUT_OFF = auto()
    """The text ends before the array does."""
    AFTER = auto()
    """It stands after the end of the array."""


class Element(NamedTuple):
    """An element of a JSON array, as it is written; `TRUNCATED` ends one that is too long."""

    text: str
    kind: ElementKind


class ElementSplitter:
    """Splits a JSON array (RFC 8259, 5) into its elements. Arrays that follow each other are read like one.

    It only looks at strings, brackets and commas: whether an element is JSON is for its parser to say.
    """

    def __init__(self) -> None:
        self._row = _Row()
        self._depth = 0
        """How many brackets are open: 0 outside the array, 1 between its elements."""
        self._in_string = self._escaped = False

    def feed(self, chunk: bytes) -> Iterator[Element]:
        """Yield the elements that `chunk` completes."""
        at = self._after_string(chunk, 0)
        begin = 0
        while at < len(chunk):
            if at == begin and self._depth == 1 and (flat := _FLAT.match(chunk, at)) is not None:
                yield from self._release(flat[1], ElementKind.WHOLE)
                begin = at = flat.end()
                continue
            token = _TOKEN.search(chunk, at)
            if token is None:
                break
            start, at = token.span()
            mark = chunk[start : start + 1]
            if mark == b'"':
                if not token[1]:
                    self._in_string = True
                    at = self._after_string(chunk, start + 1)
            elif self._depth > 1 or mark in b"[{":
                if self._depth == 0:
                    if mark == b"{":
                        continue
                    yield from self._release(chunk[begin:start], ElementKind.AFTER)
                    begin = at
                self._depth += 1 if mark in b"[{" else -1 if mark in b"]}" else 0
            elif self._depth == 1 and mark in b",]":
                yield from self._release(chunk[begin:start], ElementKind.WHOLE)
                begin = at
                self._depth -= mark == b"]"
        self._row.add(chunk[begin:])

    def finish(self) -> Iterator[Element]:
        """Yield what is left at the end of the text, if it does not end with an array."""
        if self._depth:
            yield Element(self._row.take(_SPACE), ElementKind.CUT_OFF)
        else:
            yield from self._release(b"", ElementKind.AFTER)

    def _release(self, rest: bytes, kind: ElementKind) -> Iterator[Element]:
        self._row.add(rest)
        if text := self._row.take(_SPACE):
            yield Element(text, kind)

    def _after_string(self, chunk: bytes, at: int) -> int:
        """Where the string ends that is open at `at`; the end of the chunk if it goes on; `at` if none is open."""
        if not self._in_string:
            return at
        if self._escaped and chunk:
            at += 1
            self._escaped = False
        found = _IN_STRING.match(chunk, at)
        end = at if found is None else found.end()
        if end == len(chunk):
            return end
        self._escaped = chunk[end : end + 1] == b"\\"  # the last byte: what it escapes comes with the next chunk
        self._in_string = self._escaped
        return end + 1
