"""Opens the storage of a job by its path or URL."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import unquote

from fetchq.cluster.local_storage import LocalStorage

if TYPE_CHECKING:
    from fetchq.cluster.storage import JobStorage

__all__ = ["is_url", "open_storage"]

_URL = re.compile(r"(?:[a-z][a-z0-9+.-]*::)*([a-z][a-z0-9+.-]*)://", re.IGNORECASE)


def is_url(place: str) -> bool:
    """Whether it is the URL of a job, and not the path of a local folder."""
    found = _URL.match(place)
    return found is not None and found[0].lower() != "file://"


def open_storage(place: str) -> JobStorage:
    """The storage of the job at a path or a URL. Raises `StorageError` if there can be none."""
    if is_url(place):
        from fetchq.cluster.remote_storage import RemoteStorage  # here, since a local job needs no fsspec

        return RemoteStorage(place.rstrip("/"))
    if place.lower().startswith("file://"):
        place = unquote(place[len("file://") :])
    return LocalStorage(place)
