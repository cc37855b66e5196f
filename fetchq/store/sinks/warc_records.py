"""Writes the records of one Result into a web archive, through warcio."""

from __future__ import annotations

import io
import os
import re
from datetime import UTC
from hashlib import sha256
from typing import TYPE_CHECKING, Any, BinaryIO
from urllib.parse import quote

from fetchq.http.content_coding import codings_in, decodable

if TYPE_CHECKING:
    from datetime import datetime

    from multidict import MultiMapping

    from fetchq.core.model import Result
    from fetchq.core.sent_request import ArchivedRedirect, SentRequest
    from fetchq.core.stored_response import BodyOrigin

__all__ = ["Body", "Unreadable", "write_records", "write_redirects"]

_PIECE = 262_144
"""The fewest bytes of a body that are read at a time."""
_BREAKS = re.compile(r"[\r\n\0]")
_NOT_MODIFIED = "http://netpreserve.org/warc/1.1/revisit/server-not-modified"
_LEGAL = "!#$%&'()*+,/:;=?@[]~"
_RENAMED = {
    "content-encoding": "X-Crawler-Content-Encoding",
    "transfer-encoding": "X-Crawler-Transfer-Encoding",
    "content-length": "X-Crawler-Content-Length",
}


_DECHUNKED = frozenset({"transfer-encoding"})
_UNDONE = _DECHUNKED | {"content-encoding"}


class Unreadable(Exception):
    """A body cannot be read from its temporary file, so the archive is not at fault."""

    def __init__(self, problem: OSError) -> None:
        super().__init__(problem)
        self.problem = problem


class Body:
    """The body of a Result, as a stream that can be read more than once. Its methods raise `Unreadable`."""

    def __init__(self, result: Result) -> None:
        self._spool = result._spool
        self._stream: BinaryIO = io.BytesIO()
        try:
            content = result.body if self._spool is None else self._spool.content()
            path = None if self._spool is None or content is not None else self._spool.path()
            self._stream = open(path, "rb") if path is not None else io.BytesIO(content or b"")  # noqa: SIM115  # see discard
            self.size = self._stream.seek(0, os.SEEK_END)
            self._stream.seek(0)
        except OSError as problem:
            self.discard()
            raise Unreadable(problem) from problem

    def read(self, most: int = -1) -> bytes:
        try:
            return self._stream.read(max(most, _PIECE))  # warcio asks for 16 kB, but accepts more
        except OSError as problem:
            raise Unreadable(problem) from problem

    def tell(self) -> int:
        return self._stream.tell()

    def seek(self, at: int) -> int:
        return self._stream.seek(at)

    def discard(self) -> None:
        self._stream.close()
        if self._spool is not None:
            self._spool.discard()


class _Bytes(io.BytesIO):
    """A short body that is in memory, as a stream."""

    @property
    def size(self) -> int:
        return len(self.getbuffer())


class _Head:
    """The head of an HTTP message, byte for byte. warcio's own class would percent-encode non-ASCII characters."""

    def __init__(self, content: bytes) -> None:
        self.headers_buff = content

    def compute_headers_buffer(self, _: object) -> None:
        """Do nothing, since the buffer is complete."""


def write_records(writer: Any, result: Result, body: Body) -> None:
    """Write the final response of a Result and its request; for a 304 that confirms a stored body, first that body.

    `writer`: a WARCWriter of warcio. Raises `Unreadable`, and OSError if the archive cannot be written.
    """
    sent = result._sent
    at = sent.at if sent is not None else result.started
    uri = _uri(result.final_url or result.url)
    shared = {} if at is None else {"WARC-Date": _date(at)}
    of_response = shared | _ip_address(result.remote)
    if sent is None or sent.body_origin is None:
        decoded = sent is None or sent.decoded
        coded = decoded and decodable(codings_in(result.content_encoding or ""))
        head = _response_head(result, result.headers, body.size, undone=_UNDONE if coded else _DECHUNKED)
        response = _write(writer, uri, "response", of_response | _payload(result.sha256), head, body)
    else:
        response = _write_revisit(writer, uri, result, sent, of_response, body)
    if sent is not None:
        _write_request(writer, uri, sent, shared, response)


def write_redirects(writer: Any, result: Result) -> None:
    """Write the responses that redirected the request of a Result, each with its request. Raises OSError."""
    for redirect in () if result._sent is None else result._sent.redirects:
        uri = _uri(redirect.url)
        shared = {"WARC-Date": _date(redirect.at)}
        fields = shared | _ip_address(redirect.remote) | _payload(sha256(redirect.body).hexdigest())
        if redirect.truncated:
            fields["WARC-Truncated"] = "length"
        head = _response_head(redirect, redirect.headers, len(redirect.body), undone=_DECHUNKED)
        response = _write(writer, uri, "response", fields, head, _Bytes(redirect.body))
        _write_request(writer, uri, redirect, shared, response)


def _write_request(
    writer: Any, uri: str, sent: SentRequest | ArchivedRedirect, shared: dict[str, str], response: str
) -> None:
    """Write a request. `shared`: what its record has in common with that of its response, whose ID is `response`."""
    fields = shared | {"WARC-Concurrent-To": response}
    if sent.with_body:
        fields["WARC-Truncated"] = "unspecified"
    _write(writer, uri, "request", fields, sent.head)


def _write_revisit(
    writer: Any, uri: str, result: Result, sent: SentRequest, of_response: dict[str, str], body: Body
) -> str:
    """Write the record of a 304, after that of the stored body that it confirms. Returns its ID."""
    assert sent.body_origin is not None
    fields = of_response | _write_stored(writer, uri, result, sent.body_origin, body)
    if "WARC-Refers-To" in fields:
        return _write(writer, uri, "revisit", fields | _payload(result.sha256))
    headers = result.headers if sent.headers is None else sent.headers
    return _write(writer, uri, "revisit", fields, _response_head(result, headers))


def _write_stored(writer: Any, uri: str, result: Result, origin: BodyOrigin, body: Body) -> dict[str, str]:
    """Write the record of a stored body, with its head if that is known. Returns header fields for the 304's record."""
    fields = _payload(result.sha256) | ({} if origin.at is None else {"WARC-Date": origin.at})
    refers = {"WARC-Profile": _NOT_MODIFIED, "WARC-Refers-To-Target-URI": uri}
    if origin.at is not None:
        refers["WARC-Refers-To-Date"] = origin.at
    if origin.head is not None:
        of_response = fields | ({} if origin.address is None else {"WARC-IP-Address": origin.address})
        refers["WARC-Refers-To"] = _write(writer, uri, "response", of_response, origin.head, body)
    elif result.method != "HEAD":
        fields["Content-Type"] = _BREAKS.sub(" ", result.content_type or "application/octet-stream")
        refers["WARC-Refers-To"] = _write(writer, uri, "resource", fields, b"", body)
    return refers


def _uri(url: str) -> str:
    return quote(url, safe=_LEGAL, errors="backslashreplace")


def _payload(digest: str | None) -> dict[str, str]:
    return {"WARC-Payload-Digest": f"sha256:{digest}"}


def _ip_address(remote: str | None) -> dict[str, str]:
    """The IP address in `remote`, without the port."""
    address = None if remote is None else remote.rpartition(":")[0].strip("[]")
    return {"WARC-IP-Address": address} if address else {}


def _write(
    writer: Any, uri: str, kind: str, fields: dict[str, str], head: bytes = b"", body: Body | _Bytes | None = None
) -> str:
    """Write a record with an HTTP `head`, unless that is empty, and a body. Returns its WARC-Record-ID."""
    # With the length and the digest, warcio need not read the body twice more.
    fields = fields | {"WARC-Block-Digest": f"sha256:{_digest(head, body)}"}
    record = writer.create_warc_record(
        uri,
        kind,
        payload=body,
        length=None if body is None else body.size,
        http_headers=_Head(head) if head else None,
        warc_headers_dict=fields,
    )
    writer.write_record(record)
    return str(record.rec_headers.get_header("WARC-Record-ID"))


def _digest(head: bytes, body: Body | _Bytes | None) -> str:
    digest = sha256(head)
    if body is not None:
        while piece := body.read():
            digest.update(piece)
        body.seek(0)
    return digest.hexdigest()


def _response_head(
    response: Result | ArchivedRedirect, headers: MultiMapping[str], size: int = 0, undone: frozenset[str] = frozenset()
) -> bytes:
    """The head as the server sent it, but header fields that would be wrong for the body in the record are renamed.

    `size`: the length of that body. `undone`: the fields of what has been undone in it.
    """
    # A response without a body may have the fields of a response with one (RFC 9110, 8.6).
    framed = response.method == "HEAD" or response.status in (204, 304)
    stale = set() if framed else set(undone)
    lines = [f"HTTP/{response.http_version or '1.1'} {response.status} {response.reason or ''}"]
    for name, value in headers.items():
        key = name.lower()
        if key == "content-length" and not framed:
            framed = value.strip() == str(size)
            stale |= set() if framed else {key}
        lines.append(f"{_RENAMED[key] if key in stale else name}: {value}")
    if not framed:
        lines.append(f"Content-Length: {size}")
    return b"".join([_line(line) for line in [*lines, ""]])


def _line(text: str) -> bytes:
    """A line as the server sent it, from a text with surrogates for bytes that are not UTF-8. Breaks become spaces."""
    text = _BREAKS.sub(" ", text)
    try:
        return text.encode("utf-8", "surrogateescape") + b"\r\n"
    except UnicodeEncodeError:
        return text.encode("utf-8", "backslashreplace") + b"\r\n"


def _date(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
