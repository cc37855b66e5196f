"""What travels through fetchq: Request, Result, Timing and the closed lists of words they use.

This module imports nothing else of fetchq's but `frozen`.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from enum import StrEnum
from operator import attrgetter
from typing import TYPE_CHECKING, Any, NamedTuple

from fetchq.core.fast_dataclass import maker

if TYPE_CHECKING:
    from collections.abc import Iterable
    from contextlib import AbstractContextManager
    from datetime import datetime

    from multidict import CIMultiDict, CIMultiDictProxy, MultiMapping

    from fetchq.core.body_spool import Opened, Origin, Spool

__all__ = ["Cause", "Complete", "FetchError", "OnStart", "Request", "Result", "Sent", "Timing", "redact"]

_USERINFO = re.compile(r"(?<=//)[^/?#]*@")
# Python knows these by name, but they are no charsets of texts.
_NO_CHARSETS = frozenset({"idna", "punycode", "undefined", "unicode-escape", "raw-unicode-escape"})


def redact(text: str) -> str:
    """`text` with the userinfo of every URL in it (`//user:password@`) replaced by `//***@`."""
    return _USERINFO.sub("***@", text) if "@" in text else text


def redact_all(text: str) -> str:
    """`redact` for what is no URL: a password may have any character in it, so all up to the last @ goes."""
    return re.sub(r"^([^:/@]*:?[/\\]*).*@", r"\1***@", text, flags=re.DOTALL)


class Cause(StrEnum):
    """Why a request did not succeed."""

    INVALID_URL = "invalid_url"
    """The input row is unusable."""
    BLOCKED = "blocked"
    """The scheme or the address is not allowed, or the host's robots.txt disallows it."""
    DNS = "dns"
    CONNECT = "connect"
    TLS = "tls"
    TIMEOUT = "timeout"
    TOO_SLOW = "too_slow"
    """Bytes came, but fewer per second than the minimum speed."""
    PROTOCOL = "protocol"
    """The response is not valid HTTP (RFC 9110, RFC 9112)."""
    INCOMPLETE = "incomplete"
    """The body ended before HTTP says that it ends."""
    DECODE = "decode"
    """The content coding is broken or unknown."""
    TOO_LARGE = "too_large"
    REDIRECT = "redirect"
    """A loop, too many hops, or a bad or missing Location."""
    STATUS = "status"
    """The answer is whole, but its status is not an accepted one."""
    CANCELLED = "cancelled"
    STORE = "store"
    """The result could not be written."""


class Complete(StrEnum):
    """Whether the body that was received is known to be the whole one."""

    YES = "yes"
    UNVERIFIED = "unverified"
    """The body ended with the connection and carried no length: HTTP cannot tell (RFC 9112, 6.3)."""
    NO = "no"


class StoredResponse(NamedTuple):
    """What an earlier run knows of a page, to be asked whether that still holds (RFC 9110, 13.1)."""

    url: str
    """The one that answered, after redirects."""
    etag: str | None
    last_modified: str | None
    size: int
    sha256: str
    content_type: str | None
    charset: str | None
    content_encoding: str | None
    complete: Complete | None
    at: str | None
    """When a worker took the request that brought it."""
    file: str | None
    """The body, where it has a file of its own."""
    open: Callable[[], AbstractContextManager[Opened]] | None
    """Opens the body; None where there is none. It blocks, and raises OSError."""


@dataclass(frozen=True, slots=True)
class Request:
    """What one input row asks for.

    Fields left at None take the run's `Settings` (method, body); the headers given here come on top
    of the run's and replace those of the same name.
    """

    url: str
    index: int = 0
    """The input row, from 0. fetchq numbers the requests of a run itself."""
    method: str | None = None
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes | None = None
    label: str | None = None
    """Any text of yours; it is copied into the Result."""
    problem: str | None = None
    """Why the row is unusable, where its source could tell. Such a row is answered with `invalid_url`."""
    known: StoredResponse | None = field(default=None, repr=False, compare=False)
    """What the run that is refreshed knows of it. fetchq looks that up itself."""
    priority: int = 0
    """Requests with a higher one go before others to the same host; from -1,000,000 to 1,000,000."""

    def __repr__(self) -> str:
        return f"Request(index={self.index}, url={redact(self.url)!r}, method={self.method!r}, label={self.label!r})"


OnStart = Callable[[Request, int], object]
"""Is told of a request and the number of the worker that begins an attempt at it.

What it returns is awaited where that can be, in a run that has an event loop, and else of no account.
"""


@dataclass(frozen=True, slots=True)
class Timing:
    """Where a request's time went: seconds, each summed over all attempts.

    The phases do not overlap. All but `queued` and `held` add up to `Result.elapsed`.
    """

    queued: float = 0.0
    """Ready to go, but no worker was free."""
    held: float = 0.0
    """Not to go yet: a limit, a host that is to be left alone or tried by a few first, a retry that is not due."""
    dns: float = 0.0
    connect: float = 0.0
    """TCP; and TLS, where the engine cannot tell it apart."""
    tls: float | None = None
    """The TLS handshake; None where the engine cannot tell it apart."""
    wait: float = 0.0
    """From a connection in hand, sending included, to the first byte of the response."""
    receive: float = 0.0
    decode: float = 0.0
    """Undoing the content coding and hashing the body."""
    store: float = 0.0


class Sent(NamedTuple):
    """The request that the final response answers, as an archive may show it: without what may be secret."""

    head: bytes
    """Request line and headers, with the empty line that ends them."""
    with_body: bool
    """A body was sent after it."""
    at: datetime
    """When the attempt began, in UTC."""
    headers: MultiMapping[str] | None = None
    """Of the response, as they came; the Result's may say more. None: they are the same."""
    kept: Origin | None = None
    """Of the body, where the response was a 304 and the body is an earlier run's."""


@dataclass(frozen=True, slots=True)
class Result:
    """The one final record of a request, after all its attempts."""

    index: int
    url: str
    """As it was asked for; a user name and password in it are shown as `***`."""
    final_url: str | None
    """The URL that answered, after redirects and IDNA; None when none was asked."""
    method: str
    label: str | None
    ok: bool
    """The status is accepted, and the body whole, decoded and within the limits."""
    status: int | None
    reason: str | None
    cause: Cause | None
    error: str | None
    """One line for people; None when ok."""
    attempts: int
    redirects: int
    """Redirects followed in the last attempt."""
    size: int
    """Bytes of the decoded body."""
    wire_size: int
    """Bytes of the body as it was received."""
    sha256: str | None
    """SHA-256 of the decoded body, in hexadecimal; None when it is not complete."""
    content_type: str | None
    charset: str | None
    content_encoding: str | None
    """As the server sent it."""
    complete: Complete | None
    """None when there was no response."""
    path: str | None
    """Where the body was stored."""
    worker: int | None
    """The worker that made the last attempt, from 1."""
    mode: str
    http_version: str | None
    remote: str | None
    """The address dialled: `192.0.2.1:443`, `[2001:db8::1]:443`."""
    started: datetime | None
    """When a worker first took the request, in UTC."""
    elapsed: float
    """Seconds: all phases of `timing` but `queued` and `held`."""
    timing: Timing
    headers: CIMultiDictProxy[str] = field(repr=False)
    """The headers of the final response; names compare without regard to case."""
    body: bytes = field(default=b"", repr=False)
    """The decoded body; empty when the run does not keep bodies."""
    spool: Spool | None = field(default=None, repr=False, compare=False)
    """The body on its way into a run's folder; None for everybody but the writer."""
    sent: Sent | None = field(default=None, repr=False, compare=False)
    """What was asked; None for everybody but the writer of an archive."""
    copied: bool = field(default=False, repr=False, compare=False)
    """Another row asked the same (`dedupe`): this is the copy of its Result."""

    def text(self, errors: str = "replace") -> str:
        """The body as text, by the charset the server named, else UTF-8. A charset nobody knows counts as UTF-8."""
        try:
            charset = codecs.lookup(self.charset or "utf-8").name  # also "punycode!" is one to Python
            return self.body.decode("utf-8" if charset in _NO_CHARSETS else charset, errors)
        except (LookupError, ValueError):
            return self.body.decode("utf-8", errors)

    def json(self) -> Any:
        """The body parsed as JSON (RFC 8259). Raises `ValueError` when it is not JSON."""
        import json

        try:
            return json.loads(self.body)
        except RecursionError:
            raise ValueError("the body is nested too deeply") from None

    def raise_for_failure(self) -> None:
        """Raise `FetchError` unless ok."""
        if not self.ok:
            raise FetchError(self)

    def to_record(self, include: Iterable[str] = ()) -> dict[str, Any]:
        """The record: what JSON Lines, CSV and the ledger hold. `include`: "headers", "text", "base64"."""
        record = dict(zip(RECORD_FIELDS, _record_values(self), strict=True))
        record["timing"] = dict(zip(PHASES, phase_values(self.timing), strict=True))
        for what in include:
            record.update(_INCLUDED[what](self))
        return record

    # CIMultiDictProxy cannot be pickled; everything else here can.
    def __getstate__(self) -> list[Any]:
        state = [getattr(self, name) for name in _RESULT_FIELDS]
        state[_HEADERS] = list(self.headers.items())
        return state

    def __setstate__(self, state: list[Any]) -> None:
        from multidict import CIMultiDict, CIMultiDictProxy

        headers: CIMultiDict[str] = CIMultiDict(state[_HEADERS])
        state[_HEADERS] = CIMultiDictProxy(headers)
        for name, value in zip(_RESULT_FIELDS, state, strict=True):
            object.__setattr__(self, name, value)


class FetchError(Exception):
    """A request failed. `result` is its Result."""

    def __init__(self, result: Result) -> None:
        super().__init__(result)
        self.result = result

    def __str__(self) -> str:
        return f"{self.result.url}: {self.result.cause}: {self.result.error}"


make_request = maker(Request)
make_result = maker(Result)
make_timing = maker(Timing)

PHASES = tuple(f.name for f in fields(Timing))
_RESULT_FIELDS = tuple(f.name for f in fields(Result))
_HEADERS = _RESULT_FIELDS.index("headers")
RECORD_FIELDS = tuple(name for name in _RESULT_FIELDS if name not in ("headers", "body", "spool", "sent", "copied"))
"""The fields of a record, in order; `timing` is an object of the `PHASES`."""
_record_values = attrgetter(*RECORD_FIELDS)
phase_values = attrgetter(*PHASES)
"""The values of a Timing, in the order of `PHASES`."""


def charset_of(content_type: str | None) -> str | None:
    """The charset parameter of a Content-Type, in lower case (RFC 9110, 8.3.2)."""
    for parameter in (content_type or "").split(";")[1:]:
        name, _, value = parameter.partition("=")
        if name.strip().lower() == "charset":
            return value.strip(" \t\"'").lower() or None
    return None


def wire_text(value: str) -> str:
    """A header value whose bytes are not UTF-8 (they arrive as lone surrogates), read as Latin-1 instead."""
    if value.isascii():
        return value
    raw = value.encode("utf-8", "surrogateescape")
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return raw.decode("latin-1")


def _headers(result: Result) -> dict[str, Any]:
    # Lower-case names and lists of values: what curl's %{header_json} gives.
    headers: dict[str, list[str]] = {}
    for name, value in result.headers.items():
        headers.setdefault(wire_text(name).lower(), []).append(wire_text(value))
    return {"headers": headers}


def _base64(result: Result) -> dict[str, Any]:
    from base64 import b64encode

    return {"body": b64encode(result.body).decode("ascii")}


_INCLUDED = {"headers": _headers, "text": lambda result: {"body": result.text()}, "base64": _base64}
