"""Keeps the large bodies of a run without a folder on the disk: in one file without a name, for the whole process.

The file takes one descriptor however many bodies there are, and nothing of it is left behind, also after a kill. Its
blocks are used again, so that it grows no larger than what is kept at a time.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from fetchq.core.body_spool import Spool

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

__all__ = ["ScratchSpool"]

BLOCK = 262_144
"""The bytes of a block. The last block of a write may hold less."""


class _ScratchFile:
    """The blocks of a temporary file. Any thread may use it. It is there as long as a block is in use."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._file: Any = None
        self._free: list[int] = []
        self._blocks = 0
        """How many blocks the file has."""

    def write(self, data: memoryview) -> int:
        """Keep at most `BLOCK` bytes. Returns the number of their block. Raises OSError."""
        with self._lock:
            if self._file is None:
                from tempfile import TemporaryFile  # here, since few runs need it

                self._file = TemporaryFile(buffering=0)  # noqa: SIM115  # closed when the last block is freed
            number = self._free[-1] if self._free else self._blocks
            self._file.seek(number * BLOCK)
            while data:
                data = data[self._file.write(data) :]
            if self._free:
                self._free.pop()
            else:
                self._blocks += 1
            return number

    def read(self, number: int, size: int) -> bytes:
        """The first `size` bytes of a block. Raises OSError."""
        with self._lock:
            self._file.seek(number * BLOCK)
            data: bytes = self._file.read(size)
            return data

    def free(self, numbers: list[int]) -> None:
        """Give blocks back."""
        with self._lock:
            self._free += numbers
            if self._file is not None and len(self._free) == self._blocks:
                self._file.close()
                self._file, self._blocks = None, 0
                self._free.clear()


_file = _ScratchFile()


class ScratchSpool(Spool):
    """A body of a run that has no folder, which is dropped with the last reference to it."""

    __slots__ = ("_blocks",)

    def __init__(self) -> None:
        super().__init__("")
        self._blocks: list[tuple[int, int]] = []
        """The numbers of the blocks with what was written, and the bytes in each."""
        self.description = b""  # no later session can resume it

    @property
    def due(self) -> bool:
        return self.in_memory > BLOCK

    def write(self) -> None:
        with self._lock:
            if self._discarded:
                return
            pieces, self._pieces, self.in_memory = self._pieces, [], 0
            view = memoryview(b"".join(pieces))
            for at in range(0, len(view), BLOCK):
                part = view[at : at + BLOCK]
                self._blocks.append((_file.write(part), len(part)))

    def content(self) -> bytes | None:
        return None if self._blocks else b"".join(self._pieces)

    def path(self, create: Callable[[str, bytes], None] | None = None) -> str:
        raise NotImplementedError("it has no file of its own")

    def pieces(self) -> Generator[bytes]:
        for number, size in self._blocks:
            yield _file.read(number, size)
        yield from self._pieces

    def discard(self) -> None:
        with self._lock:
            self._discarded = True
            self._pieces, self.in_memory = [], 0
            blocks, self._blocks = self._blocks, []
        if blocks:
            _file.free([number for number, _ in blocks])

    def suspend(self) -> str | None:
        self.discard()
        return None

    def __del__(self) -> None:
        if self._blocks:
            self.discard()
