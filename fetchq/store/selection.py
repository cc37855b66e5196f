"""What of the input goes to the pool in one session, and as what: what is left, once each, with what is known of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from fetchq.core.disk import close_on_error
from fetchq.store.folder import RunFolder

if TYPE_CHECKING:
    from fetchq.core.model import Request
    from fetchq.core.row_set import RowSet
    from fetchq.store.dedupe import Twins
    from fetchq.store.ledger import Ledger
    from fetchq.store.refresh import Earlier

__all__ = ["Choice"]


class Choice:
    """Call it with the rows of the input, all of them, as they come: it returns what the pool is to get."""

    def __init__(self, folder: RunFolder, ledger: Ledger, done: RowSet, *, more: bool) -> None:
        """`more`: rows may come to a run that is finished. Raises `StorageError`."""
        self._done = done
        self.twins: Twins | None = None
        self._earlier: Earlier | None = None
        self.warning: str | None = None
        """One line that the user should see."""
        settings = ledger.needed("settings")
        if ledger.meta("finished") is not None and not more:
            return
        withheld = ledger.needed("withheld")
        with close_on_error(self):
            if settings.get("dedupe"):
                from fetchq.store.dedupe import Twins

                self.twins = Twins(folder, ledger, done, method=settings.get("method"), has_data="data" in withheld)
            if (path := settings.get("refresh")) is None:
                return
            if not RunFolder(path).ledger.is_file():
                self.warning = f"the run in {path!r}, which this one refreshes, is gone: what is left is fetched whole"
                return
            from fetchq.store.refresh import Earlier

            self._earlier = Earlier(path, folder.temporary, settings=settings, withheld=withheld)
            if more:  # they come in an event loop, which had better not wait for that later
                self._earlier.look_through()

    def close(self) -> None:
        """Let go of all files."""
        if self.twins is not None:
            self.twins.close()
        if self._earlier is not None:
            self._earlier.close()

    @property
    def needed(self) -> bool:
        """There is more to it than to leave out what is done."""
        return self.twins is not None or self._earlier is not None

    def __call__(self, requests: Sequence[Request]) -> list[Request]:
        if self.twins is not None:
            chosen = self.twins.to_fetch(requests)
        else:
            chosen = [request for request in requests if request.index not in self._done]
        return chosen if self._earlier is None else self._earlier.with_known(chosen)
