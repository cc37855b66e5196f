"""Makes Requests of the links of a page: resolves them, drops their fragments, and keeps each URL once.

The label of a row says where the page has the link first: "README.md:17".
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace
from urllib.parse import urljoin

from fetchq.core.model import Request
from fetchq.core.nearest import nearest
from fetchq.inputs.lines import SourceError, clean_url, unusable_row

__all__ = ["MOST_BYTES", "Links"]

MOST_BYTES = 16_000_000
"""The most bytes of a page."""
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]{0,30}):")
_TYPED_WRONG = 0.7
"""A scheme with at least this similarity (0 to 1) to http or https is a misspelt one, which is not left out."""
_LONG = 1_000
"""A link with more characters is looked at once: the references of Markdown may repeat one as often as they like."""
_LONGEST_BASE = 8_000
"""The most characters that a page may put before each of its relative links, which may have one character each."""
_AROUND = " \t\r\n\f"
_WITHIN = re.compile(r"[\t\r\n]")


class Links:
    """The links of one page, in the order of the page.

    `name`: of the page, for labels. `index`: the number of the first row. `base`: the URL that relative links are
    relative to, or None. `most_bytes`: of the page. What is no request is left out and counted: other schemes than http
    and https, such as mailto, links to a place in the page itself, and relative links without a `base`.
    """

    def __init__(self, name: str, index: int, base: str | None, most_bytes: int = MOST_BYTES) -> None:
        self._base = base
        self._relative = "relative"
        """What relative links are counted as without a base."""
        self._name = name
        self._index = index
        self._seen: set[int] = set()
        """The hash of each URL: a page may have a million."""
        self._long: dict[int, str | None] = {}
        """What was made of long links, by their hashes: what they are counted as, or None for rows."""
        self._counts: Counter[str] = Counter()
        self._size = 0
        self._most_bytes = most_bytes

    def check_size(self, chunk: bytes) -> None:
        """Count the bytes of the page. Raises `SourceError` if it is too large."""
        self._size += len(chunk)
        if self._size > self._most_bytes:
            raise SourceError(f"{self._name!r} is too large: a page of this format may have {self._most_bytes:,} bytes")

    def rebase(self, link: str) -> None:
        """Take the link of the page's `base` element as what relative links are relative to (WHATWG, 4.2.3)."""
        try:
            base = urljoin(self._base or "", _WITHIN.sub("", link.strip(_AROUND)))
        except ValueError:
            return
        if base.startswith(("http://", "https://")):
            self._base, self._relative = base, "relative"
            if len(base) > _LONGEST_BASE:
                self._base, self._relative = None, "relative to a base that is too long"
            self._long.clear()

    def row(self, link: str, line: int) -> Request | None:
        """The row of a link on this line; None if it is left out, or was there before."""
        key = hash(link)
        if key in self._long:
            self._count(self._long[key])
            return None
        row, left_out = self._new_row(link, line)
        if len(link) > _LONG:
            self._long[key] = left_out
        self._count(left_out)
        return row

    def _count(self, left_out: str | None) -> None:
        if left_out is not None:
            self._counts[left_out] += 1

    def _new_row(self, link: str, line: int) -> tuple[Request | None, str | None]:
        """The row of a link, and what it is if it is no request."""
        url, hash_, _ = _WITHIN.sub("", link.strip(_AROUND)).partition("#")
        if not url:
            return None, "in the page itself" if hash_ else "empty"
        problem = None
        scheme = _SCHEME.match(url)
        if scheme is not None:
            if not _is_web(scheme[1].lower()):
                return None, scheme[1].lower()
        elif self._base is None:
            return None, self._relative
        else:
            try:
                url = urljoin(self._base, url)
            except ValueError as error:
                problem = str(error)
        if (key := hash(url)) in self._seen:
            return None, None
        self._seen.add(key)
        return self._made(url.replace(" ", "%20"), line, problem), None

    def _made(self, url: str, line: int, problem: str | None) -> Request:
        index, label = self._index, f"{self._name}:{line}"
        self._index += 1
        try:
            if problem is not None:
                raise ValueError(problem)
            return Request(clean_url(url), index, label=label)
        except ValueError as error:
            return replace(unusable_row(url, index, f"line {line}", str(error)), label=label)

    @property
    def left_out(self) -> str | None:
        """What was left out, for people; None if nothing was."""
        if not self._counts:
            return None
        total = self._counts.total()
        were = "1 link was" if total == 1 else f"{total:,} links were"
        counts = [f"{count:,} {what}" for what, count in self._counts.most_common(8)]
        hint = "; --base-url URL says what relative links are relative to" if self._counts["relative"] else ""
        return f"{self._name}: {were} left out ({', '.join(counts)}){hint}"


def _is_web(scheme: str) -> bool:
    """Whether it is http or https, or was meant to be."""
    return nearest(scheme, ("http", "https"), _TYPED_WRONG) is not None
