"""Each option of `fetchq fetch`, by what a server or the output shows of it; and where else its value may come from."""

from __future__ import annotations

import base64
import csv
import gzip
import io
import json
import os
import re
import socket
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from dataclasses import fields
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from time import perf_counter
from typing import Any, TypeVar

import click
import pytest
import trustme
from dnsserver import A, DnsServer
from faults.server import FaultServer
from faults.wire import Asked, Connection, head, length
from support.cli import Cli, ended
from support.servers import Scripted, ScriptServer, closed_port, reply
from support.terminal import Terminal
from support.waiting import PATIENCE

from fetchq import open_run
from fetchq.cli.display import Display
from fetchq.cli.fetch import command
from fetchq.cli.options import read_options
from fetchq.cli.practice.server import PracticeServer
from fetchq.core.option import Origin, option_of
from fetchq.core.settings import Settings
from fetchq.store.manifest import StoredSettings

OK = b"HTTP/1.1 200 OK"
Test = TypeVar("Test", bound=Callable[..., None])

SHOWN: set[str] = set()
"""The options that a test below shows at work."""


def shows(*options: str) -> Callable[[Test], Test]:
    def note(test: Test) -> Test:
        SHOWN.update(options)
        return test

    return note


@pytest.fixture(params=["async", "sync"])
def engine(request: pytest.FixtureRequest) -> list[str]:
    """The arguments that choose each of the two engines."""
    return ["--mode", request.param]


OPTIONS = {parameter.name: parameter for parameter in command.params if isinstance(parameter, click.Option)}


def test_every_option_is_shown_at_work_by_a_test_here() -> None:
    assert set(OPTIONS) == SHOWN


# --- reports -------------------------------------------------------------------------------------------------------


@shows("report")
def test_report_writes_a_page_about_the_run_in_each_mode(cli: Cli, engine: list[str]) -> None:
    with Scripted() as server:
        assert cli(f"{server.url}/page", "--report", "page.html", "-q", *engine).status == 0
        page = (cli.folder / "page.html").read_text()
        assert f"{server.url}/page" in page
        assert cli("missing.txt", "--report", "other.html").status == 2
    assert [path.name for path in cli.folder.iterdir() if path.is_file()] == ["page.html"]


# --- durable runs --------------------------------------------------------------------------------------------------


@shows("block_private", "allow_host", "deny_host")
def test_the_guard_says_who_may_be_asked(cli: Cli, server: Scripted) -> None:
    for given in (["--block-private"], ["--allow-host", "a.test"], ["--deny-host", "127.0.0.0/8"]):
        assert cli(server.url, *given, "--json").record["cause"] == "blocked"
    assert server.log == []
    assert cli(server.url, "--allow-host", "127.0.0.1", "--block-private", "--deny-host", "a.test").status == 0


@shows("mode_bits")
@pytest.mark.parametrize("save", ["files", "warc", "parquet"])
def test_mode_bits_lets_others_read_the_bodies_and_nothing_else(cli: Cli, practice: PracticeServer, save: str) -> None:
    before = os.umask(0o077)
    try:
        cli(f"{practice.url}/json", "-o", "run", "--save", save, "--mode-bits", "644", "-q")
        assert (
            "begun with another --mode-bits"
            in cli(f"{practice.url}/json", "-o", "run", "--save", save, "--resume").problem
        )
    finally:
        os.umask(before)
    run = cli.folder / "run"
    with open_run(run) as stored:
        (result,) = stored
    assert result.path is not None
    body = run / result.path.partition("#")[0]
    assert body.stat().st_mode & 0o777 == 0o644
    readable = {body.parent, *body.parent.parents}
    for path in [run, *run.rglob("*")]:
        wanted = 0o755 if path in readable else 0o644 if path == body else 0o700 if path.is_dir() else 0o600
        assert path.stat().st_mode & 0o777 == wanted, path


@shows("output", "save", "resume", "overwrite")
def test_output_makes_a_run_durable_and_the_others_say_how(cli: Cli) -> None:
    with Scripted() as server:
        assert cli(server.url, "-o", "run", "--save", "none").status == 0
        assert not (cli.folder / "run" / "bodies").exists()
        assert cli(server.url, "-o", "run", "--save", "none", "--resume").status == 0
        assert len(server.log) == 1
        assert cli(server.url, "-o", "run", "--overwrite").status == 0
        assert len(server.log) == 2
        assert (cli.folder / "run" / "bodies").exists()


@shows("name", "output_flat", "save_headers")
def test_files_go_where_they_are_wanted_and_headers_into_the_ledger(cli: Cli) -> None:
    with Scripted() as server:
        assert cli(f"{server.url}/a/b.txt", "-o", "run", "--name", "{path}", "--save-headers", "-q").status == 0
        assert (cli.folder / "run" / "files" / "a" / "b.txt").is_file()
        assert cli("export", "run", "--include", "headers").record["headers"]["content-length"]
        assert cli(f"{server.url}/a/b.txt", "-o", "flat", "--output-flat", "-q").status == 0
        assert (cli.folder / "flat" / "b.txt").is_file()


@shows("dedupe")
def test_dedupe_fetches_the_same_once(cli: Cli) -> None:
    with Scripted() as server:
        found = cli(server.url, server.url, "-o", "run", "--dedupe", "--json")
        assert [record["index"] for record in found.records] == [0, 1]
        assert len(server.log) == 1


@shows("refresh")
def test_refresh_asks_whether_anything_has_changed(cli: Cli) -> None:
    def answer(asked: Asked) -> bytes:
        if asked.header("If-None-Match") == '"1"':
            return reply(b"", status=b"HTTP/1.1 304 Not Modified")
        return reply(b"ok", b'ETag: "1"')

    with Scripted(answer) as server:
        assert cli(server.url, "-o", "old").status == 0
        assert cli(server.url, "-o", "new", "--refresh", "old", "--json").record["status"] == 304


@shows("per_host_by")
def test_per_host_by_domain_has_the_names_of_a_domain_share_what_one_host_may(cli: Cli, engine: list[str]) -> None:
    with Scripted(lambda _: reply(b"ok")) as server:
        names = [f"{name}.example.test:{server.port}" for name in "abc"]
        pinned = [part for name in names for part in ("--resolve", f"{name}:127.0.0.1")]
        given = [*(f"http://{name}/" for name in names), *pinned, "--host-interval", "0.15", "--json", *engine]
        assert max(one["timing"]["held"] for one in cli(*given).records) < 0.1
        assert max(one["timing"]["held"] for one in cli(*given, "--per-host-by", "domain").records) > 0.2


@shows("robots")
def test_robots_fetches_only_what_robots_txt_allows(cli: Cli, engine: list[str]) -> None:
    def answer(asked: Asked) -> bytes:
        return reply(b"User-agent: *\nDisallow: /private" if asked.path == "/robots.txt" else b"ok")

    with Scripted(answer) as server:
        found = cli(f"{server.url}/private/1", f"{server.url}/public", "--robots", "--json", "-v", *engine)
        assert [record["cause"] for record in found.records] == ["blocked", None]
        assert [asked.path for asked in server.log] == ["/robots.txt", "/public"]
        assert "2 URLs: 1 ok, 1 failed" in found.said
        assert f"{server.url}/robots.txt" not in found.said


# --- mode ----------------------------------------------------------------------------------------------------------


@shows("mode")
def test_mode_chooses_who_fetches(cli: Cli, practice: PracticeServer, mode: str) -> None:
    assert cli(f"{practice.url}/json", "--json", "--mode", mode).record["mode"] == mode
    assert cli(f"{practice.url}/json", "--json").record["mode"] == "async"


@shows("processes")
def test_processes_share_the_hosts_of_a_list_and_its_workers(cli: Cli, practice: PracticeServer) -> None:
    port = practice.url.rpartition(":")[2]
    hosts = [f"{name}.test" for name in "ab"]
    resolve = [part for host in hosts for part in ("--resolve", f"{host}:{port}:127.0.0.1")]
    urls = [f"http://{host}:{port}/bytes/{row}" for row in range(10) for host in hosts]
    done = cli(*urls, *resolve, "--json", "--processes", "2", "--workers", "4")
    assert done.status == 0
    workers = [{record["worker"] for record in done.records if host in record["url"]} for host in hosts]
    assert sorted(one <= {1, 2} for one in workers) == [False, True]
    assert workers[0] | workers[1] <= {1, 2, 3, 4}
    assert "with 4 workers" in done.said


@shows("workers")
def test_workers_is_how_many_urls_are_under_way_at_a_time_but_in_mode_sync_it_is_one(cli: Cli, mode: str) -> None:
    def answer(_: Asked) -> bytes:
        nonlocal busy, most
        with changed:
            busy += 1
            most = max(most, busy)
            changed.notify_all()
            changed.wait_for(lambda: most >= expected, PATIENCE)
            changed.wait_for(lambda: most > expected, 0.1)  # time for one too many
            busy -= 1
        return reply()

    changed = threading.Condition()
    busy = most = 0
    expected = 1 if mode == "sync" else 3
    with Scripted(answer) as server:
        done = cli(*[server.url] * 4, "-w", "3", "--mode", mode, "--json")
    assert most == expected
    assert {record["worker"] for record in done.records} == {1, 2, 3}
    assert "with 3 workers" in done.said


# --- time ----------------------------------------------------------------------------------------------------------

NO_RETRY = ("--retries", "0", "--json")


@shows("timeout")
def test_timeout_bounds_an_attempt(cli: Cli, faults: FaultServer, engine: list[str]) -> None:
    done = cli(faults.url_of("drip"), "-t", "300ms", "--min-speed", "0", *NO_RETRY, *engine)
    assert (done.status, done.record["cause"]) == (1, "timeout")
    assert re.fullmatch(r"--timeout 0\.3 s ended it at \d+ B of 100 kB, at \d+ B/s", done.record["error"])


@shows("connect_timeout")
def test_connect_timeout_bounds_the_tls_handshake(cli: Cli, faults: FaultServer, engine: list[str]) -> None:
    done = cli(f"https://{faults.netloc}/", "--connect-timeout", "0.3", *NO_RETRY, *engine)
    assert (done.status, done.record["cause"]) == (1, "timeout")
    assert done.record["error"] == "no connection in 0.3 s (connect timeout)"


@shows("read_timeout")
def test_read_timeout_bounds_the_silence_between_bytes(cli: Cli, faults: FaultServer, engine: list[str]) -> None:
    done = cli(faults.url_of("stall"), "--read-timeout", ".3s", *NO_RETRY, *engine)
    assert (done.status, done.record["cause"], done.record["size"]) == (1, "timeout", 5)
    assert done.record["error"] == "no byte in 0.3 s (read timeout)"


@shows("deadline")
def test_deadline_bounds_the_whole_run_and_the_rest_gets_records(cli: Cli, faults: FaultServer, mode: str) -> None:
    given = [f"{faults.url}/ok", faults.url_of("hang"), *[f"{faults.url}/ok"] * 3]
    done = cli(*given, "--deadline", "300ms", "-w", "1", "--mode", mode, "--json")
    assert done.status == 4
    assert [record["cause"] for record in done.records] == [None, *["cancelled"] * 4]
    assert len(faults.log) == 2


def by_path(asked: Asked) -> bytes:
    """404 for /missing, 200 otherwise."""
    return reply(b"", status=b"HTTP/1.1 404 Not Found") if asked.path == "/missing" else reply()


@shows("max_failures", "fail_fast")
def test_after_so_many_failures_the_run_ends_and_the_rest_is_not_tried(cli: Cli, mode: str) -> None:
    with Scripted(by_path) as server:
        rows = cli.write("urls.txt", f"{server.url}/ok\n" + f"{server.url}/missing\n" * 5)
        done = cli(rows, "--max-failures", "2", "-w", "1", "--json", "--mode", mode)
        assert (done.status, len(server.log)) == (4, 3)
        assert [record["cause"] for record in done.records] == [None, *["status"] * 2, *["cancelled"] * 3]
        assert "6 URLs: 1 ok, 2 failed, 3 not tried" in done.said
        server.log.clear()
        done = cli(rows, "--fail-fast", "-w", "1", "--mode", mode)
        assert (done.status, len(server.log), len(done.lines)) == (4, 2, 2)
        assert cli(rows, "--max-failures", "9", "--mode", mode).status == 1
        assert "--fail-fast: not together with max_failures" in cli(rows, "--fail-fast", "--max-failures", "2").problem


def test_a_list_without_an_end_is_not_read_on_after_the_last_failure_that_is_allowed(cli: Cli, mode: str) -> None:
    with (
        Scripted(by_path) as server,
        subprocess.Popen(["yes", f"{server.url}/missing"], stdout=subprocess.PIPE) as urls,
    ):
        given = ["-", "--fail-fast", "--format", "none", "--lookahead", "5", "--mode", mode]
        done = ended(cli.start(*given, stdin=urls.stdout))
        urls.kill()
    assert done.status == 4
    assert " 0 ok, " in done.said
    assert done.said.endswith("the rest of the list was not read\n")


@shows("only")
@pytest.mark.parametrize("form", ["text", "jsonl", "csv"])
def test_only_the_failed_rows_or_those_that_are_ok_are_written(cli: Cli, form: str) -> None:
    with Scripted(by_path) as server:
        rows = [f"{server.url}/ok", f"{server.url}/missing", "ftp://nonsense/"]
        found = {only: cli(*rows, "--only", only, "--format", form).out.count(b"/missing") for only in ("ok", "failed")}
        assert found == {"ok": 0, "failed": 1 if form == "text" else 2}
        assert cli(*rows, "--only", "failed", "--format", form).out.count(b"nonsense") == 1
        assert cli(*rows, "--only", "ok", "--format", form).out.count(b"/ok") == (1 if form == "text" else 2)
        assert "choose" not in cli(*rows, "--only", "all").text
        assert "did you mean failed?" in cli(*rows, "--only", "faild").problem


@shows("fields")
def test_only_the_fields_that_are_asked_for_are_written_in_their_order(cli: Cli, practice: PracticeServer) -> None:
    url = f"{practice.url}/json"
    line = cli(url, "--json", "--fields", "status,url,timing_dns").text
    assert line == f'{{"status":200,"url":"{url}","timing_dns":0.0}}\n'
    names, *cells = csv.reader(io.StringIO(cli(url, "--format", "csv", "--fields", "ok,timing,url").text))
    assert (names[0], names[1], names[-2:], cells[0][0]) == ("ok", "timing_queued", ["timing_store", "url"], "true")
    body = cli(f"{practice.url}/bytes/9", "--json", "--include", "base64", "--fields", "body").text
    assert (body[:9], body[-3:]) == ('{"body":"', '"}\n')
    assert "'sttus' is no field of the record; did you mean status?" in cli(url, "--json", "--fields", "sttus").problem
    assert "headers needs --include headers" in cli(url, "--json", "--fields", "headers").problem
    assert "add --json or --format csv" in cli(url, "--fields", "url").problem


def test_columns_that_rows_pass_on_are_fields_too(cli: Cli, practice: PracticeServer) -> None:
    huge = 10**30
    cli.write("rows.jsonl", json.dumps({"url": f"{practice.url}/json", "sku": "a7", "n": huge}) + "\n")
    given = ["rows.jsonl", "--pass", "sku", "--pass", "n", "-q"]
    line = cli(*given, "--json", "--fields", "status,passed_n,passed_sku,passed").text
    assert json.loads(line) == {"status": 200, "passed_n": huge, "passed_sku": "a7", "passed": {"sku": "a7", "n": huge}}
    table = csv.reader(io.StringIO(cli(*given, "--format", "csv", "--fields", "passed,status").text))
    assert list(table) == [["passed_sku", "passed_n", "status"], ["a7", str(huge), "200"]]
    assert "--fields: passed_colour needs --pass colour" in cli(*given, "--json", "--fields", "passed_colour").problem


@shows("limit", "shuffle")
def test_a_list_is_cut_off_shuffled_or_both_by_a_seed_that_the_summary_names(cli: Cli) -> None:
    with Scripted() as server:
        rows = cli.write("urls.txt", "".join(f"{server.url}/{number}\n" for number in range(40)))

        def asked(*args: str) -> list[str]:
            server.log.clear()
            assert cli(rows, *args, "-w", "1").status == 0
            return [path.removeprefix("/") for path in server.seen]

        every = list(map(str, range(40)))
        assert asked("--limit", "3") == every[:3]
        assert asked("--limit", "50") == every
        assert asked("--shuffle", "7") == asked("--shuffle=7") != asked("--shuffle", "8")
        assert sorted(asked("--shuffle"), key=int) == every
        by_chance = asked("--shuffle", "7", "--limit", "5")
        assert len({*by_chance}) == 5
        assert by_chance != asked("--shuffle", "9", "--limit", "5")
        assert "shuffled with --shuffle 7" in cli("--shuffle", "7", rows).said
        assert re.search(r"shuffled with --shuffle \d+", cli("--shuffle", rows, "--limit", "1").said)
        assert "'x' is not a whole number" in cli(rows, "--shuffle=x").problem


@shows("dry_run")
def test_a_dry_run_shows_what_would_be_asked_without_secrets_and_asks_nobody(
    cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_: pytest.fail("a name was looked up"))
    cli.write("rows.jsonl", '{"url": "http://u:pw@a.test/", "method": "PUT", "body": "12345"}\n"ftp://b.test"\n')
    given = ["rows.jsonl", "-H", "X-Key: secret", "--dry-run", "-o", "run"]
    done = cli(*given)
    assert done.status == 1
    first, second = done.lines[1:]
    assert first.split() == ["PUT", "5", "B", "http://***@a.test/", "X-Key:", "***,", "Authorization:", "***,",
                             "Content-Type:", "application/x-www-form-urlencoded"]  # fmt: skip
    assert "blocked: " in second
    assert done.said == "1 row would be asked for, 1 would fail at once; nothing was sent\n"
    assert cli(*given, "--json").records[0]["headers"]["X-Key"] == "***"
    assert len(list(csv.reader(io.StringIO(cli(*given, "--format", "csv", "--limit", "1").text)))) == 2
    assert not (cli.folder / "run").exists()
    for words in ("secret", "pw"):
        assert all(words not in cli(*given, "--format", form).text for form in ("text", "jsonl", "csv"))


@shows("log_file", "log_level")
def test_a_log_says_when_what_happened_and_why_a_row_was_tried_again(cli: Cli, mode: str) -> None:
    def answer(asked: Asked) -> bytes:
        tried = server.seen.count(asked.target)
        return reply() if asked.path == "/ok" or tried > 1 else reply(status=b"HTTP/1.1 503 Too Busy")

    with Scripted(answer) as server:
        rows = [f"{server.url}/ok", f"{server.url}/busy", "http://u:pw@x.invalid:99999/"]
        given = [*rows, "--retry-wait", "20ms", "--mode", mode, "-q"]
        assert cli(*given, "--log-file", "a.log").status == 1
        text = (cli.folder / "a.log").read_text()
        lines = [re.sub(r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} ", "", line) for line in text.splitlines()]
        assert all(line.startswith(("INFO ", "WARNING ", "ERROR ")) for line in lines)
        assert lines[-1] == "INFO ends with exit status 1"
        retried = [line for line in lines if line.startswith("WARNING")]
        why = rf"WARNING {server.url}/busy: status: 503 Too Busy; attempt 2 follows in [\d.]+ ms"
        assert [re.fullmatch(why, line) is not None for line in retried] == [True]
        assert any(line.startswith(f"INFO {server.url}/ok: 200, ") for line in lines)
        assert any(line.startswith("ERROR http://***@x.invalid:99999/: invalid_url: ") for line in lines)
        assert "pw" not in text
        assert cli(*given, "--log-file", "a.log", "--log-level", "error").status == 1
        assert (cli.folder / "a.log").read_text().startswith(text)
        assert (cli.folder / "a.log").read_text().removeprefix(text).count("\n") == 1
        server.log.clear()
        assert "cannot be written: " in cli(*given, "--log-file", "no/such/folder/a.log").problem
        cli.write("urls.txt", rows[0])
        assert "the run needs" in cli("urls.txt", "--log-file", "urls.txt").problem
        assert "the run needs" in cli("urls.txt", "-o", "run", "--log-file", "run/run.db").problem
        assert "cannot be written: " in cli(*given, "-o", "run", "--log-file", "no/such/folder/a.log").problem
        assert not (cli.folder / "run").exists()
        assert server.log == []


def test_a_log_is_not_written_into_the_list_under_another_name_or_from_stdin(
    cli: Cli, practice: PracticeServer, mode: str
) -> None:
    text = f"{practice.url}/json\n"
    cli.write("urls.txt", text)
    os.link(cli.folder / "urls.txt", cli.folder / "again.txt")
    with (cli.folder / "urls.txt").open("rb") as urls:
        done = ended(cli.start("-", "--mode", mode, "--log-file", "again.txt", stdin=urls))
    assert (done.status, "the run needs" in done.said) == (2, True)
    assert "the run needs" in cli("urls.txt", "--log-file", "again.txt").problem
    assert (cli.folder / "urls.txt").read_text() == text


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="this system has no full device")
def test_a_run_goes_on_without_its_log_when_the_disk_is_full(cli: Cli, practice: PracticeServer, mode: str) -> None:
    done = cli(f"{practice.url}/json", f"{practice.url}/json", "--mode", mode, "-q", "--log-file", "/dev/full")
    assert (done.status, done.said) == (0, "fetchq: the log cannot be written any more: No space left on device\n")


def test_verbose_says_why_a_row_is_tried_again_and_when(cli: Cli, practice: PracticeServer, mode: str) -> None:
    done = cli(f"{practice.url}/flaky/1?verbose-{mode}", "-v", "--retry-wait", "10ms", "-w", "1", "--mode", mode)
    first, retry, second = [line.split() for line in done.said.splitlines()[:3]]
    assert (first[0], second[0]) == ("start", "start")
    assert retry[:3] == ["503", "retry", "1"]
    assert " ".join(retry[4:]).startswith("status: 503 Service Unavailable; attempt 2 follows in ")


@shows("head")
def test_a_url_that_does_not_answer_a_head_is_asked_with_get_whose_body_is_not_read(cli: Cli, mode: str) -> None:
    long = 10_000_000

    def answer(asked: Asked) -> bytes:
        if asked.method == "HEAD":
            statuses = {"/405": b"405 No", "/403": b"403 No", "/501": b"501 No", "/404": b"404 No"}
            if asked.path == "/hangs-up":
                return b""
            return head(b"Content-Length: 5", status=b"HTTP/1.1 " + statuses.get(asked.path, b"200 OK"))
        if asked.path == "/long-405":
            return head(length(long)) + b"x" * 100_000
        return reply(b"hello", status=b"HTTP/1.1 500 No" if asked.path == "/501" else b"HTTP/1.1 200 OK")

    with Scripted(answer) as server:
        paths = ["/ok", "/405", "/403", "/501", "/404", "/hangs-up"]
        rows = [f"{server.url}{path}" for path in paths]
        done = cli(*rows, "--head", "--json", "--retries", "0", "--mode", mode, "--robots")
        shown = [(one["method"], one["status"], one["attempts"], one["size"]) for one in done.records]
        assert shown == [("HEAD", 200, 1, 0), ("GET", 200, 2, 0), ("GET", 200, 2, 0), ("GET", 500, 2, 0),
                         ("HEAD", 404, 1, 0), ("GET", 200, 2, 0)]  # fmt: skip
        assert [one["ok"] for one in done.records] == [True, True, True, False, False, True]
        assert sorted(asked.method for asked in server.log) == ["GET"] * 5 + ["HEAD"] * 6, "with robots.txt"
        assert "with --head, there are no bodies" in cli(*rows, "--head", "--json", "--include", "text").problem
        assert "--head: not together with data" in cli(*rows, "--head", "-d", "x").problem


def test_the_body_of_a_get_that_follows_a_head_is_left_unread(cli: Cli, mode: str) -> None:
    def script(conn: Connection, asked: Asked) -> None:
        if asked.method == "HEAD":
            conn.send(head(length(0), status=b"HTTP/1.1 405 No"))
        else:
            conn.send(head(length(1_000_000_000)))
            conn.send(b"x" * 1000)
            conn.pause(PATIENCE)  # or until the client has enough

    with ScriptServer(script) as server:
        record = cli(f"{server.url}/a", "--head", "--json", "--mode", mode).record
    assert (record["ok"], record["method"], record["size"], record["complete"]) == (True, "GET", 0, "no")
    assert record["elapsed"] < PATIENCE / 2


def test_each_request_of_a_head_run_counts_for_the_interval_of_its_host(cli: Cli, mode: str) -> None:
    times: list[float] = []

    def answer(asked: Asked) -> bytes:
        times.append(perf_counter())
        return reply(
            b"" if asked.method == "HEAD" else b"x", status=b"HTTP/1.1 405 No" if asked.method == "HEAD" else OK
        )

    with Scripted(answer) as server:
        given = [f"{server.url}/{number}" for number in range(2)]
        done = cli(*given, "--head", "--host-interval", "60ms", "--json", "--mode", mode)
    assert [record["attempts"] for record in done.records] == [2, 2]
    assert len(times) == 4
    assert min(later - earlier for earlier, later in pairwise(times)) > 0.04


@shows("min_speed", "min_speed_time")
def test_a_body_slower_than_min_speed_over_min_speed_time_is_too_slow(
    cli: Cli, faults: FaultServer, engine: list[str]
) -> None:
    url = faults.url_of("drip", interval=0.02)  # 50 bytes/s, without an end
    slow = cli(url, "--min-speed", "1k", "--min-speed-time", "200ms", "-t", "5", *NO_RETRY, *engine)
    assert slow.record["cause"] == "too_slow"
    assert slow.record["error"].endswith("over 0 s")
    fast_enough = cli(url, "--min-speed", "1", "--min-speed-time", "200ms", "-t", "800ms", *NO_RETRY, *engine)
    assert fast_enough.record["cause"] == "timeout"
    not_yet = cli(url, "--min-speed", "1k", "--min-speed-time", "5s", "-t", "400ms", *NO_RETRY, *engine)
    assert not_yet.record["cause"] == "timeout"


# --- retries -------------------------------------------------------------------------------------------------------


@shows("per_host", "rate", "host_interval", "lookahead")
def test_limits_hold_requests_back_and_say_so(cli: Cli, practice: PracticeServer, mode: str) -> None:
    name = cli.write("urls.txt", "".join(f"{practice.url}/delay/0.01?{n}\n" for n in range(6)))
    args = (name, "--json", "--mode", mode, "-w", "3")
    assert sum(record["timing"]["held"] for record in cli(*args).records) == 0
    one_at_a_time = cli(*args, "--per-host", "1").records
    assert all(_apart(before, after) for before, after in pairwise(_by_start(one_at_a_time)))
    for limit in (("--rate", "20/s"), ("--host-interval", "50ms"), ("--rate", "20/s", "--lookahead", "1")):
        records = _by_start(cli(*args, *limit).records)
        assert sum(record["timing"]["held"] for record in records) > 0
        assert _moment(records[-1]) - _moment(records[0]) >= 0.2


def _moment(record: dict[str, Any]) -> float:
    return datetime.fromisoformat(record["started"]).timestamp()


def _by_start(records: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted(records, key=_moment)


def _apart(before: dict[str, Any], after: dict[str, Any]) -> bool:
    return _moment(before) + before["elapsed"] <= _moment(after) + 0.002  # the two clocks differ a little


@shows("adapt")
def test_a_host_that_is_down_is_given_up_unless_it_is_told_not_to(cli: Cli, mode: str) -> None:
    with closed_port() as url:
        name = cli.write("urls.txt", "".join(f"{url}/{n}\n" for n in range(50)))
        args = (name, "--json", "--mode", mode, "--retries", "0", "--retry-wait", "1ms")
        given_up = [record for record in cli(*args).records if not record["attempts"]]
        assert len(given_up) > 20
        assert "was given up" in given_up[0]["error"]
        assert {record["attempts"] for record in cli(*args, "--no-adapt").records} == {1}


def test_the_end_of_a_run_that_gave_hosts_up_names_the_command_that_fetches_their_rows(cli: Cli) -> None:
    with closed_port() as url:
        name = cli.write("urls.txt", "".join(f"{url}/{n}\n" for n in range(50)))
        args = (name, "--retries", "0", "--retry-wait", "1ms")
        hint = "1 host was given up; with -o DIR, fetchq retry DIR could fetch what is missing later"
        assert cli(*args).said.splitlines()[-1] == hint
        assert cli(*args, "-q").said == ""
        hint = "my run: 1 host was given up; fetch what is missing with: fetchq retry 'my run'"
        assert cli(*args, "-o", "my run").said.splitlines()[-1] == hint
        ended = cli("retry", "my run", "--retries", "0", "--retry-wait", "1ms")
        assert (ended.status, ended.said.splitlines()[-1]) == (1, hint)
        assert "given up" not in cli(name, "--retries", "0", "--no-adapt").said


@shows("limit_rate")
def test_limit_rate_bounds_the_bytes_a_second(cli: Cli, practice: PracticeServer) -> None:
    record = cli(f"{practice.url}/bytes/30000", "--limit-rate", "100k/s", "--json").record
    assert record["ok"]
    assert 0.2 <= record["timing"]["held"] <= 3


@shows("retries")
@pytest.mark.parametrize("retries", [0, 1, 3])
def test_retries_is_how_often_more_a_failed_url_is_asked_for(
    cli: Cli, faults: FaultServer, mode: str, retries: int
) -> None:
    url = faults.url_of("flaky", times=9, how="503")
    done = cli(url, "--retries", str(retries), "--retry-wait", "0", "--mode", mode, "--json")
    assert (done.status, done.record["attempts"], len(faults.log)) == (1, retries + 1, retries + 1)
    assert done.record["status"] == 503


def test_a_retry_that_succeeds_is_a_success(cli: Cli, faults: FaultServer, mode: str) -> None:
    done = cli(faults.url_of("flaky", times=2, how="reset"), "--retry-wait", "0", "--mode", mode, "--json")
    assert (done.status, done.record["ok"], done.record["attempts"]) == (0, True, 3)


@shows("retry_wait")
@pytest.mark.usefixtures("no_jitter")
def test_retry_wait_is_doubled_with_each_retry(cli: Cli, practice: PracticeServer, mode: str) -> None:
    args = ("--retries", "3", "--mode", mode, "--json")
    held = cli(f"{practice.url}/status/500", "--retry-wait", "10ms", *args).record["timing"]["held"]
    assert held == pytest.approx(0.010 + 0.020 + 0.040)
    assert cli(f"{practice.url}/status/500", "--retry-wait", "0", *args).record["timing"]["held"] == 0


@shows("retry_on")
def test_retry_on_says_which_statuses_are_tried_again(cli: Cli, practice: PracticeServer, mode: str) -> None:
    given = [f"{practice.url}/status/{code}" for code in (404, 410, 418, 503)]
    done = cli(*given, "--retry-on", "404,410..=411", "--retries", "1", "--retry-wait", "0", "--mode", mode, "--json")
    assert [record["attempts"] for record in done.records] == [2, 2, 1, 1]


def test_a_sign_in_retry_on_or_accept_keeps_the_rest_of_the_default(
    cli: Cli, practice: PracticeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = [f"{practice.url}/status/{code}" for code in (403, 404, 500, 503, 204)]
    args = ("--retry-on", "-500", "--accept", "+404", "--retries", "1", "--retry-wait", "0", "--json")
    done = cli(*given, *args)
    assert [(record["attempts"], record["ok"]) for record in done.records] == [
        (1, False),
        (1, True),
        (1, False),
        (2, False),
        (1, True),
    ]
    monkeypatch.setenv("FETCHQ_RETRY_ON", "+403")
    cli.write("fetchq.toml", 'accept = "+404"')
    done = cli(*given, "--retries", "1", "--retry-wait", "0", "--json")
    assert [record["attempts"] for record in done.records] == [2, 1, 2, 2, 1]
    assert done.records[1]["ok"]


@shows("max_retry_after")
def test_a_server_that_asks_for_more_than_max_retry_after_is_not_waited_for(cli: Cli, mode: str) -> None:
    busy = reply(b"", b"Retry-After: 3600", status=b"HTTP/1.1 429 Too Many Requests")
    with Scripted(lambda _: reply() if len(server.log) > 1 else busy) as server:
        args = ("--max-retry-after", "20ms", "--retry-wait", "0", "--mode", mode, "--json")
        record = cli(server.url, *args).record
    assert (record["cause"], record["status"], record["attempts"]) == ("status", 429, 1)
    assert record["error"] == "429 Too Many Requests; Retry-After asks for 3600 s, --max-retry-after is 0.02 s"


# --- request -------------------------------------------------------------------------------------------------------


@pytest.fixture
def server() -> Iterator[Scripted]:
    with Scripted() as one:
        yield one


@shows("method")
@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "OPTIONS", "PATCH", "PURGE"])
def test_method_is_what_the_server_is_asked_with(cli: Cli, server: Scripted, engine: list[str], method: str) -> None:
    done = cli(server.url, "-X", method.lower(), "--json", *engine)
    assert server.log[0].method == done.record["method"] == method


@shows("headers")
def test_header_adds_and_replaces_headers(cli: Cli, server: Scripted, engine: list[str]) -> None:
    args = ("-H", "X-A: 1", "--header", "x-b:  two  ", "-H", "Accept: text/html", "-H", "X-Empty:")
    assert cli(server.url, *args, *engine).status == 0
    (asked,) = server.log
    assert [asked.header(name) for name in ("X-A", "X-B", "Accept", "X-Empty")] == ["1", "two", "text/html", ""]
    names = [name.lower() for name, _ in asked.headers]
    assert len(names) == len(set(names))


@shows("data")
def test_data_is_posted_as_a_form(cli: Cli, server: Scripted, engine: list[str]) -> None:
    assert cli(server.url, "-d", "a=1&b=é", *engine).status == 0
    (asked,) = server.log
    assert (asked.method, asked.body.decode()) == ("POST", "a=1&b=é")
    assert asked.header("Content-Type") == "application/x-www-form-urlencoded"


@shows("data_type")
def test_data_type_says_what_a_body_is_without_a_content_type(cli: Cli, server: Scripted, engine: list[str]) -> None:
    cli.write("a.csv", f'url,body\n{server.url},"{{""a"":1}}"\n')
    for args in (["a.csv"], [server.url, "-d", '{"a":1}']):
        for given, wanted in (([], "application/x-www-form-urlencoded"), (["--data-type", "json"], "application/json")):
            assert cli(*args, *given, *engine).status == 0
            asked = server.log[-1]
            assert (asked.method, asked.body, asked.header("Content-Type")) == ("POST", b'{"a":1}', wanted)


def test_data_that_begins_with_an_at_sign_is_read_from_that_file(cli: Cli, server: Scripted, engine: list[str]) -> None:
    name = cli.write("body.bin", bytes(range(256)))
    args = ("--data", f"@{name}", "-X", "PUT", "-H", "Content-Type: application/x-bytes")
    assert cli(server.url, *args, *engine).status == 0
    (asked,) = server.log
    assert (asked.method, asked.body, asked.header("Content-Type")) == ("PUT", bytes(range(256)), "application/x-bytes")


@shows("user_agent")
def test_user_agent_is_sent_as_it_is_given(cli: Cli, server: Scripted, engine: list[str]) -> None:
    cli(server.url, *engine)
    cli(server.url, "-A", "me/1.0 (+http://me.example)", *engine)
    assert [asked.header("User-Agent").split("/")[0] for asked in server.log] == ["fetchq", "me"]
    assert server.log[1].header("User-Agent") == "me/1.0 (+http://me.example)"


@shows("user")
def test_user_is_sent_as_basic_authentication(cli: Cli, server: Scripted, engine: list[str]) -> None:
    cli(server.url, "-u", "name:pass:wörd", *engine)
    assert server.log[0].header("Authorization") == "Basic " + base64.b64encode("name:pass:wörd".encode()).decode()


@shows("bearer")
def test_bearer_is_sent_as_authorization(cli: Cli, server: Scripted, engine: list[str]) -> None:
    cli(server.url, "--bearer", "abc.def=", *engine)
    assert server.log[0].header("Authorization") == "Bearer abc.def="


@shows("cookie")
def test_cookie_is_sent_as_it_is_given(cli: Cli, server: Scripted, engine: list[str]) -> None:
    cli(server.url, "-b", "a=1; b=2", *engine)
    assert server.log[0].header("Cookie") == "a=1; b=2"


@shows("har", "trace")
def test_har_and_trace_write_files_that_show_the_run_without_its_secrets(
    cli: Cli, practice: PracticeServer, engine: list[str]
) -> None:
    args = ("--har", "a.har", "--trace", "a.json", "--user", "me:SECRET", "-H", "X-Key: SECRET")
    assert cli(f"{practice.url}/redirect/1", *args, *engine).status == 0
    har, trace = (cli.folder / "a.har").read_text(), (cli.folder / "a.json").read_text()
    assert [one["response"]["status"] for one in json.loads(har)["log"]["entries"]] == [302, 200]
    assert [one["name"] for one in json.loads(trace)["traceEvents"] if one.get("cat") == "row"] == [
        f"GET {practice.url}/redirect/1"
    ]
    assert "SECRET" not in har + trace


# --- limits and success --------------------------------------------------------------------------------------------


@shows("cookie_jar")
def test_cookie_jar_reads_and_writes_the_cookies_of_a_run_also_of_one_that_goes_on(
    cli: Cli, faults: FaultServer, engine: list[str]
) -> None:
    args = ("--cookie-jar", "jar", *engine)
    cli.write("jar", "127.0.0.1\tFALSE\t/\tFALSE\t0\told\t1\n")
    cli(f"{faults.url}/fault/redirect-set-cookie", *args, "-o", "run")
    assert faults.log[0].header("Cookie") == "old=1"
    assert (cli.folder / "jar").read_text().endswith("\t0\told\t1\n127.0.0.1\tFALSE\t/\tFALSE\t0\tid\t1\n")
    cli("retry", "run", "--where", "ok")
    assert faults.log[-1].header("Cookie") == "old=1; id=1"
    cli.write("jar", "<html>")
    done = cli(f"{faults.url}/ok", *args)
    assert (done.status, done.problem.count("\n")) == (2, 0)
    assert "'jar'" in done.problem.replace(f"{cli.folder}/", "")
    assert "is not a Netscape cookie file: line 1 has not seven fields" in done.problem


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="this system has no full device")
def test_a_cookie_jar_that_cannot_be_written_ends_the_run_with_3(
    cli: Cli, practice: PracticeServer, engine: list[str]
) -> None:
    done = cli(f"{practice.url}/json", "--cookie-jar", "/dev/full", "--json", "-q", *engine)
    assert done.status == 3
    assert done.said == "fetchq: the cookies cannot be written to '/dev/full': No space left on device\n"
    assert done.record["ok"]


@shows("location_trusted")
def test_location_trusted_sends_a_password_on_to_another_origin(
    cli: Cli, practice: PracticeServer, faults: FaultServer, engine: list[str]
) -> None:
    args = (f"{faults.url}/fault/redirect-to?to={practice.url}/echo", "--user", "me:word", "--include", "text", *engine)
    assert "Authorization" not in cli(*args, "--json").record["body"]
    assert "Authorization" in cli(*args, "--json", "--location-trusted").record["body"]


@shows("max_redirects")
def test_max_redirects_is_how_many_are_followed(cli: Cli, practice: PracticeServer, engine: list[str]) -> None:
    url = f"{practice.url}/redirect/3"
    seen = [cli(url, "--max-redirects", str(most), *NO_RETRY, *engine).record for most in (0, 2, 3)]
    assert [record["cause"] for record in seen] == ["status", "redirect", None]
    assert [record["redirects"] for record in seen] == [0, 2, 3]
    assert (seen[0]["status"], seen[0]["final_url"]) == (302, url)
    assert seen[2]["final_url"] == f"{practice.url}/redirect/0"


def test_a_redirect_that_is_not_followed_may_be_accepted(cli: Cli, practice: PracticeServer) -> None:
    done = cli(f"{practice.url}/redirect/1", "--max-redirects", "0", "--accept", "302", "--json")
    assert (done.status, done.record["ok"], done.record["status"]) == (0, True, 302)


@shows("max_filesize")
@pytest.mark.parametrize("path", ["/bytes/5000", "/gzip?bytes=5000", "/stream/200"])
def test_max_filesize_bounds_the_decoded_body(cli: Cli, practice: PracticeServer, path: str, engine: list[str]) -> None:
    done = cli(practice.url + path, "--max-filesize", "4k", *NO_RETRY, *engine)
    assert (done.status, done.record["cause"]) == (1, "too_large")
    assert cli(practice.url + path, "--max-filesize", "1M", *NO_RETRY, *engine).status == 0


@shows("max_ratio")
def test_max_ratio_bounds_how_much_a_body_may_grow(cli: Cli, engine: list[str]) -> None:
    bomb = gzip.compress(bytes(3_000_000))
    with Scripted(lambda _: reply(bomb, b"Content-Encoding: gzip")) as server:
        done = cli(server.url, "--max-ratio", "100", *NO_RETRY, *engine)
        assert (done.status, done.record["cause"]) == (1, "too_large")
        assert "100 times" in done.record["error"]
        done = cli(server.url, "--max-ratio", "2000", *NO_RETRY, *engine)
        assert (done.status, done.record["size"]) == (0, 3_000_000)


@shows("accept")
def test_accept_says_which_statuses_are_ok(cli: Cli, practice: PracticeServer, engine: list[str]) -> None:
    given = [f"{practice.url}/status/{code}" for code in (200, 204, 404, 410, 500)]
    done = cli(*given, "--accept", "204, 404..411", *NO_RETRY, *engine)
    assert done.status == 1
    assert [record["ok"] for record in done.records] == [False, True, True, True, False]
    assert cli(*given[2:4], "--accept", "404..=410", *NO_RETRY, *engine).status == 0


@shows("accept_encoded")
def test_accept_encoded_keeps_a_body_of_an_unknown_coding(cli: Cli, engine: list[str]) -> None:
    with Scripted(lambda _: reply(b"\xff\x00", b"Content-Encoding: secret")) as server:
        assert cli(server.url, *NO_RETRY, *engine).record["cause"] == "decode"
        record = cli(server.url, "--accept-encoded", "--include", "base64", *NO_RETRY, *engine).record
    assert (record["ok"], record["content_encoding"], record["body"]) == (True, "secret", "/wA=")


# --- network -------------------------------------------------------------------------------------------------------


@shows("proxy")
def test_proxy_is_asked_in_place_of_the_server(cli: Cli, server: Scripted, engine: list[str]) -> None:
    proxy = server.url.replace("//", "//me:pass@")
    record = cli("http://example.test/a?b=1", "-x", proxy, "--json", *engine).record
    (asked,) = server.log
    assert (asked.target, asked.header("Host")) == ("http://example.test/a?b=1", "example.test")
    assert asked.header("Proxy-Authorization") == "Basic " + base64.b64encode(b"me:pass").decode()
    assert (record["ok"], record["remote"]) == (True, f"127.0.0.1:{server.port}")


def test_a_proxy_without_a_scheme_is_an_http_one(cli: Cli, server: Scripted, engine: list[str]) -> None:
    assert cli("http://example.test/", "--proxy", f"127.0.0.1:{server.port}", *engine).status == 0
    assert server.log[0].target == "http://example.test/"


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def secure(authority: trustme.CA) -> Iterator[Scripted]:
    """Its certificate is for localhost, of an issuer that nobody knows."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    with Scripted(tls=context) as one:
        yield one


def https(server: Scripted) -> str:
    return f"https://localhost:{server.port}/"


@shows("cacert")
def test_cacert_is_trusted_in_place_of_the_systems(
    cli: Cli, authority: trustme.CA, secure: Scripted, engine: list[str]
) -> None:
    trusted = cli.write("ca.pem", authority.cert_pem.bytes())
    stranger = cli.write("other.pem", trustme.CA().cert_pem.bytes())
    for args in ((), ("--cacert", stranger)):
        done = cli(https(secure), *args, *NO_RETRY, *engine)
        assert (done.status, done.record["cause"]) == (1, "tls")
    assert secure.log == []
    done = cli(https(secure), "--cacert", trusted, *NO_RETRY, *engine)
    assert (done.status, done.record["ok"]) == (0, True)


@shows("insecure")
def test_insecure_verifies_no_certificate_and_the_summary_says_so(
    cli: Cli, secure: Scripted, engine: list[str]
) -> None:
    done = cli(f"https://127.0.0.1:{secure.port}/", "-k", *NO_RETRY, *engine)
    assert (done.status, done.record["ok"]) == (0, True)
    assert "TLS certificates were not verified (--insecure)" in done.said
    assert "--insecure" not in cli(https(secure), *NO_RETRY, *engine).said


@shows("cert", "key")
def test_cert_and_key_are_shown_to_a_server_that_asks_for_them(
    cli: Cli, authority: trustme.CA, engine: list[str]
) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    authority.configure_trust(context)
    context.verify_mode = ssl.CERT_REQUIRED
    mine = authority.issue_cert("me@example.test")
    cli.write("ca.pem", authority.cert_pem.bytes())
    cli.write("cert.pem", mine.cert_chain_pems[0].bytes())
    cli.write("key.pem", mine.private_key_pem.bytes())
    cli.write("both.pem", mine.private_key_and_cert_chain_pem.bytes())
    with Scripted(tls=context) as server:
        url = https(server)
        assert cli(url, "--cacert", "ca.pem", *NO_RETRY, *engine).status == 1
        assert cli(url, "--cacert", "ca.pem", "--cert", "both.pem", *NO_RETRY, *engine).status == 0
        done = cli(url, "--cacert", "ca.pem", "--cert", "cert.pem", "--key", "key.pem", *NO_RETRY, *engine)
        assert (done.status, len(server.log)) == (0, 2)


@shows("ipv4", "ipv6")
def test_ipv4_and_ipv6_leave_out_the_other_familys_addresses(cli: Cli, faults: FaultServer, engine: list[str]) -> None:
    url = f"http://localhost:{faults.address[1]}/ok"
    assert cli(url, "--ipv4", *NO_RETRY, *engine).record["remote"] == faults.netloc
    record = cli(url, "--ipv6", *NO_RETRY, *engine).record
    assert record["cause"] in ("dns", "connect")  # whether localhost has such an address is the machine's business
    assert len(faults.log) == 1


@pytest.mark.parametrize(("option", "host"), [("--ipv6", "127.0.0.1"), ("--ipv4", "[::1]")])
def test_an_address_of_the_family_that_is_left_out_is_not_dialled(
    cli: Cli, faults: FaultServer, engine: list[str], option: str, host: str
) -> None:
    record = cli(f"http://{host}:{faults.address[1]}/ok", option, *NO_RETRY, *engine).record
    assert record["cause"] == "dns"
    assert "Error" not in record["error"]
    assert faults.log == []


@shows("resolve")
def test_resolve_dials_the_given_address(cli: Cli, server: Scripted, engine: list[str]) -> None:
    names = ("one.invalid", "two.invalid")
    given = [f"http://{name}:{server.port}/" for name in names]
    pinned = [part for name in names for part in ("--resolve", f"{name.upper()}:{server.port}:127.0.0.1")]
    done = cli(*given, *pinned, *NO_RETRY, *engine)
    assert done.status == 0
    assert {asked.header("Host") for asked in server.log} == {f"{name}:{server.port}" for name in names}
    assert {record["remote"] for record in done.records} == {f"127.0.0.1:{server.port}"}


@shows("dns_servers")
def test_dns_servers_are_asked_for_the_names(cli: Cli, server: Scripted) -> None:
    with DnsServer() as dns:
        done = cli(
            f"http://some.names.test:{server.port}/", "--dns-servers", f"{dns.address}, {dns.address}", *NO_RETRY
        )
    assert (done.status, done.record["remote"]) == (0, f"127.0.0.1:{server.port}")
    assert dns.asked["some.names.test", A] == 1


@shows("block_private", "allow_host", "deny_host")
def test_only_the_hosts_and_addresses_that_may_be_are_connected_to(
    cli: Cli, server: Scripted, engine: list[str]
) -> None:
    rows = [f"http://127.1:{server.port}/", f"http://a.localhost:{server.port}/", f"http://localhost:{server.port}/"]
    for options, causes in (
        (["--block-private"], ["blocked"] * 3),
        (["--block-private", "--allow-host", "127.0.0.0/8"], [None] * 3),
        (["--allow-host", "*.localhost"], ["blocked", None, "blocked"]),
        (["--deny-host", "*.localhost", "--deny-host", "127.0.0.1"], ["blocked", "blocked", "connect"]),
    ):
        found = cli(*rows, *options, "--json", *NO_RETRY, *engine).records
        assert [record["cause"] for record in found] == causes, options


def test_what_dns_servers_answer_is_checked(cli: Cli, server: Scripted) -> None:
    with DnsServer() as dns:
        url = f"http://some.names.test:{server.port}/"
        record = cli(url, "--dns-servers", dns.address, "--block-private", *NO_RETRY).record
    assert (record["cause"], record["attempts"], server.log) == ("blocked", 1, [])
    assert record["error"] == "some.names.test: 127.0.0.1 is a loopback address, and block-private is set"


@shows("trust_env")
def test_trust_env_uses_the_proxy_of_the_environment_and_nothing_else_does(
    cli: Cli, faults: FaultServer, server: Scripted, monkeypatch: pytest.MonkeyPatch, engine: list[str]
) -> None:
    monkeypatch.setenv("http_proxy", server.url)
    url = f"http://localhost:{faults.address[1]}/ok"
    assert cli(url, *NO_RETRY, *engine).status == 0
    assert (len(faults.log), len(server.log)) == (1, 0)
    assert cli(url, "--trust-env", *NO_RETRY, *engine).status == 0
    assert (len(faults.log), len(server.log)) == (1, 1)
    monkeypatch.setenv("no_proxy", "localhost")
    assert cli(url, "--trust-env", *NO_RETRY, *engine).status == 0
    assert (len(faults.log), len(server.log)) == (2, 1)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ALL_PROXY", "socks://me:s3cr3t@127.0.0.1:9"),
        ("http_proxy", "me:s3cr3t@garbled value"),
        ("no_proxy", "10.0.0.0/99"),
        ("NETRC", "netrc"),
        ("NETRC", "missing"),
    ],
)
def test_what_the_environment_asks_for_in_vain_is_refused_before_the_first_request_and_the_folder(
    cli: Cli, server: Scripted, monkeypatch: pytest.MonkeyPatch, engine: list[str], name: str, value: str
) -> None:
    cli.write("netrc", "machine 127.0.0.1 login me password s3cr3t\nmachne s3cr3t\n")
    if name == "no_proxy":
        monkeypatch.setenv("http_proxy", server.url)
    monkeypatch.setenv(name, value)
    for more in ([], ["-o", "run"]):
        done = cli(server.url, "--trust-env", *more, *NO_RETRY, *engine)
        assert (done.status, done.out) == (2, b"")
        assert done.said.startswith(f"fetchq: --trust-env: {name}: "), done.said
        assert "s3cr3t" not in done.said
        assert len(done.said.splitlines()) == 1
    assert not (cli.folder / "run").exists()
    assert server.log == []
    assert cli(server.url, *NO_RETRY, *engine).status == 0


def test_trust_env_uses_netrc_and_nothing_else_does(
    cli: Cli, server: Scripted, monkeypatch: pytest.MonkeyPatch, engine: list[str]
) -> None:
    netrc = cli.write("netrc", "machine 127.0.0.1 login me password pass\n")
    (cli.folder / netrc).chmod(0o600)
    monkeypatch.setenv("NETRC", netrc)
    cli(server.url, *engine)
    cli(server.url, "--trust-env", *engine)
    wanted = "Basic " + base64.b64encode(b"me:pass").decode()
    assert [asked.header("Authorization") for asked in server.log] == [None, wanted]


# --- input and output ----------------------------------------------------------------------------------------------


@shows("input_format")
@pytest.mark.parametrize("form", ["text", "csv", "jsonl"])
def test_input_format_goes_before_what_the_name_says(cli: Cli, practice: PracticeServer, form: str) -> None:
    url = f"{practice.url}/json"
    content = {"text": url, "csv": f"url,n\n{url},1", "jsonl": json.dumps({"url": url})}[form]
    wrong = {"text": "a.csv", "csv": "a.txt", "jsonl": "a.txt"}[form]
    cli.write(wrong, content)
    for source, stdin in ((wrong, b""), ("-", content.encode())):
        done = cli(source, "--input-format", form, "--json", stdin=stdin)
        assert (done.status, done.record["url"]) == (0, url)


@shows("url_column")
def test_url_column_names_the_column_or_the_key(cli: Cli, practice: PracticeServer) -> None:
    url = f"{practice.url}/json"
    cli.write("a.csv", f"url,link\nnone,{url}\n")
    cli.write("a.jsonl", json.dumps({"url": "none", "link": url}))
    for source in ("a.csv", "a.jsonl"):
        assert cli(source, "--url-column", "link", "--json").record["url"] == url


@shows("passed")
def test_pass_copies_columns_into_the_records_of_every_format(cli: Cli, practice: PracticeServer) -> None:
    cli.write("a.csv", f"url,sku,n\n{practice.url}/json,=1,2\n")
    assert cli("a.csv", "--pass", "sku", "--json").record["passed"] == {"sku": "=1"}
    assert cli("a.csv", "--pass", "*", "--json").record["passed"] == {"sku": "=1", "n": "2"}
    assert "passed" not in cli("a.csv", "--json").record
    (row,) = csv.DictReader(io.StringIO(cli("a.csv", "--pass", "sku", "--format", "csv").text, newline=""))
    assert row["passed_sku"] == "'=1"
    (row,) = csv.DictReader(io.StringIO(cli("a.csv", "--pass", "*", "--format", "csv").text, newline=""))
    assert json.loads(row["passed"]) == {"sku": "=1", "n": "2"}


def test_what_is_read_is_not_passed_on(cli: Cli) -> None:
    done = cli("a.csv", "--pass", "auth")
    assert (done.status, done.said) == (
        2,
        "fetchq: --pass: 'auth' is read by fetchq; only other columns are passed on\n",
    )


@shows("strict_columns")
@pytest.mark.parametrize("stdin", [False, True])
def test_a_column_that_seems_mistyped_is_remarked_on_or_refused(
    cli: Cli, practice: PracticeServer, stdin: bool
) -> None:
    content = f"url,id,metod\n{practice.url}/json,1,POST\n"
    cli.write("a.csv", content)
    source, piped = (["-", "--input-format", "csv"], content.encode()) if stdin else (["a.csv"], b"")
    name = "standard input" if stdin else "'a.csv'"
    why = f"fetchq: {name} has a column 'metod', which is not read; did you mean 'method'?"
    done = cli(*source, "-q", stdin=piped)
    assert (done.status, done.said) == (0, f"{why} (--strict-columns refuses such a list)\n")
    done = cli(*source, "--strict-columns", "--pass", "id", "-q", stdin=piped)
    assert (done.status, done.said, done.text) == (3 if stdin else 2, f"{why}\n", "")
    assert cli(*source, "--strict-columns", "--pass", "*", "-q", stdin=piped).said == ""


def test_headers_in_csv_are_remarked_on(cli: Cli, practice: PracticeServer) -> None:
    cli.write("a.csv", f"url,headers\n{practice.url}/json,A: b\n")
    done = cli("a.csv", "-q")
    why = "fetchq: 'a.csv' has a column 'headers', which is not read: only rows in JSON have headers"
    assert (done.status, done.said) == (0, f"{why} (--strict-columns refuses such a list)\n")


@shows("base_url")
def test_base_url_is_what_the_links_of_a_page_are_relative_to(cli: Cli, practice: PracticeServer) -> None:
    cli.write("a.md", "[here](json) [mail](mailto:a@b) and [nowhere](http://[1-2])")
    done = cli("a.md", "--base-url", f"{practice.url}/x", "--json")
    assert [(one["url"], one["label"], one["cause"]) for one in done.records] == [
        (f"{practice.url}/json", "a.md:1", None),
        ("http://[1-2]", "a.md:1", "invalid_url"),
    ]
    assert done.said.splitlines()[-1] == "a.md: 1 link was left out (1 mailto)"
    done = cli("a.md", "--json")
    assert [one["index"] for one in done.records] == [0]
    assert done.said.splitlines()[-1].endswith(
        "(1 relative, 1 mailto); --base-url URL says what relative links are relative to"
    )


@shows("format", "json")
def test_format_is_that_of_the_records_and_json_is_short_for_jsonl(cli: Cli, practice: PracticeServer) -> None:
    url = f"{practice.url}/json"
    assert cli(url, "--format", "jsonl").record["url"] == cli(url, "--json").record["url"] == url
    (row,) = csv.DictReader(io.StringIO(cli(url, "--format", "csv").text, newline=""))
    assert row["url"] == url
    for args in ((), ("--format", "text")):
        assert re.fullmatch(rf"   200 .*  {url}\n", cli(url, *args).text)


@shows("include")
def test_include_puts_headers_and_body_into_the_record(cli: Cli, engine: list[str]) -> None:
    body = "crème".encode("latin-1")
    answer = reply(body, b"Content-Type: text/plain; charset=latin-1", b"X-A: 1", b"x-a: 2")
    with Scripted(lambda _: answer) as server:
        plain = cli(server.url, "--json", *engine).record
        with_headers = cli(server.url, "--json", "--include", "headers", *engine).record
        with_text = cli(server.url, "--json", "--include", "text", *engine).record
        args = ("--include", "base64", "--include", "headers", "--include", "headers")
        with_both = cli(server.url, "--json", *args, *engine).record
    assert {"headers", "body"} & set(plain) == set()
    assert (with_headers["headers"]["x-a"], "body" in with_headers) == (["1", "2"], False)
    assert (with_text["body"], "headers" in with_text) == ("crème", False)
    assert base64.b64decode(with_both["body"]) == body
    assert with_both["headers"] == with_headers["headers"]


def test_include_hops_puts_the_redirects_into_the_record_and_into_that_of_an_export(
    cli: Cli, practice: PracticeServer, engine: list[str]
) -> None:
    url = f"{practice.url}/redirect/2"
    args = (url, "-o", "run", "--overwrite", "--include", "hops", *engine)
    record = cli(*args, "--json").record
    assert [(hop["status"], hop["url"]) for hop in record["hops"]] == [(302, url), (302, f"{practice.url}/redirect/1")]
    assert cli("export", "run", "--include", "hops").record == record
    assert "hops" not in cli("export", "run").record
    (row,) = csv.DictReader(io.StringIO(cli("export", "run", "--format", "csv", "--include", "hops").text, newline=""))
    assert json.loads(row["hops"]) == record["hops"]
    (row,) = csv.DictReader(io.StringIO(cli(*args, "--format", "csv").text, newline=""))
    assert len(json.loads(row["hops"])) == 2


@shows("quiet")
def test_quiet_says_nothing_but_the_records(cli: Cli, practice: PracticeServer) -> None:
    loud = cli(f"{practice.url}/status/404", "--json")
    done = cli(f"{practice.url}/status/404", "--json", "-q")
    assert (done.status, done.err, done.record["status"]) == (1, b"", 404)
    assert loud.err != b""


@shows("verbose")
def test_verbose_adds_a_line_as_each_worker_starts_a_url(cli: Cli, faults: FaultServer, mode: str) -> None:
    given = [f"{faults.url}/ok?n={n}" for n in range(20)]
    args = ("-w", "3", "--mode", mode)
    assert "start" not in cli(*given, *args).said
    done = cli(*given, "-v", *args, "--json")
    starts = [line.split() for line in done.said.splitlines() if line.split()[:1] == ["start"]]
    assert sorted(line[2] for line in starts) == sorted(given)
    by_url = {record["url"]: str(record["worker"]) for record in done.records}
    assert {line[2]: line[1] for line in starts} == by_url


def test_verbose_shows_every_attempt(cli: Cli, faults: FaultServer) -> None:
    done = cli(faults.url_of("flaky", times=2, how="503"), "-v", "--retry-wait", "0")
    assert done.status == 0
    assert len(re.findall(r"^ +start +\d+  http", done.said, re.MULTILINE)) == 3


COLOUR = re.compile(rb"\x1b\[(?:\d+;)*(?:3\d|4\d|9\d|10\d)(?:;\d+)*m")


@shows("no_color")
@pytest.mark.parametrize("how", ["option", "NO_COLOR", "FETCHQ_NO_COLOR"])
def test_no_colour_is_shown_where_none_is_wanted(cli: Cli, practice: PracticeServer, how: str) -> None:
    given = (f"{practice.url}/json", f"{practice.url}/status/404")
    args = ("--no-color",) if how == "option" else ()
    env = {} if how == "option" else {how: "1"}
    _, shown = cli.on_terminal(*given, *args, env=env)
    assert COLOUR.search(shown) is None
    assert "2 URLs: 1 ok, 1 failed" in "\n".join(Terminal(shown).lines)


def test_colours_are_shown_on_a_terminal(cli: Cli, practice: PracticeServer) -> None:
    _, shown = cli.on_terminal(f"{practice.url}/json", f"{practice.url}/status/404", env={"NO_COLOR": ""})
    for text in (b" 200", b"1 ok"):
        assert b"\x1b[32m" + text + b"\x1b[0m" in shown
    for text in (b" 404", b"status: 404 Not Found", b"1 failed"):
        assert b"\x1b[31m" + text + b"\x1b[0m" in shown


@shows("progress")
def test_progress_dots_shows_a_dot_for_each_url_and_none_shows_nothing(cli: Cli, practice: PracticeServer) -> None:
    given = [f"{practice.url}/json"] * 3
    assert cli(*given, "--progress", "dots").said.startswith("...\n3 URLs")
    for choice in ("none", "auto"):
        assert cli(*given, "--progress", choice).said.startswith("3 URLs")
    assert cli(*given, "--progress", "dots", "--quiet").said == "...\n"


@shows("config")
def test_config_names_the_file_that_settings_come_from(cli: Cli, server: Scripted) -> None:
    cli.write("fetchq.toml", 'user_agent = "here"\nworkers = 3')
    cli.write("mine.toml", 'user_agent = "mine"')
    done = cli(server.url, "--config", "mine.toml")
    assert server.log[0].header("User-Agent") == "mine"
    assert "with 10 workers" in done.said  # the other file is not read at all


# --- where values come from ----------------------------------------------------------------------------------------


def test_the_order_is_option_environment_file_default(
    cli: Cli, server: Scripted, monkeypatch: pytest.MonkeyPatch
) -> None:
    def agent(*args: str) -> str:
        assert cli(server.url, *args).status == 0
        return server.log[-1].header("User-Agent") or ""

    assert agent().startswith("fetchq/")
    own_file(cli, 'user_agent = "yours"')
    assert agent() == "yours"
    cli.write("fetchq.toml", 'user_agent = "here"')
    assert agent() == "here"
    cli.write("mine.toml", 'user_agent = "mine"')
    assert agent("--config", "mine.toml") == "mine"
    monkeypatch.setenv("FETCHQ_USER_AGENT", "environment")
    assert agent("--config", "mine.toml") == "environment"
    assert agent("--config", "mine.toml", "-A", "option") == "option"


@pytest.mark.parametrize("source", ["option", "environment", "file"])
def test_a_timeout_that_is_given_alone_is_the_read_timeout_too(
    source: str, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    args = ["--timeout", "2m"] if source == "option" else []
    if source == "environment":
        monkeypatch.setenv("FETCHQ_TIMEOUT", "2m")
    elif source == "file":
        args = ["--config", str(cli.write("fetchq.toml", 'timeout = "2m"'))]
    assert chosen(*args)[0].read_timeout == 120
    assert chosen(*args, "--read-timeout", "10")[0].read_timeout == 10


@pytest.mark.parametrize(
    ("begun_with", "args", "read_timeout"),
    [
        ((300.0, 30.0), [], 30),
        ((300.0, 30.0), ["-t", "600"], 600),
        ((300.0, 300.0), ["-t", "600"], 600),
        ((300.0, 300.0), ["-t", "5"], 30),
        ((300.0, 12.0), ["-t", "600"], 12),
        ((300.0, 30.0), ["-t", "600", "--read-timeout", "40"], 40),
    ],
)
def test_a_run_that_goes_on_with_another_timeout_keeps_only_a_read_timeout_that_was_chosen(
    begun_with: tuple[float, float], args: list[str], read_timeout: float
) -> None:
    stored = dict(zip(("timeout", "read_timeout"), begun_with, strict=True))
    assert chosen(*args, stored=stored)[0].read_timeout == read_timeout


def test_a_flag_of_the_file_can_be_switched_off_in_the_environment(
    cli: Cli, practice: PracticeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    cli.write("fetchq.toml", "quiet = true")
    assert cli(f"{practice.url}/json").said == ""
    monkeypatch.setenv("FETCHQ_QUIET", "0")
    assert "1 URL" in cli(f"{practice.url}/json").said


ALSO = {
    "key": ["--cert", "a.pem"],
    "resume": ["-o", "run"],
    "overwrite": ["-o", "run"],
    "dedupe": ["-o", "run"],
    "name": ["-o", "run"],
    "output_flat": ["-o", "run"],
    "save_headers": ["-o", "run"],
    "refresh": ["-o", "run"],
    "fields": ["--json"],
}
"""What an option is no good without."""
FLAGS = [option for option in OPTIONS.values() if option.is_flag]


@pytest.mark.parametrize("flag", FLAGS, ids=[str(flag.name) for flag in FLAGS])
def test_a_flag_of_the_file_or_the_environment_can_be_switched_off_by_an_option(
    cli: Cli, monkeypatch: pytest.MonkeyPatch, flag: click.Option
) -> None:
    on, value = flag.opts[-1], "true"
    off = {"--no-color": "--color"}.get(on, on.replace("--", "--no-"))
    if flag.name == "adapt":  # it is what all do anyway
        on, off, value = off, on, "false"
    also = ALSO.get(str(flag.name), [])
    own_file(cli, f"{flag.name} = {value}")
    assert chosen(*also) != chosen(*also, "--config", cli.write("empty.toml", ""))
    assert chosen(*also, off) == chosen(*also, "--config", "empty.toml")
    monkeypatch.setenv(f"FETCHQ_{str(flag.name).upper()}", value)
    assert chosen(*also, off) == chosen(*also, "--config", "empty.toml", off)
    assert chosen(*also, off, on) == chosen(*also)


def test_one_address_family_goes_in_place_of_the_other_in_the_file(cli: Cli) -> None:
    cli.write("fetchq.toml", "ipv4 = true")
    settings, _ = chosen("--no-ipv4", "--ipv6")
    assert (settings.ipv4, settings.ipv6) == (False, True)


def test_a_format_that_is_asked_for_goes_before_json_in_the_file(cli: Cli, practice: PracticeServer) -> None:
    cli.write("fetchq.toml", "json = true")
    assert cli(f"{practice.url}/json", "--format", "csv").text.startswith("index,url,")


def test_of_json_and_format_the_one_that_is_typed_goes_before_the_other(
    cli: Cli, practice: PracticeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"{practice.url}/json"
    assert cli(url, "--json", "--format", "jsonl").record["ok"]
    assert cli(url, "--no-json", "--format", "csv").text.startswith("index,url,")
    monkeypatch.setenv("FETCHQ_JSON", "1")
    assert cli(url, "--format", "csv").text.startswith("index,url,")
    monkeypatch.setenv("FETCHQ_FORMAT", "csv")
    assert cli(url).record["ok"]
    monkeypatch.delenv("FETCHQ_JSON")
    assert cli(url, "--json").record["ok"]


def test_an_empty_environment_variable_is_none(
    cli: Cli, practice: PracticeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FETCHQ_WORKERS", "")
    assert "with 10 workers" in cli(f"{practice.url}/json").said


def test_a_config_file_serves_compare_too(cli: Cli, practice: PracticeServer) -> None:
    cli.write("fetchq.toml", 'workers = 3\nmode = "threads"\njson = true\ninclude = ["text"]\nrounds = 1\ncold = true')
    done = cli("compare", f"{practice.url}/json", "--mode", "sync")
    assert done.status == 0
    assert "1 URL, 1 round, new connections in each run, 3 workers" in done.lines


# An example for each option: what to type, the environment's text, and the values that TOML may have for it.
EXAMPLES: dict[str, tuple[list[str], str, list[object]]] = {
    "input_format": (["csv"], "csv", ["csv"]),
    "url_column": (["link"], "link", ["link"]),
    "passed": (["sku", "*"], "sku\n*", [["sku", "*"]]),
    "strict_columns": ([], "1", [True]),
    "base_url": (["https://w.test/"], "https://w.test/", ["https://w.test/"]),
    "format": (["csv"], "csv", ["csv"]),
    "output": (["run"], "run", ["run"]),
    "save": (["none"], "none", ["none"]),
    "name": (["{host}/{path}"], "{host}/{path}", ["{host}/{path}"]),
    "output_flat": ([], "1", [True]),
    "save_headers": ([], "1", [True]),
    "mode_bits": (["640"], "640", ["640", 0o640]),
    "resume": ([], "1", [True]),
    "overwrite": ([], "1", [True]),
    "dedupe": ([], "1", [True]),
    "robots": ([], "1", [True]),
    "per_host_by": (["domain"], "domain", ["domain"]),
    "per_host": (["4"], "4", [4, "4"]),
    "host_interval": (["500ms"], "500ms", [0.5, "0.5s"]),
    "rate": (["30/m"], "0.5/s", [0.5, "0.5"]),
    "limit_rate": (["1M/s"], "1M", [1_000_000, "1000k/s"]),
    "adapt": ([], "0", [False]),
    "lookahead": (["5"], "5", [5]),
    "refresh": (["old"], "old", ["old"]),
    "json": ([], "1", [True]),
    "include": (["headers", "text"], "headers\ntext", [["headers", "text"]]),
    "progress": (["dots"], "dots", ["dots"]),
    "quiet": ([], "true", [True]),
    "verbose": ([], "yes", [True]),
    "no_color": ([], "on", [True]),
    "mode": (["sync"], "sync", ["sync"]),
    "workers": (["7"], "7", [7, "7"]),
    "processes": (["2"], "2", [2, "2"]),
    "timeout": (["2m"], "2m", [120, 120.0, "2m", "120s"]),
    "connect_timeout": (["500ms"], "500ms", [0.5, "0.5"]),
    "read_timeout": (["1.5"], "1.5", [1.5, "1500ms"]),
    "deadline": (["1h"], "1h", [3600, "60m"]),
    "min_speed": (["1k"], "1k", [1000, "1000"]),
    "min_speed_time": (["5s"], "5s", [5, "5"]),
    "retries": (["0"], "0", [0]),
    "retry_wait": (["0"], "0", [0, 0.0, "0ms"]),
    "retry_on": (["500,502..=503"], "500,502..=503", [[500, 502, 503], "500,502,503"]),
    "max_retry_after": (["0"], "0", [0]),
    "method": (["put"], "put", ["PUT", "put"]),
    "head": ([], "1", [True]),
    "max_failures": (["5"], "5", [5, "5"]),
    "fail_fast": ([], "1", [True]),
    "fields": (["url,status"], "url, status", ["url,status", ["url", "status"]]),
    "only": (["failed"], "failed", ["failed"]),
    "limit": (["5"], "5", [5, "5"]),
    "shuffle": (["5"], "5", [5, "5"]),
    "dry_run": ([], "1", [True]),
    "log_file": (["a.log"], "a.log", ["a.log"]),
    "log_level": (["error"], "error", ["error"]),
    "headers": (["X-A: 1"], "X-A: 1", [["X-A: 1"], [["X-A", "1"]], {"X-A": "1"}]),
    "data": (["a=1"], "a=1", ["a=1"]),
    "data_type": (["json"], "json", ["json"]),
    "user_agent": (["me/1 (x)"], "me/1 (x)", ["me/1 (x)"]),
    "user": (["me:pass word"], "me:pass word", ["me:pass word"]),
    "bearer": (["abc="], "abc=", ["abc="]),
    "cookie": (["a=1; b=2"], "a=1; b=2", ["a=1; b=2"]),
    "cookie_jar": (["a.txt"], "a.txt", ["a.txt"]),
    "har": (["a.har"], "a.har", ["a.har"]),
    "trace": (["a.json"], "a.json", ["a.json"]),
    "max_redirects": (["0"], "0", [0]),
    "location_trusted": ([], "1", [True, "yes"]),
    "max_filesize": (["5M"], "5M", [5_000_000, "5MB"]),
    "max_ratio": (["10"], "10", [10]),
    "accept": (["404"], "404", [404, [404], "404..405"]),
    "accept_encoded": ([], "1", [True, "yes"]),
    "proxy": (["h:3128"], "h:3128", ["http://h:3128"]),
    "cacert": (["a.pem"], "a.pem", ["a.pem"]),
    "cert": (["a.pem"], "a.pem", ["a.pem"]),
    "key": (["a.pem"], "a.pem", ["a.pem"]),
    "insecure": ([], "1", [True]),
    "ipv4": ([], "1", [True]),
    "ipv6": ([], "1", [True]),
    "resolve": (["a:1:::1", "b:2:127.0.0.1"], "a:1:::1\nb:2:127.0.0.1", [["a:1:::1", "b:2:127.0.0.1"]]),
    "dns_servers": (["192.0.2.1,[::1]:53"], "192.0.2.1,[::1]:53", ["192.0.2.1:53,::1", ["192.0.2.1", "::1"]]),
    "trust_env": ([], "1", [True]),
    "block_private": ([], "1", [True, "yes"]),
    "allow_host": (["a.test", "10.0.0.0/8"], "a.test\n10.0.0.0/8", [["a.test", "10.0.0.0/8"]]),
    "deny_host": (["*.a.test,[::1]", "b"], "*.a.test,::1\nb", [["*.a.test", "::1", "b"], "*.a.test ::1, b"]),
    "report": (["a.html"], "a.html", ["a.html"]),
}


def chosen(*args: str, stored: dict[str, Any] | None = None) -> tuple[Settings, Display]:
    """The settings that a command line would run with. `stored`: those of a run that it goes on with."""
    with command.make_context("fetchq", [*args, "source"]) as context:
        given = dict(context.params)
        del given["sources"]
        return read_options(given, None if stored is None else StoredSettings(stored, (), frozenset(), None))


def own_file(cli: Cli, content: str) -> Path:
    """The user's own config file, with this content."""
    path = cli.folder / "home" / "config" / "fetchq" / "fetchq.toml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)
    return path


def toml(value: object) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(key)} = {toml(one)}" for key, one in value.items()) + "}"
    return json.dumps(value)


def test_every_option_has_an_example_here() -> None:
    assert set(EXAMPLES) == set(OPTIONS) - {"config"}


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_option_can_be_set_in_the_environment_and_in_the_file_by_either_name(
    cli: Cli, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    cli.write("a.pem", "")
    typed, environment, written = EXAMPLES[name]
    also = ALSO.get(name, [])
    for flag in ["--no-adapt"] if name == "adapt" else OPTIONS[name].opts:
        wanted = chosen(*also, *([part for value in typed for part in (flag, value)] or [flag]))
        assert wanted != chosen(*also)
        for variable in (name, OPTIONS[name].opts[-1].removeprefix("--").replace("-", "_")):
            with monkeypatch.context() as patch:
                patch.setenv(f"FETCHQ_{variable.upper()}", environment)
                assert chosen(*also) == wanted, variable
        for key in (name, OPTIONS[name].opts[-1].removeprefix("--")):
            for value in written:
                file = own_file(cli, f"{json.dumps(key)} = {toml(value)}\n")
                assert chosen(*also) == wanted, (key, value)
        file.unlink()


USER_ONLY = [one.name for one in fields(Settings) if option_of(one).origin is not Origin.ANYWHERE]


@pytest.mark.parametrize("name", USER_ONLY)
def test_a_file_in_the_current_folder_may_not_set_what_could_hurt(cli: Cli, faults: FaultServer, name: str) -> None:
    cli.write("a.pem", "")
    text = f"{name} = {toml(EXAMPLES[name][2][0])}\n"
    cli.write("fetchq.toml", text)
    problem = cli(f"{faults.url}/ok").problem
    assert f"{str(cli.folder / 'fetchq.toml')!r} may not set {name}, since this folder may come from" in problem
    assert f"{faults.url}/ok" not in problem
    assert faults.log == []
    own_file(cli, text)
    (cli.folder / "fetchq.toml").unlink()
    assert chosen(*ALSO.get(name, [])) != chosen(*ALSO.get(name, []), "--config", cli.write("empty.toml", ""))


@pytest.mark.parametrize("text", ["#" * 16_385, f"workers = {'1' * 5000}", "x = " + "[" * 3000])
def test_a_config_file_that_is_none_ends_with_one_line(cli: Cli, text: str) -> None:
    cli.write("fetchq.toml", text)
    problem = cli("http://127.0.0.1:9/").problem
    assert "the config file 'fetchq.toml' cannot be read: " in problem
    cli.write("fetchq.toml", "#" * 16_384)
    assert cli("http://127.0.0.1:9/", "--retries", "0").status == 1


@pytest.mark.parametrize("name", ["workers", "lookahead", "max_filesize", "max_ratio", "retries"])
def test_a_file_in_the_current_folder_may_not_set_limits_that_hurt(cli: Cli, name: str) -> None:
    most = next(int(option_of(one).folder_maximum or 0) for one in fields(Settings) if one.name == name)
    cli.write("fetchq.toml", f"{name} = {most + 1}")
    assert f"may not set {name}, since this folder may come from" in cli("http://127.0.0.1:9/").problem
    assert cli("http://127.0.0.1:9/", "--config", "fetchq.toml", "--retries", "0").status == 1
    cli.write("fetchq.toml", f"{name} = {most}")
    assert cli("http://127.0.0.1:9/", "--retries", "0").status == 1


def test_every_secret_and_every_file_is_for_the_user_alone_to_give() -> None:
    secrets = {one.name for one in fields(Settings) if not one.repr and option_of(one).flags}
    files = {one.name for one in fields(Settings) if (option_of(one).metavar or "").startswith(("FILE", "DIR"))}
    assert {*secrets, *files, "insecure", "resolve", "trust_env", "dns_servers", "overwrite"} <= {*USER_ONLY}


def test_a_file_in_the_current_folder_does_not_hide_the_user_s_own(cli: Cli, server: Scripted) -> None:
    own_file(cli, 'user_agent = "yours"\nproxy = "http://127.0.0.1:9"')
    cli.write("fetchq.toml", "workers = 3")
    settings, _ = chosen()
    assert (settings.workers, settings.user_agent, settings.proxy) == (3, "yours", "http://127.0.0.1:9")


def test_the_summary_begins_with_the_config_files_in_force(cli: Cli, server: Scripted) -> None:
    assert cli(server.url).said.startswith("1 URL: ")
    cli.write("fetchq.toml", "workers = 3")
    assert cli(server.url).said.startswith("settings from fetchq.toml\n1 URL: ")
    yours = own_file(cli, "retries = 3")
    assert cli(server.url).said.startswith(f"settings from {yours} and fetchq.toml\n1 URL: ")
    cli.write("mine\x1b.toml", "retries = 3")
    assert cli(server.url, "--config", "mine\x1b.toml").said.startswith("settings from mine\\u001b.toml\n1 URL: ")
    os.chdir(yours.parent)
    yours.write_text('proxy = ""')
    assert f"{yours}: proxy: " in cli(server.url).problem  # one's own file is one's own also where one stands beside it


def test_a_dead_proxy_is_not_passed_by(cli: Cli, faults: FaultServer, engine: list[str]) -> None:
    with closed_port() as url:
        done = cli(f"{faults.url}/ok", "-x", url.removeprefix("http://"), *NO_RETRY, *engine)
    assert (done.status, done.record["cause"]) == (1, "connect")
    assert faults.log == []


def test_a_tunnel_that_the_proxy_refuses_says_what_the_proxy_answered(cli: Cli, engine: list[str]) -> None:
    answer = head(length(0), status=b"HTTP/1.1 403 Forbidden")
    with Scripted(lambda _: answer) as proxy:
        done = cli("https://example.test/", "-x", proxy.url, *NO_RETRY, *engine)
        assert [(asked.method, asked.target) for asked in proxy.log] == [("CONNECT", "example.test:443")]
    assert (done.status, done.record["cause"]) == (1, "proxy")
    assert "403" in done.record["error"]
