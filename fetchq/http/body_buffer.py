"""Keeps the bytes of a body in memory, and gives them out in one step that is short also if they are many."""

from __future__ import annotations

from io import BytesIO

__all__ = ["BodyBuffer"]


class BodyBuffer:
    """The bytes of a body that stays in memory. To join the pieces of a long one would take tens of milliseconds."""

    __slots__ = ("_all", "_first")

    def __init__(self) -> None:
        self._first = b""
        self._all: BytesIO | None = None

    def add(self, piece: bytes) -> None:
        """Append a piece."""
        if self._all is not None:
            self._all.write(piece)
        elif self._first:
            self._all = BytesIO()
            self._all.write(self._first)
            self._all.write(piece)
        else:
            self._first = piece

    def take(self) -> bytes:
        """All bytes, which CPython does not copy. Nothing is added after that."""
        return self._first if self._all is None else self._all.getvalue()
