"""What scripts/fuzz gives its targets: pieces of what the parsers know, and ways to cut and to damage them."""

from __future__ import annotations

from collections.abc import Iterator

from hypothesis import strategies as st

__all__ = ["BYTES", "CUTS", "FLIPS", "PAGES", "TEXT", "cut"]

# fmt: off
_PIECES = (
    "http://", "https:", "//", "\\", "@", "user:pw@", "host", ":80", ":99999", "/../", "/%2e%2e/", "?a=b", "#",
    "[::1]", '"', "'", ",", ";", "\t", " ", "\r\n", "\n", "\r", "\x00", "=", "\x1b[31m", "\u202e", "\U000e0041", "é",
    "\udcff", "%00", '{"url": "', '"}', "[", "]", "{", "}", '"headers": {', "url,label\n", "sep=;\n", "null", "1e999",
    "\\u0000", "\ufeff", "HTTP/1.1 200 OK\r\n", "Content-Length: 3\r\n", "Transfer-Encoding: chunked\r\n",
    "Set-Cookie: a=b", "X : y\r\n", "Wed, 21 Oct 2015 07:28:00 GMT", "120", "-1", "9" * 30, "; path=/",
    "; domain=.host", "; expires=", "; max-age=", 'filename="', "filename*=utf-8''", ".tar.gz", "5\r\nhello\r\n",
    "0\r\n", "ffffffffffffffff\r\n", "timeout=5, max=100", "User-agent: *\n", "Disallow: /", "Crawl-delay: ",
    "machine ", "login ", "password ", "default ", "*.", "10.0.0.0/8",
)
# fmt: on
TEXT = st.lists(st.sampled_from(_PIECES) | st.text(max_size=4), max_size=25).map("".join) | st.builds(
    lambda piece, count: piece * count, st.sampled_from(_PIECES), st.integers(1, 4000)
)
"""Pieces of what the parsers know, in any order, and one of them many times."""
BYTES = TEXT.map(lambda text: text.encode("utf-8", "surrogateescape" if text.isascii() else "surrogatepass"))
# fmt: off
_PAGE_PIECES = (
    "<a href=", '"', "'", ">", "/", "http://w/", "</a>", "<!--", "-->", "<base href=x>", "<script>", "</script>",
    "srcset=", "&amp;", "&#x41", "](", "[x]", "![", "<", "`", "```\n", "\n", "> ", "- ", "|", "[x]: ", "\\", "_", "*",
    "\xff", "#x", "<urlset>", "<url>", "<loc>", "</loc>", "</url>", "</urlset>", "<!DOCTYPE", "<?xml", "<![CDATA[",
    "]]>", "mailto:", "a,b 2x",
)
# fmt: on
PAGES = st.lists(st.sampled_from(_PAGE_PIECES), max_size=40).map("".join) | st.builds(
    lambda piece, count: piece * count, st.sampled_from(_PAGE_PIECES), st.integers(1, 1000)
)
CUTS = st.lists(st.integers(0, 200), max_size=6)
"""Where an input is cut into pieces (`cut`)."""
FLIPS = st.lists(st.tuples(st.integers(0, 2**20), st.integers(0, 255)), max_size=4)
"""Which bytes are replaced, and by what."""


def cut(data: bytes, cuts: list[int]) -> Iterator[bytes]:
    """The pieces of an input that is cut at these places."""
    ends = sorted({cut for cut in cuts if cut < len(data)} | {len(data)})
    begin = 0
    for end in ends:
        if end > begin:
            yield data[begin:end]
        begin = end
