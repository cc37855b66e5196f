"""An earlier run, looked up page by page for one that refreshes it (`--refresh`). It is only read."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fetchq.core.disk import close_on_error
from fetchq.core.model import Complete, StoredResponse
from fetchq.core.parsers import read_save
from fetchq.store.folder import FolderError, RunFolder
from fetchq.store.ledger import Ledger
from fetchq.store.scratch_db import Scratch, key_of
from fetchq.store.stored_run import Bodies, within

if TYPE_CHECKING:
    from fetchq.core.model import Request

__all__ = ["Earlier", "check_earlier"]

_SCHEMA = 'CREATE TABLE pages (key BLOB PRIMARY KEY, "index" INTEGER NOT NULL, sha256 TEXT) WITHOUT ROWID;'
_ADD = """INSERT INTO pages VALUES (?, ?, ?) ON CONFLICT (key) DO UPDATE SET "index" =
    CASE WHEN "index" >= 0 AND sha256 = excluded.sha256 THEN excluded."index" ELSE -1 END"""
"""Where rows that ask for the same page got different bodies, what they asked for differs in what no record tells."""
_USABLE = """ok AND status IN (200, 304) AND method IN ('GET', 'HEAD') AND sha256 IS NOT NULL AND final_url IS NOT NULL
    AND coalesce(etag, last_modified) IS NOT NULL AND instr(url, '@') = 0"""
"""Of a URL with a password in it, the record does not tell whose it was."""
_DESCRIBED = ("size", "sha256", "content_type", "charset", "content_encoding")
_COLUMNS = ("index", "url", "method", "final_url", "etag", "last_modified", *_DESCRIBED, "complete", "path", "started")
_TAG = re.compile(r'(?:W/)?"[\x21\x23-\x7e]*"')
"""RFC 9110, 8.8.3, but for what is not ASCII."""
_DATE = re.compile(r"[ -~]{1,64}")
_HEADERS = frozenset({"headers", "cookie", "user"})
"""Settings that are headers, of which the ledger only keeps that there were any."""


def check_earlier(path: str, output: str, save: str) -> None:
    """Raise `FolderError` where the run in `output` cannot be a refreshed one of that in `path`; `StorageError`."""
    folder = RunFolder(path)
    if not folder.ledger.is_file():
        raise FolderError(f"there is no run in {path!r} to refresh")
    if os.path.realpath(path) == os.path.realpath(output):
        raise FolderError(f"the run in {path!r} cannot refresh itself: name a new folder for the output")
    ledger = Ledger.read(folder.ledger)
    try:
        kept = ledger.meta("settings", {}).get("save")
    finally:
        ledger.close()
    if save == "none":
        return
    if kept == "none":
        raise FolderError(f"the run in {path!r} has no bodies (it has --save none): refresh it as --save none")
    try:
        read_save(kept)  # its package is needed to read them
    except ValueError as problem:
        raise FolderError(f"the run in {path!r} cannot be read: {problem}") from None


class Earlier:
    """Raises `StorageError`. One thread at a time."""

    def __init__(self, path: str, temporary: Path, *, settings: dict[str, Any], withheld: list[str]) -> None:
        """`settings` and `withheld`: of the run that refreshes, as its ledger has them."""
        self._root = Path(path)
        self._bodies = Bodies(self._root)
        self._method = settings.get("method")
        self._has_data = "data" in withheld
        self._ledger = ledger = Ledger.read(RunFolder(path).ledger)
        with close_on_error(ledger):
            before = ledger.needed("settings")
            self._sends = bool(_HEADERS.intersection([*withheld, *ledger.needed("withheld")]))
        self._sends = self._sends or before.get("user_agent") != settings.get("user_agent")
        """Either run has headers of its own, for all rows."""
        self._file = temporary / "earlier.db"
        self._pages: Scratch | None = None

    def close(self) -> None:
        self._ledger.close()
        if self._pages is not None:
            self._pages.close()

    def with_known(self, requests: Sequence[Request]) -> list[Request]:
        """The requests, which are in the order of the input, each with what is known of its page."""
        if not requests:
            return []
        between = f'"index" BETWEEN {requests[0].index} AND {requests[-1].index}'
        rows = {row["index"]: row for row in self._rows(between)}
        found: list[Request] = []
        for request in requests:
            known = self._known(request, rows.get(request.index))
            found.append(request if known is None else replace(request, known=known))
        return found

    def _known(self, request: Request, row: dict[str, Any] | None) -> StoredResponse | None:
        """`row`: of the same number."""
        if request.problem is not None or request.body is not None or self._has_data or "@" in request.url:
            return None
        method = str(request.method or self._method or "GET").upper()
        if method not in ("GET", "HEAD"):
            return None
        page = request.url.partition("#")[0]
        if row is None or (row["url"].partition("#")[0], row["method"]) != (page, method):
            # Which of the other rows had the same headers of their own, nobody knows.
            row = None if request.headers else self._row_of(page, method)
        known = None if row is None else self._checked(row)
        if known is not None and known.etag is None and (request.headers or self._sends):
            return None  # other headers may ask for another variant, which has the same date
        return known

    def _rows(self, where: str) -> list[dict[str, Any]]:
        rows = self._ledger.rows(_COLUMNS, f"{where} AND {_USABLE}")
        return [dict(zip(_COLUMNS, values, strict=True)) for values in rows]

    def _row_of(self, page: str, method: str) -> dict[str, Any] | None:
        self.look_through()
        assert self._pages is not None
        found = self._pages.select('SELECT "index" FROM pages WHERE key = ?', (key_of(page, method),))
        return next(iter(self._rows(f'"index" = {found[0][0]}')), None) if found else None

    def look_through(self) -> None:
        """Find the rows by their pages, from now on. It takes seconds for a million of them."""
        if self._pages is not None:
            return
        self._pages = Scratch(self._file, _SCHEMA)
        rows = self._ledger.rows(("url", "method", "index", "sha256"), _USABLE)
        with self._pages.together():
            self._pages.change(_ADD, ((key_of(url.partition("#")[0], method), *rest) for url, method, *rest in rows))

    def _checked(self, row: dict[str, Any]) -> StoredResponse | None:
        """What a record tells of its page; None where its body is gone, or it has nothing that can be asked with."""
        etag, date, path = row["etag"], row["last_modified"], row["path"]
        etag = etag if etag is not None and _TAG.fullmatch(etag) else None
        date = date if date is not None and _DATE.fullmatch(date) else None
        alone = path is not None and "#" not in path
        if path is not None:
            file = os.path.join(self._root, path.partition("#")[0])
            if not within(path) or not _is_there(file, row["size"] if alone else None):
                return None
        if etag is None and date is None:
            return None
        complete = None if row["complete"] is None else Complete(row["complete"])
        described = {name: row[name] for name in _DESCRIBED}
        return StoredResponse(
            url=row["final_url"],
            etag=etag,
            last_modified=date,
            complete=complete,
            at=row["started"],
            file=file if alone else None,
            open=None if path is None else partial(self._bodies.opened, path),
            **described,
        )


def _is_there(file: str, size: int | None) -> bool:
    """A plain file, of that size where one is given."""
    try:
        found = os.lstat(file)
    except (OSError, ValueError):
        return False
    return stat.S_ISREG(found.st_mode) and size in (None, found.st_size)
