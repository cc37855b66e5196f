"""Defines the protocols of sinks: for Results, for records and for bodies."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from fetchq.core.stored_response import OpenedBody

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from fetchq.core.model import Result
    from fetchq.core.row_set import RowSet

__all__ = ["BodyReader", "BodyStore", "RecordSink", "Sink"]


class Sink(Protocol):
    """Writes Results while a run goes on. Its methods block, are called one at a time, and raise OSError."""

    def write(self, results: Sequence[Result]) -> None:
        """Write these Results, which may stay in a buffer."""

    def flush(self) -> None:
        """Pass everything written so far to the operating system."""


class RecordSink(Protocol):
    """Writes records, as `Result.to_record` and `StoredRun.records` make them.

    Its methods block, are called one at a time, and raise OSError.
    """

    def write_records(self, records: Iterable[dict[str, Any]]) -> None:
        """Write these records, which may stay in a buffer."""

    def flush(self) -> None:
        """Pass to the operating system what the format can write so far."""

    def close(self, *, whole: bool = True) -> None:
        """Write the records in the buffer and the end of the file, or nothing if `whole` is False.

        The stream stays open.
        """


class BodyStore(Protocol):
    """Stores the bodies of a durable run. Its methods block and are called one at a time.

    A store may keep Results back until their bodies can be read, since a Parquet file has its index at its end. The
    bodies of the Results that it returns are on the disk, so that the ledger may record them.
    """

    def restore(self, state: Any, done: RowSet) -> None:
        """Return to the last committed state: delete everything that was written after it. Raises OSError.

        `state`: what `state()` returned before that commit; None at the beginning of a run. `done`: the rows that are
        in the ledger. It is called before any other method.
        """

    def store(self, results: Sequence[Result]) -> list[Result]:
        """Store the bodies of these Results. Returns the Results that are safe now, with `path` and `timing.store`.

        If a body cannot be stored, its Result becomes a `store` failure. Raises `StorageError` if no other body could
        be stored, either, for example because the disk is full; and OSError.
        """

    def finish(self) -> list[Result]:
        """Store and return the Results that were kept back. `store` may be called again. Raises OSError."""

    def state(self) -> Any:
        """The state for `restore`, as a JSON value."""

    def close(self) -> None:
        """End the session, however it ended. Results that are still kept back are dropped."""


BodyReader: TypeAlias = Callable[[Path, int], AbstractContextManager[OpenedBody]]
"""Opens the body at a position (the number after #) in a file. Raises OSError, also while the body is read."""
