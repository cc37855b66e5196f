"""Takes the rows that a Python program hands over: the ledger keeps them, and the pool gets those still to fetch."""

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
    """The rows of one session; they must come in order."""

    def __init__(self, folder: RunFolder, ledger: Ledger, source: Source, selection: RowSelection) -> None:
        self._folder = folder
        self._ledger = ledger
        self._source = source
        self._selection = selection
        self._page: dict[int, Request] = {}
        """Rows that earlier sessions have kept, around the current one."""
        self._more_pages = True
        """Whether the ledger may have rows beyond this page."""
        self._all_kept = False
        """Whether `keep` was called."""

    def keep(self, requests: Iterable[Request]) -> None:
        """Have the ledger keep these rows, which are all, before any of them is fetched. Raises as `select` does."""
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
        """What the pool gets of a row: one request or none. The ledger keeps the row in any case.

        Raises `FolderError` for a row that differs from the one of an earlier session, and `StorageError`.
        """
        if not self._all_kept and self._is_new(request):
            self._ledger.add_input([request])
        self._source.read = request.index + 1
        return self._selection.select([request])

    def end(self) -> None:
        """Note that there are no more rows. Raises `FolderError` where earlier sessions had more of them."""
        self._check_all_came()
        self._source.ended = True

    def _check_all_came(self) -> None:
        if self._ledger.input_rows(self._source.read, 1):
            raise FolderError(f"there are fewer rows than when the run in {str(self._folder)!r} began")

    def _is_new(self, request: Request) -> bool:
        """Whether no earlier session has kept the row. Raises `FolderError` where one has kept a different row."""
        if self._more_pages and request.index not in self._page:
            self._page = {one.index: one for one in self._ledger.input_rows(request.index)}
            self._more_pages = bool(self._page)
        kept = self._page.get(request.index)
        if kept is not None and _identity(kept) != _identity(request):
            raise FolderError(f"row {request.index} is not what it was when the run in {str(self._folder)!r} began")
        return kept is None


def _identity(request: Request) -> tuple[object, ...]:
    """What makes it the same row. The priority is left out: it only says when the row goes."""
    texts = [without_surrogates(text) for text in (request.url, request.method, request.label)]
    return *texts, tuple(request.headers), request.body
