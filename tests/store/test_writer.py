"""The writer: sinks write, sinks flush, the ledger commits, the summary counts; and what happens when one cannot."""

from __future__ import annotations

import errno
from collections.abc import Sequence
from typing import Any

import pytest
from support.factories import failed_result, make_result

from fetchq.core.disk import StorageError
from fetchq.core.model import Cause, Result
from fetchq.store.writer import Writer


class Recorder:
    """A sink, a store and a ledger that record what is called; `fails` names the step that raises."""

    def __init__(self, fails: dict[str, Exception] | None = None, keeps_back: int = 0) -> None:
        self.steps: list[tuple[str, list[int]]] = []
        self.meta: dict[str, Any] | None = None
        self._fails = fails or {}
        self._keeps_back = keeps_back
        self._kept: list[Result] = []

    def _step(self, name: str, results: Sequence[Result]) -> None:
        if name in self._fails:
            raise self._fails[name]
        self.steps.append((name, [result.index for result in results]))

    def write(self, results: Sequence[Result]) -> None:
        self._step("write", results)

    def flush(self) -> None:
        self._step("flush", ())

    def store(self, results: Sequence[Result]) -> list[Result]:
        self._step("store", results)
        self._kept += results
        ready = self._kept[: len(self._kept) - self._keeps_back]
        self._kept = self._kept[len(ready) :]
        return ready

    def finish(self) -> list[Result]:
        self._step("finish", ())
        ready, self._kept = self._kept, []
        return ready

    def state(self) -> int:
        return len(self.steps)

    def restore(self, state: object, done: object) -> None:
        raise AssertionError

    def commit(self, results: Sequence[Result], meta: dict[str, Any] | None = None) -> None:
        self._step("commit", results)
        self.meta = meta

    def count(self, results: Sequence[Result]) -> None:
        self._step("count", results)

    @property
    def names(self) -> list[str]:
        return [name for name, _ in self.steps]


def writer_of(recorder: Any) -> Writer:
    return Writer(sink=recorder, ledger=recorder, store=recorder, on_commit=recorder.count)


def test_a_result_counts_only_when_everybody_else_is_done_with_it() -> None:
    recorder = Recorder()
    assert writer_of(recorder).commit([make_result()])
    assert recorder.names == ["store", "write", "flush", "commit", "count"]
    assert recorder.meta == {"store": 3}


def test_a_sink_alone_will_do() -> None:
    recorder: Any = Recorder()
    writer = Writer(sink=recorder, on_commit=recorder.count)
    writer.commit([make_result()])
    assert writer.finish() == []
    assert recorder.names == ["write", "flush", "count"]


def test_a_row_that_was_cancelled_is_shown_and_not_done() -> None:
    recorder = Recorder()
    writer_of(recorder).commit([make_result(index=0), failed_result(Cause.CANCELLED, index=1)])
    assert dict(recorder.steps)["write"] == dict(recorder.steps)["count"] == [0, 1]
    assert dict(recorder.steps)["commit"] == [0]


def test_what_a_store_keeps_back_is_nowhere_until_it_is_safe() -> None:
    recorder = Recorder(keeps_back=2)
    writer = writer_of(recorder)
    assert [result.index for result in writer.commit([make_result(index=index) for index in range(3)])] == [0]
    assert dict(recorder.steps)["commit"] == dict(recorder.steps)["count"] == [0]
    assert [result.index for result in writer.finish()] == [1, 2]
    assert recorder.names[-5:] == ["finish", "write", "flush", "commit", "count"]


def test_nothing_is_written_of_nothing() -> None:
    recorder = Recorder(keeps_back=1)
    writer = writer_of(recorder)
    writer.commit([make_result()])
    assert recorder.names == ["store"]


@pytest.mark.parametrize("step", ["write", "flush"])
def test_the_ledger_is_kept_though_nobody_reads_the_records_any_more(step: str) -> None:
    recorder = Recorder({step: BrokenPipeError(errno.EPIPE, "gone")})
    with pytest.raises(BrokenPipeError):
        writer_of(recorder).commit([make_result()])
    assert "commit" in recorder.names
    assert recorder.names[-1] == "count"  # what nobody reads is done all the same


@pytest.mark.parametrize(
    "problem", [OSError(errno.ENOSPC, "No space left on device", "run/bodies/x"), StorageError("it is full")]
)
def test_a_store_that_cannot_go_on_stops_the_run_and_nothing_of_the_batch_is_done(problem: Exception) -> None:
    recorder = Recorder({"store": problem})
    writer = writer_of(recorder)
    with pytest.raises(StorageError):
        writer.commit([make_result()])
    assert recorder.names == []
    assert writer.finish() == []


def test_a_ledger_that_cannot_go_on_stops_the_run_and_nothing_counts() -> None:
    recorder = Recorder({"commit": StorageError("it is full")}, keeps_back=1)
    writer = writer_of(recorder)
    with pytest.raises(StorageError):
        writer.commit([make_result(index=0), make_result(index=1)])
    assert "count" not in recorder.names
    assert writer.finish() == []
