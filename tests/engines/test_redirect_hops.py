"""The redirects of a row, against servers, in every mode: each hop, its cookies, and the headers that are sent on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from faults.wire import Asked, Connection
from support.leaks import nothing_left
from support.servers import Script, ScriptServer, answer, by_path, ok
from support.tls import Authority

from fetchq import Cause, Request, Result, fetch_all_sync
from fetchq.core.redirect_hop import RedirectHop
from fetchq.http.url import basic_auth


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
    for hop in result.hops:
        phases = asdict(hop.timing)
        assert hop.elapsed == pytest.approx(sum(seconds or 0.0 for seconds in phases.values()))
        assert phases["wait"] + phases["lag"] > 0
    assert sum(hop.elapsed for hop in result.hops) < result.elapsed
    assert result.to_record(["hops"])["hops"] == [
        {"status": hop.status, "url": hop.url, "elapsed": hop.elapsed, "timing": asdict(hop.timing)}
        for hop in result.hops
    ]


def test_a_redirect_that_is_not_followed_is_no_hop(mode: str) -> None:
    with serving(by_path({"/a": to("/b"), "/b": to("http://[]@")})) as server:
        result = fetch(f"{server.url}/a", mode)
        assert (result.redirects, [hop.url for hop in result.hops]) == (1, [f"{server.url}/a"])
        assert fetch_all_sync([f"{server.url}/ok"], mode=mode)[0].hops == ()


def test_a_password_in_a_url_is_not_in_the_hops(mode: str) -> None:
    with serving(by_path({"/a": to("/b")})) as server:
        (hop,) = fetch(server.url.replace("//", "//me:word@") + "/a", mode).hops
    assert hop == RedirectHop(302, f"{server.url}/a", hop.elapsed, hop.timing)


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


@pytest.mark.parametrize("location_trusted", [False, True])
def test_another_origin_gets_its_own_name_as_host(mode: str, location_trusted: bool) -> None:
    with ScriptServer(ok) as b, ScriptServer(by_path({"/": to("/again"), "/again": to(b.url)})) as a:
        assert fetch(a.url, mode, headers={"Host": "site.test"}, location_trusted=location_trusted).ok
        assert [asked.header("Host") for asked in a.log] == ["site.test"] * 2
        assert [asked.header("Host") for asked in b.log] == [b.netloc]


def test_a_trusted_origin_gets_everything(mode: str) -> None:
    with nothing_left(), ScriptServer(denied) as b, ScriptServer(to(b.url)) as a:
        url = a.url.replace("//", "//me:word@")
        assert fetch(Request(url, headers={"X-Api-Key": "SECRET"}), mode, cookie="a=1", location_trusted=True).ok
        (asked,) = b.log
        assert (asked.header("X-Api-Key"), asked.header("Cookie")) == ("SECRET", "a=1")


@pytest.mark.parametrize(
    ("userinfo", "netrc", "settings"),
    [
        ("", "machine 127.0.0.1 login me password SECRET", {"trust_env": True}),
        ("me@", "machine 127.0.0.1 password SECRET", {"trust_env": True}),
        ("", "default login me password SECRET", {"trust_env": True}),
        ("me:SECRET@", "", {"location_trusted": True}),
        ("", "", {"user": "me:SECRET", "cookie": "a=SECRET", "headers": {"X-Api-Key": "SECRET"}}),
        ("", "", {"user": "me:SECRET", "cookie": "a=SECRET", "location_trusted": True}),
    ],
)
def test_no_secret_is_sent_in_clear_after_a_redirect_from_https_to_http(
    mode: str, userinfo: str, netrc: str, settings: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority, file = Authority(tmp_path), tmp_path / "netrc"
    file.write_text(netrc)
    monkeypatch.setenv("NETRC", str(file))
    given = {"cookie_jar": tmp_path / "jar", "cacert": authority.cacert, **settings}
    with nothing_left(), ScriptServer(denied) as plain:
        script = to(plain.url, b"Set-Cookie: b=SECRET; Secure; Path=/")
        with ScriptServer(script, tls=authority.server()) as secure:
            result = fetch(secure.url.replace("://", f"://{userinfo}"), mode, **given)
            assert secure.log[0].header("Authorization") == basic_auth("me", "SECRET")
        (asked,) = plain.log
    assert result.status == 401
    assert [asked.header(name) for name in ("Authorization", "Cookie", "X-Api-Key")] == [None] * 3
    without_tls = f"were not sent to {plain.url}, which is without TLS" in (result.error or "")
    assert without_tls == ("cookie" in settings and "location_trusted" in settings)


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


# --- cookies ---


def guarded(conn: Connection, asked: Asked) -> None:
    """Without the cookie that it sets, leads to itself."""
    if "s=1" in (asked.header("Cookie") or ""):
        ok(conn, asked)
    else:
        to("/a", b"Set-Cookie: s=1; Path=/; HttpOnly")(conn, asked)


def test_a_cookie_that_a_redirect_sets_is_sent_on(mode: str) -> None:
    with serving(guarded) as server:
        first = fetch(f"{server.url}/a", mode)
        second = fetch(f"{server.url}/a", mode, cookie="x=y; s=0")
        assert [asked.header("Cookie") for asked in server.log] == [None, "s=1", "x=y; s=0", "x=y; s=1"]
    assert (first.ok, first.redirects, second.ok, second.redirects) == (True, 1, True, 1)


def test_one_row_knows_nothing_of_the_cookies_of_another(mode: str) -> None:
    with serving(guarded) as server:
        results = fetch_all_sync([f"{server.url}/a"] * 3, mode=mode, workers=1)
    assert [result.redirects for result in results] == [1, 1, 1]


def test_a_new_cookie_at_each_hop_does_not_go_on_for_ever(mode: str) -> None:
    def play(conn: Connection, asked: Asked) -> None:
        to("/a", b"Set-Cookie: n=%d" % len(asked.header("Cookie") or ""))(conn, asked)

    with serving(play) as server:
        result = fetch(f"{server.url}/a", mode, max_redirects=4)
    assert (result.cause, result.redirects, result.error) == (Cause.REDIRECT, 4, "more than 4 redirects")


def test_a_cookie_goes_by_host_and_the_users_own_only_to_the_first_origin(mode: str) -> None:
    with nothing_left(), ScriptServer(ok) as b, ScriptServer(ok) as a:
        a.script = to(f"{b.at('localhost')}/", b"Set-Cookie: s=1; Path=/")
        b.script = by_path({"/": to(f"{b.url}/here", b"Set-Cookie: t=2; Path=/")})
        result = fetch(a.url, mode, cookie="mine=1", resolve=[f"localhost:{b.port}:127.0.0.1"])
    # Cookies do not tell ports apart (RFC 6265, 8.5): that of a comes to b, where it has the same name.
    assert (result.ok, [asked.header("Cookie") for asked in b.log]) == (True, [None, "s=1"])


def test_a_cookie_that_is_not_utf8_comes_back_as_it_came(mode: str) -> None:
    with serving(by_path({"/a": to("/b", b"Set-Cookie: s=\xe9\xff")})) as server:
        assert fetch(f"{server.url}/a", mode).ok
        assert server.log[1].header("Cookie") in ("s=\xe9\xff", "s=\udce9\udcff")


def test_a_jar_is_shared_by_all_rows_and_kept_in_its_file(mode: str, tmp_path: Path) -> None:
    jar = tmp_path / "jar"
    jar.write_text("#HttpOnly_127.0.0.1\tFALSE\t/\tFALSE\t0\told\t1\n")
    with serving(guarded) as server:
        results = fetch_all_sync([f"{server.url}/a"] * 3, mode=mode, workers=1, cookie_jar=jar)
        assert [result.redirects for result in results] == [1, 0, 0]
        assert server.log[0].header("Cookie") == "old=1"
        (again,) = fetch_all_sync([f"{server.url}/a"], mode=mode, cookie_jar=jar)
        assert (again.redirects, server.log[-1].header("Cookie")) == (0, "old=1; s=1")
    assert jar.read_text().splitlines()[-2:] == [
        "#HttpOnly_127.0.0.1\tFALSE\t/\tFALSE\t0\told\t1",
        "#HttpOnly_127.0.0.1\tFALSE\t/\tFALSE\t0\ts\t1",
    ]


def test_a_cookie_that_a_final_answer_sets_is_in_the_jar_whatever_its_status(mode: str, tmp_path: Path) -> None:
    with serving(answer(b"no", b"Set-Cookie: a=1", status=b"404 Not Found")) as server:
        fetch(server.url, mode, cookie_jar=tmp_path / "jar")
    assert (tmp_path / "jar").read_text().endswith("127.0.0.1\tFALSE\t/\tFALSE\t0\ta\t1\n")
