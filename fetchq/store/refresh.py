"""Looks up the stored responses of a previous run, for a run that refreshes it (`--refresh`)."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fetchq.core.checksum import digest_in
from fetchq.core.disk import close_on_error
from fetchq.core.model import Complete
from fetchq.core.parsers import read_save
from fetchq.core.stored_response import StoredResponse
from fetchq.store.folder import FolderError, RunFolder
from fetchq.store.ledger_reader import LedgerReader
from fetchq.store.manifest import StoredSettings, stored_settings
from fetchq.store.scratch_db import ScratchDatabase, key_of
from fetchq.store.stored_file import file_in
from fetchq.store.stored_run import StoredBodies

if TYPE_CHECKING:
    from fetchq.core.model import Request

__all__ = ["PreviousRun", "check_refreshable"]

_SCHEMA = 'CREATE TABLE urls (key BLOB PRIMARY KEY, "index" INTEGER NOT NULL, sha256 TEXT) WITHOUT ROWID;'
_ADD = """INSERT INTO urls VALUES (?, ?, ?) ON CONFLICT (key) DO UPDATE SET "index" =
    CASE WHEN "index" >= 0 AND sha256 = excluded.sha256 THEN excluded."index" ELSE -1 END"""
"""Inserts a row. If rows with the same URL and method have different bodies, their requests differed in something that
the records do not show; the index is -1 then."""
_USABLE = """ok AND status IN (200, 304) AND method IN ('GET', 'HEAD') AND sha256 IS NOT NULL AND final_url IS NOT NULL
    AND coalesce(etag, last_modified) IS NOT NULL AND instr(url, '@') = 0"""
"""The SQL condition for records with a validator. URLs with userinfo are left out, since the records redact it."""
_DESCRIBED = ("size", "sha256", "content_type", "charset", "content_encoding")
_COLUMNS = ("index", "url", "method", "final_url", "etag", "last_modified", *_DESCRIBED, "complete", "path", "started")
_ETAG = re.compile(r'(?:W/)?"[\x21\x23-\x7e]*"')
"""An entity tag (RFC 9110, 8.8.3), restricted to ASCII."""
_DATE = re.compile(r"[ -~]{1,64}")
_HEADER_SETTINGS = frozenset({"headers", "cookie", "user", "bearer", "cookie_jar"})
"""Settings that become headers, of which the ledger only says whether they were given."""


def check_refreshable(path: str, output: str, save: str) -> None:
    """Raise `FolderError` if a run in `output` cannot refresh the run in `path`. Raises `StorageError`.

    A folder that does not exist is no error, so that the first night of a job needs no other command: all is fetched.
    """
    if os.path.realpath(path) == os.path.realpath(output):
        raise FolderError(f"the run in {path!r} cannot refresh itself: name a new folder for the output")
    if not os.path.exists(path):
        return
    folder = RunFolder(path)
    if not folder.ledger.is_file():
        raise FolderError(f"there is no run in {path!r} to refresh")
    ledger = LedgerReader.open(folder.ledger)
    try:
        saved = stored_settings(ledger).values.get("save")
    finally:
        ledger.close()
    if save == "none":
        return
    if saved == "none":
        raise FolderError(f"the run in {path!r} has no bodies (it has --save none): refresh it as --save none")
    try:
        read_save(saved)  # raises if a package that reads the bodies is missing
    except ValueError as problem:
        raise FolderError(f"the run in {path!r} cannot be read: {problem}") from None


class PreviousRun:
    """The run that is refreshed, which is only read. Not thread-safe. All methods raise `StorageError`."""

    def __init__(self, path: str, temporary: Path, settings: StoredSettings) -> None:
        """`temporary`: a folder for the index. `settings`: those of the new run."""
        self._root = Path(path)
        self._bodies = StoredBodies(self._root)
        self._method = settings.values.get("method")
        self._has_data = "data" in settings.withheld
        self._ledger = ledger = LedgerReader.open(RunFolder(path).ledger)
        with close_on_error(ledger):
            before = stored_settings(ledger)
        agents = before.values.get("user_agent"), settings.values.get("user_agent")
        own_headers = _HEADER_SETTINGS.intersection([*settings.not_taken, *before.not_taken])
        self._own_headers = bool(own_headers) or agents[0] != agents[1]
        """Whether one of the runs sends other headers than the default ones with all rows."""
        self._index_path = temporary / "refresh.db"
        self._index: ScratchDatabase | None = None

    def close(self) -> None:
        self._ledger.close()
        if self._index is not None:
            self._index.close()

    def with_stored(self, requests: Sequence[Request]) -> list[Request]:
        """Add the stored responses, if there are any, to requests in the order of the input."""
        if not requests:
            return []
        between = f'"index" BETWEEN {requests[0].index} AND {requests[-1].index}'
        records = {record["index"]: record for record in self._records(between)}
        found: list[Request] = []
        for request in requests:
            stored = self._stored_response(request, records.get(request.index))
            found.append(request if stored is None else replace(request, _stored_response=stored))
        return found

    def _stored_response(self, request: Request, record: dict[str, Any] | None) -> StoredResponse | None:
        """The stored response for a request. `record`: the usable record with the same index, if there is one."""
        if request.problem is not None or request._duplicate_of is not None:
            return None
        if request.body is not None or self._has_data or "@" in request.url:
            return None
        method = str(request.method or self._method or "GET").upper()
        if method not in ("GET", "HEAD"):
            return None
        url = request.url.partition("#")[0]
        if record is None or (record["url"].partition("#")[0], record["method"]) != (url, method):
            # The records do not show which of the other rows had the same request headers.
            record = None if request.headers else self._record_of(url, method)
        stored = None if record is None else self._checked(record)
        if stored is not None and request.checksum is not None and stored.sha256 != digest_in(request.checksum):
            return None  # what is stored is not what the row asks for, whatever the server would confirm
        if stored is not None and stored.etag is None and (request.headers or self._own_headers):
            return None  # with other headers, the server may select another variant with the same date
        return stored

    def _records(self, where: str) -> list[dict[str, Any]]:
        rows = self._ledger.rows(_COLUMNS, f"{where} AND {_USABLE}")
        return [dict(zip(_COLUMNS, values, strict=True)) for values in rows]

    def _record_of(self, url: str, method: str) -> dict[str, Any] | None:
        index = self.index_urls()
        found = index.select('SELECT "index" FROM urls WHERE key = ?', (key_of(url, method),))
        return next(iter(self._records(f'"index" = {found[0][0]}')), None) if found else None

    def index_urls(self) -> ScratchDatabase:
        """Index the records by URL and method, unless that is done. It takes seconds for a million records."""
        if self._index is not None:
            return self._index
        self._index = index = ScratchDatabase(self._index_path, _SCHEMA)
        rows = self._ledger.rows(("url", "method", "index", "sha256"), _USABLE)
        with index.transaction():
            index.execute_many(_ADD, ((key_of(url.partition("#")[0], method), *rest) for url, method, *rest in rows))
        return index

    def _checked(self, record: dict[str, Any]) -> StoredResponse | None:
        """The stored response that a record describes; None if its body or a valid validator is missing."""
        etag, date, path = record["etag"], record["last_modified"], record["path"]
        etag = etag if etag is not None and _ETAG.fullmatch(etag) else None
        date = date if date is not None and _DATE.fullmatch(date) else None
        own_file = path is not None and "#" not in path
        if path is not None:
            try:
                file = str(file_in(self._root, path.partition("#")[0]))
            except OSError:
                return None
            if own_file and os.path.getsize(file) != record["size"]:
                return None
        if etag is None and date is None:
            return None
        complete = None if record["complete"] is None else Complete(record["complete"])
        described = {name: record[name] for name in _DESCRIBED}
        return StoredResponse(
            url=record["final_url"],
            etag=etag,
            last_modified=date,
            complete=complete,
            at=record["started"],
            file=file if own_file else None,
            open=None if path is None else partial(self._bodies.opened, path),
            **described,
        )
