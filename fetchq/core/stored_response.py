"""Describes a response that an earlier run has stored: its record, and how its body is opened."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from fetchq.core.cause import Complete

__all__ = ["BodyOrigin", "OpenedBody", "StoredResponse"]


class BodyOrigin(NamedTuple):
    """Where and when the body that a 304 confirms was received; a web archive refers to that response."""

    at: str | None
    """When it was received: RFC 3339, in UTC, as WARC files and the ledger write it."""
    address: str | None = None
    """The IP address of the server."""
    head: bytes | None = None
    """The status line and header section that came with the body; None where they were not stored byte for byte."""


class OpenedBody(NamedTuple):
    """A stored body, opened for reading."""

    pieces: Iterator[bytes]
    origin: BodyOrigin | None = None
    """None where the run did not store the origin with the body."""


class StoredResponse(NamedTuple):
    """The response of an earlier run, which a conditional request can confirm as unchanged (RFC 9110, 13.1)."""

    url: str
    """The URL that answered, after redirects."""
    etag: str | None
    last_modified: str | None
    size: int
    sha256: str
    content_type: str | None
    charset: str | None
    content_encoding: str | None
    complete: Complete | None
    at: str | None
    """When a worker first took the request: RFC 3339, in UTC, as the ledger writes it."""
    file: str | None
    """The path of the body's file; None where the body has no file of its own."""
    open: Callable[[], AbstractContextManager[OpenedBody]] | None
    """Opens the body; None where no body was stored. The function blocks, and raises OSError."""
