"""Decompresses lists, and bounds what they expand to: half a megabyte could be half a gigabyte of empty lines."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from typing import Any, BinaryIO, Self

__all__ = ["MOST_EXPANSION", "UNCHECKED", "CompressedList", "ExpansionError"]

MOST_EXPANSION = 100
"""How many times as long as its file a list may be. Lists of URLs expand three to thirty times."""
UNCHECKED = 16_000_000
"""A list of up to this many bytes may be any number of times as long."""


class ExpansionError(Exception):
    """A compressed list expands too much."""


class CompressedList:
    """The decompressed bytes of a list. Raises `ExpansionError` where it has become too long for its file."""

    def __init__(self, opener: Callable[[Any], Any], path: str, stream: BinaryIO | None = None) -> None:
        """`opener`: makes a decompressing stream of a binary one. `stream`: what to read instead of the file `path`."""
        with ExitStack() as stack:
            # The caller closes its stream.
            self._file = _CountedFile(stream or stack.enter_context(open(path, "rb")))
            self._decompressed: Any = stack.enter_context(opener(self._file))
            self._stack = stack.pop_all()
        self._size = 0

    def read1(self, size: int) -> bytes:
        """The next bytes, at most `size`; empty at the end. Raises the errors of the file and the decompressor, too."""
        chunk: bytes = self._decompressed.read1(size)
        self._size += len(chunk)
        if self._size > UNCHECKED and self._size > MOST_EXPANSION * self._file.size:
            raise ExpansionError(
                f"it expands more than {MOST_EXPANSION}-fold; if it is a list of URLs nevertheless, decompress it first"
            )
        return chunk

    read = read1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: object) -> None:
        self._stack.close()


class _CountedFile:
    """A binary file that counts the bytes that were read from it."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.size = 0

    def read(self, size: int = -1) -> bytes:
        data = self._file.read(size)
        self.size += len(data)
        return data

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)
