"""Rows that ask the same (`--dedupe`): the first of them is fetched, and the others get a copy of its record.

The same is: method, URL without its fragment, headers and body, to the letter. Which row is the first follows from the
input alone, so a resumed run finds it again; it goes by its own priority, whatever that of the others. A row whose
first one

- is still under way, waits here, and is copied when that one is done; or is cancelled with it, and so still to do;
- is done, is copied from the ledger, which of the headers has kept only ETag and Last-Modified;
- is done, but before a retry that this row is a part of, is fetched, as the first one of the retry.

The pool gets these rows, too, as some that cannot be fetched: so they keep their turn, and cannot come faster than the
writer takes them; but a worker is done with them at once.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import replace
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple

from fetchq.core.model import Cause, Result
from fetchq.core.row_set import RowSet
from fetchq.core.text import redact
from fetchq.store.scratch_db import Scratch, key_of
from fetchq.store.sinks.stored import not_stored
from fetchq.store.stored_run import Bodies, kept_result

if TYPE_CHECKING:
    from fetchq.core.model import Request
    from fetchq.store.folder import RunFolder
    from fetchq.store.ledger import Ledger

__all__ = ["Twins"]

_SCHEMA = """
CREATE TABLE firsts (key BLOB PRIMARY KEY, "index" INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE waiting (first INTEGER, "index" INTEGER, url BLOB, label BLOB, PRIMARY KEY (first, "index")) WITHOUT ROWID;
CREATE TABLE passing ("index" INTEGER PRIMARY KEY, first INTEGER, url BLOB, label BLOB);
"""
_PASSING = "copied from another row"
"""The problem of a row that only passes through the pool."""
PAGE = 500
"""Copies that are made at a time."""
PAGE_SIZE = 16_000_000
"""Bytes of the bodies in them from which on there are no more."""


class _Row(NamedTuple):
    number: int
    first: int
    url: str
    label: str | None


class Twins:
    """Knows them in one session. Where the source is read, `to_fetch` is asked; everything else is the writer's."""

    def __init__(self, folder: RunFolder, ledger: Ledger, done: RowSet, *, method: str | None, has_data: bool) -> None:
        """`done`: the rows that are, now. `method`, `has_data`: what holds for requests that say nothing else."""
        self._method = method
        self._has_data = has_data
        self._bodies = Bodies(folder.path)
        self._ledger = ledger
        self._before = done
        self._again = ledger.again()
        self._fresh = RowSet() if ledger.generation else done
        """Of the rows that were done before, those that no retry has come after."""
        if ledger.generation:
            for (index,) in ledger.rows(("index",), f"generation = {ledger.generation}"):
                self._fresh.add(index)
        self._done = done.copy()
        self._given_up = RowSet()
        self._scratch = Scratch(folder.temporary / "twins.db", _SCHEMA)
        self._ready: deque[Result] = deque()
        """First rows that are over, with rows that have waited for them."""
        self._passed: deque[_Row] = deque()
        """Rows that have come through the pool, and whose first ones are done."""
        self.keep_body = False
        """Copies from the ledger get their body read, too."""

    def close(self) -> None:
        self._scratch.close()

    # --- on the way to the pool ---

    def to_fetch(self, requests: Sequence[Request]) -> list[Request]:
        """What the pool is to get of these rows, which are the next of the input, all of it. Raises `StorageError`."""
        with self._scratch.together():
            return [sent for request in requests if (sent := self._sent(request)) is not None]

    def _sent(self, request: Request) -> Request | None:
        index, done = request.index, request.index in self._before
        if request.problem is not None:
            return None if done else request
        key = self._key(request)
        found = self._scratch.select('SELECT "index" FROM firsts WHERE key = ?', (key,))
        if not found or self._outdated(found[0][0], index):
            self._scratch.change("INSERT OR REPLACE INTO firsts VALUES (?, ?)", [(key, index)])
            return None if done else request
        if done:
            return None
        row = (index, found[0][0], _packed(redact(request.url)), _packed(request.label))
        self._scratch.change("INSERT OR REPLACE INTO passing VALUES (?, ?, ?, ?)", [row])
        return replace(request, problem=_PASSING)

    def _key(self, request: Request) -> bytes:
        own = self._method or ("GET" if request.body is None and not self._has_data else "POST")
        method = own if request.method is None else str(request.method).upper()
        headers = [(str(name).lower(), value) for name, value in request.headers]
        return key_of(method, request.url.partition("#")[0], headers, request.body)

    def _outdated(self, first: int, index: int) -> bool:
        """The first row was done before a retry that the other is, or was, a part of."""
        if first not in self._before or first in self._fresh:
            return False
        return index in (self._fresh if index in self._before else self._again)

    # --- on the way to the disk ---

    def without_passing(self, results: Sequence[Result]) -> Sequence[Result]:
        """The results of the rows that were fetched. Of the others there will be copies. Raises `StorageError`."""
        if not any(result.error == _PASSING for result in results):
            return results
        with self._scratch.together():
            fetched = [other for result in results if (other := self._unless_passing(result)) is not None]
        if not fetched:
            self._ledger.commit_input()  # there may be a million of them before anything else is committed
        return fetched

    def _unless_passing(self, result: Result) -> Result | None:
        sql = 'SELECT "index", first, url, label FROM passing WHERE "index" = ?'
        found = self._scratch.select(sql, (result.index,)) if result.error == _PASSING else None
        if not found:
            return result
        row = _row(*found[0])
        if row.first in self._given_up:
            return replace(result, url=row.url, cause=Cause.CANCELLED, error="the run ended first")
        self._scratch.change('DELETE FROM passing WHERE "index" = ?', [(row.number,)])
        if row.first in self._done:
            self._passed.append(row)
        else:
            waiting = (row.first, row.number, *found[0][2:])
            self._scratch.change("INSERT OR REPLACE INTO waiting VALUES (?, ?, ?, ?)", [waiting])
        return None

    def settle(self, results: Sequence[Result]) -> None:
        """The ledger has these results, but for cancelled ones. Raises `StorageError`."""
        with self._scratch.together():
            for result in results:
                if result.copied:
                    continue
                (self._given_up if result.cause is Cause.CANCELLED else self._done).add(result.index)
                if self._scratch.select("SELECT 1 FROM waiting WHERE first = ? LIMIT 1", (result.index,)):
                    self._ready.append(result)

    def copies(self) -> list[Result]:
        """Some of the copies that can be made now; none when there are no more. Raises `StorageError`."""
        return self._of_those_that_waited() or self._of_those_that_passed()

    def _of_those_that_waited(self) -> list[Result]:
        sql = 'SELECT "index", first, url, label FROM waiting WHERE first = ? ORDER BY "index" LIMIT ?'
        while self._ready:
            first = self._ready[0]
            rows = [_row(*values) for values in self._scratch.select(sql, (first.index, PAGE))]
            if rows:
                keys = [(row.first, row.number) for row in rows]
                self._scratch.change('DELETE FROM waiting WHERE first = ? AND "index" = ?', keys)
                return [_copy(first, row) for row in rows]
            self._ready.popleft()
        return []

    def _of_those_that_passed(self) -> list[Result]:
        rows = list(islice(self._passed, PAGE))
        wanted = ", ".join(str(first) for first in {row.first for row in rows})
        records = self._ledger.records(f'"index" IN ({wanted})') if rows else ()
        firsts = {record["index"]: kept_result(record) for record in records}
        read: set[int] = set()
        held = 0
        copies: list[Result] = []
        for row in rows:
            if held >= PAGE_SIZE:
                break
            if self.keep_body and row.first not in read:
                firsts[row.first] = self._with_body(firsts[row.first])
                read.add(row.first)
                held += len(firsts[row.first].body)
            copies.append(_copy(firsts[row.first], row))
            self._passed.popleft()
        return copies

    def _with_body(self, result: Result) -> Result:
        try:
            return replace(result, body=self._bodies.read(result.path))
        except OSError as problem:
            return not_stored(result, f"the body cannot be read: {problem.strerror or problem}")


def _copy(first: Result, row: _Row) -> Result:
    """The record of `first` for another row. The body is stored, where it is: once."""
    return replace(first, index=row.number, url=row.url, label=row.label, copied=True, spool=None, sent=None)


def _packed(text: Any) -> Any:
    """A command line's bytes that are not UTF-8 come as lone surrogates, which SQLite takes for no text."""
    return text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text


def _row(number: int, first: int, url: bytes, label: Any) -> _Row:
    text = label.decode("utf-8", "surrogatepass") if isinstance(label, bytes) else label
    return _Row(number, first, url.decode("utf-8", "surrogatepass"), text)
