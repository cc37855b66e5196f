"""What each hop sends: the first one, and those that redirects lead to."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.factories import ACTIVE, examples, make_plan

from fetchq.core.model import Cause, Request
from fetchq.core.settings import Settings
from fetchq.http import redirects, url
from fetchq.http.content_coding import ACCEPT_ENCODING
from fetchq.http.hop import Hop
from fetchq.http.hops import DEFAULT_HEADERS
from fetchq.http.redirects import REDIRECTS
from fetchq.http.url import Refused, basic_auth, parse_url

FORM = "application/x-www-form-urlencoded"


def first(url: str = "http://h/a/b?c", *, settings: dict[str, Any] | None = None, **request: Any) -> Hop:
    return make_plan(Settings(**(settings or {}))).first(Request(url, **request), parse_url(url))


def follow(hop: Hop, *locations: str, status: int = 302, **settings: Any) -> Hop:
    return make_plan(Settings(**settings)).next(hop, status, list(locations))


def leads_to(location: str, base: str = "http://h/a/b?c") -> str:
    return str(follow(first(base), location).url)


def refused(*locations: str, base: str = "http://h/a/b?c") -> Refused:
    with pytest.raises(Refused) as caught:
        follow(first(base), *locations)
    return caught.value


def raw(location: bytes) -> str:
    """A header value as the HTTP libraries hand it over."""
    return location.decode("utf-8", "surrogateescape")


# --- the first hop ---


def test_the_default_headers_say_who_asks_and_what_can_be_decoded() -> None:
    assert DEFAULT_HEADERS["User-Agent"].startswith("fetchq/")
    assert DEFAULT_HEADERS["Accept-Encoding"] == ACCEPT_ENCODING
    assert first() == Hop(parse_url("http://h/a/b?c"), "GET", {}, None)


@pytest.mark.parametrize(
    ("settings", "request_fields", "method"),
    [
        ({}, {}, "GET"),
        ({"data": "x"}, {}, "POST"),
        ({}, {"body": b"x"}, "POST"),
        ({}, {"body": b""}, "POST"),
        ({"method": "HEAD"}, {}, "HEAD"),
        ({"method": "PUT", "data": "x"}, {}, "PUT"),
        ({"method": "PUT"}, {"method": "DELETE"}, "DELETE"),
        ({"data": "x"}, {"method": "GET"}, "GET"),
    ],
)
def test_the_method_is_the_rows_else_the_runs_else_that_which_suits_the_body(
    settings: dict[str, Any], request_fields: dict[str, Any], method: str
) -> None:
    assert first(settings=settings, **request_fields).method == method


def test_the_body_is_the_rows_else_the_runs() -> None:
    assert first().body is None
    assert first(settings={"data": "run"}).body == b"run"
    assert first(settings={"data": "run"}, body=b"row").body == b"row"
    assert first(settings={"data": "run"}, body=b"").body == b""


def test_a_body_is_a_form_unless_the_user_says_what_it_is() -> None:
    assert first(body=b"x").headers == {"Content-Type": FORM}
    assert first(body=b"x", headers=(("content-type", "text/x"),)).headers == {"content-type": "text/x"}
    assert first(body=b"x", settings={"headers": ["CONTENT-TYPE: a/b"]}).headers == {"CONTENT-TYPE": "a/b"}


def test_the_settings_become_headers() -> None:
    settings = {"user": "me:pa:ss", "cookie": "a=1; b=2", "user_agent": "me/1", "headers": ["X: y"]}
    assert first(settings=settings).headers == {
        "User-Agent": "me/1",
        "Authorization": basic_auth("me", "pa:ss"),
        "Cookie": "a=1; b=2",
        "X": "y",
    }


def test_a_header_of_the_user_replaces_what_an_option_sets_whatever_its_case() -> None:
    settings = {"user": "me:pass", "user_agent": "me/1", "headers": ["authorization: Bearer x", "USER-AGENT: you"]}
    assert first(settings=settings).headers == {"authorization": "Bearer x", "USER-AGENT": "you"}


def test_a_header_of_the_row_replaces_the_runs_whatever_its_case() -> None:
    settings = {"headers": ["A: run", "B: run"]}
    assert first(settings=settings, headers=(("a", "row"), ("C", "row"))).headers == {
        "B": "run",
        "a": "row",
        "C": "row",
    }


def test_a_header_given_twice_is_joined() -> None:
    settings = {"headers": ["Accept: a", "accept: b", "Cookie: x=1", "cookie: y=2"]}
    assert first(settings=settings).headers == {"accept": "a, b", "cookie": "x=1; y=2"}


def test_userinfo_becomes_authorization_unless_there_is_one() -> None:
    assert first("http://me:pass@h/").headers == {"Authorization": basic_auth("me", "pass")}
    assert first("http://me:pass@h/", headers=(("authorization", "x"),)).headers == {"authorization": "x"}
    assert first("http://me:pass@h/", settings={"user": "you:word"}).headers == {
        "Authorization": basic_auth("you", "word")
    }


def test_one_request_does_not_change_what_the_next_one_sends() -> None:
    plan = make_plan(Settings(headers=("A: run",)))  # type: ignore[arg-type]
    target = parse_url("http://me:pass@h/")
    plan.first(Request("http://h/", headers=(("A", "row"), ("B", "row")), body=b"x"), target)
    assert plan.first(Request("http://h/"), parse_url("http://h/")).headers == {"A": "run"}


# --- method and body of a redirect: RFC 9110, 15.4 ---

# 301 and 302 make a GET of a POST, as all user agents do; 303 makes one of all but HEAD; 307 and 308 change nothing.
BECOMES = (
    {("GET", status): "GET" for status in REDIRECTS}
    | {("HEAD", status): "HEAD" for status in REDIRECTS}
    | {
        ("POST", 301): "GET",
        ("POST", 302): "GET",
        ("POST", 303): "GET",
        ("POST", 307): "POST",
        ("POST", 308): "POST",
        ("PUT", 301): "PUT",
        ("PUT", 302): "PUT",
        ("PUT", 303): "GET",
        ("PUT", 307): "PUT",
        ("PUT", 308): "PUT",
        ("DELETE", 302): "DELETE",
        ("DELETE", 303): "GET",
    }
)


@pytest.mark.parametrize(("method", "status"), BECOMES)
def test_the_method_of_a_redirect_is_that_of_rfc_9110(method: str, status: int) -> None:
    hop = first(method=method, headers=(("X", "y"),))
    assert follow(hop, "/next", status=status) == Hop(
        parse_url("http://h/next"), BECOMES[method, status], {"X": "y"}, None
    )


@pytest.mark.parametrize(("method", "status"), [key for key in BECOMES if key[0] in ("POST", "PUT")])
def test_the_body_is_sent_on_where_the_method_stays(method: str, status: int) -> None:
    hop = first(method=method, body=b"x", headers=(("X", "y"), ("Content-Language", "de")))
    after = follow(hop, "/next", status=status)
    if BECOMES[method, status] == method:
        assert (after.body, after.headers) == (b"x", hop.headers)
        assert after.headers["Content-Type"] == FORM
    else:
        assert (after.body, after.headers) == (None, {"X": "y"})


# --- what is sent on ---

SECRETS = (
    ("Authorization", "Bearer SECRET"),
    ("Cookie", "SECRET"),
    ("Proxy-Authorization", "SECRET"),
    ("X-Api-Key", "SECRET"),
    ("Referer", "SECRET"),
)
PUBLIC = (
    ("User-Agent", "us/1"),
    ("ACCEPT", "a/b"),
    ("Accept-Language", "de"),
    ("Accept-Datetime", "Thu, 01 Jan 2026 00:00:00 GMT"),
    ("Range", "bytes=0-9"),
    ("If-None-Match", '"x"'),
    ("Cache-Control", "no-cache"),
)

OTHER_ORIGINS = [
    "https://h/",
    "http://h:81/",
    "http://other/",
    "http://sub.h/",
    "//other/",
    "http://h.:80/",
    "http://1/",
]
SAME_ORIGIN = ["/x", "x", "?y", "#z", "http://h/x", "HTTP://H:80/x", "//h:80/x", "//H"]


@pytest.mark.parametrize("location", OTHER_ORIGINS)
@pytest.mark.parametrize("status", sorted(REDIRECTS))
def test_nothing_that_may_be_a_secret_is_sent_on_to_another_origin(location: str, status: int) -> None:
    after = follow(first(headers=SECRETS), location, status=status)
    assert after.headers == {}


@pytest.mark.parametrize("location", OTHER_ORIGINS)
@pytest.mark.parametrize("status", sorted(REDIRECTS))
def test_what_cannot_be_a_secret_is_sent_on_to_another_origin(location: str, status: int) -> None:
    after = follow(first(headers=(*SECRETS, *PUBLIC)), location, status=status)
    assert after.headers == dict(PUBLIC)


@pytest.mark.parametrize("location", OTHER_ORIGINS)
def test_everything_is_sent_on_to_another_origin_that_is_trusted(location: str) -> None:
    after = follow(
        first("http://me:pass@h/", headers=(("Cookie", "a=1"), ("X-Key", "x"))), location, location_trusted=True
    )
    assert after.headers == {"Authorization": basic_auth("me", "pass"), "Cookie": "a=1", "X-Key": "x"}


def test_nothing_that_may_be_a_secret_is_sent_on_from_https_to_http_even_to_an_origin_that_is_trusted() -> None:
    hop = first("https://me:pass@h/", headers=(*SECRETS, *PUBLIC))
    for location in ("http://h/", "http://h:443/", "http://other/"):
        assert follow(hop, location, location_trusted=True).headers == dict(PUBLIC)


@pytest.mark.parametrize("location", OTHER_ORIGINS)
def test_of_what_the_settings_set_only_the_user_agent_is_sent_on_to_another_origin(location: str) -> None:
    settings = {"user": "me:SECRET", "cookie": "SECRET", "user_agent": "us/1", "headers": ["X: SECRET"]}
    plan = make_plan(Settings(**settings))  # type: ignore[arg-type]
    hop = plan.first(Request("http://h/"), parse_url("http://h/"))
    assert "SECRET" in str(hop.headers)
    assert plan.next(hop, 302, [location]).headers == {"User-Agent": "us/1"}


@pytest.mark.parametrize("location", SAME_ORIGIN)
def test_everything_is_sent_on_to_the_same_origin(location: str) -> None:
    assert follow(first("http://me:pass@h/"), location).headers == {"Authorization": basic_auth("me", "pass")}
    assert follow(first(headers=SECRETS), location).headers == dict(SECRETS)


@pytest.mark.parametrize("status", [307, 308])
def test_a_body_goes_to_another_origin_with_the_headers_that_say_what_it_is(status: int) -> None:
    described = (("content-TYPE", "a/b"), ("Content-Language", "de"), ("Content-Encoding", "gzip"))
    hop = first(body=b"x", headers=(*SECRETS, *described, ("Content-Secret", "SECRET")))
    after = follow(hop, "http://other/", status=status)
    assert (after.method, after.body, after.headers) == ("POST", b"x", dict(described))


def test_what_was_dropped_on_the_way_does_not_come_back() -> None:
    hop = follow(follow(first(headers=SECRETS), "http://other/"), "http://h/")
    assert hop.headers == {}


@pytest.mark.parametrize("location", ["http://you:word@h/x", "http://you:word@other/x", "//you:word@h"])
def test_userinfo_in_a_location_is_used_for_the_hop_it_is_in(location: str) -> None:
    after = follow(first(), location)
    assert after.headers == {"Authorization": basic_auth("you", "word")}
    assert "word" not in after.target.text
    assert "word" not in str(after.url)


@pytest.mark.parametrize("name", ["Authorization", "authorization", "AUTHORIZATION"])
def test_userinfo_in_a_location_replaces_the_authorization_that_was_sent_before(name: str) -> None:
    after = follow(first(headers=((name, "Bearer SECRET"),)), "http://you:word@h/x")
    assert list(after.headers.values()) == [basic_auth("you", "word")]


# --- where a Location leads ---


@pytest.mark.parametrize(
    ("location", "url"),
    [
        ("http://other/x", "http://other/x"),
        ("HTTPS://Other:8443/x", "https://other:8443/x"),
        ("/x", "http://h/x"),
        ("x", "http://h/a/x"),
        ("./x", "http://h/a/x"),
        ("../x", "http://h/x"),
        ("../../../x", "http://h/x"),
        ("?q", "http://h/a/b?q"),
        ("#f", "http://h/a/b?c"),
        ("x#f", "http://h/a/x"),
        (";p", "http://h/a/;p"),
        ("//other", "http://other"),
        ("//other/x?y", "http://other/x?y"),
        ("  /x\t", "http://h/x"),
        ("/a b", "http://h/a%20b"),
        ("/%2b%2B", "http://h/%2b%2B"),
        ("/x%zz", "http://h/x%25zz"),
        ("/x?u=http://h/../y", "http://h/x?u=http://h/../y"),
        ("/a//b", "http://h/a//b"),
        ("./c:d", "http://h/a/c:d"),
        ("http://127.1/", "http://127.0.0.1/"),
        ("http://bücher.example/", "http://xn--bcher-kva.example/"),
        (raw("/caf\u00e9".encode()), "http://h/caf%C3%A9"),
        (raw("/日本".encode()), "http://h/%E6%97%A5%E6%9C%AC"),
        (raw(b"/caf\xe9"), "http://h/caf%E9"),
        (raw(b"/%41\xe9?a=\xff&b"), "http://h/%41%E9?a=%FF&b"),
        (raw(b"http://other/\xe9"), "http://other/%E9"),
        (raw("/\u202ex\u2028".encode()), "http://h/%E2%80%AEx%E2%80%A8"),
    ],
)
def test_a_location_is_resolved_against_the_url_that_answered(location: str, url: str) -> None:
    assert leads_to(location) == url


@pytest.mark.parametrize(
    ("location", "url"),
    [("d", "http://h/a//d"), ("d//e", "http://h/a//d//e"), ("../d", "http://h/a/d"), ("?q", "http://h/a//b?q")],
)
def test_empty_segments_of_a_path_are_kept(location: str, url: str) -> None:
    assert leads_to(location, base="http://h/a//b") == url  # RFC 3986, 5.2.3: the path up to its last slash


RFC_3986 = [
    *[("g", "/b/c/g"), ("./g", "/b/c/g"), ("g/", "/b/c/g/"), ("/g", "/g"), ("?y", "/b/c/d;p?y"), ("g?y", "/b/c/g?y")],
    *[("#s", "/b/c/d;p?q"), ("g#s", "/b/c/g"), ("g?y#s", "/b/c/g?y"), (";x", "/b/c/;x"), ("g;x", "/b/c/g;x")],
    *[
        (".", "/b/c/"),
        ("./", "/b/c/"),
        ("..", "/b/"),
        ("../", "/b/"),
        ("../g", "/b/g"),
        ("../..", "/"),
        ("../../g", "/g"),
    ],
    *[("../../../g", "/g"), ("/./g", "/g"), ("/../g", "/g"), ("g.", "/b/c/g."), (".g", "/b/c/.g"), ("g..", "/b/c/g..")],
    *[("./../g", "/b/g"), ("./g/.", "/b/c/g/"), ("g/./h", "/b/c/g/h"), ("g/../h", "/b/c/h"), ("g;x=1/../y", "/b/c/y")],
    *[("g?y/./x", "/b/c/g?y/./x"), ("g?y/../x", "/b/c/g?y/../x")],
]


@pytest.mark.parametrize(("location", "rest"), RFC_3986)
def test_a_location_is_resolved_as_in_the_examples_of_rfc_3986(location: str, rest: str) -> None:
    assert leads_to(location, base="http://a/b/c/d;p?q") == "http://a" + rest


# --- Locations that lead nowhere ---


@pytest.mark.parametrize(
    ("locations", "message"),
    [
        (["/a", "/b"], "several Locations"),
        (["/a", "/b", "/a"], "several Locations"),
        (["http://"], "malformed Location"),
        (["http:///"], "malformed Location"),
        (["http://\\\\"], "malformed Location"),
        (["http://h:0/"], "malformed Location"),
        (["http://h:99999/"], "malformed Location"),
        (["http://[::1/"], "malformed Location"),
        (["//[::1"], "malformed Location"),
        (["http://a..b/"], "malformed Location"),
        (["http://a b/"], "malformed Location"),
        (["https:"], "malformed Location"),
        (["example.org:80/x"], "malformed Location"),
        (["/a\x00b"], "control character"),
        (["/\x01/"], "control character"),
        (["/\x1b[31m"], "control character"),
        (["/\x7f"], "control character"),
        ([raw("/\x85".encode())], "malformed Location"),
    ],
)
def test_a_location_that_leads_nowhere_is_a_redirect_failure(locations: list[str], message: str) -> None:
    found = refused(*locations)
    assert found.cause is Cause.REDIRECT
    assert message in found.message


@pytest.mark.parametrize(
    "location",
    ["http://[]@", "http://h:99999/x", "//a..b/", "ftp://h/x", "/\x01x", "http://u:p@exa mple/", "HTTP:\\\\[/"],
)
def test_a_location_that_is_refused_is_shown_without_its_password(location: str) -> None:
    message = refused(location).message
    assert message.endswith(": " + location.replace("u:p", "***").replace("[]@", "***@"))


def test_of_a_long_location_that_is_refused_the_beginning_is_shown() -> None:
    assert refused("http://h:0/" + "x" * 10_000).message.endswith("http://h:0/" + "x" * 189)


@pytest.mark.parametrize("location", ["http://u:secret" + "x" * 17_000 + "@h/", "/" + '"' * 17_000, "\\" * 17_000])
def test_a_location_that_is_too_long_is_not_read_at_all(location: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(redirects, "parse_url")
    assert refused(location).message == "a redirect with a Location of more than 16384 characters"


@pytest.mark.parametrize("letter", ["a", "\u00fc", "%61", "%C3%BC"])
def test_a_host_that_is_too_long_is_not_encoded(letter: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("domain_to_ascii", "unquote"):
        monkeypatch.delattr(url, name)
    assert "the host is longer than any name" in refused(f"http://{letter * (1 + 3_000 // len(letter))}/").message


# Each with the base http://h/a/b?c; the values are those of Node 20 (`new URL(location, base)`).
WHATWG = [
    ("http:///other/x", "http://other/x"),
    ("http:////other/x", "http://other/x"),
    ("https:other/x", "https://other/x"),
    ("https:/other/x", "https://other/x"),
    ("http:/other/x", "http://h/other/x"),
    ("http:x", "http://h/a/x"),
    ("http:", "http://h/a/b?c"),
    ("http:?y", "http://h/a/b?y"),
    ("http:\\\\other\\x", "http://other/x"),
    ("http:/\\other", "http://other"),
    ("\\\\other\\x?y\\z", "http://other/x?y%5Cz"),
    ("/\\other/x", "http://other/x"),
    ("///other/x", "http://other/x"),
    ("\\x\\..\\y", "http://h/y"),
    ("\x00\x1f /x\x0b ", "http://h/x"),
    ("ht\ttp://ot\r\nher/x", "http://other/x"),
    ("/a\tb", "http://h/ab"),
    ("%2e%2E/x", "http://h/x"),
    (".%2e/x?%2e", "http://h/x?%2e"),
    ("http://u:p@other\\@x/", "http://other/@x/"),
    ("", "http://h/a/b?c"),
    (" \t ", "http://h/a/b?c"),
]


@pytest.mark.parametrize(("location", "url"), WHATWG)
def test_a_location_is_read_as_the_url_standard_reads_it(location: str, url: str) -> None:
    assert leads_to(location) == url


def test_a_fragment_of_the_url_that_answered_is_no_part_of_its_path() -> None:
    assert leads_to("c", base="http://h/a/b#/x/y") == "http://h/a/c"


def test_a_location_said_twice_is_one() -> None:
    assert str(follow(first(), "/x", "/x").url) == "http://h/x"


@pytest.mark.parametrize(
    "location",
    [
        *("file:///etc/passwd", "FILE:/etc/passwd", "ftp://h/", "data:,x", "data:text/html;base64,eA==", "mailto:a@b"),
        *(
            "javascript:alert(1)",
            "JavaScript://h/%0aalert(1)",
            "ws://h/",
            "blob:http://h/x",
            "about:blank",
            "x-app:open",
        ),
    ],
)
def test_a_redirect_to_another_scheme_is_blocked(location: str) -> None:
    assert refused(location).cause is Cause.BLOCKED


@pytest.mark.parametrize("location", ["javascript:1", "data:1,x"])
def test_a_scheme_is_blocked_although_a_digit_follows_it(location: str) -> None:
    assert refused(location).cause is Cause.BLOCKED


@pytest.mark.parametrize(
    "location",
    [
        "http://user:SECRET@[::1/",
        "//user:SECRET@[::1",
        "http://user:SECRET@exa℀mple.com/",
        "//user:SECRET@exa℀mple.com/",
        "http://user:SECRET@h:99999/",
        "ftp://user:SECRET@h/",
    ],
)
def test_the_reason_why_a_location_is_refused_shows_no_password(location: str) -> None:
    assert "SECRET" not in refused(location).message


# --- rules for all Locations ---

location_text = (
    st.text()
    | st.binary(max_size=60).map(raw)
    | st.lists(
        st.sampled_from(
            [*"/?#.:@[]%\\; \t", "..", "//", "http:", "https://", "h", "é", "℀", "\udce9", "u:p@", "[::1]", "1"]
        )
    ).map("".join)
)


@examples(800)
@given(location_text, st.sampled_from(["http://h", "http://h/a/b?c", "https://[::1]:8443/x//y", "http://h/.a/%2b"]))
def test_any_location_leads_to_an_http_url_or_is_refused(location: str, base: str) -> None:
    hop = first(base, headers=SECRETS)
    try:
        after = follow(hop, location)
    except Refused as problem:
        assert problem.cause in (Cause.REDIRECT, Cause.BLOCKED)  # noqa: PT017  # both ends are right
        return
    assert after.url.scheme in ("http", "https")
    assert not ACTIVE.search(after.target.text + str(after.url))
    assert (str(after.headers).count("SECRET") > 0) <= (after.url.origin() == hop.url.origin())
