"""Writes a trace in Chrome's Trace Event Format, which Perfetto opens: a row for each worker, and what it did when.

An event for each attempt, with one for each of its hops if there were redirects, and in them one for each phase. Times
are microseconds since the run began. Within a hop the phases follow each other in the order of `PHASES`, with `held`
(by `limit_rate`) after `lag`, although a body is received, held back, decoded and stored by turns. The counter `under
way` is the number of attempts that are being made at a time.

Time for which a row waits in the queue belongs to no worker, and is not in the trace; nor are rows for which no request
was made. https://docs.google.com/document/d/1CvAClvFfyA5R-PhYUmn5OOQtYMH4h6I0nSsKchNAySU describes the format.
"""

from __future__ import annotations

from dataclasses import asdict
from itertools import groupby
from time import perf_counter
from typing import TYPE_CHECKING, Any

from fetchq._version import __version__
from fetchq.reports.json_file import JsonFile
from fetchq.store.sinks.records_jsonl import json_line

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from fetchq.core.exchange import Exchange
    from fetchq.core.model import Result
    from fetchq.core.settings import Settings
    from fetchq.reports.summary import Summary

__all__ = ["TraceView", "UnderWay"]

_PROCESS = 1_000_000  # above the numbers of workers, since Perfetto calls a thread with the same one the main thread
_MOST_CHANGES = 8192


class UnderWay:
    """Counts how many attempts are under way at a time, in bounded memory: a long run at a coarser step."""

    def __init__(self, most: int = _MOST_CHANGES) -> None:
        """`most`: how many changes of the number are kept."""
        self._most = most
        self._step = 1
        """Microseconds: all changes within a step are counted as one."""
        self._changes: dict[int, int] = {}

    def add(self, began: int, ended: int) -> None:
        """Count an attempt. Times are in microseconds."""
        for at, change in ((began, 1), (ended, -1)):
            at -= at % self._step
            self._changes[at] = self._changes.get(at, 0) + change
        while len(self._changes) > self._most:
            self._step *= 2
            coarser: dict[int, int] = {}
            for at, change in self._changes.items():
                at -= at % self._step
                coarser[at] = coarser.get(at, 0) + change
            self._changes = coarser

    def levels(self) -> Iterator[tuple[int, int]]:
        """The times at which the number changes, in microseconds, each with the new number."""
        number = 0
        for at, change in sorted(self._changes.items()):
            if change:
                number += change
                yield at, number


class TraceView:
    """Writes the events of each row as it is done, and at the end the counter."""

    def __init__(self, settings: Settings) -> None:
        assert settings.trace is not None
        self._began = perf_counter()
        self._workers: set[int] = set()
        """The workers that have a name in the file."""
        self._under_way = UnderWay()
        self._file = JsonFile(settings.trace, b'{"displayTimeUnit": "ms", "traceEvents": [')
        name = f"fetchq in mode {settings.mode}"
        self._file.add([_metadata("process_name", 0, name=name)])

    def add(self, results: Sequence[Result]) -> None:
        self._file.add(event for result in results for event in self._events(result))

    def close(self, summary: Summary) -> None:
        self._file.add(
            {"name": "under way", "ph": "C", "pid": _PROCESS, "ts": at, "args": {"attempts": number}}
            for at, number in self._under_way.levels()
        )
        data = {
            "creator": f"fetchq {__version__}",
            "rows": summary.total,
            "failed": summary.failed,
            "unfinished": summary.unfinished,
        }
        self._file.close(b'\n], "otherData": ' + json_line(data)[:-1] + b"}\n")

    def _events(self, result: Result) -> Iterator[dict[str, Any]]:
        last = result._exchanges[-1].attempt if result._exchanges else 0
        for number, group in groupby(result._exchanges, lambda one: one.attempt):
            exchanges = tuple(group)
            worker = exchanges[0].worker
            if worker not in self._workers:
                self._workers.add(worker)
                yield _metadata("thread_name", worker, name=f"worker {worker}")
                yield _metadata("thread_sort_index", worker, sort_index=worker)
            began, ended = self._at(exchanges[0].began), self._at(exchanges[-1].ended)
            self._under_way.add(began, ended)
            failure = result if number == last else exchanges[-1]
            args = {
                "url": result.url,
                "row": result.index,
                "label": result.label,
                "attempt": number,
                "attempts": last,
                "status": exchanges[-1].status,
                "cause": None if failure.cause is None else failure.cause.value,
                "error": failure.error,
                "size": exchanges[-1].size,
            }
            yield _event(f"{result.method} {result.url}", "row", worker, began, ended, args)
            for exchange in exchanges:
                if len(exchanges) > 1:
                    hop = {"url": exchange.url, "status": exchange.status}
                    began, ended = self._at(exchange.began), self._at(exchange.ended)
                    yield _event(f"{exchange.method} {exchange.url}", "hop", worker, began, ended, hop)
                yield from self._phases(exchange)

    def _phases(self, exchange: Exchange) -> Iterator[dict[str, Any]]:
        spent = asdict(exchange.timing) | {"held": 0.0, "decode": exchange.decode, "store": exchange.store}
        # `exchange.held` includes what came before the hop.
        spent["held"] = exchange.ended - exchange.began - sum(seconds or 0.0 for seconds in spent.values())
        at, end = exchange.began, self._at(exchange.ended)
        for phase, seconds in spent.items():
            began = min(end, self._at(at))
            at += seconds or 0.0
            ended = min(end, self._at(at))
            if ended > began:
                yield _event(phase, "phase", exchange.worker, began, ended)

    def _at(self, moment: float) -> int:
        """A moment of `time.perf_counter` in microseconds since the run began."""
        return round((moment - self._began) * 1e6)


def _event(
    name: str, category: str, worker: int, began: int, ended: int, args: dict[str, Any] | None = None
) -> dict[str, Any]:
    """A complete event: one with a duration."""
    event = {"name": name, "cat": category, "ph": "X", "pid": _PROCESS, "tid": worker, "ts": began}
    return event | {"dur": ended - began, "args": args or {}}


def _metadata(kind: str, worker: int, **args: object) -> dict[str, Any]:
    return {"name": kind, "ph": "M", "pid": _PROCESS, "tid": worker, "args": args}
