"""Parses pages into Requests, one for each link: HTML, Markdown and sitemaps."""

from __future__ import annotations

from fetchq.inputs.lines import RowParser

__all__ = ["page_parser"]


def page_parser(form: str, index: int, *, name: str, base_url: str | None) -> RowParser:
    """The parser for a page in the format `form`: "html", "markdown" or "sitemap".

    `name`: of the page, in labels. `base_url`: what its relative links are relative to.
    """
    if form == "html":
        from fetchq.inputs.html import HtmlParser

        return HtmlParser(index, name=name, base_url=base_url)
    if form == "markdown":
        from fetchq.inputs.markdown import MarkdownParser

        return MarkdownParser(index, name=name, base_url=base_url)
    from fetchq.inputs.sitemap import SitemapParser

    return SitemapParser(index, name=name)
