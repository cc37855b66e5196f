"""The cookies of a row or a run: RFC 6265, and the Netscape file."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.factories import examples
from yarl import URL

from fetchq.core.settings import Settings, SettingsError
from fetchq.http import cookies as module
from fetchq.http.cookie_file import load_cookies, save_cookies
from fetchq.http.cookies import LONGEST, MOST_PER_DOMAIN, MOST_SENT, CookieJar

NOW = 1_800_000_000.0
AT = "http://www.example.com/a/b"


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "time", lambda: NOW)


def sent(*fields: str, to: str = AT, by: str = AT, own: str | None = None) -> str | None:
    """The Cookie header of a request to `to`, after a response from `by` has set these cookies."""
    jar = CookieJar()
    jar.store(URL(by), fields)
    return jar.header_for(URL(to), own)


@pytest.mark.parametrize(
    ("field", "to"),
    [
        ("a=1", "http://www.example.com/a/x"),
        ("a=1", "https://www.example.com:81/a"),  # neither scheme nor port counts (RFC 6265, 8.5)
        ("a=1; Path=/", "http://www.example.com/x"),
        ("a=1; path=/a", "http://www.example.com/a/x"),
        ("a=1; Path=x", "http://www.example.com/a/x"),
        ("a=1; Path=/x; Path=/", "http://www.example.com/y"),  # the last one counts (5.3)
        ("a=1; Domain=example.com", "http://example.com/a/"),
        ("a=1; DOMAIN=.Example.com", "http://x.y.example.com/a/"),
        ("a=1; Domain", "http://www.example.com/a/"),
        ("a=1; Max-Age=1", AT),
        ("a=1; Max-Age=x", AT),
        ("a=1; Max-Age=1; Expires=Thu, 01 Jan 1970 00:00:00 GMT", AT),
        ("a=1; Expires=no date", AT),
        ("a=1; Expires=Fri, 15-Jan-27 08:00:01 GMT", AT),
        (" a = 1 ; unknown=x", AT),
        ("a=1; Port=81; Version=1", AT),
    ],
)
def test_a_cookie_is_sent_where_it_is_meant_for(field: str, to: str) -> None:
    assert sent(field, to=to) == "a=1"


@pytest.mark.parametrize(
    ("field", "to"),
    [
        ("a=1", "http://www.example.com/x"),
        ("a=1", "http://www.example.com/ab"),
        ("a=1; Path=/a/b/c", AT),
        ("a=1", "http://x.www.example.com/a/b"),
        ("a=1", "http://example.com/a/b"),
        ("a=1; Domain=example.com", "http://badexample.com/a/b"),
        ("a=1; Max-Age=0", AT),
        ("a=1; Max-Age=-1", AT),
        ("a=1; Expires=Thu, 01 Jan 1970 00:00:00 GMT", AT),
        ("a=1; Expires=Sat, 01-Jan-1900 00:00:00 GMT", AT),
        ("a=1; Expires=Fri Jan 15 08:00:00 2027", AT),
        ("a", AT),
        ("=1", AT),
        ("", AT),
        ("a=\x01", AT),
        ("a=1\t2", AT),
        ("a=" + "x" * LONGEST, AT),
        ("a=b" + "; x=y" * 51, AT),
    ],
)
def test_a_cookie_is_not_sent_elsewhere_or_later_and_what_is_none_is_ignored(field: str, to: str) -> None:
    assert sent(field, to=to) is None


def test_a_cookie_for_tls_alone_is_set_replaced_and_sent_over_tls_alone() -> None:
    plain, secure = URL(AT), URL(AT).with_scheme("https")
    assert sent("a=1; Secure", by=str(secure), to=str(secure)) == "a=1"
    assert sent("a=1; Secure", by=str(secure), to=str(plain)) is None
    assert sent("a=1; Secure", by=str(plain), to=str(secure)) is None
    jar = CookieJar()
    jar.store(secure, ["a=1; Secure; Domain=example.com", "b=1"])
    jar.store(plain, ["a=2", "a=2; Domain=example.com", "b=2", "a=; Max-Age=0; Domain=example.com"])
    assert jar.header_for(secure, None) == "b=2; a=1"
    jar.store(secure, ["a=3; Secure; Domain=example.com"])
    assert jar.header_for(secure, None) == "b=2; a=3"


@pytest.mark.parametrize(
    ("by", "domain"),
    [
        ("http://www.example.com/", "other.com"),
        ("http://www.example.com/", "x.www.example.com"),
        ("http://www.example.com/", "com"),
        ("http://www.example.com/", "ww.example.com"),
        ("http://www.example.co.uk/", "co.uk"),
        ("http://www.example.com./", "com."),
        ("http://www.example.co.uk./", "co.uk."),
        ("http://127.0.0.1/", "0.0.1"),
        ("http://127.0.0.1/", "1"),
        ("http://x.localhost/", "localhost"),
    ],
)
def test_a_domain_that_is_not_the_servers_own_is_refused(by: str, domain: str) -> None:
    jar = CookieJar()
    jar.store(URL(by), [f"a=1; Domain={domain}; Path=/"])
    assert list(jar) == []


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "[::1]", "com"])
def test_a_host_that_has_no_subdomains_may_name_itself(host: str) -> None:
    assert sent(f"a=1; Domain={host.strip('[]')}", to=f"http://{host}/", by=f"http://{host}/") == "a=1"
    jar = CookieJar()
    jar.store(URL(f"http://{host}/"), [f"a=1; Domain={host.strip('[]')}"])
    assert [one.host_only for one in jar] == [True]


def test_a_server_cannot_delete_the_cookie_of_another_one() -> None:
    jar = CookieJar()
    jar.store(URL("http://a.example.com/"), ["s=1"])
    for domain in ("a.example.com", "example.com"):
        jar.store(URL("http://b.example.com/"), [f"s=; Domain={domain}; Max-Age=0"])
    assert jar.header_for(URL("http://a.example.com/"), None) == "s=1"


def test_longer_paths_come_first_then_older_cookies_and_a_new_value_keeps_its_place() -> None:
    fields = ("a=1; Path=/", "b=2; Path=/a/b", "c=3; Path=/", "a=4; Path=/", "b=5; Path=/a")
    assert sent(*fields) == "b=2; b=5; a=4; c=3"


def test_of_the_users_cookies_and_the_jars_with_one_name_the_jars_is_sent() -> None:
    assert sent("a=1; Path=/", "b=2; Path=/", own="b=0; x=y;; z") == "x=y; z; a=1; b=2"
    assert sent(own="b=0; x") == "b=0; x"


def test_a_request_carries_no_more_cookies_than_servers_take() -> None:
    jar = CookieJar()
    url = URL("http://example.org/deep/")
    jar.store(url, [f"short{number}={'v' * 4000}; Path=/" for number in range(60)])
    jar.store(url, ["first=1; Path=/deep"])
    header = jar.header_for(url, "own=x")
    assert header is not None
    assert [pair.partition("=")[0] for pair in header.split("; ")] == ["own", "first", *(f"short{n}" for n in range(4))]
    assert len(header) < MOST_SENT


def test_of_too_many_cookies_of_a_domain_the_oldest_are_forgotten() -> None:
    jar = CookieJar()
    jar.store(URL(AT), [f"c{at}=1" for at in range(MOST_PER_DOMAIN + 2)])
    assert [one.name for one in jar][:2] == ["c2", "c3"]


def test_of_too_many_domains_the_first_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_DOMAINS", 2)
    jar = CookieJar()
    for host in ("a", "b", "c"):
        jar.store(URL(f"http://{host}/"), ["x=1"])
    assert [one.domain for one in jar] == ["b", "c"]


def test_of_too_many_bytes_the_first_domains_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_BYTES", 20_000)
    jar = CookieJar()
    for number in range(20):
        jar.store(URL(f"http://host{number:02d}/"), [f"x={'v' * 4000}", f"y={'v' * 3000}", "x=short"])
    assert [one.name for one in jar if one.domain == "host19"] == ["x", "y"]
    assert sum(len(one.value) for one in jar) <= 20_000
    assert jar._bytes == sum(module._bytes_of(one) for one in jar)


def test_a_path_that_is_too_long_does_not_count() -> None:
    jar = CookieJar()
    jar.store(URL(AT), [f"a=1; Path=/{'p' * 1024}"])
    assert ["p" * 1024 in one.path for one in jar] == [False]


@examples(200)
@given(st.lists(st.text(st.sampled_from('a=1;, \t"PathDominMx-AgeSrEps/.:0x\x00\x7fé\udce9')), max_size=4))
def test_no_set_cookie_is_too_strange(fields: list[str]) -> None:
    header = sent(*fields)
    assert header is None or (header and not set(header) & set("\r\n\x00\x7f\t"))


# --- the file ---

CURL = """# Netscape HTTP Cookie File
# https://curl.se/docs/http-cookies.html
# This file was generated by libcurl! Edit at your own risk.

#HttpOnly_.example.com\tTRUE\t/\tTRUE\t1900000000\tid\tx=y
127.0.0.1\tFALSE\t/a\tFALSE\t0\tsession\t
example.com\tFALSE\t/\tFALSE\t1700000000\told\t1
"""


def test_a_file_of_curl_is_read_and_written_again(tmp_path: Path) -> None:
    path = tmp_path / "jar"
    path.write_text(CURL)
    path.chmod(0o640)
    jar = load_cookies(str(path))
    assert jar.header_for(URL("https://www.example.com/"), None) == "id=x=y"
    assert jar.header_for(URL("http://127.0.0.1:81/a/b"), None) == "session="
    save_cookies(str(path), jar)
    lines = path.read_text().splitlines()
    assert [line for line in lines if line and not line.startswith("# ")] == CURL.splitlines()[5:3:-1]
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


def test_the_port_that_wget_adds_to_a_host_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "jar"
    path.write_text("127.0.0.1:8001\tFALSE\t/\tFALSE\t0\ta\t1\n::1\tFALSE\t/\tFALSE\t0\tb\t2\n")
    jar = load_cookies(str(path))
    assert jar.header_for(URL("http://127.0.0.1:8001/"), None) == "a=1"
    assert jar.header_for(URL("http://[::1]/"), None) == "b=2"


def test_a_new_file_is_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "jar"
    jar = load_cookies(str(path))
    jar.store(URL("http://h/"), ["a=\udce9"])
    save_cookies(str(path), jar)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert load_cookies(str(path)).header_for(URL("http://h/"), None) == "a=\udce9"
    assert path.read_bytes().startswith(b"# Netscape HTTP Cookie File\n")


@pytest.mark.parametrize(
    "line",
    [
        "<html>",
        "a=SECRET; b=2",
        "h\tFALSE\t/\tFALSE\t0",
        "h\tFALSE\t/\tFALSE\t0\ta\tSECRET\tx",
        "h\tno\t/\tFALSE\t0\ta\tSECRET",
        "h\tFALSE\t/\tFALSE\tnever\ta\tSECRET",
        "\tFALSE\t/\tFALSE\t0\ta\tSECRET",
        "h\tFALSE\t/\tFALSE\t0\ta\tSECRET\x1b",
    ],
)
def test_a_file_that_is_none_is_refused_by_the_number_of_its_line(tmp_path: Path, line: str) -> None:
    path = tmp_path / "jar"
    path.write_text("# a\n\n" + line)
    with pytest.raises(SettingsError) as caught:
        load_cookies(str(path))
    assert str(caught.value).startswith(f"cookie_jar: {str(path)!r} is not a Netscape cookie file: line 3 ")
    assert "SECRET" not in str(caught.value)


def test_a_folder_and_a_file_in_no_folder_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"cookie_jar: .* is a folder"):
        Settings(cookie_jar=str(tmp_path))
    with pytest.raises(SettingsError, match=r"cookie_jar: .*cannot be"):
        load_cookies(str(tmp_path / "none" / "jar"))


def test_a_pipe_is_not_read_since_it_might_never_end(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert list(load_cookies(str(tmp_path / "pipe"))) == []
