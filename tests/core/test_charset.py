"""The text of bodies: charsets that servers name, whole and in pieces."""

from __future__ import annotations

import encodings
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fetchq.core import charset as module
from fetchq.core.charset import decoded, decoded_pieces

CHARSETS = ["utf-8", "latin-1", "windows-1252", "utf-16", "utf-16-le", "utf-32", "utf-7", "utf-8-sig", "shift_jis"]
CHARSETS += [
    "gb18030",
    "iso-2022-jp",
    "hz",
    "euc-kr",
    "big5",
    "koi8-u",
    "cp1006",
    "hex",
    "zip",
    "rot13",
    "idna",
    "nope",
]


@settings(deadline=None)  # the first use of a charset imports it
@given(st.binary(max_size=200), st.lists(st.integers(0, 200), max_size=4), st.sampled_from(CHARSETS))
def test_a_body_has_the_same_text_whole_and_in_pieces(body: bytes, cuts: list[int], charset: str) -> None:
    edges = [0, *sorted(cuts), len(body)]
    pieces = [body[start:end] for start, end in pairwise(edges)]
    assert "".join(decoded_pieces(pieces, charset)) == decoded(body, charset)


@pytest.mark.parametrize("charset", ["utf-16", "utf-32", "utf-16-be"])
def test_a_byte_order_mark_is_obeyed_in_pieces_too(charset: str) -> None:
    body = "Grüße".encode(charset)
    assert "".join(decoded_pieces([body[:1], body[1:]], charset)) == "Grüße"


def test_names_that_python_does_not_know_are_not_kept() -> None:
    decoded(b"x", "nobody-has-this-0")
    before = len(encodings._cache)
    for number in range(100):
        assert decoded(b"x", f"nobody-has-this-{number}") == "x"
        assert decoded(b"x", f"utf!!8{'!' * number}") == "x"  # Python would take each for UTF-8, and keep it
    assert len(encodings._cache) == before


@pytest.mark.parametrize("charset", ["hex", "zip", "bz2", "idna", "unicode-escape", "undefined", "u" * 60_000])
def test_what_is_no_charset_is_read_as_utf_8(charset: str) -> None:
    assert decoded("ü".encode(), charset) == "ü"
    assert "".join(decoded_pieces(["ü".encode()], charset)) == "ü"


def test_a_sequence_without_an_end_is_not_held_back_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_SLICE", 64)
    texts = list(decoded_pieces([b"+", *[b"AGEAYgBj" * 4] * 100], "utf-7"))
    assert max(map(len, texts)) <= 128
    assert len("".join(texts)) > 1000
