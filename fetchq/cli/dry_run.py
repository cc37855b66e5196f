"""Shows the requests that a run would send, without secrets, and sends nothing (`--dry-run`)."""

from __future__ import annotations

import csv
import io
import sys
from typing import TYPE_CHECKING, Any

import click

from fetchq.cli.options import usage_message
from fetchq.core.model import Cause
from fetchq.core.settings import SettingsError
from fetchq.core.text import one_line, printable
from fetchq.http.guard import guard_for
from fetchq.http.hops import HopPlan, method_of
from fetchq.http.masked_fields import masked_request
from fetchq.http.proxies import ProxyConfig
from fetchq.http.sendable import check_sendable
from fetchq.http.url import Refused, parse_url, shown_url
from fetchq.inputs.lines import SourceError
from fetchq.reports.text import bytes_text, count_text
from fetchq.store.sinks.records_jsonl import json_line

if TYPE_CHECKING:
    from fetchq.cli.display import Display
    from fetchq.core.model import Request
    from fetchq.core.settings import Settings
    from fetchq.inputs.source import Source

__all__ = ["show_requests"]

_HEADING = f"{'method':<8} {'body':>9}  URL"
_COLUMNS = ("index", "method", "url", "headers", "body", "label", "cause", "error")
"""The fields of a row in JSON Lines and CSV; `body` is its bytes."""


def show_requests(settings: Settings, display: Display, source: Source) -> int:
    """Show each row of the source on stdout, in the format of the records. Returns the exit status.

    No address is looked up, and no file is written. 1: some rows would fail without a request.
    """
    try:
        planned = _Planned(settings)
    except SettingsError as problem:
        raise click.UsageError(usage_message(problem)) from None
    text = display.records in ("text", "none")
    if text:
        click.echo(_HEADING)
    elif display.records == "csv":
        click.echo(",".join(_COLUMNS))
    unusable = total = 0
    try:
        for request in (request for batch in source for request in batch):
            row = planned.row(request)
            total += 1
            unusable += row["cause"] is not None
            sys.stdout.buffer.write(_text_line(row) if text else _record(row, display.records))
    except SourceError as problem:
        raise click.UsageError(str(problem)) from None
    sys.stdout.buffer.flush()
    if not display.quiet:
        failing = f", {unusable:,} would fail at once" if unusable else ""
        click.echo(f"{count_text(total - unusable, 'row')} would be asked for{failing}; nothing was sent", err=True)
    return 1 if unusable else 0


class _Planned:
    """Plans the requests of rows as a run does."""

    def __init__(self, settings: Settings) -> None:
        """Raises `SettingsError` if the environment cannot be obeyed."""
        self._settings = settings
        self._guard = guard_for(settings)
        self._plan = HopPlan(settings, ProxyConfig(settings))

    def row(self, request: Request) -> dict[str, Any]:
        """What would be asked for, by `_COLUMNS`."""
        row: dict[str, Any] = dict.fromkeys(_COLUMNS)
        row |= {"index": request.index, "url": shown_url(request.url), "label": request.label}
        row["method"] = method_of(request, self._settings)
        try:
            if request.problem is not None:
                raise Refused(Cause.INVALID_URL, request.problem)
            check_sendable(request, self._settings)
            target = parse_url(request.url)
            if self._guard is not None and (refused := self._guard.refusal(target)) is not None:
                raise refused
        except Refused as refused:
            return row | {"cause": refused.cause.value, "error": one_line(refused.message)}
        hop = self._plan.first(request, target)
        return row | {"headers": masked_request(hop.headers), "body": len(hop.body or b"")}


def _text_line(row: dict[str, Any]) -> bytes:
    url = printable(row["url"])
    if row["cause"] is not None:
        line = f"{row['method']:<8} {'-':>9}  {url}  {row['cause']}: {row['error']}"
    else:
        headers = ", ".join(f"{name}: {value}" for name, value in row["headers"].items())
        body = bytes_text(row["body"]) if row["body"] else "-"
        line = f"{row['method']:<8} {body:>9}  {url}{'  ' if headers else ''}{printable(headers)}"
    return f"{line}\n".encode(errors="backslashreplace")


def _record(row: dict[str, Any], form: str) -> bytes:
    if form == "jsonl":
        return json_line(row)
    from fetchq.store.sinks.records_csv import cell

    text = io.StringIO(newline="")
    csv.writer(text).writerow([cell(row[name]) for name in _COLUMNS])
    return text.getvalue().encode()
