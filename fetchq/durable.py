"""A Python program's rows as a durable run: first what an earlier session has done, then the rest as it is done."""

from __future__ import annotations

import asyncio
from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    AsyncIterator,
    Callable,
    Generator,
    Iterable,
    Iterator,
    Sequence,
)
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing, closing
from dataclasses import replace
from itertools import islice
from typing import TYPE_CHECKING, TypeVar

from fetchq.core.disk import close_on_error
from fetchq.store.ledger import DONE
from fetchq.store.session import Session
from fetchq.store.stored_run import open_run
from fetchq.workers.run import DURABLE_LINGER, AsyncRun, BlockingRun, Feed

if TYPE_CHECKING:
    from fetchq.core.model import OnStart, Request, Result
    from fetchq.core.settings import Settings

__all__ = ["durable_async", "durable_blocking"]

T = TypeVar("T")

_PAGE = 500


async def durable_async(
    settings: Settings, requests: Iterable[Request] | AsyncIterable[Request], on_start: OnStart | None, *, finite: bool
) -> AsyncGenerator[Sequence[Result]]:
    """The Results of all rows, in batches. Raises `FolderError`, `StorageError`, OSError."""
    loop = asyncio.get_running_loop()
    # One thread: whatever is told to it happens in this order, also the end.
    with ThreadPoolExecutor(1, "fetchq-writer") as disk:

        def in_thread(work: Callable[..., T], *given: object) -> asyncio.Future[T]:
            return loop.run_in_executor(disk, work, *given)

        beginning = in_thread(_begun, settings, requests)
        try:
            session = await asyncio.shield(beginning)
        except asyncio.CancelledError:
            await asyncio.wait([beginning])
            if beginning.exception() is None:
                await in_thread(beginning.result().close)
            raise
        try:
            before = _done_before(settings) if session.done else iter(())
            while page := await in_thread(_page, before):
                yield page
            feed = Feed(_remaining(session, requests), threaded=False, finite=finite)
            batches = AsyncRun(settings, feed, on_start, linger=DURABLE_LINGER).batches()
            writer = session.writer(keep_body=settings.keep_body)
            async with aclosing(batches):
                async for batch in batches:
                    yield await in_thread(writer.commit, batch)
                    while (copies := await in_thread(writer.copies)) is not None:
                        yield copies
            while (rest := await in_thread(writer.rest)) is not None:
                yield rest
            await in_thread(session.end)
        finally:
            await in_thread(session.close)


def durable_blocking(
    settings: Settings, requests: Sequence[Request], on_start: OnStart | None
) -> Generator[Sequence[Result]]:
    """The same in modes `threads` and `sync`."""
    session = _begun(settings, requests)
    try:
        if session.done:
            before = _done_before(settings)
            while page := _page(before):
                yield page
        feed = Feed(_batches(session, requests), threaded=False, finite=True)
        writer = session.writer(keep_body=settings.keep_body)
        with closing(BlockingRun(settings, feed, on_start, linger=DURABLE_LINGER).batches()) as batches:
            for batch in batches:
                yield writer.commit(batch)
                while (copies := writer.copies()) is not None:
                    yield copies
        while (rest := writer.rest()) is not None:
            yield rest
        session.end()
    finally:
        session.close()


def _begun(settings: Settings, requests: object) -> Session:
    session = Session.for_rows(settings)
    if isinstance(requests, Sequence):
        with close_on_error(session):
            session.keep(requests)  # all of them: the folder alone is then enough to go on
    return session


def _remaining(
    session: Session, requests: Iterable[Request] | AsyncIterable[Request]
) -> Iterator[list[Request]] | AsyncIterator[Request]:
    return _each(session, requests) if isinstance(requests, AsyncIterable) else _batches(session, requests)


async def _each(session: Session, requests: AsyncIterable[Request]) -> AsyncGenerator[Request]:
    async for request in requests:
        for wanted in session.wanted(request):
            yield wanted
    session.all_came()


def _batches(session: Session, requests: Iterable[Request]) -> Iterator[list[Request]]:
    """One request a batch, or none: the next one may take its time to come."""
    for request in requests:
        yield session.wanted(request)
    session.all_came()


def _done_before(settings: Settings) -> Iterator[Result]:
    assert settings.output is not None
    with open_run(settings.output) as run:
        for result in run.results(DONE):
            yield replace(result, body=run.body(result)) if settings.keep_body else result


def _page(results: Iterator[Result]) -> list[Result]:
    return list(islice(results, _PAGE))
