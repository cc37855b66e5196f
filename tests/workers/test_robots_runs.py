"""Runs that obey robots.txt, in each mode, against real servers that count what they are asked."""

from __future__ import annotations

import asyncio
import sqlite3
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from time import perf_counter
from typing import Any

import pytest
from faults.wire import Asked, Connection
from support.leaks import calm_loop, nothing_left
from support.servers import Script, ScriptServer, answer, by_path, closed_port, hang, late, ok
from support.tls import Authority
from support.waiting import HUNG, in_time

from fetchq import Cause, Request, Result, Settings, fetch_all_sync
from fetchq.engines.requests.engine import RequestsEngine
from fetchq.http.robots_txt import MAX_SIZE
from fetchq.workers.async_run import AsyncRun
from fetchq.workers.blocking_run import BlockingRun
from fetchq.workers.run import Feed

ROBOTS = "/robots.txt"


@pytest.fixture(params=["async", "threads", "sync"])
def mode(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(autouse=True)
def nothing_remains() -> Iterator[None]:
    with nothing_left():
        yield


def rules(*lines: str) -> Script:
    """The script of a robots.txt for everybody."""
    return answer("\n".join(["User-agent: *", *lines]).encode())


def site(robots: Script, otherwise: Script = ok) -> Script:
    return by_path({ROBOTS: robots}, otherwise)


def redirect(to: str) -> Script:
    return answer(b"", b"Location: " + to.encode(), status=b"302 Found")


def fetch(mode: str, urls: Sequence[str | Request], **options: Any) -> list[Result]:
    return in_time(lambda: fetch_all_sync(urls, mode=mode, robots=True, **({"retry_wait": 0.01} | options)))


def causes(results: Sequence[Result]) -> list[Cause | None]:
    return [result.cause for result in results]


# --- once for each host, before everything else ---


def test_each_host_is_asked_once_however_many_workers_there_are(mode: str) -> None:
    with ExitStack() as stack:
        servers = [stack.enter_context(ScriptServer(site(late(0.05)))) for _ in range(3)]
        for server in servers:
            server.script = site(_late_rules)
        urls = [f"{server.url}/{number}" for number in range(20) for server in servers]
        results = fetch(mode, urls, workers=30)
        assert causes(results) == [None] * 60
        assert [result.index for result in results] == list(range(60))
        for server in servers:
            assert server.seen[0] == ROBOTS
            assert Counter(server.seen)[ROBOTS] == 1
            assert len(server.seen) == 21


def _late_rules(conn: Connection, asked: Asked) -> None:
    conn.pause(0.05)
    rules("Disallow: /x")(conn, asked)


def test_a_row_that_is_disallowed_is_not_asked_for_and_says_why(mode: str) -> None:
    with ScriptServer(site(rules("Disallow: /private", "Allow: /private/but"))) as server:
        paths = ["/private/1", "/public", "/private/but/this", "/x/../private/2", "/robots.txt"]
        results = fetch(mode, [server.url + path for path in paths])
        assert causes(results) == [Cause.BLOCKED, None, None, Cause.BLOCKED, None]
        assert sorted(server.seen) == ["/private/but/this", "/public", ROBOTS, ROBOTS]
        refused = results[0]
        assert refused.error == f"robots.txt of {server.url} disallows it"
        assert refused.url == f"{server.url}/private/1"
        assert (refused.attempts, refused.status, refused.final_url) == (0, None, None)
        assert refused.timing.held > 0


@pytest.mark.parametrize("mode", ["async", "threads"])
def test_other_hosts_do_not_wait_for_a_robots_txt_that_never_comes(mode: str) -> None:
    with ScriptServer(site(hang)) as slow, ScriptServer() as quick:
        urls = [f"{slow.url}/{n}" for n in range(10)] + [f"{quick.url}/{n}" for n in range(10)]
        results = fetch(mode, urls, workers=2, retries=0, read_timeout=1.0)
        assert causes(results) == [Cause.BLOCKED] * 10 + [None] * 10
        assert all(result.started is not None and result.timing.held < 0.9 for result in results[10:])
        assert slow.seen == [ROBOTS]


def test_a_run_that_does_not_obey_never_asks() -> None:
    with ScriptServer() as server:
        fetch_all_sync([server.url])
        assert server.seen == ["/"]


def test_each_port_and_scheme_has_its_own(mode: str, tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    with (
        ScriptServer(site(rules("Disallow: /"))) as plain,
        ScriptServer(site(rules("Disallow: /a")), tls=authority.server()) as secure,
    ):
        results = fetch(mode, [f"{plain.url}/a", f"{secure.url}/a", f"{secure.url}/b"], cacert=authority.cacert)
        assert causes(results) == [Cause.BLOCKED, Cause.BLOCKED, None]
        assert (plain.seen, secure.seen) == ([ROBOTS], [ROBOTS, "/b"])


def test_what_cannot_be_fetched_anyway_is_not_changed_by_it(mode: str) -> None:
    with ScriptServer(site(rules("Disallow: /"))) as server:
        rows = ["ftp://h/x", "no URL", Request(server.url, problem="a bad line"), f"{server.url}/a b\x01"]
        results = fetch(mode, rows)
        assert causes(results) == [Cause.BLOCKED, Cause.INVALID_URL, Cause.INVALID_URL, Cause.INVALID_URL]
        assert results[0].error == "the scheme ftp: is not allowed"


def test_a_url_with_an_at_in_its_path_is_shown_as_it_is_and_one_with_a_password_is_not(mode: str) -> None:
    with ScriptServer(site(rules("Disallow: /"))) as server:
        results = fetch(mode, [f"{server.url}/@a@b", server.url.replace("//", "//u:secret@") + "/@"])
        assert results[0].url == f"{server.url}/@a@b"
        assert results[1].url == server.url.replace("//", "//***@") + "/@"


# --- what the server may say ---


@pytest.mark.parametrize("status", ["404 Not Found", "401 Unauthorized", "403 Forbidden", "410 Gone"])
def test_where_there_is_no_robots_txt_all_is_allowed(mode: str, status: str) -> None:
    with ScriptServer(site(answer(b"Disallow: /", status=status.encode()))) as server:
        assert causes(fetch(mode, [server.url])) == [None]
        assert server.seen == [ROBOTS, "/"]


@pytest.mark.parametrize("status", ["503 Service Unavailable", "429 Too Many Requests", "500 Internal Server Error"])
def test_where_the_server_fails_it_is_asked_again_and_then_nothing_is_allowed(mode: str, status: str) -> None:
    with ScriptServer(site(answer(b"", b"Retry-After: 0", status=status.encode()))) as server:
        results = fetch(mode, [f"{server.url}/{n}" for n in range(3)], retries=2)
        assert causes(results) == [Cause.BLOCKED] * 3
        why = f"robots.txt of {server.url} cannot be had, which disallows everything: {status}"
        assert {result.error for result in results} == {why}
        assert {result.attempts for result in results} == {0}
        assert server.seen == [ROBOTS] * 3


def test_a_failure_that_passes_does_no_harm(mode: str) -> None:
    def play(conn: Connection, asked: Asked) -> None:
        if conn.server.count("robots") < 3:
            answer(b"", b"Retry-After: 0", status=b"503 Service Unavailable")(conn, asked)
        else:
            rules("Disallow: /x")(conn, asked)

    with ScriptServer(site(play)) as server:
        assert causes(fetch(mode, [f"{server.url}/x", f"{server.url}/y"], retries=2)) == [Cause.BLOCKED, None]
        assert server.seen == [ROBOTS] * 3 + ["/y"]


def test_where_nobody_listens_nothing_is_allowed(mode: str) -> None:
    with closed_port() as url:
        results = fetch(mode, [url, f"{url}/x"], retries=1)
        assert causes(results) == [Cause.BLOCKED] * 2
        assert results[0].error is not None
        assert results[0].error.startswith(f"robots.txt of {url} cannot be had, which disallows everything: ")
        assert "refused" in results[0].error


@pytest.mark.parametrize("coded", [False, True])
def test_of_a_huge_file_500_kib_count(mode: str, coded: bool) -> None:
    import gzip

    start = b"User-agent: *\nDisallow: /x\n"
    body = start + b"#" * MAX_SIZE + b"\n" + b"Disallow: /\n" * 100_000
    lines = [b"Content-Encoding: gzip"] if coded else []
    with ScriptServer(site(answer(gzip.compress(body) if coded else body, *lines))) as server:
        results = fetch(mode, [f"{server.url}/x", f"{server.url}/y"], max_filesize=1000)
        assert causes(results) == [Cause.BLOCKED, None]
        assert server.seen == [ROBOTS, "/y"]


def test_a_huge_page_that_says_there_is_none_is_no_robots_txt(mode: str) -> None:
    body = b"User-agent: *\nDisallow: /\n" + b"#" * 2 * MAX_SIZE
    with ScriptServer(site(answer(body, status=b"404 Not Found"))) as server:
        assert causes(fetch(mode, [server.url])) == [None]


def test_an_endless_file_is_not_read_to_its_end(mode: str) -> None:
    def flood(conn: Connection, _: Asked) -> None:
        conn.send(b"HTTP/1.1 200 OK\r\n\r\nUser-agent: *\nDisallow: /x\n")
        conn.flood(b"# more\n" * 1000)

    with ScriptServer(site(flood)) as server:
        assert causes(fetch(mode, [f"{server.url}/x", f"{server.url}/y"])) == [Cause.BLOCKED, None]


@pytest.mark.parametrize(
    "body", [b"", b"<!DOCTYPE html>\n<p>Disallow: /", b"\x00\xff\xfe" * 9999, b"User-agent\n" * 99]
)
def test_garbage_disallows_nothing(mode: str, body: bytes) -> None:
    with ScriptServer(site(answer(body))) as server:
        assert causes(fetch(mode, [f"{server.url}/x"])) == [None]


def test_what_is_no_http_disallows_everything(mode: str) -> None:
    with ScriptServer(site(lambda conn, _: (conn.send(b"gibberish\r\n\r\n"), conn.close())[1])) as server:
        (result,) = fetch(mode, [f"{server.url}/x"], retries=0)
        assert result.cause is Cause.BLOCKED


def test_redirects_are_followed_even_where_those_of_the_rows_are_not(mode: str) -> None:
    scripts = {"/1": redirect("/2"), "/2": redirect("/3"), "/3": redirect("/4"), "/4": rules("Disallow: /x")}
    with ScriptServer(by_path({ROBOTS: redirect("/1"), **scripts})) as server:
        results = fetch(mode, [f"{server.url}/x", f"{server.url}/y"], max_redirects=0)
        assert causes(results) == [Cause.BLOCKED, None]
        assert server.seen == [ROBOTS, "/1", "/2", "/3", "/4", "/y"]


def test_redirects_that_lead_nowhere_disallow_nothing(mode: str) -> None:
    with ScriptServer(site(redirect(ROBOTS))) as server:
        assert causes(fetch(mode, [f"{server.url}/x"], max_redirects=0)) == [None]
        assert server.seen == [ROBOTS] * 6 + ["/x"]


# --- how it is asked for ---


def test_it_is_asked_for_with_the_user_agent_and_without_what_is_meant_for_the_rows(mode: str) -> None:
    robots = answer(b"User-agent: us\nDisallow: /x\nUser-agent: *\nDisallow: /")
    with ScriptServer(site(robots)) as server:
        url = server.url.replace("//", "//u:secret@")
        results = fetch(
            mode,
            [f"{url}/x", f"{url}/y"],
            method="PUT",
            data="secret",
            headers=["X-Key: secret"],
            cookie="a=secret",
            user_agent="Us/1.0",
        )
        assert causes(results) == [Cause.BLOCKED, None]
        robots_asked, row = server.log
        assert (robots_asked.method, robots_asked.body) == ("GET", b"")
        assert "secret" not in str(robots_asked.headers)
        assert {name.lower() for name, _ in robots_asked.headers} <= {
            "host",
            "user-agent",
            "accept",
            "accept-encoding",
            "connection",
        }
        assert robots_asked.header("User-Agent") == "Us/1.0"
        assert (row.method, row.body, row.header("X-Key")) == ("PUT", b"secret", "secret")


def test_a_password_for_all_rows_is_not_sent_with_it(mode: str) -> None:
    with ScriptServer() as server:
        fetch(mode, [server.url], user="u:secret")
        assert [asked.header("Authorization") is None for asked in server.log] == [True, False]


# --- crawl-delay ---


def test_crawl_delay_spaces_the_rows_of_the_host_and_of_no_other(mode: str) -> None:
    begun: list[float] = []

    def noted(conn: Connection, asked: Asked) -> None:
        begun.append(perf_counter())
        ok(conn, asked)

    with ScriptServer(site(rules("Crawl-delay: 0.3"), noted)) as patient, ScriptServer() as other:
        urls = [f"{patient.url}/{n}" for n in range(4)] + [f"{other.url}/{n}" for n in range(20)]
        assert causes(fetch(mode, urls)) == [None] * 24
        assert begun[-1] - begun[0] >= 0.8  # three times 0.3, as far as a busy machine tells


def test_crawl_delay_is_obeyed_as_far_as_retry_after_is(mode: str) -> None:
    with ScriptServer(site(rules("Crawl-delay: 1000"))) as server:
        results = fetch(mode, [f"{server.url}/{n}" for n in range(3)], max_retry_after=0.1)
        assert causes(results) == [None] * 3


def test_rows_that_are_disallowed_do_not_wait_for_crawl_delay(mode: str) -> None:
    with ScriptServer(site(rules("Crawl-delay: 100", "Disallow: /x"))) as server:
        assert causes(fetch(mode, [f"{server.url}/x/{n}" for n in range(50)])) == [Cause.BLOCKED] * 50


# --- redirects of the rows ---


def test_a_redirect_to_what_is_disallowed_is_not_followed_where_the_rules_are_known(mode: str) -> None:
    scripts = {ROBOTS: rules("Disallow: /private"), "/a": redirect("/private"), "/b": redirect("/c")}
    with ScriptServer(by_path(scripts)) as server:
        results = fetch(mode, [f"{server.url}/a", f"{server.url}/b"])
        assert causes(results) == [Cause.BLOCKED, None]
        assert results[0].error is not None
        assert results[0].error.endswith(f"redirect to {server.url}/private: robots.txt of {server.url} disallows it")
        assert (results[0].attempts, results[0].final_url) == (1, f"{server.url}/a")
        assert "/private" not in server.seen


def test_a_redirect_to_a_host_that_was_not_asked_is_followed(mode: str) -> None:
    with ScriptServer(site(rules("Disallow: /"))) as other, ScriptServer() as server:
        server.script = site(ok, redirect(f"{other.url}/x"))
        assert causes(fetch(mode, [server.url])) == [None]
        assert other.seen == ["/x"]


# --- no row of the run's ---


def test_it_gives_no_result_and_nobody_is_told_of_its_start(mode: str) -> None:
    told: list[str] = []
    with ScriptServer() as server:
        urls = [f"{server.url}/{n}" for n in range(5)]
        results = fetch(mode, urls, on_start=lambda request, _: told.append(request.url))
        assert [result.url for result in results] == urls
        assert sorted(told) == urls


@pytest.mark.parametrize("mode", ["threads", "sync"])
def test_it_is_no_row_in_the_clocks_of_the_workers(mode: str) -> None:
    with ScriptServer() as server:
        rows = [Request(f"{server.url}/{n}", n) for n in range(5)]
        run = BlockingRun(Settings(mode=mode, robots=True, workers=2), Feed([rows], threaded=False, finite=True))
        assert sum(map(len, run.batches())) == 5
        assert sum(clock.fetched for clock in run.clocks) == 5


def test_a_durable_run_has_no_trace_of_it_and_a_resumed_one_asks_again(mode: str, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    with ScriptServer(site(rules("Disallow: /x"))) as server:
        urls = [f"{server.url}/{path}" for path in ("a", "x", "b")]
        fetch(mode, urls[:2], output=str(folder))
        results = fetch(mode, urls, output=str(folder), resume=True)
        assert causes(results) == [None, Cause.BLOCKED, None]
        assert server.seen == [ROBOTS, "/a", ROBOTS, "/b"]
    with closing(sqlite3.connect(folder / "run.db")) as ledger:
        found = ledger.execute('SELECT "index", cause, attempts FROM records ORDER BY 1').fetchall()
    assert found == [(0, None, 1), (1, "blocked", 0), (2, None, 1)]
    assert len([path for path in folder.joinpath("bodies").rglob("*") if path.is_file()]) == 2


def test_rows_that_ask_the_same_are_refused_together(mode: str, tmp_path: Path) -> None:
    with ScriptServer(site(rules("Disallow: /x"))) as server:
        urls = [f"{server.url}/{path}" for path in ("x", "x", "a", "a")]
        results = fetch(mode, urls, output=str(tmp_path / "run"), dedupe=True)
        assert causes(results) == [Cause.BLOCKED, Cause.BLOCKED, None, None]
        assert server.seen == [ROBOTS, "/a"]


def test_a_refreshed_run_does_not_ask_whether_robots_txt_has_changed(mode: str, tmp_path: Path) -> None:
    robots = answer(b"User-agent: *\nDisallow: /x", b'ETag: "1"')
    with ScriptServer(site(robots, answer(b"ok", b'ETag: "2"'))) as server:
        fetch(mode, [f"{server.url}/a"], output=str(tmp_path / "old"))
        fetch(mode, [f"{server.url}/a"], output=str(tmp_path / "new"), refresh=str(tmp_path / "old"))
        asked = [one for one in server.log if one.path == ROBOTS]
        assert [one.header("If-None-Match") for one in asked] == [None, None]


# --- the end of a run ---


def test_at_the_deadline_the_rows_that_wait_for_it_are_cancelled(mode: str) -> None:
    with ScriptServer(site(hang)) as server:
        results = fetch(mode, [f"{server.url}/{n}" for n in range(5)], deadline=0.3)
        assert causes(results) == [Cause.CANCELLED] * 5
        assert server.seen == [ROBOTS]


@pytest.mark.usefixtures("no_jitter")
def test_at_the_deadline_the_rows_that_wait_for_another_attempt_at_it_are_cancelled(mode: str) -> None:
    with ScriptServer(site(answer(b"", status=b"500 Sorry"))) as server:
        results = fetch(mode, [f"{server.url}/{n}" for n in range(5)], deadline=0.3, retry_wait=100)
        assert causes(results) == [Cause.CANCELLED] * 5


@pytest.mark.parametrize("mode", ["threads", "sync"])
def test_a_run_that_is_stopped_lets_it_come_back_and_cancels_the_rows(mode: str) -> None:
    with ScriptServer() as server:
        rows = [Request(f"{server.url}/{n}", n) for n in range(5)]
        run = BlockingRun(Settings(mode=mode, robots=True, workers=2), Feed([rows], threaded=False, finite=True))

        def stopping(conn: Connection, asked: Asked) -> None:
            run.stop()
            ok(conn, asked)

        server.script = stopping
        results = in_time(lambda: [result for batch in run.batches() for result in batch])
        assert causes(results) == [Cause.CANCELLED] * 5
        assert server.seen == [ROBOTS]


async def test_an_async_run_that_is_stopped_lets_it_come_back_and_cancels_the_rows() -> None:
    loop = asyncio.get_running_loop()
    with ScriptServer() as server:
        rows = [Request(f"{server.url}/{n}", n) for n in range(5)]
        run = AsyncRun(Settings(robots=True), Feed([rows], threaded=False, finite=True))

        def stopping(conn: Connection, asked: Asked) -> None:
            loop.call_soon_threadsafe(run.stop)
            ok(conn, asked)

        server.script = stopping
        async with asyncio.timeout(HUNG), calm_loop():
            results = [result async for batch in run.batches() for result in batch]
        assert causes(results) == [Cause.CANCELLED] * 5
        assert server.seen == [ROBOTS]


def test_a_bug_of_ours_on_the_way_ends_the_run_loudly(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(RequestsEngine, "attempt", broken)
    with nothing_left(), pytest.raises(ZeroDivisionError):
        in_time(lambda: fetch_all_sync(["http://h/"], mode="threads", robots=True))
