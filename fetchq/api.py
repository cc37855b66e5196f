"""The library's three functions: fetch_all, fetch_iter, fetch_all_sync."""

from __future__ import annotations

import asyncio
import inspect
import os
import threading
from collections.abc import AsyncGenerator, AsyncIterable, Callable, Generator, Iterable, Iterator, Sequence, Sized
from contextlib import aclosing, closing
from dataclasses import replace
from typing import Any, TypeVar

from yarl import URL

from fetchq.core.model import OnStart, Request, Result, make_request
from fetchq.core.parsers import pairs_of
from fetchq.core.quantities import read_priority
from fetchq.core.settings import Settings
from fetchq.workers.run import AsyncRun, BlockingRun, Feed

__all__ = ["fetch_all", "fetch_all_sync", "fetch_iter"]

T = TypeVar("T")
Row = str | URL | Request
OnResult = Callable[[Result], object]
"""Is told of a Result. What it returns is awaited where that can be, and else of no account."""


async def fetch_iter(
    urls: Iterable[Row] | AsyncIterable[Row],
    *,
    settings: Settings | None = None,
    on_start: OnStart | None = None,
    on_result: OnResult | None = None,
    **knobs: Any,
) -> AsyncGenerator[Result]:
    """Fetch `urls` and yield each Result as it finishes, in bounded memory.

    `urls`: str, `yarl.URL` or `Request`, from any iterable, also an endless one, or an async iterable. It is read as
    the workers need it, in the event loop: an iterable that blocks, blocks the loop. Keyword arguments are the fields
    of `Settings`, unless `settings` is given.

    `on_start(request, worker)` is called before each attempt, `on_result(result)` before a Result is yielded; both
    may be plain functions or coroutine functions, and what they raise ends the run.

    A URL that fails is a Result that says so, not an exception. Leaving the loop early ends the run; to have it ended
    at once, iterate inside `contextlib.aclosing`. With `deadline`, the rows of a list that are unfinished then come as
    `cancelled`; an iterable of unknown length is not read further.

    Raises `SettingsError`, and whatever `urls` or a callback raises.
    """
    settings = _settings(settings, knobs)
    async with aclosing(_batches(urls, settings, on_start)) as batches:
        async for batch in batches:
            for result in batch:
                if on_result is not None and inspect.isawaitable(waiting := on_result(result)):
                    await waiting
                yield result


async def fetch_all(
    urls: Iterable[Row] | AsyncIterable[Row],
    *,
    settings: Settings | None = None,
    on_start: OnStart | None = None,
    on_result: OnResult | None = None,
    **knobs: Any,
) -> list[Result]:
    """Fetch `urls` and return their Results in the order of the input, one for each.

    The arguments are those of `fetch_iter`.
    """
    settings = _settings(settings, knobs)
    if not isinstance(urls, AsyncIterable):
        urls = list(_checked(urls))  # it has to end anyway, and a list is read to its end when the deadline strikes
    results: list[Result] = []
    finished = fetch_iter(urls, settings=settings, on_start=on_start, on_result=on_result)
    async with aclosing(finished):
        async for result in finished:
            results.append(result)  # noqa: PERF401  # a comprehension would not close the iterator in time
    return sorted(results, key=_index)


def fetch_all_sync(
    urls: Iterable[Row],
    *,
    settings: Settings | None = None,
    on_start: OnStart | None = None,
    on_result: OnResult | None = None,
    **knobs: Any,
) -> list[Result]:
    """`fetch_all` for plain scripts and notebooks, in any mode, also where an event loop is running already.

    Modes `threads` and `sync` need no event loop and use none. The arguments are those of `fetch_iter`.
    """
    chosen = _settings(settings, knobs)
    rows = list(_checked(urls))
    if chosen.mode == "async":
        return _in_free_thread(
            lambda: asyncio.run(fetch_all(rows, settings=chosen, on_start=on_start, on_result=on_result))
        )
    return _in_free_thread(lambda: _fetch_blocking(rows, chosen, on_start, on_result))


def _fetch_blocking(
    rows: list[Row], settings: Settings, on_start: OnStart | None, on_result: OnResult | None
) -> list[Result]:
    requests = list(_numbered(rows))
    started: OnStart | None = None if on_start is None else lambda *args: _wait_for(on_start(*args))
    if settings.output is None:
        feed = Feed(([request] for request in requests), threaded=False, finite=True)
        batches: Generator[Sequence[Result]] = BlockingRun(settings, feed, started).batches()
    else:
        from fetchq.durable import durable_blocking

        batches = durable_blocking(settings, requests, started)
    results: list[Result] = []
    with closing(batches):  # what a callback raises finds the run at its end
        for batch in batches:
            for result in batch:
                if on_result is not None:
                    _wait_for(on_result(result))
                results.append(result)
    return sorted(results, key=_index)


def _wait_for(waiting: object) -> None:
    if inspect.isawaitable(waiting):

        async def wait() -> None:
            await waiting

        asyncio.run(wait())


def _in_free_thread(work: Callable[[], T]) -> T:
    """`work` here; or, where an event loop runs in this thread, in another one."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return work()
    outcome: list[T] = []
    problem: list[BaseException] = []

    def run() -> None:
        try:
            outcome.append(work())
        except BaseException as found:  # noqa: BLE001  # it is raised where the caller is
            problem.append(found)

    thread = threading.Thread(target=run, name="fetchq")
    thread.start()
    thread.join()
    if problem:
        raise problem[0]
    return outcome[0]


def _settings(settings: Settings | None, knobs: dict[str, Any]) -> Settings:
    if settings is None:
        settings = Settings(**knobs)
    elif knobs:
        raise TypeError(f"either settings or {', '.join(knobs)}, not both")
    if settings.output is None:
        return settings
    return replace(settings, output=os.path.abspath(settings.output))  # the program may go elsewhere meanwhile


def _batches(
    urls: Iterable[Row] | AsyncIterable[Row], settings: Settings, on_start: OnStart | None
) -> AsyncGenerator[Sequence[Result]]:
    finite = isinstance(urls, Sized)
    requests: Iterable[Request] | AsyncIterable[Request]
    if not isinstance(urls, AsyncIterable):
        requests = _numbered(urls)
    elif settings.mode != "async":
        raise TypeError(f"an async iterable of URLs needs mode 'async', not {settings.mode!r}")
    else:
        requests = _numbered_async(urls)
    if settings.output is not None:
        from fetchq.durable import durable_async

        rows = list(requests) if finite and isinstance(requests, Iterator) else requests
        return durable_async(settings, rows, on_start, finite=finite)
    # One request a batch: the next URL may take its time to come.
    feed: Any = requests if isinstance(requests, AsyncIterable) else ([request] for request in requests)
    return AsyncRun(settings, Feed(feed, threaded=False, finite=finite), on_start).batches()


def _numbered(urls: Iterable[Row]) -> Iterator[Request]:
    return (_request(row, index) for index, row in enumerate(_checked(urls)))


def _checked(urls: Iterable[Row]) -> Iterable[Row]:
    if isinstance(urls, str | bytes):
        raise TypeError("a list of URLs is needed, not a single one")
    return urls


async def _numbered_async(urls: AsyncIterable[Row]) -> AsyncGenerator[Request]:
    index = 0
    async for row in urls:
        yield _request(row, index)
        index += 1


def _request(row: Row, index: int) -> Request:
    if isinstance(row, str):
        return make_request(row, index)
    if isinstance(row, URL):
        return Request(str(row), index)
    if isinstance(row, Request):
        return _read(row, index)
    raise TypeError(f"row {index} is {type(row).__name__}, not str, yarl.URL or Request")


_TYPES: tuple[tuple[str, type, str], ...] = (
    ("method", str, "a text"),
    ("body", bytes, "bytes"),
    ("label", str, "a text"),
)


def _read(row: Request, index: int) -> Request:
    """The row with what a program has put into it read, as its types say: where it cannot be, the row is unusable."""
    try:
        for name, kind, what in _TYPES:
            if not isinstance(getattr(row, name), kind | None):
                raise ValueError(f"the {name} is not {what}")
        headers = pairs_of(row.headers) if row.headers else ()
        return replace(
            row, index=index, headers=headers, priority=0 if row.priority == 0 else read_priority(row.priority)
        )
    except ValueError as problem:
        usable = {name: getattr(row, name) for name, kind, _ in _TYPES if isinstance(getattr(row, name), kind)}
        return Request(row.url, index, **usable, problem=row.problem or str(problem))


def _index(result: Result) -> int:
    return result.index
