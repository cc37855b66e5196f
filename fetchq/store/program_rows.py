"""Takes the rows of a Python program: stores them in the ledger, and selects those that are still to be fetched."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from fetchq.core.text import without_surrogates
from fetchq.store.folder import FolderError, RunFolder

if TYPE_CHECKING:
    from fetchq.core.model import Request
    from fetchq.inputs.source import Source
    from fetchq.store.ledger import Ledger
    from fetchq.store.selection import RowSelection

__all__ = ["ProgramRows"]


class ProgramRows:
    """The rows of a Python program in one session, which must pass them in order."""

    def __init__(self, folder: RunFolder, ledger: Ledger, source: Source, selection: RowSelection) -> None:
        self._folder = folder
        self._ledger = ledger
        self._source = source
        self._selection = selection
        self._page: dict[int, Request] = {}
        """Rows around the current one that earlier sessions have stored."""
        self._more_pages = True
        """Whether the ledger may have rows after this page."""
        self._all_kept = False
        """Whether `keep` was called."""

    def keep(self, requests: Iterable[Request]) -> None:
        """Store all rows of the run in the ledger, before any of them is fetched. Raises as `select`."""
        new = []
        for request in requests:
            if self._is_new(request):
                new.append(request)
            self._source.read = request.index + 1
        self._check_all_came()
        self._ledger.add_input(new)
        self._ledger.commit_input()
        self._all_kept = True

    def select(self, request: Request) -> list[Request]:
        """Store a row in the ledger. Returns the request for the pool, or an empty list if the row is done.

        Raises `FolderError` if the row differs from that of an earlier session, and `StorageError`.
        """
        if not self._all_kept and self._is_new(request):
            self._ledger.add_input([request])
        self._source.read = request.index + 1
        return self._selection.select([request])

    def end(self) -> None:
        """Note that there are no more rows. Raises `FolderError` if earlier sessions had more rows."""
        self._check_all_came()
        self._source.ended = True

    def _check_all_came(self) -> None:
        if self._ledger.input_rows(self._source.read, 1):
            raise FolderError(f"there are fewer rows than when the run in {str(self._folder)!r} began")

    def _is_new(self, request: Request) -> bool:
        """Whether no earlier session has stored the row. Raises `FolderError` if one has stored a different row."""
        if self._more_pages and request.index not in self._page:
            self._page = {one.index: one for one in self._ledger.input_rows(request.index)}
            self._more_pages = bool(self._page)
        kept = self._page.get(request.index)
        if kept is not None and _identity(kept) != _identity(request):
            raise FolderError(f"row {request.index} is not what it was when the run in {str(self._folder)!r} began")
        return kept is None


def _identity(request: Request) -> tuple[object, ...]:
    """What must be the same in all sessions. The priority may differ: it only decides when the row is fetched."""
    texts = [without_surrogates(text) for text in (request.url, request.method, request.label)]
    return *texts, tuple(request.headers), request.body, request.checksum, request.filename, request.passed
