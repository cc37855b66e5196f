"""What a robots.txt comes to, by the answer that brought it, and how much of all of them is remembered."""

from __future__ import annotations

from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st
from protego import Protego
from support.factories import examples

from fetchq.core.model import Cause
from fetchq.core.settings import Settings
from fetchq.http import robots_txt as robots
from fetchq.http.robots_txt import MAX_SIZE, RobotsCache, Rules, agent_of, request_for, rules_of, settings_for

HOST = "http://h"


class Body(NamedTuple):
    content: bytes = b""


class Answer(NamedTuple):
    cause: Cause | None = None
    status: int | None = 200
    body: Body = Body()
    error: str | None = None


def failed(cause: Cause = Cause.STATUS, status: int | None = None) -> Answer:
    return Answer(cause, status, error="that is why")


def allows(text: str | bytes, path: str = "/x", agent: str = "fetchq") -> bool:
    body = text.encode() if isinstance(text, str) else text
    return rules_of(Answer(body=Body(body)), agent).refusal(HOST, HOST + path) is None


# --- the answer ---


@pytest.mark.parametrize(
    "answer",
    [
        *(failed(status=status) for status in (300, 304, 400, 401, 403, 404, 410, 451, 499)),
        failed(Cause.REDIRECT, 302),
        failed(Cause.BLOCKED, 302),
        Answer(body=Body(b"")),
        Answer(status=204),
    ],
)
def test_where_there_is_no_robots_txt_all_is_allowed(answer: Answer) -> None:
    assert rules_of(answer, "fetchq").refusal(HOST, HOST + "/x") is None


@pytest.mark.parametrize(
    "answer",
    [
        *(failed(status=status) for status in (429, 500, 502, 503, 504, 599, 700)),
        *(
            failed(cause)
            for cause in Cause
            if cause not in (Cause.STATUS, Cause.REDIRECT, Cause.BLOCKED, Cause.INVALID_URL)
        ),
    ],
)
def test_where_it_cannot_be_had_nothing_is_allowed_and_the_reason_is_told(answer: Answer) -> None:
    refused = rules_of(answer, "fetchq").refusal(HOST, HOST + "/x")
    assert refused is not None
    assert refused.cause is Cause.BLOCKED
    assert refused.message == "robots.txt of http://h cannot be had, which disallows everything: that is why"


# --- the rules ---


@pytest.mark.parametrize(
    ("text", "path", "allowed"),
    [
        ("User-agent: *\nDisallow: /", "/", False),
        ("User-agent: *\nDisallow: /", "/robots.txt", True),
        ("User-agent: *\nDisallow:", "/x", True),
        ("User-agent: *\nDisallow: /a\nAllow: /a/b", "/a/b/c", True),
        ("User-agent: *\nDisallow: /a\nAllow: /a/b", "/a/c", False),
        ("User-agent: *\nDisallow: /*.gif$", "/x.gif", False),
        ("User-agent: *\nDisallow: /*.gif$", "/x.gif?y", True),
        ("User-agent: *\nDisallow: /?q=", "/?q=1", False),
        ("User-agent: *\nDisallow: /a%3cd", "/a%3Cd", False),
        ("User-agent: *\r\nDisallow: /x\r\n", "/x", False),
        ("\ufeffUser-agent: *\nDisallow: /x", "/x", False),
        # A group of our own counts, and that for everybody then does not; several of ours count as one.
        ("User-agent: fetchq\nDisallow: /a\nUser-agent: *\nDisallow: /", "/x", True),
        ("User-agent: *\nDisallow: /\nUser-agent: FetchQ\nDisallow: /a", "/x", True),
        ("User-agent: fetchq\nDisallow: /a\nUser-agent: z\nDisallow: /\nUser-agent: fetchq\nDisallow: /b", "/b", False),
        ("User-agent: other\nUser-agent: fetchq\nDisallow: /x", "/x", False),
        ("User-agent: fetchq\nUser-agent: other\nDisallow: /x", "/x", False),
        ("User-agent: fetchq # us\n\n# and them\nSitemap: http://h/s\nUser-agent: other\nDisallow: /x", "/x", False),
        ("User-agent: fetchq\nAllow: /y\nUser-agent: other\nDisallow: /x", "/x", True),
        ("User-agent: fetchq/1.0\nDisallow: /x", "/x", False),
        # The whole word is meant.
        ("User-agent: fetch\nDisallow: /x", "/x", True),
        ("User-agent: fetchq-images\nDisallow: /x", "/x", True),
        ("User-agent: us\nDisallow: /x", "/x", True),
        ("User-agent:\nDisallow: /x", "/x", True),
        ("Disallow: /x", "/x", True),
        # What is no robots.txt.
        ("<!DOCTYPE html><html>Disallow: /", "/x", True),
        ("\0\1\2" * 1000, "/x", True),
    ],
)
def test_the_rules_are_those_of_rfc_9309(text: str, path: str, allowed: bool) -> None:
    assert allows(text, path) is allowed


def test_bytes_that_are_not_utf_8_do_no_harm_to_the_rest() -> None:
    assert not allows(b"User-agent: *\nDisallow: /\xff\xfe\nDisallow: /x")


def test_what_comes_after_500_kib_does_not_count_nor_does_half_a_line() -> None:
    start = b"User-agent: *\nDisallow: /x\n"
    filler = b"#" * (MAX_SIZE - len(start) - 12) + b"\n"
    assert allows(start + filler + b"Disallow: /public/private", "/public")
    assert not allows(start + filler + b"Disallow: /public/private", "/x")


def test_of_many_agents_with_many_rules_only_ours_cost_anything() -> None:
    agents = "\n".join(f"User-agent: a{number}" for number in range(10_000))
    rules = "\n".join(f"Disallow: /{number}" for number in range(10_000))
    found = rules_of(Answer(body=Body(f"{agents}\n{rules}\nUser-agent: fetchq\nDisallow: /x".encode())), "fetchq")
    assert found.cost == robots._MIN_COST
    assert found.refusal(HOST, f"{HOST}/x") is not None


def test_a_url_that_would_have_to_be_compared_with_too_many_patterns_is_not_asked_for() -> None:
    text = "User-agent: *\n" + "".join(f"Disallow: /*a{number}b\n" for number in range(20_000))
    refused = Rules(text).refusal(HOST, HOST + "/x")
    assert refused is not None
    assert refused.message == "robots.txt of http://h has too many patterns to compare this URL with"
    assert Rules(text).refusal(HOST, HOST + "/robots.txt") is None


names = st.sampled_from(["*", "fetchq", "other", "third"])
lines = st.one_of(
    names.map("User-agent: {}".format),
    names.map("user agent:{} # who".format),
    st.sampled_from("abc").map("Disallow: /{}".format),
    st.sampled_from("abc").map("Allow: /{}".format),
    st.sampled_from(["", "# a note", "Sitemap: http://h/s", "Crawl-delay: 3"]),
)


@examples(300)
@given(text=st.lists(lines, max_size=12).map("\n".join))
def test_leaving_out_what_is_meant_for_others_changes_nothing(text: str) -> None:
    whole = Protego.parse(text)
    rules = rules_of(Answer(body=Body(text.encode())), "fetchq")
    for path in ("/a", "/b", "/c"):
        assert (rules.refusal(HOST, HOST + path) is None) is whole.can_fetch(HOST + path, "fetchq")
    assert rules.interval == (whole.crawl_delay("fetchq") or 0.0)


@examples(200)
@given(body=st.binary(max_size=300) | st.text().map(str.encode))
def test_no_robots_txt_is_a_bug_of_ours(body: bytes) -> None:
    rules_of(Answer(body=Body(body)), "fetchq").refusal(HOST, HOST + "/x")


# --- who asks, and how ---


@pytest.mark.parametrize(
    ("options", "agent"),
    [
        ({}, "fetchq"),
        ({"user_agent": "Us/1.0 (+https://example.org)"}, "us"),
        ({"user_agent": "us-2 bot"}, "us-2"),
        ({"user_agent": ""}, ""),
        ({"user_agent": "us", "headers": ["user-agent: Them/2"]}, "them"),
    ],
)
def test_the_agent_is_the_product_token_of_the_user_agent_that_is_sent(options: dict[str, object], agent: str) -> None:
    assert agent_of(Settings(**options)) == agent  # type: ignore[arg-type]


def test_without_a_product_token_the_rules_for_everybody_hold() -> None:
    assert not allows("User-agent: *\nDisallow: /x", agent="")
    assert allows("User-agent:\nDisallow: /x\nUser-agent: /\nDisallow: /x", agent="")


def test_nothing_that_is_meant_for_the_rows_is_sent_with_it() -> None:
    given = Settings(
        method="PUT",
        headers=["X-Key: secret", "User-Agent: us"],  # type: ignore[arg-type]
        data=b"secret",
        user="a:secret",
        cookie="secret",
        trust_env=True,
        max_filesize=10,
        max_redirects=0,
        accept=[404],  # type: ignore[arg-type]
        timeout=7.0,
    )
    own = settings_for(given)
    assert own.headers == (("User-Agent", "us"),)
    assert (own.method, own.data, own.user, own.cookie, own.trust_env) == (None, None, None, None, False)
    assert own.max_redirects == 5
    assert own.max_filesize > MAX_SIZE
    assert 404 not in own.accept
    assert own.timeout == 7.0


@pytest.mark.parametrize("host", ["http://h", "https://h:81", "http://[::1]:80"])
def test_a_robots_txt_lies_at_the_root_of_its_host(host: str) -> None:
    request = request_for(host)
    assert request is not None
    assert request.url == f"{host}/robots.txt"


@pytest.mark.parametrize("host", ["ftp://h", "mailto:me", "http://", "http://a b", "http://h:99999", "nonsense"])
def test_what_is_no_host_of_http_has_none(host: str) -> None:
    assert request_for(host) is None


# --- the cache ---


@pytest.mark.parametrize(
    ("delay", "host_interval", "longest", "interval"),
    [
        ("3", 0, 120, 3),
        ("3", 5, 120, 5),
        ("1000", 0, 120, 120),
        ("1000", 300, 120, 300),
        ("soon", 1, 120, 1),
        ("-1", 0, 9, 0),
    ],
)
def test_crawl_delay_raises_the_interval_up_to_what_the_run_obeys(
    delay: str, host_interval: float, longest: float, interval: float
) -> None:
    cache = RobotsCache(Settings(host_interval=host_interval, max_retry_after=longest))
    rules = rules_of(Answer(body=Body(f"User-agent: *\nCrawl-delay: {delay}".encode())), "fetchq")
    cache.learn(HOST, rules)
    assert rules.interval == interval


def test_a_host_that_is_not_known_refuses_nothing() -> None:
    cache = RobotsCache(Settings())
    assert cache.rules_for(HOST) is None
    assert cache.refusal(HOST, HOST + "/x") is None


def test_the_rules_that_were_used_longest_ago_go_first_when_there_are_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(robots, "_MAX_COST", 3 * robots._MIN_COST)
    cache = RobotsCache(Settings())
    for number in range(4):
        cache.learn(f"http://{number}", Rules(f"User-agent: *\nDisallow: /{number}"))
        cache.rules_for("http://0")
    assert [number for number in range(4) if cache.rules_for(f"http://{number}")] == [0, 2, 3]
    cache.learn("http://big", Rules("User-agent: *\n" + "".join(f"Disallow: /x{number}\n" for number in range(1000))))
    assert cache.refusal("http://big", "http://big/x1") is not None
    assert cache.rules_for("http://3") is None
