"""The protocols of sinks: for Results, for records and for bodies."""

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
        """Take these results; they may wait in a buffer."""

    def flush(self) -> None:
        """Hand everything taken so far to the operating system."""


class RecordSink(Protocol):
    """Writes records, as `Result.to_record` and `StoredRun.records` give them.

    Its methods block, are called one at a time, and raise OSError.
    """

    def write_records(self, records: Iterable[dict[str, Any]]) -> None:
        """Take these records; they may wait in a buffer."""

    def flush(self) -> None:
        """Hand to the operating system what the format can write by now."""

    def close(self, *, whole: bool = True) -> None:
        """Write what is left and what ends the file; where `whole` is False, write nothing more.

        The stream stays open.
        """


class BodyStore(Protocol):
    """Stores the bodies of a durable run. Its methods block and are called one at a time.

    A store may keep results back until what it has written can be read: a Parquet file has its index at its end. The
    bodies of the results that it returns are on the disk, and the ledger may say so.
    """

    def restore(self, state: Any, done: RowSet) -> None:
        """Go back to the last committed state, and delete whatever was written after it. Raises OSError.

        `state` is what `state()` returned before that commit, None at the beginning of a run; `done` are the rows that
        the ledger has. It is called once, before any other method.
        """

    def store(self, results: Sequence[Result]) -> list[Result]:
        """Store the bodies of these results. Returns the results that are safe now, with `path` and `timing.store`.

        A body that cannot be stored makes its result a `store` failure. Raises `StorageError` where no other body can
        be stored, either, as on a full disk; and OSError.
        """

    def finish(self) -> list[Result]:
        """Store the results that were kept back, and return them. `store` may be called again. Raises OSError."""

    def state(self) -> Any:
        """What `restore` needs to know, as JSON can hold it."""

    def close(self) -> None:
        """End the session, however it ends: results that are still kept back are dropped."""


BodyReader: TypeAlias = Callable[[Path, int], AbstractContextManager[OpenedBody]]
"""Opens the body at that place in a file with many bodies. Raises OSError, also while the body is read."""
