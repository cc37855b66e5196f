"""Writes the Results of a run: first to the body store, then to the sink, then to the ledger."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from fetchq.core.disk import StorageError
from fetchq.core.model import Cause, Result
from fetchq.core.prepared_results import PreparedResults

if TYPE_CHECKING:
    from fetchq.store.dedupe import Deduplicator
    from fetchq.store.ledger import Ledger
    from fetchq.store.record_bodies import RecordBodies
    from fetchq.store.sinks.base import BodyStore, Sink

__all__ = ["Writer"]


class Writer:
    """Writes the Results of a run, batch by batch. Its methods block, and must be called one at a time."""

    def __init__(
        self,
        *,
        sink: Sink | None = None,
        ledger: Ledger | None = None,
        store: BodyStore | None = None,
        on_commit: Callable[[Sequence[Result]], None] | None = None,
        deduplicator: Deduplicator | None = None,
        bodies: RecordBodies | None = None,
    ) -> None:
        """`on_commit` is called with the Results that are done, after they were written everywhere.

        `bodies`: given if the sink's records include the bodies.
        """
        self._sink = sink
        self._ledger = ledger
        self._store = store
        self._on_commit = on_commit
        self._deduplicator = deduplicator
        self._bodies = bodies
        self._broken = False
        """Whether a write is under way, or has failed, after which nothing more can be written."""

    @property
    def makes_copies(self) -> bool:
        """Whether `write` may yield more than once."""
        return self._deduplicator is not None

    def write(self, results: Sequence[Result]) -> Iterator[Sequence[Result]]:
        """Write these Results, and then copies of them for duplicate rows. Yields the Results that are done.

        The copies are written in batches, as the iterator advances. Those that it does not reach are left to a later
        session. Raises as `commit`.
        """
        yield self.commit(results)
        yield from self._copies()

    def rest(self) -> Iterator[Sequence[Result]]:
        """Write what is left at the end of a run, as the iterator advances. Yields the Results that are done.

        Raises as `commit`.
        """
        while True:
            yield from self._copies()
            if not (kept_back := self.finish()):
                return
            yield kept_back

    def commit(self, results: Sequence[Result]) -> Sequence[Result]:
        """Write these Results. Returns those that are done; the body store may keep some back until later.

        Raises `StorageError` if nothing more can be stored; Results that were done stay done. Raises OSError if the
        sink cannot be written, because its reader has exited or its disk is full.
        """
        self._broken = True
        if self._deduplicator is not None:
            results = self._deduplicator.without_duplicates(results)
        return self._stored(results)

    def finish(self) -> Sequence[Result]:
        """Write and return the Results that the body store has kept back, however the run ended. Raises as `commit`."""
        if self._store is None or self._broken:
            return []
        self._broken = True
        with _storing():
            results = self._store.finish()
        return self._commit(results)

    def _copies(self) -> Iterator[Sequence[Result]]:
        while self._deduplicator is not None and not self._broken:
            self._broken = True
            copies = self._deduplicator.copies()
            done = self._stored(copies) if copies else []
            self._broken = False
            if not copies:
                return
            yield done

    def _stored(self, results: Sequence[Result]) -> Sequence[Result]:
        if self._store is not None and not isinstance(results, PreparedResults):
            with _storing():
                results = self._store.store(results if self._bodies is None else self._bodies.before_store(results))
        return self._commit(results)

    def _commit(self, results: Sequence[Result]) -> Sequence[Result]:
        if self._bodies is not None:
            results = self._bodies.before_records(results)
        problem = self._write(results) if results else None
        if self._bodies is not None and self._deduplicator is None:  # otherwise copies may still need them
            self._bodies.discard(results)
        if results and self._ledger is not None:
            # A cancelled row is not done, so that a resumed run fetches it.
            done = results
            if not isinstance(results, PreparedResults):
                done = [result for result in results if result.cause is not Cause.CANCELLED]
            state = None if self._store is None else self._store.state()
            self._ledger.commit(done, None if state is None else {"store": state})
            if self._deduplicator is not None:
                self._deduplicator.committed(results)
        self._broken = False
        if results and self._on_commit is not None:
            self._on_commit(results)  # a Result is done even if the sink could not be written
        if problem is not None:
            raise problem
        return results

    def _write(self, results: Sequence[Result]) -> OSError | None:
        """Write to the sink. Returns its error, if any, since the ledger commits the Results in any case."""
        if self._sink is not None:
            try:
                self._sink.write(results)
                self._sink.flush()
            except OSError as problem:
                self._sink = None
                return problem
        return None


@contextmanager
def _storing() -> Iterator[None]:
    try:
        yield
    except OSError as problem:
        raise StorageError.of(problem) from problem
