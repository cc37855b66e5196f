"""What the tests of `--refresh` share: a site whose pages can be asked whether they have changed."""

from __future__ import annotations

from typing import Any

from faults.wire import Asked

from fetchq import Result, fetch_all_sync
from support.servers import Scripted, reply

__all__ = ["DATE", "NOT_MODIFIED", "Pages", "Site", "run", "statuses"]

NOT_MODIFIED = b"HTTP/1.1 304 Not Modified"
DATE = "Wed, 01 Jan 2025 00:00:00 GMT"


Pages = dict[str, tuple[bytes, str | None, str | None]]
"""By their names: body, ETag and Last-Modified."""


class Site(Scripted):
    """Pages that have a body and what it can be asked for by; `asked` is what the requests of a page asked with."""

    def __init__(self, **pages: tuple[bytes, str | None, str | None]) -> None:
        self.pages = pages
        self.moved: dict[str, str] = {}
        super().__init__(self._page)

    def _page(self, asked: Asked) -> bytes:
        name = asked.path.strip("/")
        if name in self.moved:
            return reply(b"", b"Location: " + self.moved[name].encode(), status=b"HTTP/1.1 302 Found")
        body, etag, date = self.pages[name]
        heads = [b"Content-Type: text/plain; charset=utf-16"]
        heads += [b"ETag: " + etag.encode()] if etag else []
        heads += [b"Last-Modified: " + date.encode()] if date else []
        tag = asked.header("If-None-Match")
        same = tag == etag if tag else date is not None and asked.header("If-Modified-Since") == date
        if same:
            return reply(b"", b"X: new", status=NOT_MODIFIED)  # a bare one
        return reply(b"" if asked.method == "HEAD" else body, *heads)

    def asked(self) -> dict[str, tuple[str | None, str | None]]:
        """What each page was asked with since the last time."""
        log, self.log = self.log, []
        return {one.path.strip("/"): (one.header("If-None-Match"), one.header("If-Modified-Since")) for one in log}

    def urls(self, *names: str) -> list[str]:
        return [f"{self.url}/{name}" for name in names or self.pages]


def run(urls: list[Any], output: str, **options: Any) -> list[Result]:
    return fetch_all_sync(urls, output=output, **options)


def statuses(results: list[Result]) -> list[int | None]:
    return [result.status for result in results]
