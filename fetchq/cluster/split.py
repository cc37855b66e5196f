"""Divides the rows of a lane among its shards."""

from __future__ import annotations

__all__ = ["parts_of"]


def parts_of(rows: int, parts: int) -> list[int]:
    """Divide so many rows into consecutive parts whose sizes differ by one at most."""
    size, larger = divmod(rows, parts)
    return [size + 1] * larger + [size] * (parts - larger)
