"""Finds rows with equal requests (`--dedupe`): the first row is fetched, and its duplicates get copies of its Result.

Two requests are equal if their methods, URLs without fragments, headers, bodies and checksums are exactly the same.
Which row is the first depends on the input alone, so a resumed run finds the same row. It has its own priority,
whatever the priorities of its duplicates. There are three kinds of duplicates:

- If the first row is not done yet, the duplicate waits here. When that row is done, it gets a copy; when that row is
  cancelled, it is cancelled, too, and so still to do.
- If the first row is done, the copy is made from the ledger, which of the headers keeps only ETag and Last-Modified.
- If the first row was done before a retry that selects the duplicate, the duplicate is fetched, as the first row of
  that retry.

Duplicates pass through the pool, too, so that they keep their place in the queue, and never outrun the writer. Their
requests have a `duplicate_of`: a worker makes no attempt, and returns a Result that the deduplicator replaces.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import replace
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple

from fetchq.core.model import Cause, Result
from fetchq.core.row_set import RowSet
from fetchq.http.failure import RUN_ENDED
from fetchq.http.url import shown_url
from fetchq.store.scratch_db import ScratchDatabase, key_of
from fetchq.store.sinks.stored import mark_not_stored
from fetchq.store.stored_run import StoredBodies, stored_result

if TYPE_CHECKING:
    from fetchq.core.model import Request
    from fetchq.store.folder import RunFolder
    from fetchq.store.ledger import Ledger

__all__ = ["Deduplicator"]

_SCHEMA = """
CREATE TABLE firsts (key BLOB PRIMARY KEY, "index" INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE queued ("index" INTEGER PRIMARY KEY, first INTEGER, url BLOB, label BLOB, passed TEXT);
CREATE TABLE waiting (first INTEGER, "index" INTEGER, url BLOB, label BLOB, passed TEXT,
    PRIMARY KEY (first, "index")) WITHOUT ROWID;
"""
"""The tables: the first row of each request; the duplicates in the pool; those that wait for their first row."""
BATCH_ROWS = 500
BATCH_SIZE = 16_000_000
"""The most copies made at a time, and the bytes of their bodies at which a batch ends early."""


class _Duplicate(NamedTuple):
    row: int
    first: int
    url: str
    label: str | None
    passed: str | None


class Deduplicator:
    """Marks the duplicates of one session, and makes their copies.

    The thread that reads the source calls `select`; the writer's thread calls all other methods.
    """

    def __init__(self, folder: RunFolder, ledger: Ledger, done: RowSet, *, method: str | None, has_data: bool) -> None:
        """`done`: the rows done before this session. `method`, `has_data`: from the run's settings."""
        self._method = method
        self._has_data = has_data
        self._bodies = StoredBodies(folder.path)
        self._ledger = ledger
        self._done_before = done
        self._pending_retries = ledger.pending_retries()
        self._current = RowSet() if ledger.generation else done
        """The rows done before this session, but after the last `retry`."""
        if ledger.generation:
            for (index,) in ledger.rows(("index",), f"generation = {ledger.generation}"):
                self._current.add(index)
        self._done = done.copy()
        self._cancelled = RowSet()
        self._scratch = ScratchDatabase(folder.temporary / "dedupe.db", _SCHEMA)
        self._finished: deque[Result] = deque()
        """Results of first rows for which duplicates wait."""
        self._copyable: deque[_Duplicate] = deque()
        """Duplicates that have left the pool after their first rows were done."""
        self.keep_body = False
        """Whether copies made from the ledger carry their body."""

    def close(self) -> None:
        self._scratch.close()

    # --- on the way to the pool ---

    def select(self, requests: Sequence[Request]) -> list[Request]:
        """The requests among these that the pool gets, with duplicates marked. Raises `StorageError`.

        It must be called with all rows of the input in their order, including those that are done.
        """
        with self._scratch.transaction():
            return [selected for request in requests if (selected := self._select(request)) is not None]

    def _select(self, request: Request) -> Request | None:
        index, done = request.index, request.index in self._done_before
        if request.problem is not None:
            return None if done else request
        key = self._key(request)
        found = self._scratch.select('SELECT "index" FROM firsts WHERE key = ?', (key,))
        if not found or self._outdated(found[0][0], index):
            self._scratch.execute_many("INSERT OR REPLACE INTO firsts VALUES (?, ?)", [(key, index)])
            return None if done else request
        if done:
            return None
        first = found[0][0]
        row = (index, first, _to_blob(shown_url(request.url)), _to_blob(request.label), request.passed)
        self._scratch.execute_many("INSERT OR REPLACE INTO queued VALUES (?, ?, ?, ?, ?)", [row])
        return replace(request, _duplicate_of=first)

    def _key(self, request: Request) -> bytes:
        default = self._method or ("GET" if request.body is None and not self._has_data else "POST")
        method = default if request.method is None else str(request.method).upper()
        headers = [(str(name).lower(), value) for name, value in request.headers]
        return key_of(method, request.url.partition("#")[0], headers, request.body, request.checksum)

    def _outdated(self, first: int, index: int) -> bool:
        """Whether the first row was done before a retry that selected row `index`."""
        if first not in self._done_before or first in self._current:
            return False
        return index in (self._current if index in self._done_before else self._pending_retries)

    # --- on the way to the disk ---

    def without_duplicates(self, results: Sequence[Result]) -> Sequence[Result]:
        """The Results of the rows that were fetched; `copies` makes those of the duplicates. Raises `StorageError`."""
        if all(result._duplicate_of is None for result in results):
            return results
        with self._scratch.transaction():
            fetched = [other for result in results if (other := self._unless_duplicate(result)) is not None]
        if not fetched:
            self._ledger.commit_input()  # a million duplicates may follow before the next commit
        return fetched

    def _unless_duplicate(self, result: Result) -> Result | None:
        """The Result, unless its row now waits for a copy. A cancelled duplicate keeps a Result of its own."""
        if result._duplicate_of is None:
            return result
        if result.cause is Cause.CANCELLED:
            return replace(result, _duplicate_of=None)
        sql = 'SELECT "index", first, url, label, passed FROM queued WHERE "index" = ?'
        (values,) = self._scratch.select(sql, (result.index,))
        index, first, *rest = values
        if first in self._cancelled:
            shown = _duplicate(*values)
            return replace(result, url=shown.url, cause=Cause.CANCELLED, error=RUN_ENDED, _duplicate_of=None)
        self._scratch.execute_many('DELETE FROM queued WHERE "index" = ?', [(index,)])
        if first in self._done:
            self._copyable.append(_duplicate(*values))
        else:
            self._scratch.execute_many("INSERT OR REPLACE INTO waiting VALUES (?, ?, ?, ?, ?)", [(first, index, *rest)])
        return None

    def committed(self, results: Sequence[Result]) -> None:
        """Note that the ledger has these Results, except for cancelled ones. Raises `StorageError`."""
        with self._scratch.transaction():
            for result in results:
                if result._duplicate_of is not None:
                    continue
                (self._cancelled if result.cause is Cause.CANCELLED else self._done).add(result.index)
                if self._scratch.select("SELECT 1 FROM waiting WHERE first = ? LIMIT 1", (result.index,)):
                    self._finished.append(result)

    def copies(self) -> list[Result]:
        """A batch of the copies that can be made now; empty if there are none. Raises `StorageError`."""
        return self._copies_of_results() or self._copies_from_ledger()

    def _copies_of_results(self) -> list[Result]:
        sql = 'SELECT "index", first, url, label, passed FROM waiting WHERE first = ? ORDER BY "index" LIMIT ?'
        while self._finished:
            first = self._finished[0]
            duplicates = [_duplicate(*values) for values in self._scratch.select(sql, (first.index, BATCH_ROWS))]
            if duplicates:
                keys = [(one.first, one.row) for one in duplicates]
                self._scratch.execute_many('DELETE FROM waiting WHERE first = ? AND "index" = ?', keys)
                return [_copy(first, one) for one in duplicates]
            self._finished.popleft()
        return []

    def _copies_from_ledger(self) -> list[Result]:
        duplicates = list(islice(self._copyable, BATCH_ROWS))
        rows = ", ".join(str(first) for first in {one.first for one in duplicates})
        records = self._ledger.records(f'"index" IN ({rows})') if duplicates else ()
        firsts = {record["index"]: stored_result(record) for record in records}
        with_body: set[int] = set()
        size = 0
        copies: list[Result] = []
        for one in duplicates:
            if size >= BATCH_SIZE:
                break
            if self.keep_body and one.first not in with_body:
                firsts[one.first] = self._with_body(firsts[one.first])
                with_body.add(one.first)
                size += len(firsts[one.first].body)
            copies.append(_copy(firsts[one.first], one))
            self._copyable.popleft()
        return copies

    def _with_body(self, result: Result) -> Result:
        try:
            return replace(result, body=self._bodies.read(result.path))
        except OSError as problem:
            return mark_not_stored(result, f"the body cannot be read: {problem.strerror or problem}")


def _copy(first: Result, one: _Duplicate) -> Result:
    """The Result of `first` for a duplicate. The body is stored once: both have the same `path`."""
    spool = first._spool if first.path is None else None  # a run that stores no bodies may read it for the records
    return replace(
        first,
        index=one.row,
        url=one.url,
        label=one.label,
        passed=one.passed,  # type: ignore[arg-type]  # parsed once it is read
        _duplicate_of=one.first,
        _spool=spool,
        _sent=None,
        _exchanges=(),
    )


def _to_blob(text: Any) -> Any:
    """A text as bytes. SQLite rejects lone surrogates, which stand for bytes of a command line that are not UTF-8."""
    return text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text


def _duplicate(row: int, first: int, url: bytes, label: Any, passed: str | None) -> _Duplicate:
    text = label.decode("utf-8", "surrogatepass") if isinstance(label, bytes) else label
    return _Duplicate(row, first, url.decode("utf-8", "surrogatepass"), text, passed)
