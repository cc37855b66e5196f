"""Parses an HTML page into Requests: one for each link."""

from __future__ import annotations

import codecs

from fetchq.core.model import Request
from fetchq.inputs.html_links import LinkScanner
from fetchq.inputs.lines import RowParser
from fetchq.inputs.links import Links
from fetchq.inputs.splitting import UTF8

__all__ = ["HtmlParser"]


class HtmlParser(RowParser):
    """Parses HTML, with the links in tags as rows. Raises SourceError if the page is too large."""

    format_known = False  # until its end, so that a page which is too large is refused before the first request

    def __init__(self, index: int, *, name: str, base_url: str | None = None) -> None:
        super().__init__(index)
        self._links = Links(name, index, base_url)
        self._scanner = LinkScanner()
        self._has_base = False
        encoding, errors = UTF8
        self._decoder = codecs.getincrementaldecoder(encoding)(errors)

    def feed(self, chunk: bytes) -> list[Request]:
        self._links.check_size(chunk)
        return self._rows(self._decoder.decode(chunk))

    def finish(self) -> list[Request]:
        found = self._rows(self._decoder.decode(b"", final=True))
        self.format_known, self.left_out = True, self._links.left_out
        return found

    def _rows(self, text: str) -> list[Request]:
        found = []
        for link, line in self._scanner.feed(text):
            if self._scanner.base is not None and not self._has_base:
                self._has_base = True
                self._links.rebase(self._scanner.base)
            if (row := self._links.row(link, line)) is not None:
                found.append(row)
        self.number = self._scanner.line
        return found
