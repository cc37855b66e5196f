"""What a response takes from an earlier run, when it says that nothing has changed: 304 (RFC 9110, 15.4.5)."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Protocol

from multidict import CIMultiDict, CIMultiDictProxy

from fetchq.core.body_spool import LinkedSpool, Origin
from fetchq.core.header_text import wire_text
from fetchq.core.model import Cause
from fetchq.http.body import Intake
from fetchq.http.failure import AttemptFailed

if TYPE_CHECKING:
    from multidict import MultiMapping

    from fetchq.core.model import Complete, StoredResponse
    from fetchq.core.settings import Settings

__all__ = ["check_confirms", "confirm", "freshened", "keep", "keeps"]

_SAME_IN_ALL = frozenset({"", "accept-encoding"})
"""What a page may vary with although two runs are to have the same of it."""


class Asking(Protocol):
    """An attempt, as far as it matters here."""

    settings: Settings
    known: StoredResponse | None
    intake: Intake | None
    body: bytes
    digest: str | None
    size: int
    wire_size: int
    complete: Complete | None
    content_encoding: str | None
    kept: Origin | None

    @property
    def unmodified(self) -> bool: ...


def freshened(headers: MultiMapping[str], known: StoredResponse) -> CIMultiDictProxy[str]:
    """The headers, with what the next run will want to ask with where they leave that out."""
    more = CIMultiDict(headers)
    for name, value in (("ETag", known.etag), ("Last-Modified", known.last_modified)):
        if value is not None:
            more.setdefault(name, value)
    return CIMultiDictProxy(more)


def check_confirms(headers: MultiMapping[str], known: StoredResponse) -> None:
    """Raise `AttemptFailed` where a 304 is not of the version that is known (RFC 9111, 4.3.4), or may not be."""
    tags = headers.getall("ETag", [])
    if tags:
        if known.etag is None or {_opaque(tag) for tag in tags} != {_opaque(known.etag)}:
            raise _lost("the server confirms another version")
        return
    if known.etag is not None:
        return
    if any(date != known.last_modified for date in headers.getall("Last-Modified", [])):
        raise _lost("the server confirms another version")
    # A date is that of each variant, and what this run sends may be none of what the earlier one sent (4.1).
    varies = {name.strip().lower() for value in headers.getall("Vary", []) for name in value.split(",")}
    if varies - _SAME_IN_ALL:
        raise _lost("the page is not the same for everybody, and has no ETag")


def _opaque(tag: str) -> str:
    """To be compared weakly (RFC 9110, 8.8.3.2)."""
    return wire_text(tag).removeprefix("W/")


def keeps(attempt: Asking) -> bool:
    """The exchange is over, and `keep` is to be called, where blocking does no harm."""
    known, settings = attempt.known, attempt.settings
    if not attempt.unmodified or known is None or known.open is None:
        return False
    return settings.stores or settings.keep_body


def keep(attempt: Asking) -> None:
    """Take the body that is known as if it had come. Raises `AttemptFailed`: it is not what it was, or not there."""
    known, settings = attempt.known, attempt.settings
    assert known is not None
    assert known.open is not None
    intake = Intake(settings)
    attempt.intake = attempt.digest = None
    try:
        if settings.stores and known.file is not None:
            with suppress(OSError):  # another file system, or one that has no second names: it is copied
                intake.spool = LinkedSpool(settings.output or "", known.file)
        with known.open() as opened:
            for piece in opened.pieces:
                if intake.size + len(piece) > known.size:
                    raise _lost("it is damaged")
                intake.take(piece)
                if intake.due:
                    intake.write()
        digest, body = intake.end()
        if digest != known.sha256:
            raise _lost("it is damaged")
        attempt.intake, attempt.digest, attempt.body, attempt.kept = intake, digest, body, opened.origin
    except (OSError, ImportError) as problem:
        raise _lost(getattr(problem, "strerror", None) or str(problem)) from None
    finally:
        if attempt.digest is None:
            intake.discard()


def confirm(attempt: Asking) -> None:
    """The record of a 304 is that of what it has confirmed."""
    known = attempt.known
    assert known is not None
    attempt.size, attempt.wire_size, attempt.digest = known.size, 0, known.sha256
    attempt.complete, attempt.content_encoding = known.complete, known.content_encoding
    attempt.kept = attempt.kept or Origin(known.at)


def _lost(why: str) -> AttemptFailed:
    return AttemptFailed(Cause.STORE, f"the body of the earlier run cannot be used: {why}", permanent=True)
