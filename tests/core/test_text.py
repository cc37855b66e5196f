"""Text from the network cannot act on a terminal, and shows no secret."""

from __future__ import annotations

import json
from unicodedata import category

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.factories import ACTIVE, HOSTILE, any_text, examples

from fetchq.core.text import json_printable, one_line, printable, redact_all, redact_url


def ignorable() -> str:
    """The marks and letters of Default_Ignorable_Code_Point (DerivedCoreProperties of Unicode 16), and a blank."""
    ranges = (
        "\u034f\u034f",
        "\u115f\u1160",
        "\u17b4\u17b5",
        "\u180b\u180f",
        "\u2800\u2800",
        "\u3164\u3164",
        "\ufe00\ufe0f",
        "\uffa0\uffa0",
    )
    pairs = (*ranges, "\U000e0100\U000e01ef")
    return "".join(chr(code) for first, last in pairs for code in range(ord(first), ord(last) + 1))


SECRETIVE = st.text(st.characters(exclude_characters="/?#@")).map(lambda text: f"user:{text}SECRET")
"""Userinfo with anything in it that can stand there, and a secret at its end."""


@examples(300)
@given(any_text)
def test_nothing_that_is_printable_acts_on_a_terminal(text: str) -> None:
    assert not ACTIVE.search(printable(text))
    assert not ACTIVE.search(one_line(text))


@pytest.mark.parametrize("character", HOSTILE)
def test_each_character_that_acts_is_shown_as_its_escape(character: str) -> None:
    if ACTIVE.match(character):
        code = ord(character)
        assert printable(f"a{character}b") == (f"a\\u{code:04x}b" if code < 0x10000 else f"a\\U{code:08x}b")
    else:
        assert printable(character) == character


@examples(300)
@given(any_text)
def test_making_text_printable_twice_is_making_it_so_once(text: str) -> None:
    assert printable(printable(text)) == printable(text)


@examples(300)
@given(st.text(st.characters(exclude_categories=["C", "Zl", "Zp"], exclude_characters=ignorable())))
def test_safe_text_stays_as_it_is(text: str) -> None:
    assert printable(text) == text


def test_every_code_point_that_unicode_calls_no_graphic_character_is_escaped() -> None:
    hidden = {one for one in map(chr, range(0x110000)) if category(one)[0] == "C" or category(one) in ("Zl", "Zp")}
    shown = {one for one in map(chr, range(0x110000)) if printable(one) == one}
    assert not shown & (hidden | set(ignorable()))
    assert len(shown) == 0x110000 - len(hidden | set(ignorable()))


@examples(300)
@given(any_text)
def test_json_stays_the_same_when_its_text_is_made_printable(text: str) -> None:
    text = text.encode("utf-8", "replace").decode()
    assert json.loads(json_printable(json.dumps(text, ensure_ascii=False))) == text
    assert json_printable(text).encode("utf-16", "surrogatepass")  # no half of a pair
    assert not ACTIVE.search(json_printable(text))


@examples(200)
@given(st.text(st.characters(min_codepoint=32, max_codepoint=126, exclude_characters="@")).map(str.strip))
def test_a_short_plain_line_stays_as_it_is_but_for_its_spaces(text: str) -> None:
    assert one_line(text) == " ".join(text.split())


@examples(300)
@given(any_text)
def test_one_line_is_one_line_of_a_bounded_length(text: str) -> None:
    line = one_line(text)
    assert len(line.splitlines()) <= 1
    assert len(line) <= 500


def test_lines_are_joined_by_a_space() -> None:
    assert one_line(" a\r\n\tb \n\n c\n") == "a b c"


def test_a_long_line_is_cut() -> None:
    assert one_line("a" * 1000) == "a" * 500


def test_one_line_hides_userinfo() -> None:
    assert one_line("from http://user:SECRET@host/ to //SECRET@host") == "from http://***@host/ to //***@host"


@pytest.mark.parametrize(
    "text",
    [
        "http://user:\x1bSECRET@host/",
        "http://user:SECRET\u202e@host/",
        "http://user:SECRET\udcff@host/",
        "http://user:SECRET" + "x" * 600 + "@host/",
        "x" * 470 + " http://user:SECRET" + "x" * 20 + "@host/",
    ],
    ids=["control", "bidi", "byte", "long", "cut"],
)
def test_one_line_hides_userinfo_that_is_escaped_or_cut(text: str) -> None:
    assert "SECRET" not in one_line(text)


@examples(300)
@given(any_text, SECRETIVE, any_text)
def test_one_line_shows_no_userinfo_whatever_is_around_it(before: str, userinfo: str, after: str) -> None:
    assert "SECRET" not in one_line(f"{before}//{userinfo}@{after}")


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("http://me:SECRET@host/a@b", "http://***@host/a@b"),
        ("http://host/a@b", "http://host/a@b"),
        ("me:SECRET@host/a", "***@host/a"),
        ("SECRET@host", "***@host"),
        ("me://SECRET@host", "***@host"),
        ("http:me:SECRET@host", "http:***@host"),
        ("http:/me:SECRET@host", "http:/***@host"),
        (r"http:\\me:SECRET@host", r"http:\\***@host"),
        ("//me:SECRET@host", "//***@host"),
        ("http//me:SECRET@host", "***@host"),
        ("http://me:SEC/RET@host", "http://***@host"),
        ("http://me SECRET@host", "http://***@host"),
        ("ftp://me:SECRET@host", "ftp://***@host"),
    ],
)
def test_no_user_and_no_password_of_a_url_is_shown_also_if_it_is_malformed(url: str, shown: str) -> None:
    assert redact_url(url) == shown
    if "/a@b" not in url:
        assert redact_all(url) == shown
