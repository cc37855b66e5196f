"""Defines the three functions of the library: fetch_all, fetch_iter and fetch_all_sync."""

from __future__ import annotations

import asyncio
import inspect
import os
import threading
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Awaitable, Callable, Iterable, Sized
from contextlib import aclosing, closing
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Self, TypeVar, Unpack

from fetchq.core.model import OnStart, Request, Result
from fetchq.core.option import HiddenValues, settings_text, unexpected_keyword
from fetchq.core.settings import Settings, hidden_settings
from fetchq.core.settings_kwargs import SettingsKwargs
from fetchq.inputs.iterables import Row, check_urls, number, number_async
from fetchq.pipeline import AsyncPipeline, BlockingPipeline
from fetchq.reports.rest_of_run import RestOfRun
from fetchq.reports.results import Results
from fetchq.reports.summary import Summary
from fetchq.workers.run import Feed

if TYPE_CHECKING:
    from fetchq.store.durable_rows import DurableRows

__all__ = ["FetchRun", "Results", "fetch_all", "fetch_all_sync", "fetch_iter"]

T = TypeVar("T")
CallableT = TypeVar("CallableT", bound=Callable[..., object])
OnResult = Callable[[Result], object]
"""Called with a Result. An awaitable return value is awaited; others are ignored."""

_SETTINGS = f"""The settings, with their defaults. Each takes its value, or the text that its command-line option takes,
such as '2m' for 120 seconds and '100M' for 100,000,000 bytes.

{settings_text(Settings)}"""


class FetchRun:
    """A run under way: iterate it for its Results, as they finish. `async with` ends it at once when you leave."""

    __slots__ = ("_pipeline", "_results")

    def __init__(self, pipeline: AsyncPipeline, on_result: OnResult | None) -> None:
        self._pipeline = pipeline
        self._results = _results(pipeline, on_result)
        pipeline.summary.rest = RestOfRun(self._results)

    @property
    def summary(self) -> Summary:
        """The numbers of the run so far, which are final when it has ended.

        Results are counted in batches, before they are yielded: a run under way may have counted some that are to come.
        `await run.summary` runs the rest of the run, without its Results, and returns the final numbers.
        """
        return self._pipeline.summary

    def __aiter__(self) -> AsyncIterator[Result]:
        return self._results  # not self, which would cost another call for each Result

    def __anext__(self) -> Awaitable[Result]:
        return self._results.__anext__()

    async def aclose(self) -> None:
        """End the run: cancel the attempts under way, and wait for all tasks and threads to end."""
        await self._results.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()


def _lists_settings(function: CallableT) -> CallableT:
    """Add a list of the settings to the docstring of a function that takes them as keyword arguments."""
    if function.__doc__ is not None:  # it is None under python -OO
        function.__doc__ = f"{inspect.cleandoc(function.__doc__)}\n\n{_SETTINGS}"
    return function


@_lists_settings
def fetch_iter(
    urls: Iterable[Row] | AsyncIterable[Row],
    *,
    settings: Settings | None = None,
    on_start: OnStart | None = None,
    on_result: OnResult | None = None,
    **options: Unpack[SettingsKwargs],
) -> FetchRun:
    """Fetch `urls` and yield each Result as it finishes, in bounded memory.

        async with fetch_iter(urls, workers=20) as run:
            async for result in run:
                ...
        print(run.summary.failed)

    `urls`: str, `yarl.URL` or `Request`, from any iterable, also an endless one, or an async iterable. It is read as
    the workers need it, in the event loop: an iterable that blocks, blocks the loop. Keyword arguments are the fields
    of `Settings`, unless `settings` is given.

    `on_start(request, worker)` is called before each attempt, `on_result(result)` before a Result is yielded; both
    may be plain functions or coroutine functions, and what they raise ends the run.

    A URL that fails is a Result that says so, not an exception. Leaving `async with` ends the run at once; after a
    bare `async for` was left, Python ends it when it collects the garbage. With `deadline`, the rows of a list that
    are unfinished then come as `cancelled`; an iterable of unknown length is not read further.

    Raises `SettingsError`; and as it is iterated `FolderError` and `StorageError` (with `output`), and whatever `urls`
    or a callback raises.
    """
    chosen = _settings("fetch_iter", settings, options)
    return FetchRun(_pipeline(urls, chosen, on_start), on_result)


async def _results(pipeline: AsyncPipeline, on_result: OnResult | None) -> AsyncGenerator[Result]:
    async with aclosing(pipeline.batches()) as batches:
        async for batch in batches:
            for result in batch:
                if on_result is not None and inspect.isawaitable(waiting := on_result(result)):
                    await waiting
                yield result


@_lists_settings
async def fetch_all(
    urls: Iterable[Row] | AsyncIterable[Row],
    *,
    settings: Settings | None = None,
    on_start: OnStart | None = None,
    on_result: OnResult | None = None,
    **options: Unpack[SettingsKwargs],
) -> Results:
    """Fetch `urls` and return their Results in the order of the input, one for each, with the run's `summary`.

    The arguments are those of `fetch_iter`.
    """
    chosen = _settings("fetch_all", settings, options)
    if not isinstance(urls, AsyncIterable):
        urls = list(check_urls(urls))  # it has to end anyway, and at the deadline a list is read to its end
    async with fetch_iter(urls, settings=chosen, on_start=on_start, on_result=on_result) as run:
        results = [result async for result in run]
    return Results(sorted(results, key=_index), run.summary)


@_lists_settings
def fetch_all_sync(
    urls: Iterable[Row],
    *,
    settings: Settings | None = None,
    on_start: OnStart | None = None,
    on_result: OnResult | None = None,
    **options: Unpack[SettingsKwargs],
) -> Results:
    """`fetch_all` for plain scripts and notebooks, in any mode, also where an event loop is running already.

    Modes `threads` and `sync` need no event loop and use none. The arguments are those of `fetch_iter`.
    """
    chosen = _settings("fetch_all_sync", settings, options)
    rows = list(check_urls(urls))
    if chosen.mode == "async":
        return _in_free_thread(
            lambda: asyncio.run(fetch_all(rows, settings=chosen, on_start=on_start, on_result=on_result))
        )
    return _in_free_thread(lambda: _fetch_blocking(rows, chosen, on_start, on_result))


def _fetch_blocking(
    rows: list[Row], settings: Settings, on_start: OnStart | None, on_result: OnResult | None
) -> Results:
    requests = list(number(rows, settings.params))
    started: OnStart | None = None if on_start is None else lambda *args: _wait_for(on_start(*args))
    output = _output(settings, requests)
    batch_of_one = ([request] for request in requests) if output is None else output.to_fetch()
    pipeline = BlockingPipeline(settings, Feed(batch_of_one, threaded=False, finite=True), output, on_start=started)
    results: list[Result] = []
    with closing(pipeline.batches()) as batches:  # a callback's exception must also end the run
        for batch in batches:
            for result in batch:
                if on_result is not None:
                    _wait_for(on_result(result))
                results.append(result)
    return Results(sorted(results, key=_index), pipeline.summary)


def _wait_for(waiting: object) -> None:
    if inspect.isawaitable(waiting):

        async def wait() -> None:
            await waiting

        asyncio.run(wait())


def _in_free_thread(work: Callable[[], T]) -> T:
    """Call `work` in this thread or, if an event loop runs in it, in another thread."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return work()
    outcome: list[T] = []
    problem: list[BaseException] = []

    def run() -> None:
        try:
            outcome.append(work())
        except BaseException as found:  # noqa: BLE001  # raised in the caller's thread
            problem.append(found)

    thread = threading.Thread(target=run, name="fetchq")
    thread.start()
    thread.join()
    if problem:
        raise problem[0]
    return outcome[0]


def _settings(function: str, settings: Settings | None, options: SettingsKwargs) -> Settings:
    """The settings that `function` was called with. Raises `SettingsError`, and TypeError for an unknown keyword.

    `options` is empty then, so that no traceback of a later error shows the secrets in it.
    """
    given = HiddenValues.taken_from(options)
    known = (*(one.name for one in fields(Settings)), "settings", "on_start", "on_result")
    if problem := unexpected_keyword(function, given, known):
        raise problem
    if settings is None:
        settings = hidden_settings(given)
    elif given:
        raise TypeError(f"either settings or {', '.join(given)}, not both")
    if settings.output is None:
        return settings
    return replace(settings, output=os.path.abspath(settings.output))  # the working directory may change


def _pipeline(urls: Iterable[Row] | AsyncIterable[Row], settings: Settings, on_start: OnStart | None) -> AsyncPipeline:
    finite = isinstance(urls, Sized)
    requests: Iterable[Request] | AsyncIterable[Request]
    if not isinstance(urls, AsyncIterable):
        requests = number(urls, settings.params)
        if finite and settings.output is not None:
            requests = list(requests)
    elif settings.mode != "async":
        raise TypeError(f"an async iterable of URLs needs mode 'async', not {settings.mode!r}")
    else:
        requests = number_async(urls, settings.params)
    output = _output(settings, requests)
    if output is not None:
        feed = Feed(output.to_fetch(), threaded=False, finite=finite)
    elif isinstance(requests, AsyncIterable):
        feed = Feed(requests, threaded=False, finite=finite)
    else:  # one request in a batch, since the next URL may be long in coming
        feed = Feed(([request] for request in requests), threaded=False, finite=finite)
    return AsyncPipeline(settings, feed, output, on_start=on_start)


def _output(settings: Settings, requests: Iterable[Request] | AsyncIterable[Request]) -> DurableRows | None:
    """The output of a durable run; None for a run that is not durable."""
    if settings.output is None:
        return None
    from fetchq.store.durable_rows import DurableRows

    return DurableRows(settings, requests)


def _index(result: Result) -> int:
    return result.index
