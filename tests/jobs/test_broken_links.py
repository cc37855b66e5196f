"""A job: the 300 links of a Markdown page, of which only the 36 broken ones are shown."""

from __future__ import annotations

from faults.wire import Asked, Connection
from support.cli import Cli
from support.servers import ScriptServer, answer, closed_port

from fetchq import Cause

LINKS = 300
BROKEN = {"404": range(0, 200, 10), "500": range(200, 218, 2), "gone": range(220, 227)}
"""The numbers of the links that answer 404 or 500, and of those whose server is gone."""


def site(conn: Connection, asked: Asked) -> None:
    """Every third page refuses HEAD, which says nothing about the link."""
    number = int(asked.path.rpartition("/")[2])
    if number in BROKEN["404"]:
        answer(status=b"404 Not Found")(conn, asked)
    elif number in BROKEN["500"]:
        answer(status=b"500 Internal Server Error")(conn, asked)
    elif number % 3 == 0 and asked.method == "HEAD":
        answer(b"", b"Allow: GET", status=b"405 Method Not Allowed")(conn, asked)
    else:
        answer()(conn, asked)


def test_only_the_broken_links_of_a_markdown_page_are_shown(cli: Cli) -> None:
    with ScriptServer(site) as server, closed_port() as closed:
        urls = [f"{closed}/{n}" if n in BROKEN["gone"] else f"/docs/{n}" for n in range(LINKS)]
        links = [f"- [page {n}]({url})" for n, url in enumerate(urls)]
        cli.write("page.md", "\n".join(["# Links", *links, "[mail](mailto:us@example.org), [again](/docs/1)", ""]))
        check = ["page.md", "--base-url", server.url, "--head", "--only", "failed", "--retries", "0"]
        done = cli(*check, "-q")
        shown = cli(*check)
        as_json = cli(*check, "--json", "-q")
        asked = {(one.method, one.path) for one in server.log}
    broken = [n for numbers in BROKEN.values() for n in numbers]
    assert len(broken) == 36
    assert (done.status, done.said) == (1, "")
    assert len(done.lines) == 36
    assert {line.rpartition(" ")[2] for line in done.lines} == {f"[page.md:{n + 2}]" for n in broken}
    assert f"{LINKS} URLs: {LINKS - 36} ok, 36 failed" in shown.said
    assert "20 x 404, 9 x 500, 7 connect" in " ".join(shown.said.split())
    assert "1 link was left out (1 mailto)" in shown.said
    by_line = {record["label"]: record for record in as_json.records}
    assert sorted(by_line) == sorted(f"page.md:{n + 2}" for n in broken)
    assert {record["cause"] for record in by_line.values()} == {Cause.STATUS.value, Cause.CONNECT.value}
    assert ("GET", "/docs/3") in asked  # which refuses HEAD
    assert ("GET", "/docs/1") not in asked
