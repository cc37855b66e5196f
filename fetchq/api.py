"""Defines the three functions of the library: fetch_all, fetch_iter and fetch_all_sync."""

from __future__ import annotations

import asyncio
import inspect
import os
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Awaitable, Callable, Iterable, Sequence, Sized
from contextlib import aclosing, closing, nullcontext
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Protocol, Self, TypeVar, Unpack

from fetchq.core.model import OnStart, Request, Result
from fetchq.core.option import HiddenValues, settings_text, unexpected_keyword
from fetchq.core.settings import Settings, hidden_settings
from fetchq.core.settings_kwargs import SettingsKwargs
from fetchq.inputs.iterables import Row, check_urls, number, number_async
from fetchq.pipeline import AsyncPipeline, BlockingPipeline
from fetchq.reports.rest_of_run import RestOfRun
from fetchq.reports.results import Results
from fetchq.reports.summary import Summary
from fetchq.workers.free_thread import in_free_thread
from fetchq.workers.run import Feed

if TYPE_CHECKING:
    from fetchq.reports.progress_bar import ProgressBar
    from fetchq.store.durable_rows import DurableRows

__all__ = ["FetchRun", "Results", "chosen_settings", "fetch_all", "fetch_all_sync", "fetch_iter"]

CallableT = TypeVar("CallableT", bound=Callable[..., object])
OnResult = Callable[[Result], object]
"""Called with a Result. An awaitable return value is awaited; others are ignored."""

_SETTINGS = f"""The settings, with their defaults. Each takes its value, or the text that its command-line option takes,
such as '2m' for 120 seconds and '100M' for 100,000,000 bytes.

{settings_text(Settings)}"""


class _Source(Protocol):
    """What a FetchRun iterates."""

    @property
    def summary(self) -> Summary: ...

    def batches(self) -> AsyncGenerator[Sequence[Result]]: ...


class FetchRun:
    """A run under way: iterate it for its Results, as they finish. `async with` ends it at once when you leave."""

    __slots__ = ("_pipeline", "_results")

    def __init__(self, pipeline: _Source, on_result: OnResult | None, bar: ProgressBar | None = None) -> None:
        self._pipeline = pipeline
        self._results = _results(pipeline, on_result) if bar is None else _with_bar(bar, _results(pipeline, on_result))
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
    progress: bool = False,
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
    may be plain functions or coroutine functions, and what they raise ends the run. With `progress`, there is a bar on
    stderr, or in the notebook.

    A URL that fails is a Result that says so, not an exception. Leaving `async with` ends the run at once; after a
    bare `async for` was left, Python ends it when it collects the garbage. With `deadline`, the rows of a list that
    are unfinished then come as `cancelled`; an iterable of unknown length is not read further.

    Raises `SettingsError`; and as it is iterated `FolderError` and `StorageError` (with `output`), and whatever `urls`
    or a callback raises.
    """
    chosen = chosen_settings("fetch_iter", settings, options)
    bar = _bar(urls, chosen) if progress else None
    return FetchRun(_pipeline(urls, chosen, on_start, bar), on_result, bar)


async def _results(pipeline: _Source, on_result: OnResult | None) -> AsyncGenerator[Result]:
    async with aclosing(pipeline.batches()) as batches:
        async for batch in batches:
            for result in batch:
                if on_result is not None and inspect.isawaitable(waiting := on_result(result)):
                    await waiting
                yield result


async def _with_bar(bar: ProgressBar, results: AsyncGenerator[Result]) -> AsyncGenerator[Result]:
    with bar:
        async with aclosing(results):
            async for result in results:
                yield result


@_lists_settings
async def fetch_all(
    urls: Iterable[Row] | AsyncIterable[Row],
    *,
    settings: Settings | None = None,
    on_start: OnStart | None = None,
    on_result: OnResult | None = None,
    progress: bool = False,
    **options: Unpack[SettingsKwargs],
) -> Results:
    """Fetch `urls` and return their Results in the order of the input, one for each, with the run's `summary`.

    The arguments are those of `fetch_iter`.
    """
    chosen = chosen_settings("fetch_all", settings, options)
    if not isinstance(urls, AsyncIterable):
        urls = list(check_urls(urls))  # it has to end anyway, and at the deadline a list is read to its end
    run = fetch_iter(urls, settings=chosen, on_start=on_start, on_result=on_result, progress=progress)
    return await _all_of(run)


async def _all_of(run: FetchRun) -> Results:
    async with run:
        results = [result async for result in run]
    return Results(sorted(results, key=_index), run.summary)


@_lists_settings
def fetch_all_sync(
    urls: Iterable[Row],
    *,
    settings: Settings | None = None,
    on_start: OnStart | None = None,
    on_result: OnResult | None = None,
    progress: bool = False,
    **options: Unpack[SettingsKwargs],
) -> Results:
    """`fetch_all` for plain scripts and notebooks, in any mode, also where an event loop is running already.

    Modes `threads` and `sync` need no event loop and use none. The arguments are those of `fetch_iter`.
    """
    chosen = chosen_settings("fetch_all_sync", settings, options)
    rows = list(check_urls(urls))
    bar = _bar(rows, chosen) if progress else None
    with bar or nullcontext():  # in the caller's thread, to whose cell of a notebook it belongs
        if chosen.mode == "async":
            return in_free_thread(
                lambda: asyncio.run(_all_of(FetchRun(_pipeline(rows, chosen, on_start, bar), on_result)))
            )
        return in_free_thread(lambda: _fetch_blocking(rows, chosen, on_start, on_result, bar))


def _fetch_blocking(
    rows: list[Row],
    settings: Settings,
    on_start: OnStart | None,
    on_result: OnResult | None,
    bar: ProgressBar | None,
) -> Results:
    requests = list(number(rows, settings.params))
    started: OnStart | None = None if on_start is None else lambda *args: _wait_for(on_start(*args))
    output = _output(settings, requests)
    batch_of_one = ([request] for request in requests) if output is None else output.to_fetch()
    feed, summary = Feed(batch_of_one, threaded=False, finite=True), Summary()
    on_done = _advance(bar, summary)
    pipeline = BlockingPipeline(settings, feed, output, summary=summary, on_start=started, on_done=on_done)
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


def chosen_settings(function: str, settings: Settings | None, options: SettingsKwargs) -> Settings:
    """The settings that `function` was called with. Raises `SettingsError`, and TypeError for an unknown keyword.

    `options` is empty then, so that no traceback of a later error shows the secrets in it.
    """
    given = HiddenValues.taken_from(options)
    known = (*(one.name for one in fields(Settings)), "settings", "on_start", "on_result", "progress")
    if problem := unexpected_keyword(function, given, known):
        raise problem
    if settings is None:
        settings = hidden_settings(given)
    elif given:
        raise TypeError(f"either settings or {', '.join(given)}, not both")
    if settings.output is None:
        return settings
    return replace(settings, output=os.path.abspath(settings.output))  # the working directory may change


def _bar(urls: object, settings: Settings) -> ProgressBar:
    """The bar for a run, which does not know how many rows a resumed run has left."""
    from fetchq.reports.progress_bar import ProgressBar

    return ProgressBar(len(urls) if isinstance(urls, Sized) and not settings.resume else None)


def _advance(bar: ProgressBar | None, summary: Summary) -> Callable[[object], None] | None:
    """What a pipeline calls when Results are done."""
    return None if bar is None else lambda _: bar.advance(summary)


def _pipeline(
    urls: Iterable[Row] | AsyncIterable[Row],
    settings: Settings,
    on_start: OnStart | None,
    bar: ProgressBar | None,
) -> AsyncPipeline:
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
    summary = Summary()
    on_done = _advance(bar, summary)
    return AsyncPipeline(settings, feed, output, summary=summary, on_start=on_start, on_done=on_done)


def _output(settings: Settings, requests: Iterable[Request] | AsyncIterable[Request]) -> DurableRows | None:
    """The output of a durable run; None for a run that is not durable."""
    if settings.output is None:
        return None
    from fetchq.store.durable_rows import DurableRows

    return DurableRows(settings, requests)


def _index(result: Result) -> int:
    return result.index
