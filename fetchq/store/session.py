"""A session: one process at work on the run in a folder. It begins the run, or goes on with it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING, Any, BinaryIO, Self

from fetchq.core.disk import close_on_error
from fetchq.core.settings import Settings
from fetchq.core.text import without_surrogates
from fetchq.store.folder import FolderError, RunFolder
from fetchq.store.input_copy import ROWS, Copier, describe, reopen, reopen_rows
from fetchq.store.ledger import Ledger
from fetchq.store.manifest import check_same, first_meta, now
from fetchq.store.refresh import check_earlier
from fetchq.store.selection import Choice
from fetchq.store.sinks import store_for
from fetchq.store.writer import Writer

if TYPE_CHECKING:
    from fetchq.core.model import Request, Result
    from fetchq.inputs.source import Source
    from fetchq.store.sinks.base import Sink

__all__ = ["Session"]


class Session:
    """Use it as a context manager: inside, the folder is locked and the ledger open."""

    def __init__(self, folder: RunFolder, ledger: Ledger, closing: ExitStack) -> None:
        self.folder = folder
        self.ledger = ledger
        self.warning: str | None = None
        """One line that the user should see."""
        self._closing = closing
        """Whoever calls this closes it where this raises, and else leaves that to the session."""
        self._copiers: list[Copier] = []
        self._page: dict[int, Request] = {}
        self._known = self._keeping = True
        """There may be more kept rows behind the page; and rows that are handed over are to be kept."""
        self.source: Source
        folder.sweep()
        self._restore()

    def _restore(self) -> None:
        """Bring the store back to what the ledger says."""
        ledger = self.ledger
        self.finished = ledger.meta("finished") is not None
        """There is nothing left to do."""
        self.done = ledger.done()
        """The rows that were done when the session began."""
        try:
            self._store = store_for(ledger.needed("settings")["save"], self.folder, ledger.generation)
        except ValueError as problem:
            raise FolderError(str(problem)) from None
        if self._store is not None:
            self._closing.callback(self._store.close)
            if not self.finished:
                self._store.restore(ledger.meta("store"), self.done)

    # --- how it begins ---

    @classmethod
    def for_sources(
        cls,
        settings: Settings,
        arguments: Sequence[str],
        *,
        input_format: str | None = None,
        url_column: str = "url",
        stdin: BinaryIO | None = None,
    ) -> Self:
        """Begin the run of `settings.output`, or go on with it where `settings.resume` is set.

        Raises `FolderError`, `SourceError` for what forbids that; OSError, `StorageError`.
        """
        entries = describe(arguments)
        reading = {"input_format": input_format, "url_column": url_column}
        session = cls._opened(settings, entries, reading)
        return session._read_from(arguments, stdin)

    @classmethod
    def for_rows(cls, settings: Settings) -> Self:
        """The same for rows that a Python program hands over: to `keep`, or one by one to `wanted`."""
        session = cls._opened(settings, [{"kind": ROWS}], {})
        session._take_up(reopen_rows(session.ledger), of_program=True)
        return session

    @classmethod
    def of_folder(cls, path: str) -> Self:
        """Go on with the run in a folder, knowing nothing else. Raises as `for_sources` does."""
        with ExitStack() as closing:
            folder, ledger = _open(path, closing)
            session = cls(folder, ledger, closing)
            session._closing = closing.pop_all()
        if ledger.needed("inputs")[0]["kind"] == ROWS:
            session._take_up(reopen_rows(ledger))
            return session
        return session._read_from()

    @classmethod
    def _opened(cls, settings: Settings, entries: list[dict[str, Any]], reading: dict[str, Any]) -> Self:
        assert settings.output is not None
        if settings.refresh is not None:
            check_earlier(settings.refresh, settings.output, settings.save)
        folder = RunFolder(settings.output)
        folder.check()
        folder.make()
        with ExitStack() as closing:
            closing.enter_context(folder)
            begun = not settings.overwrite and Ledger.begun(folder.ledger)
            if begun and not settings.resume:
                raise FolderError(
                    f"{str(folder)!r} holds a run already: --resume goes on with it, --overwrite throws it away"
                )
            if begun:
                ledger = Ledger.open(folder.ledger)
                closing.callback(ledger.close)
                check_same(folder, ledger, settings, entries, reading)
            else:
                folder.wipe()
                ledger = Ledger.create(folder.ledger, first_meta(settings, entries, reading))
                closing.callback(ledger.close)
            session = cls(folder, ledger, closing)
            session._closing = closing.pop_all()
            return session

    def _read_from(self, arguments: Sequence[str] = (), stdin: BinaryIO | None = None) -> Self:
        with close_on_error(self._closing):
            entries, reading = self.ledger.needed("inputs"), self.ledger.needed("reading")
            source, self._copiers, self.warning = reopen(
                entries, self.folder, arguments=arguments, stdin=stdin, **reading
            )
        self._take_up(source)
        return self

    def _take_up(self, source: Source, *, of_program: bool = False) -> None:
        self._closing.callback(source.close)
        self.source = source
        self._of_program = of_program
        with close_on_error(self._closing):
            self._choice = Choice(self.folder, self.ledger, self.done, more=of_program)
        self._closing.callback(self._end_choice)
        self._leave_out()

    def _end_choice(self) -> None:
        self._choice.close()  # which may be another one by then

    def _leave_out(self) -> None:
        """Hand out what is left alone."""
        self.warning = self._choice.warning or self.warning
        self.source.skip_rows(self.done, self._choice if self._choice.needed else None)

    def __enter__(self) -> Self:
        for copier in self._copiers:
            copier.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the ledger, sweep what nobody has stored, and unlock the folder."""
        with suppress(OSError):  # else the next session does it
            self.folder.sweep()
        self._closing.close()

    def retry(self, where: str) -> None:
        """Have the rows fetched once more that meet an SQL condition over the columns of the ledger's records.

        Before anything is fetched. Raises `ConditionError` when it is none, `StorageError`.
        """
        if self.ledger.retry(where):
            self._restore()
            self._choice.close()
            self._choice = Choice(self.folder, self.ledger, self.done, more=self._of_program)
            self._leave_out()

    # --- the rows of a Python program, which come in order ---

    def keep(self, requests: Iterable[Request]) -> None:
        """Have the ledger keep these rows, and no more, before any of them is fetched. Raises as `wanted` does."""
        new = []
        for request in requests:
            if self._is_new(request):
                new.append(request)
            self.source.read = request.index + 1
        self._check_all_came()
        self.ledger.keep(new)
        self.ledger.commit(())
        self._keeping = False

    def wanted(self, request: Request) -> list[Request]:
        """What the pool is to get of a row. The ledger keeps it in any case.

        Raises `FolderError` for a row that was another one in an earlier session, `StorageError`.
        """
        if self._keeping and self._is_new(request):
            self.ledger.keep([request])
        self.source.read = request.index + 1
        return self._choice([request])

    def all_came(self) -> None:
        """There are no more rows. Raises `FolderError` where earlier sessions had more of them."""
        self._check_all_came()
        self.source.ended = True

    def _check_all_came(self) -> None:
        if self.ledger.input(self.source.read, 1):
            raise FolderError(f"there are fewer rows than when the run in {str(self.folder)!r} began")

    def _is_new(self, request: Request) -> bool:
        """No earlier session has kept a row of that number."""
        if self._known and request.index not in self._page:
            self._page = {one.index: one for one in self.ledger.input(request.index)}
            self._known = bool(self._page)
        kept = self._page.get(request.index)
        if kept is not None and _essence(kept) != _essence(request):
            raise FolderError(f"row {request.index} is not what it was when the run in {str(self.folder)!r} began")
        return kept is None

    # --- the run ---

    def writer(
        self,
        sink: Sink | None = None,
        on_commit: Callable[[Sequence[Result]], None] | None = None,
        *,
        keep_body: bool = False,
    ) -> Writer:
        """The writer of the run: the body store, then `sink`, then the ledger, then `on_commit`.

        `keep_body`: Results hold their bodies.
        """
        twins = self._choice.twins
        if twins is not None:
            twins.keep_body = keep_body
        return Writer(sink=sink, ledger=self.ledger, store=self._store, on_commit=on_commit, twins=twins)

    def end(self) -> None:
        """The run has come to its end by itself. Raises `StorageError`."""
        if self.source.ended:
            self.ledger.set_meta(rows=self.source.read, finished=now() if self.left == 0 else None)

    @property
    def failed(self) -> int:
        """How many of the rows that are done are not ok."""
        return self.ledger.count("records", "NOT ok")

    @property
    def left(self) -> int | None:
        """How many rows are still to do; None where nobody knows, because the source was not read to its end."""
        rows = self.source.read if self.source.ended else self.ledger.meta("rows")
        return None if rows is None else rows - self.ledger.count() + self.ledger.count("again")


def _open(path: str, closing: ExitStack) -> tuple[RunFolder, Ledger]:
    """The folder of a run that has begun, locked, and its ledger. Raises `FolderError`, `StorageError`, OSError."""
    folder = RunFolder(path)
    if not folder.ledger.is_file() or not Ledger.begun(folder.ledger):
        raise FolderError(f"there is no run in {path!r}")
    closing.enter_context(folder)
    ledger = Ledger.open(folder.ledger)
    closing.callback(ledger.close)
    return folder, ledger


def _essence(request: Request) -> tuple[object, ...]:
    """What makes it the same row. The priority is not part of that: it only says when the row goes."""
    texts = [without_surrogates(text) for text in (request.url, request.method, request.label)]
    return *texts, tuple(request.headers), request.body
