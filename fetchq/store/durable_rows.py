"""Runs the rows of a Python program as a durable run, which also yields the Results of earlier sessions."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import islice
from typing import TYPE_CHECKING

from fetchq.core.disk import close_on_error
from fetchq.store.ledger_reader import DONE
from fetchq.store.open_session import session_for_rows
from fetchq.store.output import Output, SessionRecord
from fetchq.store.stored_run import open_run

if TYPE_CHECKING:
    from fetchq.core.model import Request, Result
    from fetchq.core.settings import Settings
    from fetchq.store.session import Session
    from fetchq.store.writer import Writer

__all__ = ["DurableRows"]

_PAGE = 500
"""How many Results of earlier sessions are read at a time."""


class DurableRows(Output):
    """The output of a Python program's durable run. It opens and closes the session itself."""

    def __init__(self, settings: Settings, requests: Iterable[Request] | AsyncIterable[Request]) -> None:
        super().__init__(keep_body=settings.keep_body)
        self._settings = settings
        self._requests = requests

    def open(self, on_commit: Callable[[Sequence[Result]], None]) -> Writer:
        """Begin the run, or resume it. Raises `FolderError`, `StorageError`, OSError."""
        self._session = session = session_for_rows(self._settings)
        with close_on_error(session):
            if isinstance(self._requests, Sequence):
                session.rows.keep(self._requests)  # all rows now, so that a later session needs only the folder
            return super().open(on_commit)

    def done_before(self) -> Iterator[Sequence[Result]]:
        """The Results of earlier sessions, read as the iterator advances. Raises `StorageError`."""
        if not self._opened.done:
            return
        assert self._settings.output is not None
        with open_run(self._settings.output) as run:
            run.ledger.verified = True  # by the session
            results = run.results(DONE)
            while page := list(islice(results, _PAGE)):
                yield [replace(one, body=run.body(one)) for one in page] if self._keep_body else page

    def to_fetch(self) -> Iterator[list[Request]] | AsyncIterator[Request]:
        """The requests that are not done, read as the iterator advances; the output must be open by then."""
        return self._each() if isinstance(self._requests, AsyncIterable) else self._batches(self._requests)

    async def _each(self) -> AsyncGenerator[Request]:
        assert isinstance(self._requests, AsyncIterable)
        async for request in self._requests:
            for selected in self._opened.rows.select(request):
                yield selected
        self._opened.rows.end()

    def _batches(self, requests: Iterable[Request]) -> Iterator[list[Request]]:
        """Batches of one request or none, since the next request may be long in coming."""
        for request in requests:
            yield self._opened.rows.select(request)
        self._opened.rows.end()

    def end(self) -> None:
        """Record in the ledger whether all rows are done. Raises `StorageError`."""
        self._opened.end()

    def close(self, session_record: SessionRecord = lambda: None) -> None:
        """Write what is left, as `Output.close` does, and close the session. Raises as `Writer.commit`."""
        try:
            super().close(session_record)
        finally:
            self._opened.close()

    @property
    def _opened(self) -> Session:
        assert self._session is not None, "open() comes first"
        return self._session
