"""Defines fetch_map, which calls a function with each Result."""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Awaitable, Callable, Iterable
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, Generic, Literal, Self, TypedDict, TypeVar, Unpack, overload

from fetchq.api import FetchRun, chosen_settings, fetch_iter
from fetchq.core.model import Result
from fetchq.core.settings import Settings, SettingsError
from fetchq.inputs.iterables import Row
from fetchq.reports.summary import Summary
from fetchq.workers.result_map import ResultMap

if TYPE_CHECKING:
    from concurrent.futures import Executor

    from fetchq.core.settings_kwargs import SettingsKwargs

    class ClientMapKwargs(TypedDict, total=False):
        """The keyword arguments of `Client.fetch_map`."""

        ordered: bool
        parsers: int | None
        executor: Executor | None
        deadline: float | str | None

    class MapKwargs(SettingsKwargs, total=False):
        """Those of `fetch_map`."""

        ordered: bool
        parsers: int | None
        executor: Executor | None
        settings: Settings | None


__all__ = ["FetchMap", "Later", "Now", "Rows", "fetch_map", "mapping_of"]

T = TypeVar("T")
Rows = Iterable[Row] | AsyncIterable[Row]
Later = Callable[[Result], Awaitable[T]]
"""A coroutine function."""
Now = Callable[[Result], T]
"""A plain function."""


class FetchMap(Generic[T]):
    """A run under way, iterated for what a function returns for its Results. `async with` ends it when you leave."""

    def __init__(self, mapping: ResultMap, run: FetchRun) -> None:
        self._run = run
        self._values = _values(mapping, run)

    @property
    def summary(self) -> Summary:
        """The numbers of the run so far."""
        return self._run.summary

    def __aiter__(self) -> AsyncIterator[T]:
        return self._values

    def __anext__(self) -> Awaitable[T]:
        return self._values.__anext__()

    async def aclose(self) -> None:
        """End the run, and wait for all tasks and threads to end; a function that runs in a thread is waited for."""
        await self._values.aclose()
        await self._run.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()


@overload
def fetch_map(
    parse: Later[T], urls: Rows, *, on_error: Literal["raise"] = ..., **options: Unpack[MapKwargs]
) -> FetchMap[T]: ...
@overload
def fetch_map(
    parse: Later[T], urls: Rows, *, on_error: Literal["result"], **options: Unpack[MapKwargs]
) -> FetchMap[T | Result]: ...
@overload
def fetch_map(
    parse: Now[T], urls: Rows, *, on_error: Literal["raise"] = ..., **options: Unpack[MapKwargs]
) -> FetchMap[T]: ...
@overload
def fetch_map(
    parse: Now[T], urls: Rows, *, on_error: Literal["result"], **options: Unpack[MapKwargs]
) -> FetchMap[T | Result]: ...
def fetch_map(
    parse: Callable[[Result], Any],
    urls: Rows,
    *,
    ordered: bool = True,
    parsers: int | None = None,
    executor: Executor | None = None,
    on_error: str = "raise",
    settings: Settings | None = None,
    **options: Unpack[SettingsKwargs],
) -> FetchMap[Any]:
    """Fetch `urls`, call `parse` with each Result, failed ones included, and yield what it returns.

        async for title in fetch_map(parse, urls, workers=20): ...

    A coroutine function runs in the event loop, a plain one in a thread or in `executor`, such as a
    ProcessPoolExecutor; so a slow one never blocks the loop. `parsers`: how many calls run at a time, by default as
    many as threads are usual. `ordered`: values come in the order of the input, else as they are ready; memory is
    bounded in both cases. What `parse` raises ends the iteration; with `on_error="result"` the row's Result comes
    instead, with the cause `callback`. The keyword arguments are the fields of `Settings`, in mode `async`. At the
    `deadline`, rows that were not read yet have no value.

    Raises `SettingsError`, and whatever `fetch_iter` and `parse` raise as it is iterated.
    """
    chosen = chosen_settings("fetch_map", settings, options)
    if chosen.mode != "async":
        raise SettingsError("mode", f"fetch_map has mode 'async', not {chosen.mode!r}")
    mapping = mapping_of(parse, ordered, parsers, executor, on_error, chosen.workers)
    return FetchMap(mapping, fetch_iter(mapping.rows(urls), settings=chosen))


def mapping_of(
    parse: Callable[[Result], Any],
    ordered: bool,
    parsers: int | None,
    executor: Executor | None,
    on_error: str,
    workers: int,
) -> ResultMap:
    """The ResultMap for these arguments of `fetch_map`, with so many `workers`. Raises ValueError."""
    if on_error not in ("raise", "result"):
        raise ValueError(f"on_error is 'raise' or 'result', not {on_error!r}")
    if parsers is not None and parsers < 1:
        raise ValueError(f"parsers is at least 1, not {parsers}")
    at_once = parsers or min(32, (os.cpu_count() or 1) + 4)  # as many as a ThreadPoolExecutor has
    window = 4 * (workers + at_once) if ordered else None
    return ResultMap(parse, at_once=at_once, executor=executor, window=window, raises=on_error == "raise")


async def _values(mapping: ResultMap, run: FetchRun) -> AsyncGenerator[Any]:
    async with run, aclosing(mapping.values(aiter(run))) as values:
        async for value in values:
            yield value
