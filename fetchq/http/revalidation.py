"""Takes a page from an earlier run if the server answers 304, that it has not changed (RFC 9110, 15.4.5)."""

from __future__ import annotations

import re
from contextlib import suppress
from typing import TYPE_CHECKING, Protocol

from multidict import CIMultiDict

from fetchq.core.body_spool import LinkedSpool
from fetchq.core.header_text import wire_text
from fetchq.core.headers import Headers
from fetchq.core.model import Cause
from fetchq.core.stored_response import BodyOrigin
from fetchq.http.body import NO_BODY, ReceivedBody
from fetchq.http.content_coding import codings_in
from fetchq.http.failure import AttemptFailed

if TYPE_CHECKING:
    from multidict import MultiMapping

    from fetchq.core.model import Complete
    from fetchq.core.settings import Settings
    from fetchq.core.stored_response import StoredResponse

__all__ = [
    "check_validators",
    "freshened",
    "load_stored_body",
    "loads_stored_body",
    "take_stored_record",
    "validators_of",
]

_SAME_IN_ALL_RUNS = frozenset({"", "accept-encoding"})
"""Request headers that a Vary may list: two runs are assumed to send them with the same values."""
_CODED_TAG = re.compile(r'((?:W/)?"[^"]+?)[-:;+]{1,2}([a-z]+)"')
"""An ETag with a coding at its end: "x-gzip" of Apache, "x--gzip" of Jetty, "x:gzip" of Flask-Compress."""


class Revalidating(Protocol):
    """The attributes of an attempt that this module uses."""

    settings: Settings
    body: ReceivedBody
    complete: Complete | None
    unmodified: bool

    @property
    def stored_response(self) -> StoredResponse | None: ...


def validators_of(stored: StoredResponse) -> dict[str, str]:
    """The preconditions that ask whether the stored response is still valid (RFC 9110, 13.1.2 and 13.1.3)."""
    conditions = {} if stored.etag is None else {"If-None-Match": ", ".join(_tags(stored, stored.etag))}
    return conditions if stored.last_modified is None else conditions | {"If-Modified-Since": stored.last_modified}


def _tags(stored: StoredResponse, etag: str) -> list[str]:
    """The ETags that stand for the stored body: its own; and if that names its coding, the one without the coding.

    Apache adds the coding to the ETag of a response that it compresses, and compares If-None-Match with the ETag of the
    file, so that its own ETag would never give a 304.
    """
    codings = [name.removeprefix("x-") for name in codings_in(stored.content_encoding or "")]
    found = _CODED_TAG.fullmatch(etag)
    return [etag] if found is None or found[2] not in codings else [etag, f'{found[1]}"']


def freshened(headers: MultiMapping[str], stored: StoredResponse) -> Headers:
    """The headers of a 304, with the stored validators where it leaves them out, since the next run needs them.

    So it does with the stored ETag if it names that of the body without its coding. See RFC 9111, 4.3.4.
    """
    more = CIMultiDict(headers)
    for name, value in (("ETag", stored.etag), ("Last-Modified", stored.last_modified)):
        if value is not None:
            more.setdefault(name, value)
    if stored.etag is not None and _opaque(more["ETag"]) != _opaque(stored.etag):
        more["ETag"] = stored.etag
    return Headers(more)


def check_validators(headers: MultiMapping[str], stored: StoredResponse) -> None:
    """Raise `AttemptFailed` if a 304 does not, or may not, confirm the stored response (RFC 9111, 4.3.4)."""
    tags = headers.getall("ETag", [])
    if tags:
        known = [] if stored.etag is None else [_opaque(tag) for tag in _tags(stored, stored.etag)]
        if len(opaque := {_opaque(tag) for tag in tags}) > 1 or not opaque.issubset(known):
            raise _unusable("the server confirms another version")
        return
    if stored.etag is not None:
        return
    if any(date != stored.last_modified for date in headers.getall("Last-Modified", [])):
        raise _unusable("the server confirms another version")
    # All variants of a page may have the same date, and the request headers of this run may select another variant
    # than those of the earlier run (RFC 9111, 4.1).
    varies = {name.strip().lower() for value in headers.getall("Vary", []) for name in value.split(",")}
    if varies - _SAME_IN_ALL_RUNS:
        raise _unusable("the page is not the same for everybody, and has no ETag")


def _opaque(tag: str) -> str:
    """The part of an ETag that a weak comparison compares (RFC 9110, 8.8.3.2)."""
    return wire_text(tag).removeprefix("W/")


def loads_stored_body(attempt: Revalidating) -> bool:
    """Whether the engine is to call `load_stored_body` when the exchange is over."""
    if not attempt.unmodified:
        return False
    stored, settings = attempt.stored_response, attempt.settings
    if stored is None or stored.open is None:
        return False
    return settings.spools or settings.keep_body


def load_stored_body(attempt: Revalidating) -> None:
    """Read the stored body as if the server had sent it. Blocks.

    Raises `AttemptFailed` (`store`) if the body is missing or damaged.
    """
    stored, settings = attempt.stored_response, attempt.settings
    assert stored is not None
    assert stored.open is not None
    body = ReceivedBody(settings, stores=settings.spools)
    attempt.body = NO_BODY
    try:
        if settings.stores and stored.file is not None:
            with suppress(OSError):  # the body is copied if it is on another file system, or on one without hard links
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
    """Give the attempt the size, digest and completeness of the stored response that a 304 has confirmed."""
    stored, body = attempt.stored_response, attempt.body
    assert stored is not None
    body.size, body.wire_size, body.digest = stored.size, 0, stored.sha256
    body.content_encoding = stored.content_encoding
    body.origin = body.origin or BodyOrigin(stored.at)
    attempt.complete = stored.complete


def _unusable(why: str) -> AttemptFailed:
    return AttemptFailed(Cause.STORE, f"the body of the earlier run cannot be used: {why}", permanent=True)
