"""Keeps the bodies of a run's Results readable until the records that include them are written."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import closing
from typing import TYPE_CHECKING

from fetchq.core.body_spool import Spool
from fetchq.core.fast_dataclass import fast_replacer
from fetchq.core.model import Cause, Result
from fetchq.store.sinks.stored import mark_not_stored

if TYPE_CHECKING:
    from fetchq.store.stored_run import StoredBodies

__all__ = ["RecordBodies"]

_with_body = fast_replacer(Result, "body")
_with_spool = fast_replacer(Result, "_spool")


class _StoredSpool(Spool):
    """A body that the body store has stored, to be read from there."""

    __slots__ = ("_path", "_stored")

    def __init__(self, stored: StoredBodies, path: str) -> None:
        super().__init__("")
        self._stored = stored
        self._path = path

    def content(self) -> bytes | None:
        return None

    def pieces(self) -> Generator[bytes]:
        with self._stored.opened(self._path) as opened:
            yield from opened.pieces


class RecordBodies:
    """The bodies of the Results of a run whose records include them. Its methods block."""

    def __init__(self, stored: StoredBodies | None = None) -> None:
        """`stored`: reads what the body store has stored; None for a run without one."""
        self._stored = stored

    def before_store(self, results: Sequence[Result]) -> Sequence[Result]:
        """The Results with the small bodies in memory, which their stores would otherwise have to read again."""
        return [self._in_memory(result) for result in results]

    def before_records(self, results: Sequence[Result]) -> Sequence[Result]:
        """The Results, each of which has its body, or the spool of it. One that cannot be read is a `store` failure."""
        return [self._readable(result) for result in results]

    def discard(self, results: Sequence[Result]) -> None:
        """Drop the spools of Results whose records were written."""
        for result in results:
            if result._spool is not None:
                result._spool.discard()

    def _in_memory(self, result: Result) -> Result:
        content = None if result._spool is None else result._spool.content()
        return _with_body(result, content) if content else result

    def _readable(self, result: Result) -> Result:
        if len(result.body) == result.size or result.sha256 is None or result.cause is Cause.STORE:
            return result
        if result._spool is None:
            if self._stored is None or result.path is None:
                return result
            result = _with_spool(result, _StoredSpool(self._stored, result.path))
        assert result._spool is not None
        try:
            if (content := result._spool.content()) is not None:
                return _with_body(result, content)
            with closing(result._spool.pieces()) as pieces:
                next(pieces, None)
        except OSError as problem:
            return mark_not_stored(result, f"the body cannot be read: {problem.strerror or problem}")
        return result
