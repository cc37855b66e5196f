"""Writes the Results of a run to a sink, to the session of a durable run, or to both."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from fetchq.store.record_bodies import RecordBodies
from fetchq.store.writer import Writer

if TYPE_CHECKING:
    from fetchq.core.model import Result
    from fetchq.store.session import Session
    from fetchq.store.sinks.base import Sink

__all__ = ["Output", "SessionRecord"]

SessionRecord = Callable[[], dict[str, Any] | None]
"""Returns what the ledger is to keep of a session that has ended, as JSON values."""


class Output:
    """The destination of a run's Results. All methods block. `close` must follow each `open` that did not raise."""

    def __init__(
        self,
        sink: Sink | None = None,
        session: Session | None = None,
        *,
        keep_body: bool = False,
        record_bodies: bool = False,
    ) -> None:
        """`session` belongs to the caller, and stays open. `keep_body`: whether the Results keep their bodies.

        `record_bodies`: whether the records of the sink include them.
        """
        self._sink = sink
        self._session = session
        self._keep_body = keep_body
        self._record_bodies = record_bodies
        self._writer = Writer()

    def open(self, on_commit: Callable[[Sequence[Result]], None]) -> Writer:
        """Make the writer, which calls `on_commit` with the Results that are done."""
        if self._session is None:
            bodies = RecordBodies() if self._record_bodies else None
            self._writer = Writer(sink=self._sink, on_commit=on_commit, bodies=bodies)
        else:
            self._writer = self._session.writer(
                self._sink, on_commit, keep_body=self._keep_body, record_bodies=self._record_bodies
            )
        return self._writer

    def done_before(self) -> Iterator[Sequence[Result]]:
        """Pages of the Results of earlier sessions, which come before any row is fetched."""
        return iter(())

    def end(self) -> None:
        """Record that the run has ended by itself. Raises `StorageError`."""

    def close(self, session_record: SessionRecord = lambda: None) -> None:
        """Write the Results that the body store still keeps back, however the run ended. Raises as `Writer.commit`.

        Then `session_record` is called, and the ledger keeps what it returns, unless that is None.
        """
        self._writer.finish()
        if self._session is not None and (record := session_record()) is not None:
            self._session.keep_record(record)
