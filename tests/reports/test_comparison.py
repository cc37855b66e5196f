"""What a comparison says: which variant is faster only where that is significant, and what it cannot tell."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.comparisons import comparison, variant
from support.factories import ACTIVE, HOSTILE, any_text, examples, failed_result, make_result

from fetchq.comparison.outcomes import OutcomeCheck, OutcomeTable
from fetchq.core.model import Cause
from fetchq.reports.compare_markup import markdown_lines
from fetchq.reports.compare_text import comparison_lines
from fetchq.reports.conclusion import conclusions
from fetchq.reports.html.comparison_page import comparison_page
from fetchq.reports.measurements import RowDifference, Rows

SYNC = variant("sync", [3.2, 3.21, 3.2, 3.22, 3.2])
THREADS = variant("threads", [1.71, 1.7, 1.72, 1.7, 1.71])
ASYNC = variant("async", [1.7, 1.71, 1.7, 1.71, 1.7])


def test_the_fastest_is_named_with_its_lead_and_those_that_do_not_differ_from_it() -> None:
    assert conclusions(comparison(SYNC, THREADS, ASYNC)) == [
        "async took 1.70 s, 1.9 x as fast as sync (99 % interval 1.87 to 1.90).",
        "No difference was found between async and threads in 5 rounds (99 % interval 0.99 to 1.01).",
    ]


def test_the_same_twice_is_no_difference() -> None:
    twice = comparison(ASYNC, variant("async (2)", [1.71, 1.7, 1.71, 1.7, 1.7]))
    (sentence,) = conclusions(twice)
    assert sentence.startswith("No difference was found between async and async (2) in 5 rounds")
    assert not twice.pairs[0].is_faster


def test_of_many_slower_variants_the_slowest_and_the_next_one_are_named() -> None:
    others = [variant(f"v{n}", [n + 0.01 * k for k in range(3)]) for n in (2, 3, 4)]
    (sentence,) = conclusions(comparison(*others, variant("quick", [1.0, 1.001, 0.999])))
    assert re.fullmatch(
        r"quick took 1\.00 s, 4\.0 x as fast as v4 \(99 % interval .*\) and 2\.0 x as fast as v2 \(.*\) "
        r"\(1 variant between them\)\.",
        sentence,
    )


def test_one_variant_alone_and_one_round_alone_show_nothing() -> None:
    assert "nothing to compare it with" in conclusions(comparison(SYNC))[0]
    (sentence,) = conclusions(comparison(variant("sync", [3.2]), variant("async", [1.7])))
    assert sentence.startswith("async took 1.70 s, sync 3.20 s. One round does not show whether that is chance")
    assert "difference" not in str(comparison(variant("sync", [3.2]), variant("async", [1.7])))


def test_where_other_rows_failed_nothing_is_called_faster() -> None:
    named = (RowDifference(1, "http://h/", ("200", "timeout")),)
    rows = Rows(count=4, failing=named, failing_count=12, incomparable=frozenset({(0, 1)}))
    found = comparison(SYNC, ASYNC, rows=rows)
    assert found.pairs[0].significant
    assert not found.pairs[0].is_faster
    assert conclusions(found) == ["async is not called faster or slower than sync: other rows failed."]
    text = str(found)
    assert (
        "12 rows failed in some variants, and in others not:\n  row 2, http://h/: 200 in sync; timeout in async" in text
    )
    assert "  and 11 other rows" in text


def test_many_variants_have_a_row_each_and_fit_the_width() -> None:
    many = [variant(f"threads, {n} workers", [1.0 + n, 1.01 + n]) for n in range(6)]
    lines = comparison_lines(comparison(*many), columns=80)
    assert max(map(len, lines)) <= 80
    assert sum(line.startswith("threads, 0 workers  ") for line in lines) >= 2
    narrow = comparison_lines(comparison(*many), columns=60)
    assert max(map(len, narrow)) <= 60


def test_the_text_ends_with_the_verdict_of_each_variant() -> None:
    assert comparison_lines(comparison(SYNC, ASYNC))[-2:] == ["sync: Who knows.", "async: Who knows."]


def test_json_has_no_value_that_json_lacks() -> None:
    found = comparison(SYNC, THREADS, variant("wild", [1e-9, 1e6, 1, 1, 1])).to_json()
    assert json.loads(orjson.dumps(found)) == json.loads(json.dumps(found, allow_nan=False))


class _Texts(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)

    def handle_data(self, data: str) -> None:
        self.text += data


@examples(100)
@given(any_text | st.sampled_from(["<script>", "a|b", HOSTILE]), any_text)
def test_names_and_urls_act_on_no_terminal_and_are_no_markup(name: str, url: str) -> None:
    named = (RowDifference(0, url, ("200", "404 <b>")),)
    rows = Rows(count=4, different=named, different_count=1)
    found = comparison(variant(name, [1.0, 1.1]), variant("b", [1.0, 1.2]), rows=rows)
    assert not any(ACTIVE.search(line) for line in comparison_lines(found))
    lines = markdown_lines(found)
    assert {len(re.findall(r"(?<!\\)(?:\\\\)*\|", line)) for line in lines if line.startswith("| ")} == {4}
    parser = _Texts()
    parser.feed(found._repr_html_())
    assert parser.tags == {"table", "caption", "thead", "tbody", "tr", "th", "td", "p"}
    assert "404 <b>" in parser.text


def test_the_page_of_a_comparison_has_no_markup_of_names_and_urls() -> None:
    hostile = "</script><b>&" + HOSTILE
    rows = Rows(count=4, failed=(RowDifference(0, hostile, (hostile, hostile)),), failed_count=1)
    page = comparison_page(comparison(variant(hostile, [1.0, 1.1]), variant("b", [1.0, 1.2]), rows=rows)).decode()
    assert "<b>&" not in page
    assert page.count("</script>") == comparison_page(comparison(SYNC, ASYNC)).decode().count("</script>")


# --- the outcomes of the rows ---


def table(*results: object) -> bytes:
    found = OutcomeTable(3)
    found.add(results)  # type: ignore[arg-type]  # factories make them
    return bytes(found.content)


def ok(index: int, sha256: str = "ab" * 32) -> object:
    return make_result(index=index, sha256=sha256)


@pytest.mark.parametrize("times", [1, 2])
def test_equal_outcomes_show_no_difference(times: int) -> None:
    check = OutcomeCheck(3)
    for number in (0, 1):
        for _ in range(times):
            check.add(number, table(ok(0), ok(1), ok(2)))
    assert check.rows(lambda _: {}) == Rows(count=3)


def test_what_differs_is_told_apart() -> None:
    check = OutcomeCheck(3)
    check.add(0, table(ok(0), ok(1), ok(2)))
    check.add(0, table(ok(0), ok(1), ok(2, "cd" * 32)))
    check.add(1, table(ok(0, "ef" * 32), failed_result(Cause.TIMEOUT, index=1, status=None, sha256=None), ok(2)))
    check.add(1, table(ok(0, "ef" * 32), ok(1), ok(2)))
    found = check.rows(lambda rows: {row: f"http://u:p@h/{row}" for row in rows})
    assert [(one.index, one.url) for one in (*found.different, *found.failing)] == [
        (0, "http://***@h/0"),
        (1, "http://***@h/1"),
    ]
    assert found.failing[0].outcomes[1] == "timeout in some rounds"
    assert (found.different_count, found.failing_count, found.changing_count) == (1, 1, 1)
    assert found.incomparable == {(0, 1)}


def test_rows_without_a_result_have_failed() -> None:
    check = OutcomeCheck(3)
    for number in (0, 1):
        check.add(number, table(ok(0), ok(1)))
    found = check.rows(lambda rows: dict.fromkeys(rows, "u"))
    assert found.failed == (RowDifference(2, "u", ("not done", "not done")),)
    assert found.incomparable == frozenset()
