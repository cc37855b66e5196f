"""The one writer of a run: bodies and records go out, the ledger commits, and only then does anything count as done."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from fetchq.core.disk import StorageError
from fetchq.core.model import Cause, Result

if TYPE_CHECKING:
    from fetchq.store.dedupe import Twins
    from fetchq.store.ledger import Ledger
    from fetchq.store.sinks.base import BodyStore, Sink

__all__ = ["Writer"]


class Writer:
    """Blocking code: an async run calls it from a thread. One caller at a time."""

    def __init__(
        self,
        *,
        sink: Sink | None = None,
        ledger: Ledger | None = None,
        store: BodyStore | None = None,
        on_commit: Callable[[Sequence[Result]], None] | None = None,
        twins: Twins | None = None,
    ) -> None:
        self._sink = sink
        self._ledger = ledger
        self._store = store
        self._on_commit = on_commit
        self._twins = twins
        self._broken = False
        """Nothing can be kept any more."""
        self._lock = threading.Lock()  # a commit may still be under way in a thread whose caller was interrupted

    def commit(self, results: Sequence[Result]) -> Sequence[Result]:
        """Write these results. Returns those that are done by now; the store may keep some back until later.

        There may be `copies` to be made of them. Raises `StorageError`: nothing more can be kept, and what was kept
        before stays. OSError: the sink's reader has gone, or its disk is full.
        """
        with self._lock:
            self._broken = True
            if self._twins is not None:
                results = self._twins.without_passing(results)
            return self._stored(results)

    def copies(self) -> Sequence[Result] | None:
        """Write some of the copies of what is done, for rows that asked the same. None when there are no more.

        Returns those that are done by now. To be called after each `commit`. Raises as it does.
        """
        with self._lock:
            if self._twins is None or self._broken:
                return None
            self._broken = True
            copies = self._twins.copies()
            done = self._stored(copies) if copies else None
            self._broken = False
            return done

    def rest(self) -> Sequence[Result] | None:
        """Write some of what is still to be written at the end of a run. None when that is all. Raises as `commit`."""
        copies = self.copies()
        return copies if copies is not None else self.finish() or None

    def _stored(self, results: Sequence[Result]) -> Sequence[Result]:
        if self._store is not None:
            with _storing():
                results = self._store.store(results)
        self._commit(results)
        return results

    def finish(self) -> Sequence[Result]:
        """Write what was kept back, however the run ended. Returns it. Raises as `commit` does."""
        with self._lock:
            if self._store is None or self._broken:
                return []
            self._broken = True
            with _storing():
                results = self._store.finish()
            self._commit(results)
            return results

    def _commit(self, results: Sequence[Result]) -> None:
        problem = self._write(results) if results else None
        if results and self._ledger is not None:
            # A row that was cancelled is not done: a resumed run takes it up again.
            done = [result for result in results if result.cause is not Cause.CANCELLED]
            state = None if self._store is None else self._store.state()
            self._ledger.commit(done, None if state is None else {"store": state})
            if self._twins is not None:
                self._twins.settle(results)
        self._broken = False
        if results and self._on_commit is not None:
            self._on_commit(results)  # also what nobody reads any more is done
        if problem is not None:
            raise problem

    def _write(self, results: Sequence[Result]) -> OSError | None:
        """What went wrong; whoever reads stdout may have gone, and the ledger is kept all the same."""
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
