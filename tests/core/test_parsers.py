"""The readers turn what a person types into a value, or say what is wrong with it by a ValueError."""

from __future__ import annotations

import math
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from support.factories import any_object, any_text, examples

from fetchq.core import parsers as values
from fetchq.core.dns_servers import read_dns_servers

READERS = {
    "int": values.read_int,
    "seconds": values.read_seconds,
    "size": values.read_size,
    "text": values.read_text,
    "path": values.read_path,
    "flag": values.read_flag,
    "method": values.read_method,
    "data": values.read_data,
    "headers": values.read_headers,
    "statuses": values.read_statuses,
    "proxy": values.read_proxy,
    "user": values.read_user,
    "resolve": values.read_resolve,
    "dns_servers": read_dns_servers,
    "priority": values.read_priority,
    "choice": values.choice_of("a", "b"),
    "choices": values.choices_of("a", "b"),
}


@pytest.mark.parametrize("name", READERS)
@examples(60)
@given(given_value=any_object)
@example(given_value=10**400)
@example(given_value="9" * 400)
@example(given_value="9" * 5000)
@example(given_value=dict)
@example(given_value=[{}])
@example(given_value=[("h", float("inf"), "127.0.0.1")])
def test_whatever_a_reader_is_given_it_answers_with_a_value_or_a_value_error(name: str, given_value: object) -> None:
    with suppress(ValueError):
        READERS[name](given_value)


@pytest.mark.parametrize("name", READERS)
@examples(60)
@given(given_value=any_object)
def test_what_a_reader_answers_it_reads_again_as_the_same(name: str, given_value: object) -> None:
    try:
        value: Any = READERS[name](given_value)
    except Exception:  # noqa: BLE001  # which exceptions are allowed is the test above
        return
    assert READERS[name](value) == value


# --- numbers ---


@examples(100)
@given(st.integers())
def test_a_whole_number_is_read_from_itself_and_from_its_text(number: int) -> None:
    assert values.read_int(number) == values.read_int(str(number)) == number


@pytest.mark.parametrize("wrong", [True, 1.0, "1.0", "", "ten", "0x10", None, b"1", [1]])
def test_what_is_not_a_whole_number_is_refused(wrong: object) -> None:
    with pytest.raises(ValueError, match="is not a whole number"):
        values.read_int(wrong)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("30", 30.0),
        ("30s", 30.0),
        ("0.5", 0.5),
        (".5", 0.5),
        ("5.", 5.0),
        ("500ms", 0.5),
        ("2m", 120.0),
        ("1.5 h", 5400.0),
        (" 7 s ", 7.0),
        (7, 7.0),
        (0.25, 0.25),
        (-1, -1.0),
    ],
)
def test_a_time_is_read_with_and_without_its_unit(text: object, seconds: float) -> None:
    assert values.read_seconds(text) == pytest.approx(seconds)


@pytest.mark.parametrize(
    "wrong", ["", "s", "1d", "-1", "1e3", "1m30s", "nan", "inf", "1 2", True, None, b"1", math.inf, math.nan]
)
def test_what_is_not_a_time_is_refused(wrong: object) -> None:
    with pytest.raises(ValueError, match="is not a time"):
        values.read_seconds(wrong)


@pytest.mark.parametrize(
    ("text", "rate"), [("50/s", 50), ("50", 50), (" 10 / m ", 1 / 6), ("36/h", 0.01), (".5/s", 0.5), (3, 3), (0.1, 0.1)]
)
def test_a_rate_is_read_with_and_without_its_unit(text: object, rate: float) -> None:
    assert values.read_rate(text) == pytest.approx(rate)


@pytest.mark.parametrize(("text", "rate"), [("1M/s", 1_000_000), ("64k", 64_000), (5, 5)])
def test_a_rate_of_bytes_is_a_size_per_second(text: object, rate: int) -> None:
    assert values.read_byte_rate(text) == rate


@pytest.mark.parametrize("endless", ["9" * 400, "9" * 400 + "h", 10**400], ids=["text", "hours", "number"])
def test_a_time_beyond_all_numbers_is_refused_not_taken_for_infinite(endless: object) -> None:
    with pytest.raises(ValueError, match="is not a time"):
        values.read_seconds(endless)


@examples(100)
@given(st.floats(0, 1e7))
def test_a_time_is_read_from_its_own_text(seconds: float) -> None:
    assert values.read_seconds(f"{seconds:f}") == pytest.approx(seconds, abs=1e-6)


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("0", 0),
        ("4096", 4096),
        ("64k", 64_000),
        ("64kB", 64_000),
        ("64K", 64_000),
        ("100M", 100_000_000),
        ("100m", 100_000_000),
        ("1.5G", 1_500_000_000),
        ("2 g", 2_000_000_000),
        (" 10 B ", 10),
        (".5k", 500),
        (123, 123),
    ],
)
def test_a_size_is_read_with_and_without_its_unit(text: object, size: int) -> None:
    assert values.read_size(text) == size


@pytest.mark.parametrize("wrong", ["", "k", "-1", "1T", "1e6", "12 34", "1kk", 1.5, True, None, b"1"])
def test_what_is_not_a_size_is_refused(wrong: object) -> None:
    with pytest.raises(ValueError, match="is not a size"):
        values.read_size(wrong)


def test_a_size_beyond_all_numbers_is_refused() -> None:
    with pytest.raises(ValueError, match="is not a size"):
        values.read_size("9" * 400)


# --- texts ---


@examples(100)
@given(any_text)
def test_a_text_that_is_accepted_is_unchanged_and_has_no_c0_control_but_the_tab(text: str) -> None:
    try:
        assert values.read_text(text) == text
    except ValueError:
        surrogates = any("\ud800" <= character <= "\udfff" for character in text)
        assert surrogates or any(character != "\t" and (character < " " or character == "\x7f") for character in text)
    else:
        assert not any(character != "\t" and (character < " " or character == "\x7f") for character in text)


@pytest.mark.parametrize("wrong", ["a\nb", "a\r", "\x00", "\x7f", b"text", None, 5])
def test_what_is_not_a_plain_text_is_refused(wrong: object) -> None:
    with pytest.raises(ValueError, match=r"not a text|cannot be sent"):
        values.read_text(wrong)


def test_a_path_is_that_of_a_file_that_exists(tmp_path: Path) -> None:
    file = tmp_path / "ca.pem"
    file.touch()
    assert values.read_path(file) == values.read_path(str(file)) == str(file)


@pytest.mark.parametrize("wrong", ["", "missing.pem", "a\0b", "\udcff", 5, None])
def test_a_path_of_no_file_is_refused(wrong: object, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"there is no file|is not a path"):
        values.read_path(str(tmp_path / wrong) if isinstance(wrong, str) else wrong)


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="there is no file"):
        values.read_path(tmp_path)


@pytest.mark.parametrize(
    ("given_value", "flag"),
    [(True, True), (False, False)]
    + [(text, True) for text in ("1", "true", "YES", " on ")]
    + [(text, False) for text in ("0", "False", "no", "OFF", "", " ")],
)
def test_a_flag_is_read_from_the_usual_words(given_value: object, flag: bool) -> None:
    assert values.read_flag(given_value) is flag


@pytest.mark.parametrize("wrong", ["2", "y", "tru", 1, 0, None, b"1", []])
def test_what_is_neither_true_nor_false_is_refused(wrong: object) -> None:
    with pytest.raises(ValueError, match="neither true nor false"):
        values.read_flag(wrong)


@pytest.mark.parametrize(("text", "method"), [("GET", "GET"), ("post", "POST"), ("M-SEARCH", "M-SEARCH")])
def test_a_method_is_read_in_capitals(text: str, method: str) -> None:
    assert values.read_method(text) == method


@pytest.mark.parametrize("wrong", ["", "GET ", "G T", "GET\r\n", "ÖT", b"GET", None, "connect", "TRACE"])
def test_what_is_no_method_or_opens_a_tunnel_is_refused(wrong: object) -> None:
    with pytest.raises(ValueError, match=r"is not an HTTP method|cannot be fetched"):
        values.read_method(wrong)


def test_data_is_bytes_or_text_in_utf_8() -> None:
    assert values.read_data(b"\xff") == b"\xff"
    assert values.read_data("é") == b"\xc3\xa9"


@pytest.mark.parametrize("wrong", [None, 5, ["a"], "\ud800"])
def test_what_has_no_bytes_is_no_data(wrong: object) -> None:
    with pytest.raises(ValueError, match=r"neither text nor bytes|surrogates"):
        values.read_data(wrong)


# --- headers ---


@pytest.mark.parametrize(
    "given_value",
    [
        ["Accept: text/html", "X-A:b"],
        [("Accept", "text/html"), ["X-A", "b"]],
        {"Accept": "text/html", "X-A": "b"},
        iter(["Accept:  text/html \t", "X-A: b"]),
    ],
)
def test_headers_are_read_from_texts_pairs_and_mappings(given_value: object) -> None:
    assert values.read_headers(given_value) == (("Accept", "text/html"), ("X-A", "b"))


@pytest.mark.parametrize(
    "wrong",
    [
        5,
        None,
        ["Accept"],
        ["A b: c"],
        [": c"],
        ["Ä: c"],
        ["A: b\r\nC: d"],
        [("A", "b\0")],
        [("A", 5)],
        [(5, "b")],
        [("A",)],
        [("A", "b", "c")],
        [5],
        {"A": None},
    ],
)
def test_what_is_no_header_is_refused(wrong: object) -> None:
    with pytest.raises(ValueError, match="header"):
        values.read_headers(wrong)


@pytest.mark.parametrize("name", ["Content-Length", "transfer-encoding", "Connection", "UPGRADE", "TE", "Trailer"])
def test_a_header_that_frames_the_message_is_not_the_users_to_send(name: str) -> None:
    with pytest.raises(ValueError, match="fetchq's own to send"):
        values.read_headers([(name, "1")])


@examples(200)
@given(st.lists(st.tuples(any_text, any_text) | any_text))
def test_no_accepted_header_can_begin_another_one(given_value: list[Any]) -> None:
    try:
        headers = values.read_headers(given_value)
    except ValueError:
        return
    for name, value in headers:
        assert name
        assert name.isascii()
        assert not set("\r\n\0: ") & set(name)
        assert not set("\r\n\0") & set(value)


# --- statuses ---


@pytest.mark.parametrize(
    ("given_value", "statuses"),
    [
        ("200", {200}),
        ("200..=202", {200, 201, 202}),
        ("200..202", {200, 201}),
        (" 200..=200 , 404 ,", {200, 404}),
        ("", set()),
        (204, {204}),
        ([200, 404, 404], {200, 404}),
        (range(500, 503), {500, 501, 502}),
        (frozenset(), set()),
    ],
)
def test_statuses_are_read_from_ranges_lists_and_numbers(given_value: object, statuses: set[int]) -> None:
    assert values.read_statuses(given_value) == statuses


@pytest.mark.parametrize(
    "wrong",
    ["20", "2000", "200-299", "299..=200", "200..200", "abc", "099", 99, 1000, True, [True], ["200"], None, 2.0],
)
def test_what_is_no_status_is_refused(wrong: object) -> None:
    with pytest.raises(ValueError, match=r"status|is empty"):
        values.read_statuses(wrong)


@examples(100)
@given(st.frozensets(st.integers(100, 999)))
def test_statuses_are_read_from_their_own_text(statuses: frozenset[int]) -> None:
    assert values.read_statuses(",".join(map(str, statuses))) == statuses


# --- the network ---


@pytest.mark.parametrize(
    ("text", "proxy"),
    [
        ("proxy:3128", "http://proxy:3128"),
        ("http://proxy", "http://proxy"),
        ("https://user:pw@proxy:1/", "https://user:pw@proxy:1/"),
        ("http://[::1]:3128", "http://[::1]:3128"),
    ],
)
def test_a_proxy_is_an_http_url_or_its_host_and_port(text: str, proxy: str) -> None:
    assert values.read_proxy(text) == proxy


@pytest.mark.parametrize(
    "wrong", ["", "socks5://proxy:1080", "http://", "http://pro xy", "http://proxy/path", None, b"p"]
)
def test_what_is_no_http_proxy_is_refused(wrong: object) -> None:
    with pytest.raises(ValueError, match=r"proxy|text"):
        values.read_proxy(wrong)


@pytest.mark.parametrize(
    "wrong",
    ["http://:80", "http://h:99999", "http://h:port", "http://user:pw@", "http://[::1", "h:0", ":80", "foo", "pw@foo"],
)
def test_a_proxy_without_a_host_or_with_a_port_that_is_none_is_refused(wrong: str) -> None:
    with pytest.raises(ValueError, match="proxy"):
        values.read_proxy(wrong)


@pytest.mark.parametrize("scheme", ["socks4", "socks5", "SOCKS5h"])
def test_that_socks_is_not_supported_is_said(scheme: str) -> None:
    with pytest.raises(ValueError, match="SOCKS is not supported"):
        values.read_proxy(f"{scheme}://proxy:1080")


def test_a_refused_proxy_does_not_show_its_password() -> None:
    with pytest.raises(ValueError, match="proxy") as caught:
        values.read_proxy("socks5://user:secret@proxy")
    assert "secret" not in str(caught.value)


def test_a_user_has_a_name_and_a_password() -> None:
    assert values.read_user("name:pass:word") == "name:pass:word"
    with pytest.raises(ValueError, match="NAME:PASSWORD"):
        values.read_user("name")


@pytest.mark.parametrize(
    ("given_value", "triple"),
    [
        ("Example.org:443:127.0.0.1", ("example.org", 443, "127.0.0.1")),
        ("h:80:::1", ("h", 80, "::1")),
        ("h:80:[::1]", ("h", 80, "::1")),
        (("h", 80, "192.0.2.1"), ("h", 80, "192.0.2.1")),
        (["h", "80", "0:0::1"], ("h", 80, "::1")),
    ],
)
def test_resolve_is_read_from_texts_and_triples(given_value: object, triple: tuple[str, int, str]) -> None:
    assert values.read_resolve([given_value]) == (triple,)


@pytest.mark.parametrize(
    "wrong",
    [
        "h:80:127.0.0.1",
        None,
        5,
        ["h:80"],
        ["h:80:example.org"],
        ["h:port:127.0.0.1"],
        ["h:0:127.0.0.1"],
        ["h:65536:127.0.0.1"],
        [":80:127.0.0.1"],
        [5],
        [("h", 80)],
        [("h", 80, 5)],
        [("h", None, "127.0.0.1")],
    ],
)
def test_what_is_no_host_port_and_address_is_refused(wrong: object) -> None:
    with pytest.raises(ValueError, match=r"HOST:PORT:ADDRESS|a port that is none"):
        values.read_resolve(wrong)


@pytest.mark.parametrize(
    ("given_value", "servers"),
    [
        ("192.0.2.1", ("192.0.2.1:53",)),
        ("192.0.2.1:5353, 192.0.2.2 ,192.0.2.2:53", ("192.0.2.1:5353", "192.0.2.2:53")),
        ("2001:db8::1,[2001:db8::2],[2001:DB8::3]:54", ("[2001:db8::1]:53", "[2001:db8::2]:53", "[2001:db8::3]:54")),
        (["::1", "127.0.0.1"], ("[::1]:53", "127.0.0.1:53")),
        ([], ()),
    ],
)
def test_name_servers_are_read_from_a_list_or_a_text_of_them(given_value: object, servers: tuple[str, ...]) -> None:
    assert read_dns_servers(given_value) == servers


@pytest.mark.parametrize(
    "wrong",
    [
        "",
        ",",
        "dns.example.org",
        "192.0.2",
        "192.0.2.1:",
        "192.0.2.1:0",
        "192.0.2.1:65536",
        "192.0.2.1:x",
        "[::1]:",
        "[::1",
        "::1]:53",
        "fe80::1%eth0",
        "192.0.2.1;192.0.2.2",
        "https://192.0.2.1/",
        5,
        [5],
        None,
        [["192.0.2.1"]],
    ],
)
def test_what_is_no_address_of_a_name_server_is_refused(wrong: object) -> None:
    with pytest.raises(ValueError, match=r"address"):
        read_dns_servers(wrong)


# --- choices ---


def test_a_choice_is_one_of_its_words() -> None:
    read = values.choice_of("async", "sync")
    assert read("sync") == "sync"
    for wrong in ("SYNC", "", None, 5, ["sync"]):
        with pytest.raises(ValueError, match="is not one of async, sync"):
            read(wrong)


def test_choices_are_kept_in_order_and_once() -> None:
    read = values.choices_of("a", "b")
    assert read("a") == ("a",)
    assert read(["b", "a", "b"]) == ("b", "a")
    assert read(()) == ()
    for wrong in (None, 5, ["a", "c"]):
        with pytest.raises(ValueError, match=r"is not one of|is not a list"):
            read(wrong)
