"""Selects the rows that this session still has to fetch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from fetchq.core.disk import close_on_error
from fetchq.store.folder import RunFolder
from fetchq.store.manifest import stored_settings
from fetchq.store.parts import find_parts

if TYPE_CHECKING:
    from fetchq.core.model import Request
    from fetchq.core.row_set import RowSet
    from fetchq.store.dedupe import Deduplicator
    from fetchq.store.ledger import Ledger
    from fetchq.store.refresh import PreviousRun

__all__ = ["RowSelection"]


class RowSelection:
    """Leaves out rows that are done, marks duplicates, and adds kept parts and stored responses of the previous run."""

    def __init__(
        self, folder: RunFolder, ledger: Ledger, done: RowSet, *, refresh: str | None, more_rows: bool
    ) -> None:
        """`refresh`: the folder of the run that this one refreshes. Raises `StorageError`.

        `more_rows`: whether a Python program passes rows, which may be more than before.
        """
        self._done = done
        self.deduplicator: Deduplicator | None = None
        self._previous_run: PreviousRun | None = None
        self._parts = find_parts(folder, ledger)
        self.warning: str | None = None
        """A warning of one line for the user."""
        if ledger.meta("finished") is not None and not more_rows:
            return
        stored = stored_settings(ledger)
        method = stored.values.get("method")
        with close_on_error(self):
            if stored.values.get("dedupe"):
                from fetchq.store.dedupe import Deduplicator

                self.deduplicator = Deduplicator(
                    folder, ledger, done, method=method, has_data="data" in stored.withheld
                )
            if refresh is None:
                return
            if not RunFolder(refresh).ledger.is_file():
                self.warning = f"there is no run in {refresh!r} to refresh: what is left is fetched whole"
                return
            from fetchq.store.refresh import PreviousRun

            self._previous_run = PreviousRun(refresh, folder.temporary, stored)
            if more_rows:  # they arrive in an event loop, which should not wait for the index later
                self._previous_run.index_urls()

    def close(self) -> None:
        """Close the files of the deduplicator and of the previous run."""
        if self.deduplicator is not None:
            self.deduplicator.close()
        if self._previous_run is not None:
            self._previous_run.close()

    @property
    def changes_requests(self) -> bool:
        """Whether `select` does more than leaving out rows that are done."""
        return self.deduplicator is not None or self._previous_run is not None or bool(self._parts)

    def select(self, requests: Sequence[Request]) -> list[Request]:
        """The requests among these that the pool gets. It must be called with all rows of the input, in their order."""
        if self.deduplicator is not None:
            selected = self.deduplicator.select(requests)
        else:
            selected = [request for request in requests if request.index not in self._done]
        if self._parts:
            parts = self._parts
            selected = [replace(one, _part=parts[one.index]) if one.index in parts else one for one in selected]
        return selected if self._previous_run is None else self._previous_run.with_stored(selected)
