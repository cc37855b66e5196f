"""The readers turn what a person types into a value, or say what is wrong with it by a ValueError."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from support.factories import any_object, any_text, examples

from fetchq.core import parsers, quantities
from fetchq.core.dns_servers import read_dns_servers

READERS = {
    "int": quantities.read_int,
    "seconds": quantities.read_seconds,
    "size": quantities.read_size,
    "text": parsers.read_text,
    "path": parsers.read_path,
    "flag": parsers.read_flag,
    "method": parsers.read_method,
    "data": parsers.read_data,
    "headers": parsers.read_headers,
    "statuses": quantities.read_statuses,
    "proxy": parsers.read_proxy,
    "user": parsers.read_user,
    "resolve": parsers.read_resolve,
    "dns_servers": read_dns_servers,
    "priority": quantities.read_priority,
    "choice": parsers.choice_of("a", "b"),
    "choices": parsers.choices_of("a", "b"),
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


# --- texts ---


@examples(100)
@given(any_text)
def test_a_text_that_is_accepted_is_unchanged_and_has_no_c0_control_but_the_tab(text: str) -> None:
    try:
        assert parsers.read_text(text) == text
    except ValueError:
        surrogates = any("\ud800" <= character <= "\udfff" for character in text)
        assert surrogates or any(character != "\t" and (character < " " or character == "\x7f") for character in text)
    else:
        assert not any(character != "\t" and (character < " " or character == "\x7f") for character in text)


@pytest.mark.parametrize("wrong", ["a\nb", "a\r", "\x00", "\x7f", b"text", None, 5])
def test_what_is_not_a_plain_text_is_refused(wrong: object) -> None:
    with pytest.raises(ValueError, match=r"not a text|cannot be sent"):
        parsers.read_text(wrong)


def test_a_path_is_that_of_a_file_that_exists(tmp_path: Path) -> None:
    file = tmp_path / "ca.pem"
    file.touch()
    assert parsers.read_path(file) == parsers.read_path(str(file)) == str(file)


@pytest.mark.parametrize("wrong", ["", "missing.pem", "a\0b", "\udcff", 5, None])
def test_a_path_of_no_file_is_refused(wrong: object, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"there is no file|is not a path"):
        parsers.read_path(str(tmp_path / wrong) if isinstance(wrong, str) else wrong)


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="there is no file"):
        parsers.read_path(tmp_path)


@pytest.mark.parametrize(
    ("given_value", "flag"),
    [(True, True), (False, False)]
    + [(text, True) for text in ("1", "true", "YES", " on ")]
    + [(text, False) for text in ("0", "False", "no", "OFF", "", " ")],
)
def test_a_flag_is_read_from_the_usual_words(given_value: object, flag: bool) -> None:
    assert parsers.read_flag(given_value) is flag


@pytest.mark.parametrize("wrong", ["2", "y", "tru", 1, 0, None, b"1", []])
def test_what_is_neither_true_nor_false_is_refused(wrong: object) -> None:
    with pytest.raises(ValueError, match="neither true nor false"):
        parsers.read_flag(wrong)


@pytest.mark.parametrize(("text", "method"), [("GET", "GET"), ("post", "POST"), ("M-SEARCH", "M-SEARCH")])
def test_a_method_is_read_in_capitals(text: str, method: str) -> None:
    assert parsers.read_method(text) == method


@pytest.mark.parametrize("wrong", ["", "GET ", "G T", "GET\r\n", "ÖT", b"GET", None, "connect", "TRACE"])
def test_what_is_no_method_or_opens_a_tunnel_is_refused(wrong: object) -> None:
    with pytest.raises(ValueError, match=r"is not an HTTP method|cannot be fetched"):
        parsers.read_method(wrong)


def test_data_is_bytes_or_text_in_utf_8() -> None:
    assert parsers.read_data(b"\xff") == b"\xff"
    assert parsers.read_data("é") == b"\xc3\xa9"


@pytest.mark.parametrize("wrong", [None, 5, ["a"], "\ud800"])
def test_what_has_no_bytes_is_no_data(wrong: object) -> None:
    with pytest.raises(ValueError, match=r"neither text nor bytes|surrogates"):
        parsers.read_data(wrong)


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
    assert parsers.read_headers(given_value) == (("Accept", "text/html"), ("X-A", "b"))


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
        parsers.read_headers(wrong)


@pytest.mark.parametrize("name", ["Content-Length", "transfer-encoding", "Connection", "UPGRADE", "TE", "Trailer"])
def test_a_header_that_frames_the_message_is_not_the_users_to_send(name: str) -> None:
    with pytest.raises(ValueError, match="fetchq's own to send"):
        parsers.read_headers([(name, "1")])


@examples(200)
@given(st.lists(st.tuples(any_text, any_text) | any_text))
def test_no_accepted_header_can_begin_another_one(given_value: list[Any]) -> None:
    try:
        headers = parsers.read_headers(given_value)
    except ValueError:
        return
    for name, value in headers:
        assert name
        assert name.isascii()
        assert not set("\r\n\0: ") & set(name)
        assert not set("\r\n\0") & set(value)


# --- the network ---


@pytest.mark.parametrize(
    ("text", "proxy"),
    [
        ("proxy:3128", "http://proxy:3128"),
        ("http://proxy", "http://proxy"),
        ("https://user:pw@proxy:1/", "https://user:pw@proxy:1/"),
        ("HTTP://[::1]:3128", "http://[::1]:3128"),
        ("socks5h://proxy", "socks5h://proxy:1080"),
        ("SOCKS5://user:p%20w@[::1]:9/", "socks5://user:p%20w@[::1]:9"),
        ("socks4a://user@proxy:9", "socks4a://user@proxy:9"),
        ("socks4://proxy:9", "socks4://proxy:9"),
    ],
)
def test_a_proxy_is_its_url_or_the_host_and_port_of_an_http_proxy(text: str, proxy: str) -> None:
    assert parsers.read_proxy(text) == proxy


@pytest.mark.parametrize(
    "wrong", ["", "socks://proxy:1080", "socks6://p", "http://", "http://pro xy", "http://proxy/path", None, b"p"]
)
def test_what_is_no_proxy_is_refused(wrong: object) -> None:
    with pytest.raises(ValueError, match=r"proxy|text"):
        parsers.read_proxy(wrong)


@pytest.mark.parametrize(
    "wrong",
    ["http://:80", "http://h:99999", "http://h:port", "http://user:pw@", "http://[::1", "h:0", ":80", "foo", "pw@foo"],
)
def test_a_proxy_without_a_host_or_with_a_port_that_is_none_is_refused(wrong: str) -> None:
    with pytest.raises(ValueError, match="proxy"):
        parsers.read_proxy(wrong)


def test_socks_without_its_package_is_refused_with_the_line_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == "python_socks" else name)
    with pytest.raises(ValueError, match=r"pip install 'fetchq\[socks\]'"):
        parsers.read_proxy("socks5h://proxy:1080")


@pytest.mark.parametrize(
    "wrong",
    [
        "socks://user:secret@proxy",
        "socks4://user:secret@proxy",
        "socks5://secret@proxy",
        "socks5://secret:@proxy",
        "socks5h://:secret@proxy",
        "socks5h://secret:%C3%BC@proxy",
        "socks5h://secret:%00@proxy",
        f"socks5h://user:secret{'t' * 250}@proxy",
        "http://user:secret@pro xy",
    ],
)
def test_a_refused_proxy_does_not_show_its_password(wrong: str) -> None:
    with pytest.raises(ValueError, match=r"proxy|SOCKS") as caught:
        parsers.read_proxy(wrong)
    assert "secret" not in str(caught.value)


def test_a_user_has_a_name_and_a_password() -> None:
    assert parsers.read_user("name:pass:word") == "name:pass:word"
    with pytest.raises(ValueError, match="NAME:PASSWORD"):
        parsers.read_user("name")


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
    assert parsers.read_resolve([given_value]) == (triple,)


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
        parsers.read_resolve(wrong)


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
    read = parsers.choice_of("async", "sync")
    assert read("sync") == "sync"
    for wrong in ("SYNC", "", None, 5, ["sync"]):
        with pytest.raises(ValueError, match="is not one of async, sync"):
            read(wrong)


def test_choices_are_kept_in_order_and_once() -> None:
    read = parsers.choices_of("a", "b")
    assert read("a") == ("a",)
    assert read(["b", "a", "b"]) == ("b", "a")
    assert read(()) == ()
    for wrong in (None, 5, ["a", "c"]):
        with pytest.raises(ValueError, match=r"is not one of|is not a list"):
            read(wrong)
