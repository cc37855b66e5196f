"""What a response takes from an earlier run, when it says that nothing has changed: 304 (RFC 9110, 15.4.5)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from multidict import CIMultiDict, CIMultiDictProxy

from fetchq.spool import KeptBody

if TYPE_CHECKING:
    from multidict import MultiMapping

    from fetchq.model import Known
    from fetchq.settings import Settings

__all__ = ["freshened", "spool_of"]


def freshened(headers: MultiMapping[str], known: Known) -> CIMultiDictProxy[str]:
    """The headers, with what the next run will want to ask with where they leave that out."""
    more = CIMultiDict(headers)
    for name, value in (("ETag", known.etag), ("Last-Modified", known.last_modified)):
        if value is not None:
            more.setdefault(name, value)
    return CIMultiDictProxy(more)


def spool_of(known: Known, settings: Settings) -> KeptBody | None:
    """The body that is known, where anybody wants it."""
    if known.file is None or not (settings.stores or settings.keep_body):
        return None
    return KeptBody(settings.output or "", known.file, known.size, stored=settings.stores, wanted=settings.keep_body)
