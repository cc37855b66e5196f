"""The links of a page become rows, in its order, each URL once, whatever the page looks like."""

from __future__ import annotations

import io
import time
from html import escape
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fetchq.core.model import Request
from fetchq.inputs.html import HtmlParser
from fetchq.inputs.html_links import LinkScanner
from fetchq.inputs.lines import SourceError
from fetchq.inputs.markdown import MarkdownParser
from fetchq.inputs.opening import open_sources
from fetchq.inputs.splitting import MAX_ROW

W = "http://w.test"


class Pieces(io.RawIOBase):
    """Gives `size` bytes per read."""

    def __init__(self, data: bytes, size: int) -> None:
        self._data = io.BytesIO(data)
        self._size = size

    def read(self, size: int = -1) -> bytes:
        return self._data.read(min(size, self._size))


def read(
    page: str | bytes, form: str, base: str | None = None, piece: int = MAX_ROW
) -> tuple[list[Request], list[str]]:
    """The rows of a page, and what is said of it."""
    stdin: Any = Pieces(page if isinstance(page, bytes) else page.encode(), piece)
    source = open_sources(["-"], input_format=form, base_url=base, stdin=stdin)
    return [request for batch in source for request in batch], source.left_out


def urls(page: str | bytes, form: str, base: str | None = None, piece: int = MAX_ROW) -> list[str]:
    rows, _ = read(page, form, base, piece)
    assert [row.index for row in rows] == list(range(len(rows)))
    return [row.url for row in rows]


# --- HTML ------------------------------------------------------------------------------------------------------------

HTML = [
    (f"<a href=\"{W}/a\">x</a> <A HREF={W}/b><img src='{W}/c'>", ["/a", "/b", "/c"]),
    (f'<img srcset="{W}/1.png 1x, {W}/2.png 2x,{W}/3,4.png" alt="<a href={W}/no>">', ["/1.png", "/2.png", "/3,4.png"]),
    (f'<video poster="{W}/p" src="{W}/v"></video><object data="{W}/o"></object>', ["/p", "/v", "/o"]),
    (f'<blockquote cite="{W}/q"><td background="{W}/t"><link rel=stylesheet href="{W}/s">', ["/q", "/t", "/s"]),
    (f'<link rel="dns-prefetch" href="{W}/no"><link rel="preconnect" href="{W}/no"><a href="{W}/a">', ["/a"]),
    (f'<form action="{W}/no"><button formaction="{W}/no">', []),
    (f'<!-- <a href="{W}/no"> --><a href="{W}/a"><!--><a href="{W}/b"><!-- x --!><a href="{W}/c">', ["/a", "/b", "/c"]),
    (f'<script>"<a href={W}/no>"</scrip></script ><a href={W}/a>', ["/a"]),
    (f"<title><a href={W}/no></title><textarea><a href={W}/no></TEXTAREA><style><a href={W}/no></style>", []),
    (f"<script src={W}/s></script><iframe src={W}/i><a href={W}/no></iframe>", ["/s", "/i"]),
    (f'<?php <a href="{W}/no1> <a href={W}/a></ a href={W}/no2><a href={W}/b>', ["/a", "/b"]),
    (f"<a href={W}/a>1 < 2 <b<a href={W}/b>", ["/a", "/b"]),
    (
        f'<a href = "{W}/?a=1&amp;b=2&copy=3&#47;&unknown;"><a href="{W}/x"y href="{W}/no">',
        ["/?a=1&b=2&copy=3/&unknown;", "/x"],
    ),
    (f"<a href=' {W}/a b\n'><a href='{W}/c\td'>", ["/a%20b", "/cd"]),
    (f'<a =href="{W}/no"><a/href="{W}/a"/><a href="{W}/no', ["/a"]),
    (f"<a href={W}/a#top><a href={W}/a><a href={W}/a#x>", ["/a"]),
    (f"<plaintext><a href={W}/no>", []),
    (f'<a title="{"x" * 200_000}" href="{W}/a">', ["/a"]),
]


@pytest.mark.parametrize(("page", "found"), HTML)
@pytest.mark.parametrize("piece", [1, 7, MAX_ROW])
def test_the_links_of_html_are_those_that_a_browser_sees(page: str, found: list[str], piece: int) -> None:
    if piece > 1 or len(page) < 1000:
        assert urls(page, "html", piece=piece) == [W + path for path in found]


def test_relative_links_are_relative_to_the_base_url_and_to_the_base_element() -> None:
    page = '<a href="a"><a href="//h.test/b"><a href="/c?d"><a href="?e">'
    assert urls(page, "html", f"{W}/x/y") == [f"{W}/x/a", "http://h.test/b", f"{W}/c?d", f"{W}/x/y?e"]
    assert urls(f'<base href="{W}/x/">{page}', "html")[0] == f"{W}/x/a"
    assert urls(f'<base href="z/"><base href="no/">{page}', "html", f"{W}/x/")[0] == f"{W}/x/z/a"
    assert urls(f'<base href="javascript:x">{page}', "html", f"{W}/x/")[0] == f"{W}/x/a"


def test_what_is_no_request_is_left_out_and_counted() -> None:
    page = f'<a href="mailto:a@b"><a href="tel:1"><a href=MAILTO:c><a href="#x"><a href="a"><a href=""><a href="{W}/">'
    rows, remarks = read(page, "html")
    assert [row.url for row in rows] == [f"{W}/"]
    left_out = (
        "standard input: 6 links were left out (2 mailto, 1 tel, 1 in the page itself, 1 relative, 1 empty); "
        "--base-url URL says what relative links are relative to"
    )
    assert remarks == [left_out]
    assert read(page, "html", W)[1] == [
        "standard input: 5 links were left out (2 mailto, 1 tel, 1 in the page itself, 1 empty)"
    ]


def test_a_misspelt_scheme_and_a_link_that_is_no_url_are_rows_with_a_problem() -> None:
    rows, remarks = read(f'<a href="htp://w.test/">\n<a href="http://[::1">\n<a href="{W}/\x01">', "html")
    assert [row.url for row in rows] == ["htp://w.test/", "http://[::1", rows[2].url]
    assert [row.label for row in rows] == [f"standard input:{line}" for line in (1, 2, 3)]
    assert rows[2].problem == "line 3: a control character (U+0001) in the URL"
    assert remarks == []


def test_a_link_of_more_bytes_than_a_row_may_have_is_a_row_with_a_problem() -> None:
    rows, _ = read(
        f'<a href="{W}/{"x" * 100_000}"><img src="data:image/png;base64,{"x" * 100_000}">', "html", piece=999
    )
    assert [row.problem for row in rows] == ["line 1: longer than 65,536 bytes"]
    assert len(rows[0].url) <= 1024


NAMES = st.sampled_from(["a", "img", "p", "link", "area", "DIV"])
VALUES = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=12)


@given(
    st.lists(
        st.tuples(NAMES, st.sampled_from(["href", "src", "alt", "Cite"]), VALUES, st.sampled_from("\"'")), max_size=8
    )
)
def test_the_links_of_tags_that_are_well_formed_are_those_that_the_standard_library_finds(
    tags: list[tuple[str, str, str, str]],
) -> None:
    class Oracle(HTMLParser):
        def handle_starttag(self, _: str, attributes: list[tuple[str, str | None]]) -> None:
            found.extend(value or "" for name, value in attributes if name in ("href", "src", "cite"))

    page = "".join(f"text<{tag} {name}={quote}{escape(value)}{quote}>\n" for tag, name, value, quote in tags)
    found: list[str] = []
    Oracle().feed(page)
    assert [link for link, _ in LinkScanner().feed(page)] == found


@given(st.text("<>/!-\"'= ahref\n&;x", max_size=60), st.integers(1, 5))
def test_it_does_not_matter_in_what_pieces_html_arrives(page: str, size: int) -> None:
    def links(pieces: list[str]) -> list[tuple[str, int]]:
        scanner = LinkScanner()
        return [link for piece in pieces for link in scanner.feed(piece)]

    page = f"{page}<a href=x>"
    assert links([page[at : at + size] for at in range(0, len(page), size)]) == links([page])


# --- Markdown --------------------------------------------------------------------------------------------------------

MARKDOWN = f"""\
# A [heading]({W}/heading)

[inline]({W}/a "title"), <{W}/auto>, ![image](<{W}/i m>), {W}/bare., ({W}/in_(x)), **{W}/bold**
[ref], [text][ref], `{W}/no`, [again]({W}/a#part), \\[no]({W}/bare)
two  <a href="{W}/tag">tag</a>

    {W}/no

```
{W}/no
```
> - [deep]({W}/deep)

| a | b |
|---|---|
| [cell]({W}/cell) | <img src={W}/img> |

<div><!-- <a href="{W}/no"> -->
<a href="{W}/block">
</div>

[ref]: {W}/ref
[unused]: {W}/no
"""


def test_the_links_of_markdown_are_those_that_it_would_show_with_their_lines() -> None:
    rows, _ = read(MARKDOWN, "markdown")
    assert [(row.url.removeprefix(W), row.label) for row in rows] == [
        (path, f"standard input:{line}")
        for path, line in [
            *[("/heading", 1), ("/a", 3), ("/auto", 3), ("/i%20m", 3), ("/bare", 3), ("/in_(x)", 3), ("/bold", 3)],
            *[("/ref", 4), ("/tag", 5), ("/deep", 12), ("/cell", 16), ("/img", 16), ("/block", 19)],
        ]
    ]


@pytest.mark.parametrize("end", [".", ",", "!", "?", ":", ";", "'", '"', ")", ")).", "*", "_", "~"])
def test_the_end_of_a_sentence_is_not_part_of_a_bare_url(end: str) -> None:
    assert urls(f"see {W}/a{end} there", "markdown") == [f"{W}/a"]


# --- sitemaps --------------------------------------------------------------------------------------------------------

SPACE = 'xmlns="http://www.sitemaps.org/schemas/sitemap/0.9"'


def test_the_rows_of_a_sitemap_are_its_pages_and_those_of_an_index_its_sitemaps() -> None:
    image = 'xmlns:i="http://www.google.com/schemas/sitemap-image/1.1"'
    page = f"""<?xml version="1.0" encoding="UTF-8"?>
    <urlset {SPACE} {image}><url><loc> {W}/a?b&amp;c </loc><priority>0.5</priority>
    <i:image><i:loc>{W}/no</i:loc></i:image></url>
    <url><loc>{W}/é</loc></url></urlset>"""
    for piece in (1, MAX_ROW):
        rows, _ = read(page, "sitemap", piece=piece)
        assert [(row.url, row.label) for row in rows] == [
            (f"{W}/a?b&c", "standard input:2"),
            (f"{W}/é", "standard input:4"),
        ]
    assert urls(f"<sitemapindex {SPACE}><sitemap><loc>{W}/1.xml</loc></sitemap></sitemapindex>", "sitemap") == [
        f"{W}/1.xml"
    ]


@pytest.mark.parametrize(
    ("page", "why"),
    [
        ("<rss/>", "its root is 'rss', not urlset or sitemapindex"),
        ("<urlset><url>", "no element found"),
        ("hello", "is not XML: syntax error: line 1, column 0"),
        ("<!DOCTYPE urlset><urlset/>", "has a DOCTYPE, which no sitemap needs"),
        (f"<urlset>{'<url>' * 100}", "nested too deep"),
        (f"<urlset a='{'x' * 2_000_000}'/>", "something in it is longer than 1,000,000 bytes"),
    ],
)
def test_what_is_no_sitemap_is_refused(page: str, why: str) -> None:
    with pytest.raises(SourceError, match=why):
        urls(page, "sitemap")


# --- limits ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "most"), [("a.md", 1_000_000), ("a.html", 16_000_000)])
def test_a_page_that_is_too_large_is_refused_before_the_first_request(tmp_path: Path, name: str, most: int) -> None:
    path = tmp_path / name
    path.write_bytes(b"\n" * most)
    open_sources([str(path)]).close()
    path.write_bytes(b"\n" * (most + 1))
    with pytest.raises(SourceError, match=f"is too large: a page of this format may have {most:,} bytes"):
        open_sources([str(path)])


def test_a_page_cannot_make_each_of_its_short_links_long() -> None:
    long = f"<base href='{W}/{'a' * 8_000}/'><a href=b>{W}</a><a href={W}/c><a href=d><a href=#e>"
    parser = HtmlParser(0, name="a.html", base_url=W)
    rows = [*parser.feed(long.encode()), *parser.finish()]
    assert [row.url for row in rows] == [f"{W}/c"]
    assert parser.left_out == (
        "a.html: 3 links were left out (2 relative to a base that is too long, 1 in the page itself)"
    )


NASTY = [
    "<",
    "<a ",
    "<!--",
    "<!",
    '<a b="',
    "<a =",
    "<a href=a ",
    "</script",
    "<script>",
    "&#",
    "<base href=a>",
    "<a\n",
]


@pytest.mark.parametrize("unit", NASTY)
def test_html_takes_linear_time(unit: str) -> None:
    def cpu(pieces: int) -> float:
        scanner = LinkScanner()
        begin = time.thread_time()
        for _ in range(pieces):
            for _ in scanner.feed(unit * (2000 // len(unit))):
                pass
        return time.thread_time() - begin

    few = min(cpu(4) for _ in range(3))
    assert min(cpu(64) for _ in range(3)) < 64 * (few + 0.001)  # 16 times as much; 256 times if it were quadratic


@pytest.mark.parametrize("target", ["http://a/", "mailto:", "/"])
def test_references_to_one_long_link_in_markdown_take_linear_time(target: str) -> None:
    def cpu(size: int) -> float:
        parser = MarkdownParser(0, name="a.md")
        parser.feed(("[x]" * size + f"\n\n[x]: {target}{'a' * 3 * size}\n").encode())
        begin = time.thread_time()
        rows = parser.finish()
        assert len(rows) == (target == "http://a/")
        assert rows or f"{size // 2:,} " in (parser.left_out or "")
        return time.thread_time() - begin

    assert cpu(32_000) < 16 * (cpu(4_000) + 0.01)  # 8 times as much; 64 times if it were quadratic
