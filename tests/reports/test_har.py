"""HAR files: an entry for each request, whose times add up, without secrets; Chromium's importer has the last word."""

from __future__ import annotations

import json
import os
import pickle
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from faults.wire import Asked, Connection
from support.cli import Cli
from support.servers import Script, ScriptServer, answer, by_path, closed_port, late
from support.tls import Authority

from fetchq import Request, Result, fetch_all_sync
from fetchq.core.exchange import Exchange

MOMENT = 0.05
"""Seconds that the servers here let a client wait."""


def entries(path: Path) -> list[dict[str, Any]]:
    log = json.loads(path.read_bytes())["log"]
    assert (log["version"], log["creator"]["name"]) == ("1.2", "fetchq")
    found: list[dict[str, Any]] = log["entries"]
    return found


def fetched(path: Path, urls: list[Any], mode: str = "async", **options: Any) -> tuple[list[Result], list[Any]]:
    results = fetch_all_sync(urls, mode=mode, har=path, **options)
    return results, entries(path)


def began(entry: dict[str, Any]) -> float:
    return datetime.fromisoformat(entry["startedDateTime"]).timestamp()


def redirect(location: str, *lines: bytes) -> Script:
    return answer(b"moved", b"Location: " + location.encode(), *lines, status=b"302 Found")


def test_each_hop_of_each_attempt_is_an_entry_whose_timings_add_up_to_its_time(mode: str, tmp_path: Path) -> None:
    script = by_path({"/a": redirect("/b"), "/b": answer(b"no", status=b"503 Busy"), "/c": late(MOMENT)})
    with ScriptServer(script) as server:
        results, found = fetched(
            tmp_path / "a.har", [f"{server.url}/a", f"{server.url}/c"], mode, retries=1, retry_wait=0, workers=1
        )
    found.sort(key=began)
    shown = [(one["_row"], one["_attempt"], one["response"]["status"], one["_cause"]) for one in found]
    twice = [(0, 1, 302, None), (0, 1, 503, "status"), (0, 2, 302, None), (0, 2, 503, "status")]
    assert [one for one in shown if one[0] == 0] == twice
    assert [one for one in shown if one[0] == 1] == [(1, 1, 200, None)]
    for entry in found:
        timings = entry["timings"]
        names = ("blocked", "dns", "connect", "send", "wait", "receive")  # `ssl` is a part of `connect`
        assert entry["time"] == pytest.approx(sum(max(0, timings[name]) for name in names), abs=0.001)
    for result in results:
        own = [one for one in found if one["_row"] == result.index]
        seconds = result.elapsed + result.timing.queued + result.timing.held
        assert sum(one["time"] for one in own) / 1000 == pytest.approx(seconds, abs=1e-4)
    (waited,) = [one for one in found if one["request"]["url"].endswith("/c")]
    assert waited["timings"]["wait"] + waited["timings"]["_lag"] >= MOMENT * 900  # on a busy machine, some of it is lag
    assert waited["response"]["content"] == {"size": 2, "mimeType": "x-unknown"}


@pytest.mark.parametrize(
    ("location", "shown"),
    [
        (r"http:\\name:secret@localhost/", r"http:\\***@localhost/"),
        ("http:/name:secret@localhost/", "http:/***@localhost/"),
        (r"\\name:secret@localhost/", r"\\***@localhost/"),
        ("https:name:secret@localhost/", "https:***@localhost/"),
        ("http://name:sec/secret@localhost:1/", "http://***@localhost:1/"),
        ("http://name:secret@[::1/", "http://***@[::1/"),
        ("/@name/a@b?c=@d", "/@name/a@b?c=@d"),
        ("http://localhost/@name", "http://localhost/@name"),
    ],
)
def test_no_password_of_a_location_is_shown_however_it_is_written(location: str, shown: str, tmp_path: Path) -> None:
    with ScriptServer(redirect(location, b"Content-Location: " + location.encode())) as server:
        _, found = fetched(tmp_path / "a.har", [server.url], max_redirects=0)
    response = found[0]["response"]
    fields = {one["name"]: one["value"] for one in response["headers"]}
    assert (response["redirectURL"], fields["Location"], fields["Content-Location"]) == (shown, shown, shown)


def test_the_file_may_be_a_pipe_that_only_has_a_descriptor(tmp_path: Path) -> None:
    readable, writable = os.pipe()
    with ScriptServer() as server, open(readable, "rb") as pipe:
        fetch_all_sync([server.url], har=f"/dev/fd/{writable}")
        os.close(writable)
        assert len(json.load(pipe)["log"]["entries"]) == 1


def test_an_entry_ends_before_the_next_hop_begins(mode: str, tmp_path: Path) -> None:
    with ScriptServer(by_path({"/a": redirect("/b"), "/b": redirect("/c"), "/c": late(MOMENT)})) as server:
        _, found = fetched(tmp_path / "a.har", [f"{server.url}/a"], mode)
    assert [one["request"]["url"] for one in found] == [f"{server.url}/{name}" for name in "abc"]
    assert [one["response"]["redirectURL"] for one in found] == ["/b", "/c", ""]
    for before, after in pairwise(found):
        assert began(before) + before["time"] / 1000 <= began(after) + 1e-5
    assert {one["connection"] for one in found} == {server.url.rpartition(":")[2]}
    assert {one["serverIPAddress"] for one in found} == {"127.0.0.1"}
    assert [one["timings"]["connect"] >= 0 for one in found] == [True, False, False]  # the others reuse the connection


def test_ssl_is_a_part_of_connect(mode: str, tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    with ScriptServer(tls=authority.server(), handshake=MOMENT) as server:
        (result,), (entry,) = fetched(tmp_path / "a.har", [server.url], mode, cacert=authority.cacert)
    timings = entry["timings"]
    assert result.timing.tls is not None
    assert timings["ssl"] == pytest.approx(1000 * result.timing.tls, abs=0.001)
    assert timings["connect"] == pytest.approx(1000 * (result.timing.connect + result.timing.tls), abs=0.002)
    assert timings["ssl"] > 0
    names = ("blocked", "connect", "wait", "receive")
    assert entry["time"] == pytest.approx(sum(timings[name] for name in names) + max(0, timings["dns"]), abs=0.001)


def test_no_secret_is_in_the_file_but_the_names_of_cookies_and_headers(mode: str, tmp_path: Path) -> None:
    cookie = b"Set-Cookie: id=SECRET; Path=/; HttpOnly; Secure"
    secret = ("X-Auth-Token", "Authentication-Info", "Mcp-Session-Id", "X-Auth-Key", "X-JWT-Assertion")
    received = answer(b"ok", *(f"{name}: SECRET".encode() for name in secret), b"X-Kept: here")

    def play(conn: Connection, asked: Asked) -> None:
        there = redirect(f"http://me:SECRET@{asked.header('Host')}/b", cookie)
        (there if asked.path == "/a" else received)(conn, asked)

    with ScriptServer(play) as server:
        row = Request(
            server.url.replace("//", "//me:SECRET@") + "/a?q=%20x&q=#SECRET",
            method="POST",
            headers=(("X-Api-Key", "SECRET"), ("Accept", "a/b")),
            body=b"SECRET",
        )
        settings = {"cookie": "sid=SECRET; SECRET", "user": "you:SECRET"}
        _, (first, second) = fetched(tmp_path / "a.har", [row], mode, **settings)
    assert "SECRET" not in (tmp_path / "a.har").read_text()
    assert first["request"]["url"] == f"{server.url}/a?q=%20x&q="
    assert first["request"]["queryString"] == [{"name": "q", "value": " x"}, {"name": "q", "value": ""}]
    assert (first["request"]["bodySize"], second["request"]["bodySize"]) == (6, 0)
    sent = {one["name"]: one["value"] for one in first["request"]["headers"]}
    assert (sent["Authorization"], sent["X-Api-Key"], sent["Accept"]) == ("***", "***", "a/b")
    assert sent["Cookie"] == "sid=***; ***"
    assert first["request"]["cookies"] == [{"name": "sid", "value": "***"}]
    assert second["request"]["cookies"] == [{"name": "sid", "value": "***"}]
    (set_cookie,) = first["response"]["cookies"]
    assert set_cookie == {"name": "id", "value": "***", "httpOnly": True, "secure": True, "path": "/"}
    shown = {one["name"]: one["value"] for one in second["response"]["headers"]}
    assert ({shown[name] for name in secret}, shown["X-Kept"]) == ({"***"}, "here")


def test_a_failure_is_an_entry_with_the_status_0_and_a_row_without_a_request_is_none(mode: str, tmp_path: Path) -> None:
    with closed_port() as url:
        _, (entry,) = fetched(tmp_path / "a.har", [url, "not a URL"], mode, retries=0)
    assert (entry["response"]["status"], entry["_cause"]) == (0, "connect")
    assert entry["response"]["_error"]
    assert "serverIPAddress" not in entry


def test_a_durable_run_writes_one_too_and_names_the_row_that_could_not_be_stored(cli: Cli) -> None:
    with ScriptServer(answer(b"x" * 10, b"Content-Type: a/b")) as server:
        assert cli(server.url, "-o", "run", "--har", "a.har").status == 0
        (entry,) = entries(cli.folder / "a.har")
        assert entry["response"]["content"] == {"size": 10, "mimeType": "a/b"}
        assert entry["response"]["bodySize"] == entry["response"]["_transferSize"] == 10
        # The file belongs to the session: it is not written again unless it is asked for again.
        (cli.folder / "a.har").unlink()
        cli("retry", "run", "--where", "ok")
        assert not (cli.folder / "a.har").exists()
        cli("retry", "run", "--where", "ok", "--har", "b.har")
        assert len(entries(cli.folder / "b.har")) == 1


def test_exchanges_are_kept_only_where_a_view_shows_them_and_are_not_pickled(tmp_path: Path) -> None:
    with ScriptServer() as server:
        (result,), _ = fetched(tmp_path / "a.har", [server.url])
        (other,) = fetch_all_sync([server.url])
    assert other._exchanges == ()
    (exchange,) = result._exchanges
    assert isinstance(exchange, Exchange)
    assert pickle.loads(pickle.dumps(result))._exchanges == ()
