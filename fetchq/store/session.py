"""Defines the session: one process at work on the run in a folder."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING, Any, Self

from fetchq.store.folder import OWN_NAMES, FolderError, RunFolder
from fetchq.store.ledger import Ledger
from fetchq.store.ledger_connection import LedgerError
from fetchq.store.manifest import stored_settings, timestamp
from fetchq.store.program_rows import ProgramRows
from fetchq.store.record_bodies import RecordBodies
from fetchq.store.selection import RowSelection
from fetchq.store.sinks import body_store_for
from fetchq.store.sinks.bodies_files import FileStore
from fetchq.store.sinks.naming import naming_of
from fetchq.store.stored_run import StoredBodies
from fetchq.store.writer import Writer

if TYPE_CHECKING:
    from fetchq.core.model import Result
    from fetchq.inputs.source import Source
    from fetchq.store.input_copy import RunInput
    from fetchq.store.pipe_copy import PipeCopier
    from fetchq.store.sinks.base import Sink

__all__ = ["Session"]


class Session:
    """A locked run folder with its ledger, body store, source and row selection. Use it as a context manager.

    The functions of `fetchq.store.open_session` make sessions.
    """

    def __init__(self, folder: RunFolder, ledger: Ledger, closing: ExitStack, *, refresh: str | None = None) -> None:
        """`refresh`: the folder of the run that this one refreshes, as the user has given it.

        `closing`: closes the folder and the ledger. The session adds what it opens, and `close` closes everything.

        Raises `FolderError`, `StorageError`, OSError.
        """
        self.folder = folder
        self.ledger = ledger
        self.warning: str | None = None
        """A warning of one line for the user."""
        self.settings = stored_settings(ledger)
        """The settings that the run was begun with."""
        self._refresh = refresh
        self._closing = closing
        self._copiers: Sequence[PipeCopier] = ()
        self.source: Source
        self.rows: ProgramRows
        """Takes the rows of a Python program; only set in a session that `session_for_rows` has opened."""
        folder.sweep()
        self._restore()

    def _restore(self) -> None:
        """Restore the body store to the state that the ledger has."""
        ledger = self.ledger
        self.finished = ledger.meta("finished") is not None
        """Whether nothing is left to do."""
        self.done = ledger.done()
        """The rows that were done when the session began, or when `retry` was called last."""
        try:
            values, naming = self.settings.values, naming_of(self.settings.values, OWN_NAMES)
            self._store = body_store_for(
                values["save"], self.folder.path, ledger.generation, values.get("mode_bits"), naming
            )
        except ValueError as problem:
            raise FolderError(str(problem)) from None
        if self._store is not None:
            self._closing.callback(self._store.close)
            if not self.finished:
                try:
                    self._store.restore(_checked_state(ledger), self.done)
                except KeyError:
                    raise LedgerError.bad_meta(ledger.path, "store") from None

    def read_from(self, opened: RunInput, *, more_rows: bool = False) -> None:
        """Use this input. `more_rows`: whether a Python program passes the rows, to `rows`. Raises `StorageError`."""
        self.source = opened.source
        self._closing.callback(self.source.close)
        self.warning = opened.warning
        self._copiers = opened.copiers
        self._more_rows = more_rows
        self._select()
        self._closing.callback(self._close_selection)

    def _close_selection(self) -> None:
        self.selection.close()  # the current one, since `retry` may have replaced the first one

    def _select(self) -> None:
        self.selection = RowSelection(
            self.folder, self.ledger, self.done, refresh=self._refresh, more_rows=self._more_rows
        )
        self.warning = self.selection.warning or self.warning
        self.source.skip_rows(self.done, self.selection.select if self.selection.changes_requests else None)
        if self._more_rows:
            self.rows = ProgramRows(self.folder, self.ledger, self.source, self.selection)

    def __enter__(self) -> Self:
        for copier in self._copiers:
            copier.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the ledger, delete temporary files, and unlock the folder."""
        with suppress(OSError):  # otherwise the next session does it
            self.folder.sweep()
        with suppress(OSError):  # it is not empty, or there is none
            self.folder.parts.rmdir()
        self._closing.close()

    def retry(self, where: str) -> None:
        """Fetch the rows again that meet an SQL condition over the columns of the records.

        Must be called before the first row is fetched. Raises `ConditionError` if `where` is not a condition, and
        `StorageError`.
        """
        if self.ledger.retry(where):
            self._restore()
            self.selection.close()
            self._select()

    def writer(
        self,
        sink: Sink | None = None,
        on_commit: Callable[[Sequence[Result]], None] | None = None,
        *,
        keep_body: bool = False,
        record_bodies: bool = False,
    ) -> Writer:
        """The writer of the run. It writes to the body store, the `sink` and the ledger, and then calls `on_commit`.

        `keep_body`: whether copies of Results (`dedupe`) hold their bodies. `record_bodies`: whether the records of the
        sink include them.
        """
        deduplicator = self.selection.deduplicator
        if deduplicator is not None:
            deduplicator.keep_body = keep_body
        return Writer(
            sink=sink,
            ledger=self.ledger,
            store=self._store,
            on_commit=on_commit,
            deduplicator=deduplicator,
            bodies=RecordBodies(StoredBodies(self.folder.path)) if record_bodies else None,
        )

    @property
    def preparable(self) -> bool:
        """Whether other processes can store the bodies and make the rows of the ledger, each on its own."""
        plain = self._store is None or isinstance(self._store, FileStore)
        return plain and self.selection.deduplicator is None and not self.ledger.keeps_headers

    def end(self) -> None:
        """Record in the ledger that the run has ended by itself. Raises `StorageError`."""
        if self.source.ended:
            self.ledger.set_meta(rows=self.source.read, finished=timestamp() if self.left == 0 else None)

    def keep_record(self, record: dict[str, Any]) -> None:
        """Add a record of this session, as JSON values, to those of earlier sessions. Raises `StorageError`."""
        earlier = self.ledger.meta("sessions")
        self.ledger.set_meta(sessions=[*(earlier if isinstance(earlier, list) else ()), record])

    @property
    def failed(self) -> int:
        """How many of the rows that are done are not ok."""
        return self.ledger.count("records", "NOT ok")

    @property
    def left(self) -> int | None:
        """How many rows are still to do; None if that is unknown, because the source was never read to its end."""
        rows = self.source.read if self.source.ended else self.ledger.meta("rows")
        return None if not isinstance(rows, int) else rows - self.ledger.count() + self.ledger.count("again")


def _checked_state(ledger: Ledger) -> dict[str, int] | None:
    """The state of the body store at the last commit. Raises `StorageError` if it is none."""
    state = ledger.meta("store")
    if state is None:
        return None
    if not isinstance(state, dict) or not all(isinstance(one, int) and one >= 0 for one in state.values()):
        raise LedgerError.bad_meta(ledger.path, "store")
    return state
