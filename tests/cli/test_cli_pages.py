"""Pages as sources: their links are fetched, a durable run goes on with them, and what is left out is said."""

from __future__ import annotations

import gzip

import pytest
from support.cli import Cli

from fetchq.cli.practice.server import PracticeServer

PAGES = {
    "page.md": "[a](/json) ![b](html)\n\n[mail](mailto:a@b.test) [a](/json#part)",
    "page.html": '<a href="/json"><img src="html">\n\n<a href="mailto:a@b.test"><a href="/json#part">',
}
SITEMAP = "<urlset>{}</urlset>"


@pytest.mark.parametrize("name", PAGES)
def test_the_links_of_a_page_are_fetched_in_each_mode(cli: Cli, practice: PracticeServer, mode: str, name: str) -> None:
    cli.write(name, PAGES[name])
    done = cli(name, "--base-url", f"{practice.url}/x", "--mode", mode, "--json")
    assert done.status == 0
    assert [(one["url"], one["label"]) for one in done.records] == [
        (f"{practice.url}/json", f"{name}:1"),
        (f"{practice.url}/html", f"{name}:1"),
    ]
    assert done.said.splitlines()[-1] == f"{name}: 1 link was left out (1 mailto)"


def test_a_page_may_be_compressed_come_through_a_pipe_and_stand_beside_lists(
    cli: Cli, practice: PracticeServer
) -> None:
    base = ("--base-url", practice.url, "--json")
    cli.write("page.html.gz", gzip.compress(PAGES["page.html"].encode()))
    cli.write("sitemap.xml", SITEMAP.format(f"<url><loc>{practice.url}/html?s</loc></url>"))
    done = cli("page.html.gz", "sitemap.xml", f"{practice.url}/json?u", *base)
    assert [one["url"].removeprefix(practice.url) for one in done.records] == ["/json", "/html", "/html?s", "/json?u"]
    done = cli("-", "--input-format", "markdown", *base, stdin=PAGES["page.md"].encode())
    assert [one["label"] for one in done.records] == ["standard input:1", "standard input:1"]


def test_a_durable_run_of_a_page_goes_on_with_the_same_links(cli: Cli, practice: PracticeServer) -> None:
    cli.write("page.md", "".join(f"[x](/delay/0.2?{number})\n" for number in range(40)))
    given = ("page.md", "--base-url", practice.url, "-o", "run", "-w", "2")
    cli(*given, "--deadline", "600ms")
    other = cli("page.md", "--base-url", "http://w.test/", "-o", "run", "--resume").problem
    assert other.endswith("was begun with another --base-url")
    assert cli("resume", "run", "-w", "40", "-q").status == 0
    records = cli("export", "run").records
    assert [one["label"] for one in records] == [f"page.md:{line}" for line in range(1, 41)]
    assert all(one["ok"] for one in records)


@pytest.mark.parametrize(
    ("name", "content", "why"),
    [
        ("a.xml", b"<rss/>", "'a.xml' is no sitemap: its root is 'rss', not urlset or sitemapindex"),
        ("a.xml", b"<urlset>", "'a.xml' is not XML: no element found: line 1, column 8"),
        ("a.md", bytes(1_000_001), "'a.md' is too large: a page of this format may have 1,000,000 bytes"),
    ],
)
def test_a_page_that_cannot_be_read_is_refused_before_the_first_request(
    cli: Cli, name: str, content: bytes, why: str
) -> None:
    cli.write(name, content)
    assert cli(name, "--base-url", "http://127.0.0.1:9/").problem == f"fetchq: {why}"


def test_a_page_without_links_says_so(cli: Cli) -> None:
    cli.write("a.html", "<a name=x>")
    done = cli("a.html")
    assert (done.status, done.said.splitlines()[-1]) == (0, "fetchq: no URLs in a.html")
