"""The names of bodies: readable, safe everywhere, never two alike."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.factories import any_text

from fetchq.store.sinks.bodies_files import body_name, folder_of, row_of

SAFE = re.compile(r"\d{8,}(~\d+)?-[A-Za-z0-9._-]*\.[a-z0-9]{1,8}")


@pytest.mark.parametrize(
    ("url", "content_type", "name"),
    [
        ("https://example.org/a/page.html", None, "00000007-example.org-page.html"),
        ("https://example.org/a/page.HTML?q=1#x", "image/png", "00000007-example.org-page.html"),
        ("https://example.org/", "text/html; charset=utf-8", "00000007-example.org.html"),
        ("https://example.org/report/", "application/pdf", "00000007-example.org-report.pdf"),
        ("https://example.org/data", "application/json", "00000007-example.org-data.json"),
        ("https://example.org/data", None, "00000007-example.org-data.bin"),
        ("https://example.org/data", "no/such-thing", "00000007-example.org-data.bin"),
        ("https://u:p@example.org/../../etc/passwd", "text/plain", "00000007-example.org-passwd.txt"),
        ("https://example.org/%2e%2e%2fup", "text/plain", "00000007-example.org-_up.txt"),
        ("https://example.org/a b\x1b[31m/\x00é", "text/plain", "00000007-example.org.txt"),
        ("https://[2001:db8::1]:8080/CON", "text/plain", "00000007-2001_db8_1_8080-CON.txt"),
        ("https://example.org/archive.tar.gz", None, "00000007-example.org-archive.tar.gz"),
    ],
)
def test_a_name_says_what_it_is(url: str, content_type: str | None, name: str) -> None:
    assert body_name(7, url, content_type) == name


@given(any_text, st.none() | any_text, st.integers(0, 10**9), st.integers(0, 3))
def test_any_url_gives_a_safe_name_that_tells_its_row(
    url: str, content_type: str | None, index: int, generation: int
) -> None:
    name = body_name(index, url, content_type, generation)
    assert SAFE.fullmatch(name), name
    assert len(name) < 120
    assert name == body_name(index, url, content_type, generation)
    assert row_of(name) == (index, generation)


@given(any_text)
def test_only_names_of_ours_tell_a_row(text: str) -> None:
    found = row_of(text)
    assert found is None or re.match(r"\d+(~\d+)?-", text)


def test_a_folder_holds_a_thousand_rows() -> None:
    assert folder_of(0) == folder_of(999) == "000000"
    assert folder_of(1000) == "000001"
    assert folder_of(999_999_999) == "999999"
