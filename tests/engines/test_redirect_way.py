"""A row's way through redirects, against servers, in every mode: each hop, its cookies, and what travels along."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from faults.wire import Asked, Connection
from support.leaks import nothing_left
from support.servers import Script, ScriptServer, answer, by_path

from fetchq import Request, Result, fetch_all_sync
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
