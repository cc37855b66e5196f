"""Parses a sitemap (sitemaps.org, 0.9) into Requests: one for each page, or for each sitemap of an index."""

from __future__ import annotations

from typing import Any, NoReturn
from xml.parsers import expat  # documents with a DOCTYPE, and so with entities, are refused

from fetchq.core.model import Request
from fetchq.inputs.lines import RowParser, SourceError
from fetchq.inputs.links import Links
from fetchq.inputs.splitting import MAX_ROW

__all__ = ["SitemapParser"]

_MOST_BYTES = 52_428_800
"""The most bytes of a sitemap, by its protocol."""
_LONGEST_PIECE = 1_000_000
"""The most bytes of a tag, or of a comment: reading what has no end again with each chunk would take quadratic time."""
_DEEPEST = 50
_ROOTS = ("urlset", "sitemapindex")
_PARENTS = ("url", "sitemap")


class SitemapParser(RowParser):
    """Parses a sitemap. Raises SourceError for what is none, has a DOCTYPE or is too large."""

    format_known = False  # until its end, so that what is no sitemap is refused before the first request

    def __init__(self, index: int, *, name: str) -> None:
        super().__init__(index)
        self._name = name
        self._links = Links(name, index, None, _MOST_BYTES)
        self._path: list[str] = []
        """The local names of the elements that are open."""
        self._url: str | None = None
        """The text of the `loc` that is being read."""
        self._line = 1
        self._rows: list[Request] = []
        self._size = 0
        self._xml = expat.ParserCreate(namespace_separator=" ")
        self._xml.buffer_text = True
        self._xml.StartDoctypeDeclHandler = self._refuse_doctype
        self._xml.StartElementHandler = self._start
        self._xml.EndElementHandler = self._end
        self._xml.CharacterDataHandler = self._text

    def feed(self, chunk: bytes) -> list[Request]:
        self._links.check_size(chunk)
        self._size += len(chunk)
        return self._parsed(chunk, last=False)

    def finish(self) -> list[Request]:
        found = self._parsed(b"", last=True)
        self.format_known, self.left_out = True, self._links.left_out
        return found

    def _parsed(self, chunk: bytes, *, last: bool) -> list[Request]:
        try:
            self._xml.Parse(chunk, last)
        except expat.ExpatError as problem:
            raise SourceError(f"{self._name!r} is not XML: {problem}") from None
        if self._size - self._xml.CurrentByteIndex > _LONGEST_PIECE:
            raise SourceError(f"{self._name!r} is no sitemap: something in it is longer than {_LONGEST_PIECE:,} bytes")
        self.number = self._xml.CurrentLineNumber
        found, self._rows = self._rows, []
        return found

    def _refuse_doctype(self, *_: Any) -> NoReturn:
        raise SourceError(f"{self._name!r} has a DOCTYPE, which no sitemap needs")

    def _start(self, name: str, _: dict[str, str]) -> None:
        local = name.rpartition(" ")[2]
        if not self._path and local not in _ROOTS:
            raise SourceError(f"{self._name!r} is no sitemap: its root is {local[:40]!r}, not {' or '.join(_ROOTS)}")
        if len(self._path) > _DEEPEST:
            raise SourceError(f"{self._name!r} is no sitemap: its elements are nested too deep")
        if local == "loc" and self._path[-1] in _PARENTS:
            self._url, self._line = "", self._xml.CurrentLineNumber
        self._path.append(local)

    def _text(self, text: str) -> None:
        if self._url is not None and len(self._url) <= MAX_ROW:
            self._url += text

    def _end(self, _: str) -> None:
        self._path.pop()
        if self._url is None:
            return
        if (row := self._links.row(self._url, self._line)) is not None:
            self._rows.append(row)
        self._url = None
