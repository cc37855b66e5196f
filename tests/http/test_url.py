"""The one way from text to a URL: what it lets through can be sent, and what it cannot take it refuses."""

from __future__ import annotations

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from support.factories import any_text, examples

from fetchq.core.model import Cause
from fetchq.http.redirects import redirect_target
from fetchq.http.target import Target
from fetchq.http.url import Refused, _canonical, basic_auth, origin, parse_url

FRAGMENTS = [
    *(
        "http://",
        "https://",
        "HTTP://",
        "//",
        "ftp://",
        "file:",
        ":",
        "@",
        "/",
        "/.",
        "/..",
        "?",
        "#",
        "%",
        "%2b",
        "%zz",
    ),
    *(
        "h",
        "a.b",
        "A",
        "[::1]",
        "[::ffff:1.2.3.4]",
        "[v1.a]",
        "[",
        "]",
        "80",
        "0",
        "65536",
        "127.1",
        "0x7f",
        "1.2.3.4.5",
    ),
    *(
        "user:pw@",
        "é",
        "ß",
        "℀",
        "。",
        "\uff11",
        "xn--",
        "xn--a",
        "-",
        "_",
        "~",
        "..",
        "\\",
        "*",
        "'",
        "|",
        "^",
        "`",
        "<",
        '"',
    ),
    *("\u200d", "\u0130", "\xad", "%00", "%0a", "%C3%A9", " ", "\t", "\n", "\x00", "\x7f", "\x85", "\udcff", "{"),
]
url_like = (
    any_text
    | st.lists(st.sampled_from(FRAGMENTS), max_size=12).map("".join)
    | st.lists(st.sampled_from(FRAGMENTS), max_size=8).map(lambda parts: "http://" + "".join(parts))
    | any_text.map(lambda text: "http://h/" + text)
    | any_text.map(lambda text: "https://" + text)
)

UNRESERVED = "abcXYZ019-._~"
segment = st.lists(st.sampled_from([*UNRESERVED, *"!$&'()*+,;=:@[]", "%2b", "%2F", "%41", "%7e", "%C3%a9"])).map(
    "".join
)
visible = segment.filter(lambda text: not text.startswith("."))
legal_rest = st.builds(
    lambda segments, query: "/" + "/".join(segments) + ("" if query is None else "?" + query),
    st.lists(visible, max_size=4),
    st.none() | st.builds("/?".join, st.lists(segment, max_size=3)),
)
"""A path and a query as RFC 3986 writes them, without dot segments."""


def accepted(text: str) -> Target | None:
    try:
        return parse_url(text)
    except Refused:
        return None


def refusal(text: str) -> Refused:
    with pytest.raises(Refused) as caught:
        parse_url(text)
    return caught.value


# --- rules for all texts ---


@examples(1500)
@given(url_like)
@example("http://[]@")
@example("http://[v1.a]/")
def test_any_text_becomes_a_url_that_can_be_sent_or_is_refused(text: str) -> None:
    target = accepted(text)
    if target is None:
        refused = refusal(text)
        assert refused.cause in (Cause.INVALID_URL, Cause.BLOCKED)
        assert refused.message
        assert len(refused.message.splitlines()) == 1
        return
    url = target.url
    assert url.scheme in ("http", "https")
    assert url.raw_host
    assert 1 <= (url.port or 0) <= 65535
    assert url.raw_user is None
    assert url.raw_password is None
    assert url.raw_fragment == ""
    for written in (str(url), target.text):
        assert re.fullmatch(r"https?://[\x21-\x7e]+", written)
        assert "#" not in written
        assert "@" not in written.split("/")[2].split("?")[0]


@examples(1000)
@given(url_like)
def test_what_was_accepted_is_accepted_again_as_the_same(text: str) -> None:
    target = accepted(text)
    if target is not None:
        again = parse_url(target.text)
        assert again == Target(target.origin, target.text, target.origin_form)
        assert again.url == target.url
        assert str(parse_url(str(target.url)).url) == str(target.url)


@examples(400)
@given(st.sampled_from(["http", "https"]), st.sampled_from(["h", "example.org", "1.2.3.4", "h:8080"]), legal_rest)
def test_a_url_that_is_already_legal_is_kept_to_the_letter(scheme: str, host: str, rest: str) -> None:
    target = parse_url(f"{scheme}://{host}{rest}")
    assert target.text == f"{scheme}://{host}{rest}"
    assert target.origin_form == rest
    assert target.authorization is None


EXACT = "/a%2fb;c=%2B%2b/%7e%41?x=%3d&y=a+b"


@pytest.mark.parametrize(
    ("before", "exact", "after"),
    [
        ("http://h", EXACT, ""),
        ("HTTP://h", EXACT, ""),
        ("http://Example.org", EXACT, ""),
        ("http://user:pw@h", EXACT, ""),
        ("http://a_b", EXACT, ""),
        ("http://[::1]:80", EXACT, ""),
        ("http://127.1", EXACT, ""),
        ("http://é", EXACT, ""),
        ("http://h", EXACT, "#part"),
        ("http://h", "/.well-known" + EXACT, ""),
        ("http://h", EXACT + "&dots=/../a/./b", ""),
    ],
)
def test_path_and_query_are_kept_to_the_letter_however_the_rest_is_written(before: str, exact: str, after: str) -> None:
    assert parse_url(before + exact + after).origin_form == exact


@pytest.mark.parametrize(
    ("rest", "asked_for"),
    [
        ("", "/"),
        ("?", "/?"),
        ("?q", "/?q"),
        ("?a/b", "/?a/b"),
        ("#part?", "/"),
        ("/hello?", "/hello?"),
        ("/hello?#part", "/hello?"),
        ("/hello??", "/hello??"),
        ("/?a[]=1&b[c]=2", "/?a[]=1&b[c]=2"),
        ("/a//b/", "/a//b/"),
        ("/a/./b/..", "/a/"),
        ("/é?ü", "/%C3%A9?%C3%BC"),
    ],
)
@pytest.mark.parametrize("host", ["h", "user@H"])
def test_the_request_line_has_the_path_and_the_query_as_written_and_a_slash_at_least(
    host: str, rest: str, asked_for: str
) -> None:
    target = parse_url(f"http://{host}{rest}")
    assert target.origin_form == asked_for
    assert parse_url(target.text).origin_form == asked_for


# --- what becomes of a URL ---


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("http://h", "http://h"),
        ("http://h?q", "http://h/?q"),
        ("http://H?q", "http://h/?q"),
        ("HTTPS://Example.ORG/Path", "https://example.org/Path"),
        ("http://h:80/", "http://h/"),
        ("https://h:00443/", "https://h/"),
        ("http://h/#frag", "http://h/"),
        ("http://h/a/./b/../c", "http://h/a/c"),
        ("http://h/a/..", "http://h/"),
        ("http://h/../../a", "http://h/a"),
        ("http://h/ä?ö=ü", "http://h/%C3%A4?%C3%B6=%C3%BC"),
        ("http://h/100%", "http://h/100%25"),
        ("http://h/%zz", "http://h/%25zz"),
        ("http://h/a|b^c", "http://h/a%7Cb%5Ec"),
        ("http://h./", "http://h./"),
        ("http://a_b.c-d/", "http://a_b.c-d/"),
        ("http://bücher.example/", "http://xn--bcher-kva.example/"),
        ("http://xn--bcher-kva.example/", "http://xn--bcher-kva.example/"),
        ("http://日本.example/", "http://xn--wgv71a.example/"),
    ],
)
def test_a_url_is_brought_into_the_form_that_is_sent(text: str, url: str) -> None:
    assert str(parse_url(text).url) == url


@pytest.mark.parametrize(
    ("host", "dialled"),
    [
        ("127.0.0.1", "127.0.0.1"),
        ("127.1", "127.0.0.1"),
        ("2130706433", "127.0.0.1"),
        ("0x7f000001", "127.0.0.1"),
        ("0x7f.1", "127.0.0.1"),
        ("0177.0.0.1", "127.0.0.1"),
        ("0", "0.0.0.0"),
        ("192.0.2.1.", "192.0.2.1"),
        ("[::1]", "::1"),
        ("[0:0:0:0:0:0:0:1]", "::1"),
        ("[2001:DB8::A]", "2001:db8::a"),
        ("[::ffff:127.0.0.1]", "::ffff:7f00:1"),
        ("\uff11\uff12\uff17.0.0.1", "127.0.0.1"),
    ],
)
def test_an_address_is_shown_as_the_one_that_is_dialled(host: str, dialled: str) -> None:
    found = parse_url(f"http://{host}/").url.host
    assert found is not None
    assert found.replace("::ffff:127.0.0.1", "::ffff:7f00:1") == dialled


@pytest.mark.parametrize(
    ("text", "header"),
    [
        ("http://user:pw@h/", basic_auth("user", "pw")),
        ("http://user@h/", basic_auth("user", "")),
        ("http://:pw@h/", basic_auth("", "pw")),
        ("http://us%3Aer:p%40w@h/", basic_auth("us:er", "p@w")),
        ("http://ü:ß@h/", basic_auth("ü", "ß")),
        ("http://user:a:b@h/", basic_auth("user", "a:b")),
        ("http://@h/", None),
        ("http://h/@", None),
    ],
)
def test_userinfo_becomes_a_header_and_leaves_the_url(text: str, header: str | None) -> None:
    target = parse_url(text)
    assert target.authorization == header
    assert "pw" not in target.text
    assert target.url.raw_host == "h"


def test_basic_authentication_is_in_utf_8() -> None:
    assert basic_auth("Aladdin", "open sesame") == "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="
    assert basic_auth("test", "123£") == "Basic dGVzdDoxMjPCow=="  # RFC 7617, 2.1


# --- what is refused ---


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no http:// or https://"),
        ("example.org", "no http:// or https://"),
        ("example.org/path", "no http:// or https://"),
        ("example.org:80/", "no http:// or https://"),
        ("localhost:8080", "no http:// or https://"),
        ("//h/path", "no http:// or https://"),
        ("/path", "no http:// or https://"),
        ("http:h", "no http:// or https://"),
        ("http:/h", "no http:// or https://"),
        ("http//h", "no http:// or https://"),
        ("http://", "host"),
        ("http:///path", "host"),
        ("http://:80/", "host"),
        ("http://user@/", "host"),
        ("http://h:0/", "port 0"),
        ("http://h:65536/", "ort"),
        ("http://h:-1/", "ort"),
        ("http://h:http/", "port"),
        ("http://[::1/", "IPv6"),
        ("http://[fe80::1%25eth0]/", "neither a name nor an address"),
        ("http://[::g]/", ""),
        ("http://[v1.example]/", ""),
        ("http://a..b/", ""),
        ("http://.a/", ""),
        ("http://" + "a" * 64 + "/", "neither a name nor an address"),
        ("http://" + ".".join(["a" * 60] * 5) + "/", "neither a name nor an address"),
        ("http://a*b/", ""),
        ("http://a%20b/", ""),
        ("http://1.2.3.4.5/", "neither a name nor an address"),
        ("http://256.1.1.1/", "neither a name nor an address"),
        ("http://0x/", ""),
        ("http://a b/", "a space"),
        (" http://h/", "a space"),
        ("http://h/a b", "a space"),
        ("http://h/\n", "U+000A"),
        ("http://h/\x00", "U+0000"),
        ("http://h/\x7f", "U+007F"),
        ("http://h/\x9b", "U+009B"),
        ("http://h/\udcff", "U+DCFF"),
    ],
)
def test_a_row_that_is_no_url_is_refused_with_its_reason(text: str, message: str) -> None:
    refused = refusal(text)
    assert refused.cause is Cause.INVALID_URL
    assert message in refused.message


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("http://h/ # seen in May", "there is a remark after the URL: '# seen in May'"),
        ("http://h/\t#\x1b", r"there is a remark after the URL: '#\x1b'"),
        ("http://h/ # " + "x" * 200, f"there is a remark after the URL: '# {'x' * 78}'"),
        ("http://h/a http://h/b", "there are several URLs, and each needs a line of its own"),
        ("http://h/a,\thttps://h/b", "there are several URLs, and each needs a line of its own"),
        ('"http://h/",', "there is '\"' before the URL"),
        ("<http://h/>", "there is '<' before the URL"),
        ("- http://h/", "there is '- ' before the URL"),
        ("[h](http://h/)", "there is text before the URL"),
        ('<a href="http://h/">', "there is text before the URL"),
        ("http://h/ label", "the URL contains a space"),
        ("http://user:SECRET #1@h/", "the URL contains a space"),
        ("http://user:SE CRET@h/", "the URL contains a space"),
        ("SECRET http://h/", "there is text before the URL"),
        ("?@http://h/", "there is text before the URL"),
    ],
)
def test_the_reason_names_what_stands_beside_the_url_in_a_line(text: str, message: str) -> None:
    assert refusal(text).message == message


@pytest.mark.parametrize(
    ("text", "scheme"),
    [
        ("ftp://h/", "ftp"),
        ("FILE:///etc/passwd", "file"),
        ("file:/etc/passwd", "file"),
        ("data:,hello", "data"),
        ("data:text/html;base64,AAAA", "data"),
        ("javascript:alert(1)", "javascript"),
        ("mailto:a@b", "mailto"),
        ("ws://h/", "ws"),
        ("view-source:http://h/", "view-source"),
        ("git+ssh://h/", "git+ssh"),
    ],
)
def test_another_scheme_is_blocked(text: str, scheme: str) -> None:
    refused = refusal(text)
    assert refused.cause is Cause.BLOCKED
    assert refused.message == f"the scheme {scheme}: is not allowed"


@pytest.mark.parametrize(
    "text",
    [
        "http://user:SECRET@h:99999/",
        "http://user:SECRET@h:port/",
        "http://user:SECRET@[::1/",
        "http://user:SECRET@a..b/",
        "http://user:SECRET@/",
        "http://user:SECRET@exa℀mple.com/",
        "http://user:SECRET@" + "é" * 99 + "/",
        "http://user:SECRET\n@h/",
        "http://user:SECRET\\@h/",
    ],
)
def test_the_reason_of_a_refusal_shows_no_password(text: str) -> None:
    assert "SECRET" not in refusal(text).message


# --- origins ---


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("http://h/a", "http://h/b?c", True),
        ("http://h", "http://h:80/", True),
        ("https://h/", "https://H:443/", True),
        ("http://h/", "https://h/", False),
        ("http://h/", "http://h:81/", False),
        ("http://h/", "http://sub.h/", False),
        ("http://127.1/", "http://127.0.0.1/", True),
        ("http://user@h/", "http://h/", True),
    ],
)
def test_an_origin_is_scheme_host_and_port(one: str, other: str, same: bool) -> None:
    assert (origin(parse_url(one).url) == origin(parse_url(other).url)) is same


# --- what is kept ----------------------------------------------------------------------------------------------------


def test_a_name_that_is_too_long_is_refused_and_not_kept() -> None:
    _canonical.cache_clear()
    for host in ("a." * 128 + "b", "x" * 60_000, "1" * 60_000):
        with pytest.raises(Refused):
            parse_url(f"http://{host}/")
    assert _canonical.cache_info().currsize == 0
    assert parse_url("http://" + "a." * 126 + "b./").url.raw_host == "a." * 126 + "b."


@pytest.mark.parametrize("text", ["me:s3cret@host/", "me://s3cret@host/", "me+x:s3cret@host"])
def test_no_error_takes_the_user_of_a_url_for_its_scheme_and_shows_it(text: str) -> None:
    with pytest.raises(Refused) as refused:
        parse_url(text)
    assert refused.value.message == "another scheme than http is not allowed"
    with pytest.raises(Refused) as refused:
        redirect_target("http://host/", [text])
    assert "me" not in refused.value.message.partition("scheme")[2]
