"""Takes the Results of a run: a sink, the session of a durable run, or both."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from fetchq.store.writer import Writer

if TYPE_CHECKING:
    from fetchq.core.model import Result
    from fetchq.store.session import Session
    from fetchq.store.sinks.base import Sink

__all__ = ["Output"]


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
