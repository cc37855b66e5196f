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


class KeepingStore:
    """A body store that returns the first result at once, and the others when it finishes."""

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


class FakeLedger:
    """Records what is committed."""

    def __init__(self) -> None:
        self.rows: list[int] = []
        self.states: list[Any] = []
        self.problem: StorageError | None = None

    def commit(self, results: Sequence[Result], meta: dict[str, Any] | None = None) -> None:
        if self.problem is not None:
            raise self.problem
        self.rows += [result.index for result in results]
        self.states.append((meta or {}).get("store"))


class FakeSink:
    """A sink whose reader may exit."""

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


def make_writer(store: Any) -> tuple[Writer, FakeLedger, FakeSink, list[int]]:
    ledger, sink = FakeLedger(), FakeSink()
    counted: list[int] = []
    as_ledger: Any = ledger
    writer = Writer(
        sink=sink, ledger=as_ledger, store=store, on_commit=lambda done: counted.extend(one.index for one in done)
    )
    return writer, ledger, sink, counted


def test_what_the_store_keeps_back_is_not_done_before_the_end() -> None:
    writer, ledger, sink, counted = make_writer(KeepingStore())
    assert [one.index for one in writer.commit(results(0, 1, 2))] == [0]
    assert ledger.rows == sink.rows == counted == [0]
    assert [one.index for one in writer.finish()] == [1, 2]
    assert ledger.rows == sink.rows == counted == [0, 1, 2]
    assert ledger.states == [2, 0]
    assert list(writer.finish()) == []


def test_when_the_reader_has_gone_what_was_kept_back_is_still_done() -> None:
    writer, ledger, sink, counted = make_writer(KeepingStore())
    sink.gone = True
    with pytest.raises(BrokenPipeError):
        writer.commit(results(0, 1, 2))
    assert [one.index for one in writer.finish()] == [1, 2]
    assert ledger.rows == [0, 1, 2]
    assert sink.rows == []
    assert counted == [0, 1, 2]


def test_a_cancelled_row_is_counted_but_not_done() -> None:
    writer, ledger, _, counted = make_writer(KeepingStore())
    writer.commit([failed_result(Cause.CANCELLED, index=7)])
    assert ledger.rows == []
    assert counted == [7]


def test_once_nothing_can_be_stored_the_rest_is_given_up() -> None:
    store = KeepingStore()
    writer, ledger, _, counted = make_writer(store)
    writer.commit(results(0, 1))
    store.problem = OSError(errno.ENOSPC, "No space left on device")
    with pytest.raises(StorageError, match="No space left on device"):
        writer.commit(results(2))
    assert list(writer.finish()) == []
    assert ledger.rows == counted == [0]


def test_once_the_ledger_cannot_be_written_the_rest_is_given_up() -> None:
    writer, ledger, _, counted = make_writer(KeepingStore())
    ledger.problem = StorageError("it is damaged")
    with pytest.raises(StorageError, match="it is damaged"):
        writer.commit(results(0, 1))
    assert list(writer.finish()) == []
    assert counted == []
