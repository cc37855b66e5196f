"""What a sink is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fetchq.model import Result

__all__ = ["Sink"]


class Sink(Protocol):
    """Blocking code: an async run calls it from a thread. One caller at a time. Raises OSError."""

    def write(self, results: Sequence[Result]) -> None:
        """Take these results; they may wait in a buffer."""

    def flush(self) -> None:
        """Hand everything taken so far to the operating system."""
