"""What travels: Requests, Results and their records, and what may not be seen of them."""

from __future__ import annotations

import base64
import copy
import json
import pickle
import time
from dataclasses import FrozenInstanceError
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.factories import HOSTILE, any_text, examples, failed_result, make_result

import fetchq
from fetchq.core.header_text import charset_of, wire_text
from fetchq.core.model import Cause, Complete, FetchError, Request, Result, Timing
from fetchq.core.text import redact

RECORD = [
    *("index", "url", "final_url", "method", "label", "ok", "status", "reason", "cause"),
    *("error", "attempts", "redirects", "size", "wire_size", "sha256", "content_type", "charset", "content_encoding"),
    *("complete", "path", "worker", "mode", "http_version", "remote", "started", "elapsed", "timing"),
]
PHASES = ["queued", "held", "dns", "connect", "tls", "wait", "receive", "lag", "decode", "store"]

SECRET_URLS = [
    "http://user:SECRET@host/",
    "https://SECRET@host",
    "//user:SECRET@host/path?q#f",
    "http://user:SECRET@and@host/",
    "http://us er:SEC RET@host/",
    "text http://user:SECRET@host, and //SECRET@host too",
    "ftp://user:SECRET@host/",
    "http://user:SECRET\n@host/",
]


# --- secrets ---


@pytest.mark.parametrize("text", SECRET_URLS)
def test_userinfo_is_hidden_wherever_a_url_stands(text: str) -> None:
    assert "SECRET" not in redact(text).replace(" ", "")
    assert "//***@" in redact(text)
    assert "host" in redact(text)


def test_userinfo_with_a_backslash_is_hidden_too() -> None:
    assert "SECRET" not in redact("http://user\\name:SECRET@host/")
    assert "SECRET" not in repr(Request("http://user:SECRET\\@host/"))


@pytest.mark.parametrize(
    "text", ["", "http://host/", "a@b", "http://host/a@b", "http://host/?q=a@b", "mail a@b, not //"]
)
def test_text_without_userinfo_stays_as_it_is(text: str) -> None:
    assert redact(text) == text


@examples(200)
@given(any_text)
def test_hiding_userinfo_twice_is_hiding_it_once(text: str) -> None:
    assert redact(redact(text)) == redact(text)


@examples(100)
@given(st.text(st.characters(exclude_characters="/?#\\"), max_size=30), st.text(max_size=30))
def test_no_userinfo_of_a_url_survives(userinfo: str, rest: str) -> None:
    hidden = redact(f"http://{userinfo}@{rest}")
    assert hidden.startswith("http://***@")


def test_the_repr_of_a_request_hides_userinfo_headers_and_body() -> None:
    request = Request("http://user:SECRET@host/", headers=(("Authorization", "SECRET"),), body=b"SECRET", label="mine")
    assert "SECRET" not in repr(request)
    assert "http://***@host/" in repr(request)
    assert "mine" in repr(request)


def test_the_repr_of_a_result_has_neither_headers_nor_body() -> None:
    result = make_result(headers=[("Set-Cookie", "SECRET")], body=b"SECRET")
    assert "SECRET" not in repr(result)


# --- the closed lists ---


def test_the_causes_are_those_of_the_interface() -> None:
    names = (
        "invalid_url blocked dns connect proxy tls timeout too_slow protocol incomplete decode too_large checksum "
        "redirect status cancelled store callback"
    )
    assert [str(cause) for cause in Cause] == names.split()
    assert [str(complete) for complete in Complete] == ["yes", "unverified", "no"]


@pytest.mark.parametrize("name", fetchq.__all__)
def test_every_public_name_can_be_imported(name: str) -> None:
    assert getattr(fetchq, name) is not None
    assert name in dir(fetchq)


def test_no_other_name_is_public() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'fetch_some'"):
        fetchq.fetch_some  # noqa: B018


# --- Request, Timing, Result ---


@pytest.mark.parametrize("value", [Request("http://h/"), Timing(), make_result()])
def test_what_travels_does_not_change(value: Any) -> None:
    with pytest.raises(FrozenInstanceError):
        setattr(value, value.__slots__[0], None)


@pytest.mark.parametrize("duplicate", [lambda value: pickle.loads(pickle.dumps(value)), copy.copy, copy.deepcopy])
@pytest.mark.parametrize(
    "result",
    [
        make_result(headers=[("A", "1"), ("a", "2"), ("Content-Type", "x")], body=b"\0\xff", label="ü"),
        failed_result(Cause.TLS, started=None, timing=Timing(tls=0.1)),
    ],
)
def test_a_result_can_be_copied_and_pickled_with_its_headers(result: Result, duplicate: Any) -> None:
    copied = duplicate(result)
    assert copied == result
    assert list(copied.headers.items()) == list(result.headers.items())
    assert copied.headers.getall("A", []) == copied.headers.getall("a", []) == result.headers.getall("A", [])
    assert copied.body == result.body
    assert copied.to_record(["headers", "base64"]) == result.to_record(["headers", "base64"])


@examples(100)
@given(st.lists(st.tuples(any_text, any_text)), st.binary(), st.none() | any_text)
def test_a_result_of_any_content_survives_pickling(
    headers: list[tuple[str, str]], body: bytes, label: str | None
) -> None:
    result = make_result(headers=headers, body=body, label=label)
    assert pickle.loads(pickle.dumps(result)) == result


def test_headers_compare_without_regard_to_case() -> None:
    result = make_result(headers=[("Content-Type", "text/html")])
    assert result.headers["content-TYPE"] == "text/html"


def test_a_failure_is_raised_when_asked_for_and_only_then() -> None:
    make_result().raise_for_failure()
    result = failed_result(Cause.TIMEOUT, error="no byte in 30 s")
    with pytest.raises(FetchError) as caught:
        result.raise_for_failure()
    assert caught.value.result is result
    assert str(caught.value) == "http://example.org/: timeout: no byte in 30 s"


def test_a_fetch_error_can_be_pickled_and_carries_its_result() -> None:
    error = FetchError(failed_result(Cause.DNS, headers=[("A", "b")]))
    copied = pickle.loads(pickle.dumps(error))
    assert isinstance(copied, FetchError)
    assert copied.result == error.result
    assert str(copied) == str(error)


# --- text() and json() ---


@pytest.mark.parametrize(
    ("body", "charset", "text"),
    [
        ("é€".encode(), None, "é€"),
        ("é€".encode(), "utf-8", "é€"),
        ("é".encode("latin-1"), "iso-8859-1", "é"),
        ("é€".encode("utf-16"), "utf-16", "é€"),
        (b"\xe9t\xe9", None, "\ufffdt\ufffd"),
        (b"\xe9t\xe9", "us-ascii", "\ufffdt\ufffd"),
        ("é".encode(), "no-such-charset", "é"),
        ("é".encode(), "hex", "é"),
        ("é".encode(), "rot13", "é"),
        ("é".encode(), "x" * 70_000, "é"),
        (b"", "no-such-charset", ""),
    ],
)
def test_text_is_read_by_the_charset_of_the_server_else_as_utf_8(body: bytes, charset: str | None, text: str) -> None:
    assert make_result(body=body, charset=charset).text() == text


KNOWN = ["ascii", "utf-16", "utf-32", "utf-7", "utf-8-sig", "gb18030", "shift_jis", "iso2022_jp", "cp037", "big5"]
STRANGE = [
    *("idna", "punycode", "undefined", "unicode_escape", "raw_unicode_escape", "mbcs", "oem", "base64", "zlib", "uu"),
    *("é", "\udcff", "a\0b", "..", "*", "utf-8\n", "-" * 100),
]


@pytest.mark.parametrize("charset", KNOWN + STRANGE)
def test_whatever_charset_a_server_names_there_is_a_text(charset: str) -> None:
    body = b"\\d \\x4 \xff\xfe\xe9\x80 xn--\xe9 +AAA- \x1b$B &#"
    assert isinstance(make_result(body=body, charset=charset).text(), str)


@examples(200)
@given(st.binary(), st.sampled_from(KNOWN))
def test_whatever_the_body_is_there_is_a_text(body: bytes, charset: str) -> None:
    assert isinstance(make_result(body=body, charset=charset).text(), str)


def test_text_is_strict_when_asked() -> None:
    with pytest.raises(UnicodeDecodeError):
        make_result(body=b"\xff").text("strict")
    assert make_result(body=b"a\xff").text("ignore") == "a"


@pytest.mark.parametrize(
    ("body", "value"), [(b'{"a": [1, null]}', {"a": [1, None]}), (b"\xef\xbb\xbf1", 1), ('"é"'.encode("utf-16"), "é")]
)
def test_json_is_parsed_from_the_bytes(body: bytes, value: object) -> None:
    assert make_result(body=body, charset="latin-1").json() == value


@pytest.mark.parametrize("body", [b"", b"{", b"\xff\xff", b"1" * 5000, b"[" * 100_000], ids=["", "{", "ff", "1", "["])
def test_what_is_not_json_is_a_value_error(body: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  # what json says of it is json's
        make_result(body=body).json()


# --- the record ---


def test_a_record_has_the_fields_of_the_interface_in_their_order() -> None:
    record = make_result().to_record()
    assert list(record) == RECORD
    assert list(record["timing"]) == PHASES


def test_a_record_holds_the_values_of_the_result() -> None:
    timing = Timing(1, 2, 3, 4, None, 6, 7, 8, 9, 10)
    started = datetime(2026, 1, 1, tzinfo=UTC)
    result = failed_result(Cause.STATUS, status=404, label="x", started=started, timing=timing, charset="utf-8")
    record = result.to_record()
    assert record["cause"] == "status"
    assert (record["status"], record["label"], record["started"]) == (404, "x", "2026-01-01T00:00:00Z")
    assert list(record["timing"].values()) == [1, 2, 3, 4, None, 6, 7, 8, 9, 10]


def test_the_headers_are_included_as_lower_case_names_with_lists_of_values() -> None:
    headers = [("Set-Cookie", "a"), ("X", "é".encode().decode("ascii", "surrogateescape")), ("set-cookie", "b")]
    record = make_result(headers=headers).to_record(["headers"])
    assert list(record) == [*RECORD, "headers"]
    assert record["headers"] == {"set-cookie": ["a", "b"], "x": ["é"]}


def test_the_body_is_included_as_text_or_as_base64() -> None:
    result = make_result(body=b"caf\xe9", charset="latin-1")
    assert result.to_record(["text"])["body"] == "café"
    assert base64.b64decode(result.to_record(["base64"])["body"]) == b"caf\xe9"
    assert list(result.to_record(["headers", "text"])) == [*RECORD, "headers", "body"]


def test_a_record_can_be_written_as_json() -> None:
    record = make_result(headers=[("A", "b")], body=b"x").to_record(["headers", "hops", "text"])
    assert json.loads(json.dumps(record)) == record


# --- header values ---


@pytest.mark.parametrize(
    ("content_type", "charset"),
    [
        (None, None),
        ("", None),
        ("text/html", None),
        ("text/html; charset=UTF-8", "utf-8"),
        ('text/html;charset="ISO-8859-1"', "iso-8859-1"),
        ("text/html; Charset = 'x'", "x"),
        ("text/html; charset=utf-8; boundary=b", "utf-8"),
        ("text/html; a=b;charset=koi8-r", "koi8-r"),
        ("text/html; charset=", None),
        ("text/html; charset=;", None),
        ("charset", None),
    ],
)
def test_the_charset_is_a_parameter_of_the_content_type(content_type: str | None, charset: str | None) -> None:
    assert charset_of(content_type) == charset


def test_a_parameter_whose_name_only_ends_in_charset_is_another_one() -> None:
    assert charset_of("text/html; accept-charset=latin-1; charset=utf-8") == "utf-8"


def test_the_charset_of_a_long_content_type_is_found_in_time_that_grows_with_its_length() -> None:
    def cost(length: int) -> float:
        content_type = "text/html; charset=" + " " * length + ";"
        seconds = []
        for _ in range(3):
            began = time.process_time()
            charset_of(content_type)
            seconds.append(time.process_time() - began)
        return min(seconds)

    # Twenty times the length: 20 times the time where it is linear, 400 times where it is quadratic.
    assert cost(6000) < 100 * max(cost(300), 1e-5)


@pytest.mark.parametrize(
    ("raw", "text"),
    [(b"plain", "plain"), ("é€".encode(), "é€"), (b"caf\xe9", "café"), (b"\x80\xff", "\x80\xff"), (b"", "")],
)
def test_a_header_value_is_read_as_utf_8_else_as_latin_1(raw: bytes, text: str) -> None:
    assert wire_text(raw.decode("utf-8", "surrogateescape")) == text


@examples(200)
@given(st.binary())
def test_a_header_value_of_any_bytes_has_a_text_without_lone_surrogates(raw: bytes) -> None:
    wire_text(raw.decode("utf-8", "surrogateescape")).encode()


def test_hostile_text_stays_exact_in_a_record() -> None:
    assert make_result(label=HOSTILE).to_record()["label"] == HOSTILE
