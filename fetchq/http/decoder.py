"""Defines what the decoder of a content coding is: its protocol, its errors and its bounds."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

__all__ = ["PIECE", "BombError", "DecodeError", "Decoder", "Parts"]

PIECE = 65536
"""The most bytes of a decoded piece."""
_MANY_PARTS, _LEAST_PART = 10_000, 64
"""More members of gzip, or frames of zstd, than this must have so many bytes on the average: each costs microseconds,
also if it is empty."""


class DecodeError(Exception):
    """The coded data is broken."""


class BombError(DecodeError):
    """To decode the data would take far more memory or time than its size is worth."""


class Decoder(Protocol):
    """Decodes one coding, or several in a chain."""

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Yield the decoded pieces of `data`. The iterator must be exhausted. Raises `DecodeError`.

        Where much work has no output, it yields empty pieces, so that no step of it takes longer than a few ms.
        """

    def finish(self) -> None:
        """End the data. Raises `DecodeError` if the stream has not reached its own end."""


class Parts:
    """Counts the members of gzip, or the frames of zstd, and the bytes received."""

    __slots__ = ("_count", "received")

    def __init__(self) -> None:
        self._count = self.received = 0

    def add(self, left: int) -> None:
        """Count one that has ended, after which `left` bytes are left. Raises `BombError` if there are too many."""
        self._count += 1
        size = self.received - left
        if self._count > _MANY_PARTS and self._count * _LEAST_PART > size:
            raise BombError(f"{self._count} members or frames in {size} bytes of coded data")
