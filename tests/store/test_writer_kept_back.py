"""The writer: only what the store gave back counts, and what it kept back is not lost, however the run ends."""

from __future__ import annotations

import errno
from collections.abc import Sequence
from typing import Any

import pytest
from support.factories import failed_result, make_result

from fetchq.core.disk import StorageError
from fetchq.core.model import Cause, Result
from fetchq.core.row_set import RowSet
from fetchq.store.writer import Writer


class Keeper:
    """A store that keeps everything back until the end, and then gives it back."""

    def __init__(self, problem: OSError | None = None) -> None:
        self.kept: list[Result] = []
        self.problem = problem

    def restore(self, state: Any, done: RowSet) -> None:
        raise NotImplementedError

    def store(self, results: Sequence[Result]) -> list[Result]:
        if self.problem is not None:
            raise self.problem
        self.kept += results[1:]
        return list(results[:1])

    def finish(self) -> list[Result]:
        kept, self.kept = self.kept, []
        return kept

    def state(self) -> int:
        return len(self.kept)

    def close(self) -> None:
        raise NotImplementedError


class Books:
    """Stands in for the ledger."""

    def __init__(self) -> None:
        self.rows: list[int] = []
        self.states: list[Any] = []
        self.problem: StorageError | None = None

    def commit(self, results: Sequence[Result], meta: dict[str, Any] | None = None) -> None:
        if self.problem is not None:
            raise self.problem
        self.rows += [result.index for result in results]
        self.states.append((meta or {}).get("store"))


class Reader:
    """A sink whose reader goes away."""

    def __init__(self) -> None:
        self.rows: list[int] = []
        self.gone = False

    def write(self, results: Sequence[Result]) -> None:
        if self.gone:
            raise BrokenPipeError(errno.EPIPE, "Broken pipe")
        self.rows += [result.index for result in results]

    def flush(self) -> None:
        pass


def results(*indexes: int) -> list[Result]:
    return [make_result(index=index) for index in indexes]


def make_writer(store: Any) -> tuple[Writer, Books, Reader, list[int]]:
    books, reader = Books(), Reader()
    counted: list[int] = []
    ledger: Any = books
    writer = Writer(
        sink=reader, ledger=ledger, store=store, on_commit=lambda done: counted.extend(one.index for one in done)
    )
    return writer, books, reader, counted


def test_what_the_store_keeps_back_is_not_done_before_the_end() -> None:
    writer, books, reader, counted = make_writer(Keeper())
    assert [one.index for one in writer.commit(results(0, 1, 2))] == [0]
    assert books.rows == reader.rows == counted == [0]
    assert [one.index for one in writer.finish()] == [1, 2]
    assert books.rows == reader.rows == counted == [0, 1, 2]
    assert books.states == [2, 0]
    assert list(writer.finish()) == []


def test_when_the_reader_has_gone_what_was_kept_back_is_still_done() -> None:
    writer, books, reader, counted = make_writer(Keeper())
    reader.gone = True
    with pytest.raises(BrokenPipeError):
        writer.commit(results(0, 1, 2))
    assert [one.index for one in writer.finish()] == [1, 2]
    assert books.rows == [0, 1, 2]
    assert reader.rows == []
    assert counted == [0, 1, 2]


def test_a_cancelled_row_is_counted_but_not_done() -> None:
    writer, books, _, counted = make_writer(Keeper())
    writer.commit([failed_result(Cause.CANCELLED, index=7)])
    assert books.rows == []
    assert counted == [7]


def test_once_nothing_can_be_stored_the_rest_is_given_up() -> None:
    store = Keeper()
    writer, books, _, counted = make_writer(store)
    writer.commit(results(0, 1))
    store.problem = OSError(errno.ENOSPC, "No space left on device")
    with pytest.raises(StorageError, match="No space left on device"):
        writer.commit(results(2))
    assert list(writer.finish()) == []
    assert books.rows == counted == [0]


def test_once_the_ledger_cannot_be_written_the_rest_is_given_up() -> None:
    writer, books, _, counted = make_writer(Keeper())
    books.problem = StorageError("it is damaged")
    with pytest.raises(StorageError, match="it is damaged"):
        writer.commit(results(0, 1))
    assert list(writer.finish()) == []
    assert counted == []
