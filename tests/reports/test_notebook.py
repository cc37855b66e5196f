"""What a notebook shows of a Result, of Results and of a Summary: short tables of escaped text."""

from __future__ import annotations

import subprocess
import sys
from html.parser import HTMLParser

import pytest
from hypothesis import given
from support.factories import any_text, examples, failed_result, make_result

from fetchq import Cause, Result, Results, Summary, Timing
from fetchq.reports.verdict import Verdict


class Table(HTMLParser):
    """The cells of a table, row by row, and every tag in it."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.rows: list[list[str]] = [[]]
        self.tags: set[str] = set()
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        if tag in ("tr", "caption"):
            self.rows.append([])
        elif tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_data(self, data: str) -> None:
        if data.strip() and self.rows[-1]:
            self.rows[-1][-1] += data
        elif data.strip():
            self.rows[-1].append(data)

    @property
    def pairs(self) -> dict[str, str]:
        return {row[0]: row[1] for row in self.rows if len(row) == 2}


TAGS = {"table", "caption", "thead", "tbody", "tr", "th", "td"}


def shown(value: Result | Results | Summary) -> Table:
    return Table(value._repr_html_())


def test_a_result_shows_what_came_of_it_and_where_its_time_went() -> None:
    timing = Timing(queued=0.5, connect=0.1, wait=0.9, decode=0.001)
    ok = make_result(size=1234, content_type="a/b", path="bodies/1", elapsed=1.001, timing=timing, body=b"SECRET" * 99)
    assert shown(ok).pairs == {
        "URL": "http://example.org/",
        "status": "200 OK",
        "body": "1,234 bytes, a/b, bodies/1",
        "elapsed": "1001.0 ms (queued 500.0, connect 100.0, wait 900.0)",
    }
    failed = failed_result(Cause.DNS, label="x", redirects=1, final_url="http://b/", attempts=3)
    assert shown(failed).pairs == {
        "URL": "http://example.org/",
        "final URL": "http://b/",
        "label": "x",
        "failed": "dns: it failed",
        "elapsed": "500.0 ms (wait 500.0)",
        "attempts": "3",
    }


def test_results_show_the_first_of_them_and_the_summary_its_numbers_with_the_verdict() -> None:
    summary = Summary()
    results = Results([make_result(index=n) for n in range(30)] + [failed_result(Cause.DNS, index=30)], summary)
    summary.add(results)
    summary.duration, summary.verdict = 2.0, Verdict("workers", "More <workers> would help.")
    table = shown(results)
    assert table.rows[1:3] == [
        ["31 Results, the first 20 of them here: 1 failed, in 2.00 s\nMore <workers> would help."],
        ["", "status", "time", "size", "URL", "error"],
    ]
    assert table.rows[3] == ["0", "200", "500 ms", "0 B", "http://example.org/", ""]
    assert len(table.rows) == 3 + 20
    numbers = shown(summary).pairs
    assert numbers["rows"] == "31: 30 ok, 1 failed"
    assert numbers["causes"] == "1 dns"
    assert numbers["duration"] == "2.00 s, 7.8 URLs at a time"
    assert numbers["sum of each phase"] == "wait 15.5 s"
    assert numbers["what limited it"] == "More <workers> would help."


@pytest.mark.parametrize("results", [0, 1])
def test_nothing_fetched_can_be_shown_too(results: int) -> None:
    assert shown(Results([make_result()] * results)).tags <= TAGS
    assert shown(Summary()).pairs["rows"] == "0: 0 ok, 0 failed"


@examples(100)
@given(url=any_text, error=any_text, label=any_text)
def test_no_text_of_a_result_becomes_markup_and_none_is_long(url: str, error: str, label: str) -> None:
    one = failed_result(Cause.STATUS, url=url * 50, error=error * 50, label=label, status=404, reason=error)
    for table in (shown(one), shown(Results([one]))):
        assert table.tags <= TAGS
        assert max(len(cell) for row in table.rows for cell in row) <= 2000  # 200 characters, perhaps as escapes
    assert len(repr(one)) <= 2200
    assert repr(one).isascii() or repr(one).isprintable()


def test_the_repr_of_a_result_and_of_a_summary_is_a_short_line() -> None:
    line = "Result(index=0, status=404, url='http://example.org/', cause='status', elapsed=0.500000)"
    assert repr(failed_result(Cause.STATUS, status=404)) == line
    assert repr(Summary(total=3, ok=1, duration=1.5)) == "Summary(total=3, ok=1, failed=2, duration=1.500000)"


def test_importing_fetchq_loads_nothing_for_notebooks() -> None:
    program = "import fetchq, sys; fetchq.Result, fetchq.Summary; print('fetchq.core.html_table' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
