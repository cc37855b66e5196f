"""Takes a page from an earlier run when its server answers 304, that nothing has changed (RFC 9110, 15.4.5)."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Protocol

from multidict import CIMultiDict, CIMultiDictProxy

from fetchq.core.body_spool import LinkedSpool
from fetchq.core.header_text import wire_text
from fetchq.core.model import Cause
from fetchq.core.stored_response import BodyOrigin
from fetchq.http.body import NO_BODY, ReceivedBody
from fetchq.http.failure import AttemptFailed

if TYPE_CHECKING:
    from multidict import MultiMapping

    from fetchq.core.model import Complete
    from fetchq.core.settings import Settings
    from fetchq.core.stored_response import StoredResponse

__all__ = ["check_validators", "freshened", "load_stored_body", "loads_stored_body", "take_stored_record"]

_SAME_IN_ALL_RUNS = frozenset({"", "accept-encoding"})
"""Request headers in a Vary that two runs are taken to send alike."""


class Revalidating(Protocol):
    """What an attempt has that matters here."""

    settings: Settings
    stored_response: StoredResponse | None
    body: ReceivedBody
    complete: Complete | None
    unmodified: bool


def freshened(headers: MultiMapping[str], stored: StoredResponse) -> CIMultiDictProxy[str]:
    """The headers of a 304, with the stored validators where it leaves them out: the next run will ask with them.

    See RFC 9111, 4.3.4.
    """
    more = CIMultiDict(headers)
    for name, value in (("ETag", stored.etag), ("Last-Modified", stored.last_modified)):
        if value is not None:
            more.setdefault(name, value)
    return CIMultiDictProxy(more)


def check_validators(headers: MultiMapping[str], stored: StoredResponse) -> None:
    """Raise `AttemptFailed` where a 304 does not, or may not, select the stored response (RFC 9111, 4.3.4)."""
    tags = headers.getall("ETag", [])
    if tags:
        if stored.etag is None or {_opaque(tag) for tag in tags} != {_opaque(stored.etag)}:
            raise _unusable("the server confirms another version")
        return
    if stored.etag is not None:
        return
    if any(date != stored.last_modified for date in headers.getall("Last-Modified", [])):
        raise _unusable("the server confirms another version")
    # A date is that of each variant, and the headers of this run may select another one than those of the earlier run
    # (RFC 9111, 4.1).
    varies = {name.strip().lower() for value in headers.getall("Vary", []) for name in value.split(",")}
    if varies - _SAME_IN_ALL_RUNS:
        raise _unusable("the page is not the same for everybody, and has no ETag")


def _opaque(tag: str) -> str:
    """The part of an ETag that counts in a weak comparison (RFC 9110, 8.8.3.2)."""
    return wire_text(tag).removeprefix("W/")


def loads_stored_body(attempt: Revalidating) -> bool:
    """Whether `load_stored_body` is to be called once the exchange is over."""
    stored, settings = attempt.stored_response, attempt.settings
    if not attempt.unmodified or stored is None or stored.open is None:
        return False
    return settings.stores or settings.keep_body


def load_stored_body(attempt: Revalidating) -> None:
    """Read the stored body as if it had come from the server. Blocks.

    Raises `AttemptFailed` (`store`) where it is missing or damaged.
    """
    stored, settings = attempt.stored_response, attempt.settings
    assert stored is not None
    assert stored.open is not None
    body = ReceivedBody(settings, stores=settings.stores)
    attempt.body = NO_BODY
    try:
        if settings.stores and stored.file is not None:
            with suppress(OSError):  # on another file system, or one without hard links, the body is copied
                body.spool = LinkedSpool(settings.output or "", stored.file)
        with stored.open() as opened:
            for piece in opened.pieces:
                if body.size + len(piece) > stored.size:
                    raise _unusable("it is damaged")
                body.feed(piece)
                if body.write_due:
                    body.write()
        body.finish()
        if body.digest != stored.sha256:
            raise _unusable("it is damaged")
        body.origin = opened.origin
        attempt.body = body
    except (OSError, ImportError) as problem:
        raise _unusable(getattr(problem, "strerror", None) or str(problem)) from None
    finally:
        if attempt.body is NO_BODY:
            body.discard()


def take_stored_record(attempt: Revalidating) -> None:
    """Record a 304 as the stored response that it confirms."""
    stored, body = attempt.stored_response, attempt.body
    assert stored is not None
    body.size, body.wire_size, body.digest = stored.size, 0, stored.sha256
    body.content_encoding = stored.content_encoding
    body.origin = body.origin or BodyOrigin(stored.at)
    attempt.complete = stored.complete


def _unusable(why: str) -> AttemptFailed:
    return AttemptFailed(Cause.STORE, f"the body of the earlier run cannot be used: {why}", permanent=True)
