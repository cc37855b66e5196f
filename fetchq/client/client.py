"""Defines Client, which fetches for many calls with the same connections and limits."""

from __future__ import annotations

import inspect
from collections.abc import AsyncGenerator, AsyncIterable, Callable, Iterable, Sequence
from dataclasses import fields
from functools import partial
from operator import attrgetter
from time import perf_counter
from typing import TYPE_CHECKING, Any, Literal, Self, TypeVar, Unpack, overload

from fetchq.api import FetchRun, chosen_settings
from fetchq.client.fetch_map import FetchMap, Later, Now, Rows, mapping_of
from fetchq.core.model import OnStart, Request, Result
from fetchq.core.option import option_of
from fetchq.core.settings import Settings, SettingsError
from fetchq.inputs.iterables import Row, check_urls
from fetchq.reports.results import Results
from fetchq.reports.summary import Summary
from fetchq.workers.call import Call
from fetchq.workers.shared_run import SharedRun

if TYPE_CHECKING:
    from concurrent.futures import Executor

    from yarl import URL

    from fetchq.api import OnResult
    from fetchq.client.fetch_map import ClientMapKwargs
    from fetchq.core.settings_kwargs import SettingsKwargs

__all__ = ["Client"]

T = TypeVar("T")

_OF_ONE_LIST = ("output", "report", "har", "trace", "max_failures", "fail_fast")
"""The settings that name what is kept of one list, or when it ends."""

_COUNTED_TOGETHER = 64
"""How many Results are counted at a time, which takes less than to count each."""
_SMALL = 10_000
"""A body of more bytes does not wait for the others to be counted."""

_index = attrgetter("index")


class Client:
    """Fetches for many calls, also at the same time, as one run.

        async with fetchq.Client(workers=20, per_host=4) as client:
            result = await client.fetch("https://example.org/")
            results = await client.fetch_all(urls)
            async for result in client.fetch_iter(urls): ...

    All calls share the workers, warm connections, DNS answers and cookies, and the limits hold for all of them
    together: `workers`, `rate`, `per_host`, the back-off of a host that refuses. A call that is cancelled, or whose
    Results nobody reads any more, takes its rows out, and leaves the others alone. `Result.index` is the row's index
    in its call. Where rows of several calls wait for one host, those with the highest `Request.priority` go first.

    A Client belongs to the event loop in which it is entered. Leaving `async with` cancels what is left of its calls,
    and closes all connections.
    """

    def __init__(self, *, settings: Settings | None = None, **options: Unpack[SettingsKwargs]) -> None:
        """The keyword arguments are the fields of `Settings`, unless `settings` is given. `deadline` bounds each call.

        Raises `SettingsError`, also for a setting that is about one list, such as `output` and `max_failures`.
        """
        chosen = chosen_settings("Client", settings, options)
        for name in _OF_ONE_LIST:
            if getattr(chosen, name):
                raise SettingsError(name, "not for a Client, which has no list; fetch_all and fetch_iter take it")
        if chosen.processes != 1:
            raise SettingsError("processes", "not for a Client, whose calls share their connections in one process")
        if chosen.mode != "async":
            raise SettingsError("mode", f"a Client has mode 'async', not {chosen.mode!r}")
        self._deadline = chosen.deadline
        self._summary = Summary()
        self._uncounted: list[Result] = []
        """Results that the summary does not have yet."""
        self._run = SharedRun(chosen, self._count)

    @property
    def summary(self) -> Summary:
        """The numbers of all calls so far. They have no `attribution` and no `verdict`."""
        self._count_all()
        run = self._run
        seconds = perf_counter() - run.began if run.began else 0.0
        self._summary.update(seconds, run.clocks, run.backoffs(), run.loads())
        return self._summary

    async def fetch(
        self,
        url: str | URL | Request,
        *,
        deadline: float | str | None = None,
        on_start: OnStart | None = None,
    ) -> Result:
        """Fetch one URL. A failure is a Result that says so. After `deadline` seconds it is `cancelled`."""
        call = self._call([url], deadline, on_start)
        try:
            call.begin()
            (result,) = await call.take()
        finally:
            call.end()
        return result

    async def fetch_all(
        self,
        urls: Iterable[Row] | AsyncIterable[Row],
        *,
        deadline: float | str | None = None,
        on_start: OnStart | None = None,
        on_result: OnResult | None = None,
    ) -> Results:
        """Fetch `urls` and return their Results in the order of the input, with a `summary` of this call.

        The arguments are those of `fetchq.fetch_all`; the settings are the Client's.
        """
        if not isinstance(urls, AsyncIterable):
            urls = list(check_urls(urls))  # it has to end anyway, and at the deadline a list is read to its end
        call = self._call(urls, deadline, on_start)
        results, began = list[Result](), perf_counter()
        rows = None if isinstance(urls, AsyncIterable) else len(urls)
        try:
            call.begin()
            while len(results) != rows and (batch := await call.take()):
                if on_result is not None:
                    await _call_for_each(batch, on_result)
                results += batch
        finally:
            call.end()
            await call.ended()
        results.sort(key=_index)
        return Results(results, partial(_summary_of, tuple(results), perf_counter() - began))

    def fetch_iter(
        self,
        urls: Iterable[Row] | AsyncIterable[Row],
        *,
        deadline: float | str | None = None,
        on_start: OnStart | None = None,
        on_result: OnResult | None = None,
    ) -> FetchRun:
        """Fetch `urls` and yield each Result as it finishes, in bounded memory.

        The arguments are those of `fetchq.fetch_iter`; the settings are the Client's. A reader that is slow holds back
        the rows of this call alone.
        """
        return FetchRun(_CallSource(self._call(urls, deadline, on_start)), on_result)

    @overload
    def fetch_map(
        self, parse: Later[T], urls: Rows, *, on_error: Literal["raise"] = ..., **options: Unpack[ClientMapKwargs]
    ) -> FetchMap[T]: ...
    @overload
    def fetch_map(
        self, parse: Later[T], urls: Rows, *, on_error: Literal["result"], **options: Unpack[ClientMapKwargs]
    ) -> FetchMap[T | Result]: ...
    @overload
    def fetch_map(
        self, parse: Now[T], urls: Rows, *, on_error: Literal["raise"] = ..., **options: Unpack[ClientMapKwargs]
    ) -> FetchMap[T]: ...
    @overload
    def fetch_map(
        self, parse: Now[T], urls: Rows, *, on_error: Literal["result"], **options: Unpack[ClientMapKwargs]
    ) -> FetchMap[T | Result]: ...
    def fetch_map(
        self,
        parse: Callable[[Result], Any],
        urls: Rows,
        *,
        ordered: bool = True,
        parsers: int | None = None,
        executor: Executor | None = None,
        on_error: str = "raise",
        deadline: float | str | None = None,
    ) -> FetchMap[Any]:
        """`fetchq.fetch_map` with this Client, whose settings hold; `deadline` bounds the call."""
        mapping = mapping_of(parse, ordered, parsers, executor, on_error, self._run.settings.workers)
        return FetchMap(mapping, self.fetch_iter(mapping.rows(urls), deadline=deadline))

    async def aclose(self) -> None:
        """Cancel what is left of all calls, close the connections, and wait for the end of all tasks and threads."""
        await self._run.close()

    async def __aenter__(self) -> Self:
        self._run.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    def _call(
        self, urls: Iterable[Row] | AsyncIterable[Row], deadline: float | str | None, on_start: OnStart | None
    ) -> Call:
        self._run.check()
        seconds = self._deadline if deadline is None else _seconds(deadline)
        return Call(self._run, urls, seconds, on_start)

    def _count(self, result: Result) -> None:
        self._uncounted.append(result)
        if len(self._uncounted) >= _COUNTED_TOGETHER or result.size > _SMALL:
            self._count_all()

    def _count_all(self) -> None:
        results, self._uncounted = self._uncounted, []
        self._summary.add(results)


_DEADLINE = option_of(next(one for one in fields(Settings) if one.name == "deadline"))


def _seconds(deadline: float | str) -> float | None:
    """The parsed deadline. Raises `SettingsError`."""
    try:
        seconds: float | None = _DEADLINE.parse(deadline)
    except ValueError as problem:
        raise SettingsError("deadline", str(problem)) from None
    return seconds


def _summary_of(results: Sequence[Result], duration: float) -> Summary:
    summary = Summary(duration=duration)
    summary.add(results)
    return summary


class _CallSource:
    """The Results of one call, in batches, and its Summary."""

    def __init__(self, call: Call) -> None:
        self._call = call
        self.summary = Summary()

    async def batches(self) -> AsyncGenerator[Sequence[Result]]:
        call, began = self._call, perf_counter()
        try:
            call.begin()
            while batch := await call.take():
                self.summary.add(batch)
                self.summary.duration = perf_counter() - began
                yield batch
        finally:
            call.end()
            await call.ended()


async def _call_for_each(batch: Sequence[Result], on_result: OnResult) -> None:
    for result in batch:
        if inspect.isawaitable(waiting := on_result(result)):
            await waiting
