"""What a sink is, and what a store of bodies is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from fetchq.core.model import Result
    from fetchq.core.row_set import RowSet

__all__ = ["BodyStore", "RecordSink", "Sink"]


class Sink(Protocol):
    """Blocking code: an async run calls it from a thread. One caller at a time. Raises OSError."""

    def write(self, results: Sequence[Result]) -> None:
        """Take these results; they may wait in a buffer."""

    def flush(self) -> None:
        """Hand everything taken so far to the operating system."""


class RecordSink(Protocol):
    """Writes records as `Result.to_record` and `StoredRun.records` give them. Blocking code. Raises OSError."""

    def write_records(self, records: Iterable[dict[str, Any]]) -> None:
        """Take these records; they may wait in a buffer."""

    def flush(self) -> None:
        """Hand what can be written by now to the operating system."""

    def close(self, *, whole: bool = True) -> None:
        """Write all that is left, and what the format has at its end; where it is not whole, nothing.

        The stream stays open.
        """


class BodyStore(Protocol):
    """Where the bodies of a durable run go. Blocking code; one caller at a time.

    A store may keep results back until what it writes can be read (a Parquet file has its index at its end). What it
    gives back is on the disk, and stays there whatever happens; the ledger may say so.
    """

    def restore(self, state: Any, done: RowSet) -> None:
        """Go back to the last committed state: whatever was written after it goes. Raises OSError.

        `state` is what `state()` gave before that commit, None at the beginning of a run; `done` are the rows that
        the ledger has. Called once, before anything else.
        """

    def store(self, results: Sequence[Result]) -> list[Result]:
        """Store the bodies of these results, and give back those that are now safe, with `path` and `timing.store`.

        A body that cannot be stored makes its result a `store` failure. Raises `StorageError` where no body can be
        stored any more, as on a full disk; and OSError.
        """

    def finish(self) -> list[Result]:
        """The results that were kept back, now safe. More may follow. Raises OSError."""

    def state(self) -> Any:
        """What `restore` needs to know, as JSON can hold it."""

    def close(self) -> None:
        """The session ends, however it does: what is still kept back is given up."""
