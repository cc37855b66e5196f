"""A row's way through redirects, against servers, in every mode: each hop, its cookies, and what travels along."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from faults.wire import Asked, Connection
from support.leaks import nothing_left
from support.servers import Script, ScriptServer, answer, by_path, ok

from fetchq import Cause, Request, Result, fetch_all_sync
from fetchq.core.redirect_hop import RedirectHop


@contextmanager
def serving(script: Script) -> Iterator[ScriptServer]:
    """A server; when it ends, nothing is left of it, and of the run that it was for."""
    with nothing_left(), ScriptServer(script) as server:
        yield server


def to(location: str, *lines: bytes, status: bytes = b"302 Found", body: bytes = b"") -> Script:
    """A script that redirects."""
    return answer(body, b"Location: " + location.encode(), *lines, status=status)


def fetch(url: str | Request, mode: str, **settings: Any) -> Result:
    (result,) = fetch_all_sync([url], mode=mode, retries=0, **settings)
    return result


# --- the hops in the record ---


def test_the_result_has_the_status_the_url_and_the_time_of_each_redirect(mode: str) -> None:
    script = by_path({"/a": to("/b?x"), "/b": to("http://me:word@{}/c", status=b"307 Temporary Redirect")})

    def play(conn: Connection, asked: Asked) -> None:
        if asked.path == "/b":
            to(f"http://me:word@{asked.header('Host')}/c", status=b"307 Temporary Redirect")(conn, asked)
        else:
            script(conn, asked)

    with serving(play) as server:
        result = fetch(f"{server.url}/a", mode)
    assert result.ok
    assert [(hop.status, hop.url) for hop in result.hops] == [(302, f"{server.url}/a"), (307, f"{server.url}/b?x")]
    assert all(hop.elapsed > 0 for hop in result.hops)
    assert sum(hop.elapsed for hop in result.hops) < result.elapsed
    assert result.to_record(["hops"])["hops"] == [
        {"status": hop.status, "url": hop.url, "elapsed": hop.elapsed} for hop in result.hops
    ]


def test_a_redirect_that_is_not_followed_is_no_hop(mode: str) -> None:
    with serving(by_path({"/a": to("/b"), "/b": to("http://[]@")})) as server:
        result = fetch(f"{server.url}/a", mode)
        assert (result.redirects, [hop.url for hop in result.hops]) == (1, [f"{server.url}/a"])
        assert fetch_all_sync([f"{server.url}/ok"], mode=mode)[0].hops == ()


def test_a_password_in_a_url_is_not_in_the_hops(mode: str) -> None:
    with serving(by_path({"/a": to("/b")})) as server:
        (hop,) = fetch(server.url.replace("//", "//me:word@") + "/a", mode).hops
    assert hop == RedirectHop(302, f"{server.url}/a", hop.elapsed)


# --- what goes on to another origin ---

SECRETS = {"Authorization": "Bearer SECRET", "Cookie": "a=SECRET", "X-Api-Key": "SECRET"}


def denied(conn: Connection, asked: Asked) -> None:
    """401 without a header Authorization, else 200."""
    answer(status=b"401 Unauthorized" if asked.header("Authorization") is None else b"200 OK")(conn, asked)


def test_what_cannot_be_a_secret_arrives_at_another_origin_and_nothing_else(mode: str) -> None:
    with nothing_left(), ScriptServer(ok) as b, ScriptServer(to(f"{b.url}/rec", status=b"303 See Other")) as a:
        headers = {"Accept": "application/x-bibtex", **SECRETS}
        result = fetch(a.url, mode, user_agent="us/1", headers=headers)
        (asked,) = b.log
        assert result.ok
        assert (asked.header("User-Agent"), asked.header("Accept")) == ("us/1", "application/x-bibtex")
        assert [asked.header(name) for name in SECRETS] == [None, None, None]
        assert [a.log[0].header(name) for name in SECRETS] == list(SECRETS.values())


def test_a_trusted_origin_gets_everything(mode: str) -> None:
    with nothing_left(), ScriptServer(denied) as b, ScriptServer(to(b.url)) as a:
        url = a.url.replace("//", "//me:word@")
        assert fetch(Request(url, headers={"X-Api-Key": "SECRET"}), mode, cookie="a=1", location_trusted=True).ok
        (asked,) = b.log
        assert (asked.header("X-Api-Key"), asked.header("Cookie")) == ("SECRET", "a=1")


def test_a_401_names_what_stayed_behind_but_not_its_value(mode: str) -> None:
    with nothing_left(), ScriptServer(denied) as b, ScriptServer(to(b.url)) as a:
        alone = fetch(a.url, mode, user="me:SECRET")
        several = fetch(a.url, mode, headers=SECRETS)
        assert fetch(b.url, mode).error == fetch(a.url, mode).error == "401 Unauthorized"
    assert alone.error == (
        f"401 Unauthorized (Authorization was not sent to {b.url}, another origin; --location-trusted sends it)"
    )
    assert several.error == (
        f"401 Unauthorized (Authorization, Cookie, X-Api-Key were not sent to {b.url}, another origin; "
        "--location-trusted sends them)"
    )


def test_back_at_the_first_origin_the_users_cookie_is_sent_again_and_a_password_is_not(mode: str) -> None:
    with nothing_left(), ScriptServer(denied) as a, ScriptServer(to(f"{a.url}/back")) as b:
        a.script = by_path({"/": to(b.url), "/back": denied})
        result = fetch(a.url, mode, headers=SECRETS)
        first, back = a.log
    assert [first.header(name) for name in SECRETS] == list(SECRETS.values())
    assert [back.header(name) for name in SECRETS] == [None, "a=SECRET", None]
    assert result.error == (
        f"401 Unauthorized (Authorization, X-Api-Key were not sent to {b.url}, another origin; "
        "--location-trusted sends them)"
    )


# --- where it leads ---


def test_a_redirect_without_a_location_is_the_answer_and_has_its_body(mode: str) -> None:
    with serving(answer(b"x" * 20, status=b"302 Found")) as server:
        refused = fetch(server.url, mode)
        accepted = fetch(server.url, mode, accept="200..=299,302")
    assert (refused.cause, refused.error, refused.status, refused.body) == (Cause.STATUS, "302 Found", 302, b"x" * 20)
    assert (accepted.ok, accepted.redirects, accepted.body) == (True, 0, b"x" * 20)


def test_a_location_with_three_slashes_is_followed(mode: str) -> None:
    with nothing_left(), ScriptServer(ok) as b, ScriptServer(to(f"http:///127.0.0.1:{b.port}/ok")) as a:
        result = fetch(a.url, mode)
    assert (result.ok, result.final_url) == (True, f"{b.url}/ok")


def test_a_bad_location_is_shown_in_the_error(mode: str) -> None:
    with serving(to("http://me:SECRET@[::1\x9b/")) as server:
        error = fetch(server.url, mode).error or ""
    assert "http://***@[::1" in error
    assert "SECRET" not in error
    assert error.isprintable()
