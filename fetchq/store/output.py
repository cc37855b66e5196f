"""Takes the Results of a run: a sink, the session of a durable run, or both."""

from __future__ import annotations

from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    AsyncIterator,
    Callable,
    Iterable,
    Iterator,
    Sequence,
)
from dataclasses import replace
from itertools import islice
from typing import TYPE_CHECKING

from fetchq.core.disk import close_on_error
from fetchq.store.ledger import DONE
from fetchq.store.session import Session
from fetchq.store.stored_run import open_run
from fetchq.store.writer import Writer

if TYPE_CHECKING:
    from fetchq.core.model import Request, Result
    from fetchq.core.settings import Settings
    from fetchq.store.sinks.base import Sink

__all__ = ["DurableRows", "Output"]

_PAGE = 500
"""Results of earlier sessions that are read at a time."""


class Output:
    """Where the Results of a run go. All methods block; `close` follows each `open` that did not raise."""

    def __init__(self, sink: Sink | None = None, session: Session | None = None, *, keep_body: bool = False) -> None:
        """`session` stays open: it belongs to the caller. `keep_body`: the Results are to hold their bodies."""
        self._sink = sink
        self._session = session
        self._keep_body = keep_body
        self._writer = Writer()

    def open(self, on_commit: Callable[[Sequence[Result]], None]) -> Writer:
        """The writer, which tells `on_commit` of the Results that are done."""
        if self._session is None:
            self._writer = Writer(sink=self._sink, on_commit=on_commit)
        else:
            self._writer = self._session.writer(self._sink, on_commit, keep_body=self._keep_body)
        return self._writer

    def done_before(self) -> Iterator[Sequence[Result]]:
        """Pages of the Results that are to be handed out before anything is fetched."""
        return iter(())

    def end(self) -> None:
        """Note that the run has come to its end by itself. Raises `StorageError`."""

    def close(self) -> None:
        """Write what the body store still holds, however the run ended. Raises as `Writer.commit` does."""
        self._writer.finish()


class DurableRows(Output):
    """The durable run of a Python program, which hands its rows over. It opens and closes the session itself."""

    def __init__(self, settings: Settings, requests: Iterable[Request] | AsyncIterable[Request]) -> None:
        super().__init__(keep_body=settings.keep_body)
        self._settings = settings
        self._requests = requests

    def open(self, on_commit: Callable[[Sequence[Result]], None]) -> Writer:
        """Begin the run, or go on with it. Raises `FolderError`, `StorageError`, OSError."""
        self._session = session = Session.for_rows(self._settings)
        with close_on_error(session):
            if isinstance(self._requests, Sequence):
                session.keep(self._requests)  # all of them: a later session needs nothing but the folder
            return super().open(on_commit)

    def done_before(self) -> Iterator[Sequence[Result]]:
        """The Results of earlier sessions, read as the iterator advances. Raises `StorageError`."""
        if not self._opened.done:
            return
        assert self._settings.output is not None
        with open_run(self._settings.output) as run:
            results = run.results(DONE)
            while page := list(islice(results, _PAGE)):
                yield [replace(one, body=run.body(one)) for one in page] if self._keep_body else page

    def to_fetch(self) -> Iterator[list[Request]] | AsyncIterator[Request]:
        """The requests that are not done, read as they are asked for, once the output is open."""
        return self._each() if isinstance(self._requests, AsyncIterable) else self._batches(self._requests)

    async def _each(self) -> AsyncGenerator[Request]:
        assert isinstance(self._requests, AsyncIterable)
        async for request in self._requests:
            for wanted in self._opened.wanted(request):
                yield wanted
        self._opened.all_came()

    def _batches(self, requests: Iterable[Request]) -> Iterator[list[Request]]:
        """Batches of one request or none: the next one may be long in coming."""
        for request in requests:
            yield self._opened.wanted(request)
        self._opened.all_came()

    def end(self) -> None:
        """Note in the ledger whether all rows are done. Raises `StorageError`."""
        self._opened.end()

    def close(self) -> None:
        """Write what the body store still holds, and close the session. Raises as `Writer.commit` does."""
        try:
            super().close()
        finally:
            self._opened.close()

    @property
    def _opened(self) -> Session:
        assert self._session is not None, "open() comes first"
        return self._session
