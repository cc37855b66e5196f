"""Holds a set of row numbers as a bitmap: a million rows take 125 kB."""

from __future__ import annotations

__all__ = ["RowSet"]


class RowSet:
    """A set of non-negative integers. Its memory depends on the greatest number that was added."""

    __slots__ = ("_bits", "_count")

    def __init__(self) -> None:
        self._bits = bytearray()
        self._count = 0

    def __contains__(self, row: int) -> bool:
        byte = row >> 3
        return byte < len(self._bits) and bool(self._bits[byte] >> (row & 7) & 1)

    def __len__(self) -> int:
        return self._count

    def copy(self) -> RowSet:
        """An independent copy."""
        other = RowSet()
        other._bits[:] = self._bits
        other._count = self._count
        return other

    def add(self, row: int) -> None:
        byte = row >> 3
        if byte >= len(self._bits):
            self._bits.extend(bytes(byte + 1 - len(self._bits) + len(self._bits) // 8))
        bit = 1 << (row & 7)
        if not self._bits[byte] & bit:
            self._bits[byte] |= bit
            self._count += 1

    def discard(self, row: int) -> None:
        if row in self:
            self._bits[row >> 3] &= ~(1 << (row & 7))
            self._count -= 1
