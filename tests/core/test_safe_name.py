"""Names of files: safe on every file system, whatever they are made of."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.factories import ACTIVE, any_text, examples

from fetchq.core.safe_name import numbered_name, safe_name, shortened_name, split_suffix

DEVICE = re.compile(r"(CON|PRN|AUX|NUL|CON(IN|OUT)\$|(COM|LPT)[0-9¹²³])", re.IGNORECASE)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("page.html", "page.html"),
        ("Zpráva č. 1.pdf", "Zpráva č. 1.pdf"),
        ("é", "é"),  # NFC
        ("a/b\\c", "a_b_c"),
        ("a?b=1&c", "a_b=1&c"),
        ("..", "_"),
        (".htaccess", "_htaccess"),
        ("-rf", "_rf"),
        ("  blank. ", "blank"),
        ("CON", "_CON"),
        ("nul.txt", "_nul.txt"),
        ("com1 .tar.gz", "_com1 .tar.gz"),
        ("console.log", "console.log"),
        ("a\x1b[31m\u202e\u200b\ud800b", "a_[31m___b"),
        ("warc#12", "warc_12"),  # a # in the path of a record stands before a position
        ("", "_"),
    ],
)
def test_a_name_keeps_what_is_safe_in_it(text: str, name: str) -> None:
    assert safe_name(text) == name


@given(any_text | st.from_regex(DEVICE).map(lambda text: f"{text}.x"), st.integers(20, 255))
@examples(200)
def test_any_text_gives_a_name_that_is_safe_everywhere(text: str, longest: int) -> None:
    name = shortened_name(safe_name(text), longest)
    assert 0 < len(name.encode()) <= longest
    assert not set('/\\:*?"<>|#\0') & set(name)
    assert not ACTIVE.search(name)
    assert name[0] not in ".- "
    assert name[-1] not in ". "
    assert not DEVICE.fullmatch(name.partition(".")[0].rstrip(" "))
    assert safe_name(name) == name


@given(any_text)
def test_a_number_comes_before_the_suffix(text: str) -> None:
    name = safe_name(text)
    stem, suffix = split_suffix(name)
    assert stem + suffix == name
    assert numbered_name(name, 0) == name
    assert numbered_name(name, 7) == f"{stem}.7{suffix}"


def test_a_long_name_keeps_its_suffix_and_no_half_of_a_character() -> None:
    assert shortened_name("é" * 200 + ".tar.gz", 30) == "é" * 11 + ".tar.gz"
    assert split_suffix("a.tar.gz") == ("a", ".tar.gz")
    assert split_suffix(".gz") == (".gz", "")
    assert split_suffix("v1.2 of it") == ("v1.2 of it", "")
