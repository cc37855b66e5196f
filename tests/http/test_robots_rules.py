"""How paths are compared with the rules of a robots.txt: as protego does it, and in few steps."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from protego import Protego
from support.factories import examples

from fetchq.http.robots_rules import MAX_STEPS, PathRules, TooManyPatterns, path_of, read_rules

pieces = [
    "a",
    "b",
    "ab",
    "/",
    "*",
    "$",
    "%2F",
    "%2f",
    "%24",
    "%2A",
    "%61",
    "=",
    "%3d",
    "?",
    "\u00e9",
    "%C3%A9",
    ".",
    "%",
]
patterns = st.lists(st.sampled_from(pieces), max_size=6).map("".join).map("/{}".format) | st.sampled_from(
    ["*", "*a", "/*/index.html", "/a/index.html", "http://h/a", "a", "/$", "/**a**b**", "/a*$"]
)
paths = st.lists(st.sampled_from([one for one in pieces if one not in ("\u00e9", "%")]), max_size=7).map("".join)


@examples(200)
@given(rules=st.lists(st.tuples(st.sampled_from(["Allow", "Disallow"]), patterns), max_size=6), path=paths)
def test_a_path_is_allowed_where_protego_allows_it(rules: list[tuple[str, str]], path: str) -> None:
    text = "User-agent: *\n" + "\n".join(f"{field}: {pattern}" for field, pattern in rules)
    url = f"http://h/{path}"
    assert read_rules(text, "us").paths.allows(path_of(url)) is Protego.parse(text).can_fetch(url, "us")


# RFC 9309, 2.2.2 and 5.2, and the page of Google to which its authors refer.
@pytest.mark.parametrize(
    ("disallowed", "path", "allowed"),
    [
        ("/", "/", False),
        ("/fish", "/fish.html", False),
        ("/fish", "/Fish.asp", True),
        ("/fish*", "/fishheads/yummy.html", False),
        ("/*.php", "/folder/filename.php?parameters", False),
        ("/*.php", "/windows.PHP", True),
        ("/*.php$", "/filename.php", False),
        ("/*.php$", "/filename.php?parameters", True),
        ("/*.php$", "/filename.php5", True),
        ("/fish*.php", "/fishheads/catfish.php?parameters", False),
        ("/a*b*c", "/aXcXb", True),
        ("/a*b*c$", "/abcXc", False),
        ("/a*bc$", "/abc", False),
        ("/a*bc*bc$", "/abc", True),
        ("/foo/bar/\u30c4", "/foo/bar/%E3%83%84", False),
        ("/foo/bar/%E3%83%84", "/foo/bar/%e3%83%84", False),
        ("/foo/bar/%62%61%7A", "/foo/bar/baz", False),
        ("/path/file-with-a-%2A.html", "/path/file-with-a-*.html", False),
        ("/path/foo-%24", "/path/foo-$", False),
        ("/%FF", "/%ff", False),
    ],
)
def test_a_pattern_matches_as_in_rfc_9309(disallowed: str, path: str, allowed: bool) -> None:
    assert PathRules([(False, disallowed)]).allows(path_of(f"http://h{path}")) is allowed


def test_the_longest_pattern_counts_and_of_two_the_one_that_allows() -> None:
    for rules, allowed in (
        ([(True, "/p"), (False, "/")], True),
        ([(True, "/folder"), (False, "/folder")], True),
        ([(True, "/page"), (False, "/*.htm")], False),
        ([(True, "/page"), (False, "/*.ph")], True),
        ([(True, "/$"), (False, "/")], False),
    ):
        assert PathRules(rules).allows("/page.htm" if rules[0][1] != "/folder" else "/folder/page") is allowed, rules


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("http://h", "/"),
        ("http://h/", "/"),
        ("http://h?", "/%3F"),
        ("https://h:81?x=/y", "/%3Fx=/y"),
        ("http://h/%zz", "/%zz"),
        ("http://h/a%2fb*%7e", "/a%2Fb%2A~"),
    ],
)
def test_the_path_of_a_url_begins_with_a_slash_and_has_its_query(url: str, path: str) -> None:
    assert path_of(url) == path


# --- steps ---

FORMS = {
    "prefixes": ("/{}", "/x"),
    "folders": ("/{}/*", "/7/x"),
    "one star": ("/*a{}b", "/" + "a" * 50),
    "ends": ("/*a{}$", "/" + "a" * 50),
    "many stars": ("/*a*a*a*a*a*a*a*a{}", "/" + "a" * 50),
    "other beginnings": ("/{}/*a", "/7/x"),
}


def steps(form: str, count: int, *, longer: int = 1) -> int:
    pattern, path = FORMS[form]
    return PathRules((False, pattern.format(number)) for number in range(count)).check(path + "x" * longer)[1]


@pytest.mark.parametrize("form", FORMS)
def test_the_steps_for_a_path_grow_no_faster_than_the_rules(form: str) -> None:
    once, twice, fourfold = (steps(form, count) for count in (200, 400, 800))
    assert twice <= 2 * once + 1
    assert fourfold <= 4 * once + 2


def test_neither_prefixes_nor_patterns_of_other_folders_cost_a_step_each() -> None:
    assert steps("prefixes", 20_000) <= 6
    assert steps("folders", 20_000) <= 6
    assert steps("other beginnings", 20_000) <= 6


@pytest.mark.parametrize("form", FORMS)
def test_the_steps_for_a_path_grow_no_faster_than_its_length(form: str) -> None:
    once, twice, fourfold = (steps(form, 20, longer=length) for length in (2_000, 4_000, 8_000))
    assert twice <= 2.1 * once
    assert fourfold <= 4.2 * once


@pytest.mark.parametrize("form", ["one star", "ends", "many stars"])
def test_a_path_that_takes_too_many_steps_is_given_up(form: str) -> None:
    rules = PathRules((False, FORMS[form][0].format(number)) for number in range(MAX_STEPS))
    with pytest.raises(TooManyPatterns):
        rules.check(FORMS[form][1])


def test_the_rules_take_less_memory_than_the_text_they_came_from() -> None:
    assert PathRules((False, f"/folder/{number}") for number in range(1000)).cost == 12_000
