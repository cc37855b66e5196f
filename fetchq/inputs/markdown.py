"""Parses a Markdown page (CommonMark, with tables) into Requests: one for each link."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from markdown_it import MarkdownIt

from fetchq.core.model import Request
from fetchq.inputs.html_links import LinkScanner
from fetchq.inputs.lines import RowParser
from fetchq.inputs.links import Links
from fetchq.inputs.splitting import UTF8

if TYPE_CHECKING:
    from markdown_it.token import Token

__all__ = ["MarkdownParser"]

_MOST_BYTES = 1_000_000
"""The most bytes of a page: it is parsed as a whole, which takes up to 20 microseconds and 120 bytes a byte."""
_BARE = re.compile(r"\bhttps?://[^\s<>]++", re.IGNORECASE)
"""A URL in running text."""
_AFTER = frozenset("?!.,:;*_~'\"")
"""The characters that end a sentence rather than a URL (GitHub Flavored Markdown, 6.9)."""


class _Markdown(MarkdownIt):
    """Takes every link as it is written, also those that would be dangerous in a page."""

    def validateLink(self, url: str) -> bool:  # noqa: N802  # the name is the library's
        return True

    def normalizeLink(self, url: str) -> str:  # noqa: N802  # the name is the library's
        return url


class MarkdownParser(RowParser):
    """Parses Markdown, with its links, images, bare URLs and the tags in it as rows; code has none.

    Raises SourceError if the page is too large.
    """

    format_known = False  # until its end, so that a page which is too large is refused before the first request

    def __init__(self, index: int, *, name: str, base_url: str | None = None) -> None:
        super().__init__(index)
        self._links = Links(name, index, base_url, _MOST_BYTES)
        self._page = bytearray()

    def feed(self, chunk: bytes) -> list[Request]:
        self._links.check_size(chunk)
        self._page += chunk
        return []

    def finish(self) -> list[Request]:
        text = self._page.decode(*UTF8).removeprefix("\ufeff")
        self.number = text.count("\n") + 1
        tokens = _Markdown("commonmark").enable("table").parse(text)
        found = (self._links.row(link, line) for link, line in _links(tokens))
        rows = [row for row in found if row is not None]
        self.format_known, self.left_out = True, self._links.left_out
        return rows


def _links(tokens: Sequence[Token]) -> Iterator[tuple[str, int]]:
    """The links of a page, each with its line."""
    line = 1
    for token in tokens:
        if token.map is not None:
            line = token.map[0] + 1
        if token.type == "inline":
            yield from _links_within(token.children or (), line)
        elif token.type == "html_block":
            yield from LinkScanner(line).feed(token.content)


def _links_within(tokens: Sequence[Token], line: int) -> Iterator[tuple[str, int]]:
    """The links in running text that begins on `line`."""
    inside = 0
    for token in tokens:
        if token.type == "link_open":
            yield str(token.attrs["href"]), line
        elif token.type == "image":
            yield str(token.attrs["src"]), line
        elif token.type == "html_inline":
            yield from LinkScanner(line).feed(token.content)
        elif token.type == "text" and not inside:
            for found in _BARE.finditer(token.content):
                yield _without_sentence_end(found[0]), line
        inside += token.nesting if token.type in ("link_open", "link_close") else 0
        line += token.content.count("\n") + (token.type in ("softbreak", "hardbreak"))


def _without_sentence_end(url: str) -> str:
    """The URL without the punctuation after it, and without brackets that it does not open itself."""
    end = len(url)
    closed = url.count(")") - url.count("(")
    while url[end - 1] in _AFTER or (url[end - 1] == ")" and closed > 0):
        end -= 1
        closed -= url[end] == ")"
    return url[:end]
