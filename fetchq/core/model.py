"""Defines what comes out of fetchq: Result, and the error that carries one. Request and Timing have their own modules.

The fields of Result are the fields of a record: JSON Lines, CSV, Parquet and the ledger derive their columns from them;
`fetchq.core.record_fields` says how to add one.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from functools import partial
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from fetchq.core.cause import Cause, Complete
from fetchq.core.charset import decoded
from fetchq.core.fast_dataclass import fast_draft
from fetchq.core.header_text import header_lists
from fetchq.core.headers import Headers
from fetchq.core.included import included
from fetchq.core.lazy_field import keep_unparsed
from fetchq.core.lazy_headers import keep_headers_unparsed
from fetchq.core.passed_columns import read_passed
from fetchq.core.redirect_hop import RedirectHop, hop_records
from fetchq.core.request import OnStart, Request, make_request
from fetchq.core.text import shortened
from fetchq.core.timing import PHASES, Timing, make_timing, phase_values
from fetchq.core.unlisted_fields import every_value, set_every_value, unlist_fields

if TYPE_CHECKING:
    from collections.abc import Iterable

    from fetchq.core.body_spool import Spool
    from fetchq.core.exchange import Exchange
    from fetchq.core.sent_request import SentRequest

__all__ = [
    "PHASES",
    "RECORD_FIELDS",
    "Cause",
    "Complete",
    "FetchError",
    "OnStart",
    "Request",
    "Result",
    "Timing",
    "begin_result",
    "finish_result",
    "kept_headers",
    "kept_passed",
    "make_request",
    "make_timing",
    "phase_values",
]


@dataclass(frozen=True, slots=True)
class Result:
    """The one final record of a request, after all its attempts."""

    index: int
    url: str
    """The URL of the request; a user name and password in it are replaced by `***`."""
    final_url: str | None
    """The URL that answered, after redirects and IDNA encoding; None if no request was sent."""
    method: str
    label: str | None
    ok: bool
    """Whether the status is accepted, and the body is complete, decoded and within the limits."""
    status: int | None
    reason: str | None
    cause: Cause | None
    error: str | None
    """What went wrong, as one line of text; None when ok."""
    attempts: int
    redirects: int
    """Redirects followed in the last attempt."""
    size: int
    """Bytes of the decoded body."""
    wire_size: int
    """Bytes of the body as received, before decoding."""
    sha256: str | None
    """SHA-256 of the decoded body, in hexadecimal; None if the body is incomplete."""
    content_type: str | None
    charset: str | None
    content_encoding: str | None
    """The Content-Encoding that the server sent. A body that was kept as received has `size` equal to `wire_size`."""
    complete: Complete | None
    """None if there was no response."""
    path: str | None
    """Where the body is stored, relative to the run's folder."""
    worker: int | None
    """The worker that made the last attempt, from 1."""
    mode: str
    http_version: str | None
    remote: str | None
    """The address that the connection leads to, such as `192.0.2.1:443` or `[2001:db8::1]:443`."""
    started: datetime | None
    """When a worker first took the request, in UTC."""
    elapsed: float
    """Seconds: the sum of all phases of `timing` but `queued` and `held`."""
    timing: Timing
    headers: Headers = field(repr=False)
    """The header fields of the final response; their names are case-insensitive."""
    body: bytes = field(default=b"", repr=False)
    """The decoded body; empty when the run does not keep bodies. `dataclasses.asdict` leaves it out, as JSON has to."""
    _spool: Spool | None = field(default=None, repr=False, compare=False)
    """The body, until the writer has stored it in the run's folder; None in the Results that callers get."""
    _sent: SentRequest | None = field(default=None, repr=False, compare=False)
    """The request for a web archive, until the writer has stored it; None in the Results that callers get."""
    _duplicate_of: int | None = field(default=None, repr=False, compare=False)
    """The earlier row with an equal request (`dedupe`); this Result is a copy of its Result."""
    trailers: Headers | None = field(default=None, repr=False)
    """The trailer fields, which came after a body in chunks (RFC 9110, 6.5); None if there were none."""
    hops: tuple[RedirectHop, ...] = field(default=(), repr=False, compare=False)
    """The redirects that the last attempt followed, in order: the status, URL and time of each."""
    passed: dict[str, Any] | None = field(default=None, hash=False)
    """Other columns of the row (`--pass`), with their values as in JSON; None in a run without."""
    _exchanges: tuple[Exchange, ...] = field(default=(), repr=False, compare=False)
    """Every request of every attempt with its response, in order, in a run with `har` or `trace`; it is not pickled."""

    def text(self, errors: str = "replace") -> str:
        """The body as text, in the charset that the server named; in UTF-8 where it named none, or an unknown one."""
        return decoded(self.body, self.charset, errors)

    def json(self) -> Any:
        """The body parsed as JSON (RFC 8259). Raises `ValueError` where it is not JSON."""
        import json

        try:
            return json.loads(self.body)
        except RecursionError:
            raise ValueError("the body is nested too deeply") from None

    def __repr__(self) -> str:
        url, cause = shortened(self.url, 200), self.cause and self.cause.value
        return f"Result(index={self.index}, status={self.status}, {url=}, {cause=}, elapsed={self.elapsed:.6f})"

    def _repr_html_(self) -> str:
        """A table of the most important fields, for notebooks."""
        from fetchq.core.result_html import result_table

        return result_table(self.to_record())

    @classmethod
    def __get_pydantic_core_schema__(cls, *_: object) -> Any:
        from fetchq.core.pydantic_schema import schema_of

        return schema_of(cls, cls.to_record)

    def raise_for_failure(self) -> None:
        """Raise `FetchError` unless `ok`."""
        if not self.ok:
            raise FetchError(self)

    def to_record(self, include: Iterable[str] = ()) -> dict[str, Any]:
        """The record, as in JSON Lines: what `json.dumps` can write.

        `include`: "headers" to add the headers, and the trailers if there were any; "hops" to add the redirects; "text"
        or "base64" to add the body. Raises ValueError for another word.
        """
        record = self._record(included(include, _INCLUDED))
        if self.started is not None:
            record["started"] = self.started.isoformat().replace("+00:00", "Z")
        return record

    def _record(self, include: Iterable[str] = ()) -> dict[str, Any]:
        """The record, in which `started` is a datetime, for formats that write it themselves."""
        record = dict(zip(RECORD_FIELDS, _record_values(self), strict=True))
        record["timing"] = dict(zip(PHASES, phase_values(self.timing), strict=True))
        if kept_passed(self) is not None:
            record["passed"] = self.passed
        for what in include:
            name, value_of = _INCLUDED[what]
            record[name] = value_of(self)
            if name == "headers" and self.trailers is not None:
                record["trailers"] = header_lists(self.trailers)
        return record

    def __hash__(self) -> int:
        return hash((self.index, self.url, self.status, self.sha256))

    def __getstate__(self) -> list[Any]:
        return [*every_value(self)[:-1], ()]  # without the `_exchanges`, whose times have no meaning elsewhere

    __setstate__ = set_every_value


class FetchError(Exception):
    """A request failed. `result` is its Result. The exception can be pickled."""

    def __init__(self, result: Result) -> None:
        super().__init__(result)
        self.result = result

    def __str__(self) -> str:
        return f"{self.result.url}: {self.result.cause}: {self.result.error}"


begin_result, finish_result = fast_draft(Result)
kept_headers = keep_headers_unparsed(Result)
kept_passed = keep_unparsed(Result, "passed", str, read_passed)
"""The `passed` of a Result, as the text of a JSON object if nobody has read it yet."""
keep_unparsed(Result, "started", float, partial(datetime.fromtimestamp, tz=UTC))

unlist_fields(Result, "body", "_spool", "_sent", "_duplicate_of", "_exchanges")

_NOT_RECORDED = ("headers", "trailers", "hops", "passed")
RECORD_FIELDS = tuple(one.name for one in fields(Result) if one.name not in _NOT_RECORDED)
"""The fields of a record, in order; `timing` is an object of the `PHASES`."""
_record_values = attrgetter(*RECORD_FIELDS)


_INCLUDED: dict[str, tuple[str, Callable[[Result], object]]] = {
    "headers": ("headers", lambda result: header_lists(result.headers)),
    "hops": ("hops", lambda result: hop_records(result.hops)),
    "text": ("body", Result.text),
    "base64": ("body", lambda result: b64encode(result.body).decode("ascii")),
}
"""What `to_record` can include: the field of the record, and the function that gives its value."""
