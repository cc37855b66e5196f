"""`fetchq SOURCE...`: what goes in, the records that come out, the exit status, and what must never be shown."""

from __future__ import annotations

import base64
import csv
import gzip
import io
import json
import re
import subprocess
import sys
from collections import Counter
from datetime import UTC, datetime
from typing import Any

import pytest
from faults.server import FaultServer
from faults.wire import CRLF, head, length
from support.cli import Cli, Ended
from support.servers import Scripted, closed_port, reply
from support.terminal import ACTIVE
from support.waiting import HUNG

from fetchq._version import __version__
from fetchq.cli import COMMANDS
from fetchq.cli.practice.server import PracticeServer
from fetchq.core.model import Cause
from fetchq.http.zstd_decoder import zstd_module

# fmt: off
RECORD = [
    "index", "url", "final_url", "method", "label", "ok", "status", "reason", "cause", "error", "attempts", "redirects",
    "size", "wire_size", "sha256", "content_type", "charset", "content_encoding", "complete", "path", "worker", "mode",
    "http_version", "remote", "started", "elapsed", "timing",
]
# fmt: on
PHASES = ["queued", "held", "dns", "connect", "tls", "wait", "receive", "lag", "decode", "store"]
FORMATS = ("text", "jsonl", "csv")


def urls(ended: Ended) -> list[str]:
    return [record["url"] for record in ended.records]


# --- sources -------------------------------------------------------------------------------------------------------


def test_urls_given_as_arguments_are_fetched_in_every_mode(cli: Cli, practice: PracticeServer, mode: str) -> None:
    given = [f"{practice.url}/bytes/{n}" for n in range(3)]
    done = cli(*given, "--mode", mode, "--json")
    assert done.status == 0
    assert urls(done) == given
    assert [record["size"] for record in done.records] == [0, 1, 2]
    assert {record["mode"] for record in done.records} == {mode}


def test_the_name_of_the_command_fetch_may_be_left_out(cli: Cli, practice: PracticeServer) -> None:
    for command in ((), ("fetch",)):
        done = cli(*command, f"{practice.url}/json", "--json")
        assert (done.status, done.record["status"]) == (0, 200)


def listed(form: str, given: list[str]) -> str:
    if form == "jsonl":
        return "".join(json.dumps({"url": url}) + "\n" for url in given)
    if form in ("csv", "tsv"):
        mark = "," if form == "csv" else "\t"
        return f"n{mark}url\r\n" + "".join(f"{n}{mark}{url}\r\n" for n, url in enumerate(given))
    return f"\ufeff# a comment\r\n\r\n  {given[0]} \r\n\n# another\n" + "\n".join(given[1:])


@pytest.mark.parametrize("packing", ["", ".gz", ".zst"])
@pytest.mark.parametrize("form", ["txt", "csv", "tsv", "jsonl"])
def test_a_list_is_read_in_the_form_that_its_name_says(
    cli: Cli, practice: PracticeServer, form: str, packing: str
) -> None:
    given = [f"{practice.url}/bytes/{n}" for n in range(3)]
    pack = {"": bytes, ".gz": gzip.compress, ".zst": zstd_module().compress}[packing]
    name = cli.write(f"urls.{form}{packing}", pack(listed(form, given).encode()))
    done = cli(name, "--json")
    assert done.status == 0
    assert urls(done) == given


def test_standard_input_is_read_where_the_source_is_a_dash(cli: Cli, practice: PracticeServer) -> None:
    done = cli("-", "--json", stdin=f"{practice.url}/json\n{practice.url}/bytes/5".encode())
    assert done.status == 0
    assert [record["size"] for record in done.records] == [83, 5]


def test_several_sources_are_one_list_in_their_order(cli: Cli, practice: PracticeServer) -> None:
    given = [f"{practice.url}/bytes/{n}" for n in range(6)]
    cli.write("a.txt", "\n".join(given[:2]))
    cli.write("b.csv", listed("csv", given[3:5]))
    done = cli("a.txt", given[2], "b.csv", "-", "--json", stdin=given[5].encode())
    assert done.status == 0
    assert urls(done) == given


def test_a_url_listed_twice_is_two_rows_and_two_records(cli: Cli, faults: FaultServer) -> None:
    done = cli(f"{faults.url}/ok", f"{faults.url}/ok", "--json")
    assert [record["index"] for record in done.records] == [0, 1]
    assert len(faults.log) == 2


def test_a_row_of_json_lines_says_what_is_sent_and_keeps_its_label(cli: Cli, mode: str) -> None:
    row = {"method": "PUT", "headers": {"X-Row": "7"}, "body": {"a": [1]}, "label": "seven"}
    with Scripted() as server:
        name = cli.write("rows.jsonl", json.dumps({"url": f"{server.url}/x", **row}))
        done = cli(name, "--json", "--mode", mode)
        (asked,) = server.log
    assert (asked.method, asked.header("X-Row"), json.loads(asked.body)) == ("PUT", "7", {"a": [1]})
    assert (done.record["method"], done.record["label"]) == ("PUT", "seven")


def test_a_url_with_a_user_name_and_a_password_uses_them(cli: Cli, mode: str) -> None:
    with Scripted() as server:
        done = cli(server.url.replace("//", "//me:s3cret@"), "--json", "--mode", mode)
        assert server.log[0].header("Authorization") == "Basic " + base64.b64encode(b"me:s3cret").decode()
    assert done.record["url"] == server.url.replace("//", "//***@")


@pytest.mark.parametrize("content", ["", "\n \n", "# nothing\n# here\n"], ids=["empty", "blank", "comments"])
@pytest.mark.parametrize("form", FORMATS)
def test_an_empty_list_is_said_to_be_empty_and_is_a_success(cli: Cli, content: str, form: str) -> None:
    name = cli.write("urls.txt", content)
    for source, stdin in ((name, b""), ("-", content.encode())):
        done = cli(source, "--format", form, stdin=stdin)
        assert done.status == 0
        assert done.out == b""
        assert done.said == f"fetchq: no URLs in {source}\n"


def unusable_rows(cli: Cli, server: PracticeServer) -> str:
    bad = [b"example.org/no-scheme", b"http://host:99999/", b"http://a b/", b"http://caf\xe9/", b"http://\x1b[2J/"]
    long = f"{server.url}/bytes/1?".encode() + b"x" * 70_000
    rows = [f"{server.url}/json".encode(), *bad, long, f"{server.url}/bytes/5".encode()]
    return cli.write("urls.txt", b"# rows\n" + b"\n".join(rows) + b"\n")


def test_a_row_that_cannot_be_used_gets_a_record_and_the_rest_is_fetched(
    cli: Cli, practice: PracticeServer, mode: str
) -> None:
    done = cli(unusable_rows(cli, practice), "--json", "--mode", mode)
    assert done.status == 1
    first, *unusable, last = done.records
    assert (first["ok"], last["ok"], last["size"]) == (True, True, 5)
    assert [record["index"] for record in done.records] == list(range(8))
    assert {(record["cause"], record["status"], record["ok"]) for record in unusable} == {("invalid_url", None, False)}
    assert all(record["error"] for record in unusable)
    assert_harmless(done)


def test_the_record_of_a_row_that_cannot_be_used_names_its_line(cli: Cli, practice: PracticeServer) -> None:
    _, *unusable, _ = cli(unusable_rows(cli, practice), "--json").records
    # The first three are text like any other: that they are no URLs shows later. The index tells which rows they are.
    named = [record["error"].partition(":")[0] for record in unusable[3:]]
    assert named == [f"line {n}" for n in range(6, 9)]


def test_a_list_that_is_damaged_further_down_ends_with_3_and_the_rows_before_that_have_records(
    cli: Cli, faults: FaultServer, mode: str
) -> None:
    padding = "".join(f"# {n * 7919:x} {n * n:x}\n" for n in range(40_000))
    packed = gzip.compress(f"{faults.url_of('late')}\n{padding}".encode())
    name = cli.write("urls.txt.gz", packed[: len(packed) // 2])
    done = cli(name, "--json", "--mode", mode)
    assert done.status == 3
    problem = [line for line in done.said.splitlines() if line.startswith("fetchq: ")]
    assert len(problem) == 1
    assert "'urls.txt.gz' is damaged after line" in problem[0]
    assert done.record["ok"]


# --- wrong usage ---------------------------------------------------------------------------------------------------

WRONG = {
    "missing-file": (["none.txt"], "there is no file 'none.txt'"),
    "forgotten-scheme": (["example.org"], "(a URL needs http:// or https://)"),
    "command-behind": (["resume", "x"], "there is no file 'resume' (the command comes first: fetchq resume ...)"),
    "command-nearly": (["retyr", "x"], "there is no file 'retyr' (did you mean: fetchq retry ...?)"),
    "command-of-a-durable-run": (["resume", "-o", "run"], "the command comes first: fetchq resume ..."),
    "folder": (["home"], "'home' is a folder"),
    "unreadable-gz": (["not.gz"], "'not.gz' cannot be read"),
    "empty-zst": (["empty.zst"], "it is empty, not even compressed"),
    "stdin-twice": (["-", "-"], "standard input (-) is given twice"),
    "csv-column": (["list.csv"], "'list.csv' has no column 'url'; it has 'link', 'n'"),
    "csv-other-column": (["list.csv", "--url-column", "address"], "no column 'address'; it has 'link', 'n'"),
    "option": (["--nonsense"], "No such option"),
    "option-with-hint": (["--worker", "3"], "--workers"),
    "option-without-value": (["--workers"], "--workers"),
    "mode": (["--mode", "fast"], "--mode': 'fast' is not one of async, threads, sync"),
    "workers-0": (["--workers", "0"], "--workers': 0 is below 1"),
    "workers-negative": (["-w", "-1"], "--workers': -1 is below 1"),
    "workers-word": (["--workers", "x"], "--workers': 'x' is not a whole number"),
    "workers-fraction": (["--workers", "2.5"], "--workers': '2.5' is not a whole number"),
    "timeout-0": (["--timeout", "0"], "--timeout': 0 is not above 0"),
    "timeout-word": (["-t", "x"], "--timeout': 'x' is not a time"),
    "timeout-infinite": (["-t", "inf"], "--timeout': 'inf' is not a time"),
    "connect-timeout": (["--connect-timeout", "-1"], "--connect-timeout"),
    "deadline": (["--deadline", "0s"], "--deadline"),
    "retries": (["--retries", "-1"], "--retries': -1 is below 0"),
    "size": (["--max-filesize", "1X"], "--max-filesize': '1X' is not a size"),
    "size-0": (["--max-filesize", "0"], "--max-filesize': 0 is below 1"),
    "status-empty-range": (["--accept", "300..200"], "--accept': the range '300..200' is empty"),
    "status-word": (["--accept", "2xx"], "--accept': '2xx' is not a status"),
    "status-too-low": (["--retry-on", "099"], "--retry-on"),
    "header-no-colon": (["-H", "X-A"], "a header is given as 'Name: value'"),
    "header-no-name": (["-H", ": value"], "is not a header name"),
    "header-newline": (["-H", "X-A: 1\r\nX-B: 2"], "X-A has a control character"),
    "header-framing": (["-H", "Content-Length: 3"], "Content-Length"),
    "method": (["-X", "GET /"], "is not an HTTP method"),
    "method-connect": (["-X", "connect"], "CONNECT cannot be fetched"),
    "user": (["-u", "name"], "a user is given as NAME:PASSWORD"),
    "data-file": (["-d", "@none"], "'none' cannot be read"),
    "proxy-scheme": (["-x", "ftp://127.0.0.1:1"], "--proxy"),
    "proxy-socks": (["-x", "socks://127.0.0.1:1"], "--proxy"),
    "proxy-name": (["-x", "foo"], "--proxy"),
    "proxy-port": (["-x", "http://127.0.0.1:99999"], "--proxy"),
    "proxy-no-host": (["-x", "http://:3128"], "--proxy"),
    "proxy-brackets": (["-x", "http://[::1"], "--proxy"),
    "resolve": (["--resolve", "example.org"], "'example.org' is not HOST:PORT:ADDRESS"),
    "resolve-address": (["--resolve", "example.org:80:here"], "is not HOST:PORT:ADDRESS"),
    "resolve-port": (["--resolve", "example.org:0:127.0.0.1"], "a port that is none"),
    "cacert-missing": (["--cacert", "none.pem"], "there is no file 'none.pem'"),
    "cacert-no-certificate": (["--cacert", "list.csv"], "--cacert: no certificates in "),
    "cacert-sync": (["--cacert", "list.csv", "--mode", "sync"], "--cacert: no certificates in "),
    "cert-no-certificate": (["--cert", "list.csv"], "--cert: no certificate and key in "),
    "key-alone": (["--key", "list.csv"], "--key: a key needs its cert"),
    "ipv4-and-ipv6": (["--ipv4", "--ipv6"], "--ipv6: not together with ipv4"),
    "include": (["--include", "body"], "'body' is not one of headers, hops, text, base64"),
    "include-two-bodies": (["--include", "text", "--include", "base64"], "--include: text and base64 both fill"),
    "include-without-records": (["--include", "text"], "--include: a line of text has no room for it; add --json or"),
    "include-in-text": (["--include", "headers", "--format", "text"], "add --json or --format csv"),
    "format": (["--format", "xml"], "'xml' is not one of text, jsonl, csv"),
    "format-json": (["--format", "json"], "'json' is not one of text, jsonl, csv, none; did you mean jsonl?"),
    "json-and-csv": (["--json", "--format", "csv"], "--json: not together with --format csv"),
    "json-and-text": (["--format", "text", "--json"], "--json: not together with --format text"),
    "mode-nearly": (["--mode", "thread"], "; did you mean threads?"),
    "input-format": (["--input-format", "xml"], "'xml' is not one of text, csv, jsonl"),
    "progress": (["--progress", "fast"], "'fast' is not one of auto, bar, dots, none"),
    "config-missing": (["--config", "none.toml"], "the config file 'none.toml' cannot be read: No such file"),
    "config-folder": (["--config", "home"], "the config file 'home' cannot be read: Is a directory"),
    "config-broken": (["--config", "broken.toml"], "the config file 'broken.toml' cannot be read: "),
    "config-not-utf8": (["--config", "latin.toml"], "the config file 'latin.toml' cannot be read: "),
    "config-unknown": (["--config", "unknown.toml"], "has an unknown setting: speed"),
    "config-value": (["--config", "value.toml"], "value.toml: workers: 'many' is not a whole number"),
    "config-type": (["--config", "type.toml"], "type.toml: timeout: [5] is not a time"),
}
FILES: dict[str, bytes] = {
    "list.csv": b"link,n\nhttp://example.org/,1\n",
    "not.gz": b"plain",
    "empty.zst": b"",
    "broken.toml": b"workers =",
    "latin.toml": b'user_agent = "caf\xe9"',
    "unknown.toml": b"speed = 5",
    "value.toml": b'workers = "many"',
    "type.toml": b"timeout = [5]",
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_usage_is_one_line_on_stderr_and_2_and_nothing_is_fetched(
    cli: Cli, faults: FaultServer, case: str
) -> None:
    for name, content in FILES.items():
        cli.write(name, content)
    args, said = WRONG[case]
    assert said in cli(f"{faults.url}/ok", *args).problem
    assert faults.log == []


ENVIRONMENT = {
    "FETCHQ_WORKERS": "x",
    "FETCHQ_TIMEOUT": "0",
    "FETCHQ_JSON": "perhaps",
    "FETCHQ_MODE": "fast",
    "FETCHQ_PROXY": "ftp://x",
    "FETCHQ_INCLUDE": "headers",
}


@pytest.mark.parametrize("name", ENVIRONMENT)
def test_a_wrong_value_in_the_environment_is_wrong_usage(
    cli: Cli, faults: FaultServer, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv(name, ENVIRONMENT[name])
    assert cli(f"{faults.url}/ok").problem.startswith(f"fetchq: {name}: ")
    assert faults.log == []


def test_include_in_a_config_file_is_for_the_runs_that_have_records(cli: Cli, practice: PracticeServer) -> None:
    cli.write("fetchq.toml", 'include = ["text"]')
    assert cli(f"{practice.url}/json").status == 0
    assert cli(f"{practice.url}/json", "--json").record["body"]


@pytest.mark.parametrize("args", [[], ["fetch"], ["fetch", "--json"]], ids=["bare", "fetch", "with-option"])
def test_no_source_at_all_is_wrong_usage(cli: Cli, args: list[str]) -> None:
    assert "SOURCE" in cli(*args).problem


def test_a_list_may_be_called_as_a_command_is(cli: Cli, practice: PracticeServer) -> None:
    assert cli("-w", "1", cli.write("resume", f"{practice.url}/json\n")).status == 0


@pytest.mark.parametrize("name", ["urls", "list", "test", "file", "README"])
def test_a_word_that_is_not_like_a_command_is_only_a_file_that_is_missing(cli: Cli, name: str) -> None:
    assert "fetchq " not in cli(name).problem


def test_wrong_usage_looks_the_same_from_outside(cli: Cli) -> None:
    assert cli.run("none.txt").problem == "fetchq: there is no file 'none.txt'"


# --- failures ------------------------------------------------------------------------------------------------------


def test_each_failed_url_gets_a_record_with_its_cause(cli: Cli, faults: FaultServer, mode: str) -> None:
    with closed_port() as url:
        cases = {
            faults.url_of("hang"): "timeout",
            faults.url_of("drip"): "too_slow",
            faults.url_of("garbage"): "protocol",
            faults.url_of("close-in-middle"): "incomplete",
            faults.url_of("redirect-loop"): "redirect",
            faults.url_of("redirect-file"): "blocked",
            "ftp://127.0.0.1/": "blocked",
            f"{faults.url}/none": "status",
            f"{url}/": "connect",
            f"https://{faults.netloc}/": "timeout",  # the fault server waits for the end of what it takes for a head
            "nonsense": "invalid_url",
        }
        name = cli.write("urls.txt", "\n".join(cases))
        times = ("--read-timeout", "300ms", "--connect-timeout", "300ms", "--min-speed-time", "200ms")
        done = cli(name, "--json", "--mode", mode, "--retries", "0", *times)
    assert done.status == 1
    assert {record["url"]: record["cause"] for record in done.records} == cases
    assert {record["cause"] for record in done.records} <= {cause.value for cause in Cause}
    assert not any(record["ok"] for record in done.records)
    assert all(record["error"] for record in done.records)
    for cause, times in Counter(cases.values()).items():
        assert f"{times} {'x 404' if cause == 'status' else cause}" in done.said


def test_https_of_a_server_that_speaks_plain_http_is_told_alike_in_every_mode(
    cli: Cli, practice: PracticeServer
) -> None:
    url = practice.url.replace("http:", "https:")
    told = [cli(url, "--mode", mode, "--json").record for mode in ("async", "threads", "sync")]
    assert [one["cause"] for one in told] == ["tls"] * 3
    assert len({one["error"] for one in told}) == 1
    assert re.fullmatch("TLS failed: [a-z ]+", told[0]["error"])


def test_one_failed_url_makes_the_exit_status_1(cli: Cli, practice: PracticeServer) -> None:
    done = cli(f"{practice.url}/json", f"{practice.url}/status/404", "--json")
    assert done.status == 1
    assert [record["cause"] for record in done.records] == [None, "status"]


@pytest.mark.parametrize("args", [["--retries", "0"], ["--retry-wait", "1ms"]], ids=["no-retries", "retries"])
@pytest.mark.parametrize("adapt", ["--adapt", "--no-adapt"])
def test_hundreds_of_urls_of_a_dead_host_are_as_many_connect_records(
    cli: Cli, mode: str, args: list[str], adapt: str
) -> None:
    with closed_port() as url:
        name = cli.write("urls.txt", "".join(f"{url}/{n}\n" for n in range(400)))
        done = cli(name, "--json", "--mode", mode, "-w", "20", adapt, "--retry-wait", "1ms", *args)
    assert done.status == 1
    assert sorted(record["index"] for record in done.records) == list(range(400))
    assert {record["cause"] for record in done.records} == {"connect"}
    attempts = [record["attempts"] for record in done.records]
    if adapt == "--no-adapt":
        assert set(attempts) == {1 if "--retries" in args else 3}
    else:
        assert 9 <= sum(attempts) < 200, "it is given up"
        assert "set aside 4 times (no connection), given up" in done.said
    assert "400 URLs: 0 ok, 400 failed" in done.said


# --- records -------------------------------------------------------------------------------------------------------


def test_a_record_has_the_documented_keys_in_their_order(cli: Cli, practice: PracticeServer, mode: str) -> None:
    began = datetime.now(UTC)
    done = cli(f"{practice.url}/html?a", f"{practice.url}/status/404", "nothing://", "--json", "--mode", mode)
    for line in done.lines:
        record = json.loads(line)
        assert list(record) == RECORD
        assert list(record["timing"]) == PHASES
    html, missing, unusable = done.records
    address = practice.url.removeprefix("http://")
    assert html["final_url"] == html["url"] == f"{practice.url}/html?a"
    assert (html["method"], html["ok"], html["status"], html["reason"]) == ("GET", True, 200, "OK")
    assert (html["cause"], html["error"], html["attempts"], html["redirects"]) == (None, None, 1, 0)
    assert html["size"] == html["wire_size"] > 0
    assert re.fullmatch("[0-9a-f]{64}", html["sha256"])
    assert (html["content_type"], html["charset"]) == ("text/html; charset=iso-8859-1", "iso-8859-1")
    assert (html["content_encoding"], html["complete"], html["path"]) == (None, "yes", None)
    assert (html["mode"], html["http_version"], html["remote"]) == (mode, "1.1", address)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z", html["started"])
    assert began <= datetime.fromisoformat(html["started"]) <= datetime.now(UTC)
    spent = sum(html["timing"][phase] or 0 for phase in PHASES[2:])
    assert html["elapsed"] == pytest.approx(spent)
    assert html["elapsed"] > 0
    assert (missing["ok"], missing["status"], missing["cause"]) == (False, 404, "status")
    assert "404" in missing["error"]
    assert (unusable["status"], unusable["final_url"], unusable["cause"]) == (None, None, "blocked")
    assert (unusable["attempts"], unusable["elapsed"], unusable["remote"]) == (0, 0, None)


def test_the_modes_give_the_same_records(cli: Cli, practice: PracticeServer) -> None:
    paths = ("/json", "/html", "/status/404", "/redirect/2", "/gzip", "/br", "/bytes/70000", "/stream/3", "/status/204")
    given = [*(practice.url + path for path in paths), "http://a b/"]
    by_mode = []
    for mode in ("async", "threads", "sync"):
        done = cli(*given, "--json", "--mode", mode, "--include", "headers", "--include", "base64")
        records = done.records
        assert done.status == 1
        assert {record["index"] for record in records} == set(range(len(given)))
        assert len(records) == len(given)
        for record in records:
            for name in ("mode", "worker", "started", "elapsed", "timing"):
                del record[name]
            record["headers"].pop("date", None)
        by_mode.append(records)
    assert by_mode[0] == by_mode[1] == by_mode[2]


def test_csv_holds_what_json_lines_hold(cli: Cli, practice: PracticeServer, mode: str) -> None:
    given = [f"{practice.url}{path}" for path in ("/html", "/status/404", "/gzip")]
    args = ("--mode", mode, "--include", "headers", "--include", "text")
    rows = list(csv.DictReader(io.StringIO(cli(*given, "--format", "csv", *args).text, newline="")))
    columns = [*RECORD[:-1], *(f"timing_{phase}" for phase in PHASES), "headers", "trailers", "body"]
    assert [list(row) for row in rows] == [columns] * 3
    records = cli(*given, "--json", *args).records
    for row, record in zip(sorted(rows, key=lambda row: int(row["index"])), records, strict=True):
        for name in set(RECORD) - {"started", "elapsed", "timing", "worker"}:
            expected = record[name]
            if isinstance(expected, bool):
                expected = str(expected).lower()
            assert row[name] == ("" if expected is None else str(expected)), name
        for phase in PHASES:
            assert (row[f"timing_{phase}"] == "") == (record["timing"][phase] is None)
        assert float(row["elapsed"]) > 0
        assert datetime.fromisoformat(row["started"]).tzinfo is not None
        assert json.loads(row["headers"])["content-type"] == record["headers"]["content-type"]
        assert row["body"] == record["body"].replace("\n", "\\u000a")


def test_a_csv_cell_that_begins_like_a_formula_is_defused(cli: Cli, practice: PracticeServer) -> None:
    labels = ["=cmd|' /C calc'!A0", "+1", "-1", "@SUM(1)", "plain=1", 'quo"te,comma']
    name = cli.write(
        "rows.jsonl", "".join(json.dumps({"url": f"{practice.url}/json", "label": label}) + "\n" for label in labels)
    )
    rows = csv.DictReader(io.StringIO(cli(name, "--format", "csv").text, newline=""))
    seen = [row["label"] for row in sorted(rows, key=lambda row: int(row["index"]))]
    assert seen == [*(f"'{label}" for label in labels[:4]), *labels[4:]]


def test_a_line_of_text_has_status_time_size_worker_and_url_and_the_cause_of_a_failure(
    cli: Cli, practice: PracticeServer, mode: str
) -> None:
    done = cli(f"{practice.url}/bytes/5", f"{practice.url}/status/404", "http://a b/", "--mode", mode, "-w", "1")
    time = r"\d+(?:\.\d+)? m?s"
    patterns = (
        rf"   200 +{time} +5 B +1  {practice.url}/bytes/5",
        rf"   404 +{time} +4 B +1  {practice.url}/status/404  status: 404 Not Found",
        rf"   --- +{time} +- +1  http://a b/  invalid_url: .+",
    )
    assert len(done.lines) == 3
    for pattern in patterns:
        assert sum(re.fullmatch(pattern, line) is not None for line in done.lines) == 1, pattern


def test_records_are_the_only_thing_on_stdout(cli: Cli, practice: PracticeServer) -> None:
    done = cli(f"{practice.url}/json", "--json", "--verbose", "--progress", "dots")
    assert len(done.lines) == len(done.records) == 1
    assert "1 URL: 1 ok, 0 failed" in done.said


def test_the_summary_counts_urls_causes_attempts_and_each_workers_share(cli: Cli, practice: PracticeServer) -> None:
    given = [f"{practice.url}{path}" for path in ("/json", "/bytes/1000", "/status/404", "/status/500")]
    said = cli(*given, "-w", "2", "--retries", "1", "--retry-wait", "0").said
    assert "4 URLs: 2 ok, 2 failed, in " in said
    assert "failed: 1 x 404, 1 x 500" in said
    assert "5 attempts were made" in said
    assert "with 2 workers" in said
    assert re.search(r"^total( +\S+ m?s){4}$", said, re.MULTILINE)
    workers = [line.split() for line in said.partition("worker  attempts")[2].partition("\n\n")[0].splitlines()[1:]]
    assert [line[0] for line in workers] == ["1", "2"]
    assert sum(int(line[1]) for line in workers) == 5
    assert all(line[-1] == "%" for line in workers)


# --- hostile text --------------------------------------------------------------------------------------------------

EVIL = "\x1b]0;owned\x07\x1b[2J\x9b31m\u202e\u2028\u200b\x7f"
"""A new title, an empty screen, a C1 control, a BiDi override, a line separator, a zero width space, DEL."""


def raw(text: str) -> bytes:
    return text.encode("utf-8")


HOSTILE = {
    "reason": head(length(2), b"Connection: close", status=b"HTTP/1.1 404 " + raw(EVIL)) + b"ok",
    "reason-latin1": head(length(2), b"Connection: close", status=b"HTTP/1.1 404 \x9b31m\xff") + b"ok",
    "reason-cr": head(length(2), b"Connection: close", status=b"HTTP/1.1 404 a\rb") + b"ok",
    "header": reply(b"ok", b"X-Evil: " + raw(EVIL)),
    "header-legal": reply(b"ok", raw("X-Evil: \u202e\u2028\u200b\x9b31m")),
    "content-type": reply(b"ok", raw("Content-Type: text/\u202e\x9b31m; charset=\u202e\u2028")),
    "content-type-escape": reply(b"ok", b"Content-Type: text/\x1b[31m"),
    "content-encoding": reply(b"ok", raw("Content-Encoding: \u202e\x9b31m")),
    "body": reply(raw(EVIL)),
    "location": reply(b"", raw("Location: http://\u202e\x9b31m\u2028/"), status=b"HTTP/1.1 302 Found"),
    "location-escape": reply(b"", b"Location: http://h/\x1b[31m", status=b"HTTP/1.1 302 Found"),
    "location-scheme": reply(b"", raw("Location: evil:\u202e\x9b31m"), status=b"HTTP/1.1 302 Found"),
    "location-port": reply(b"", raw("Location: http://h:\u202e\x9b/"), status=b"HTTP/1.1 302 Found"),
    "location-no-host": reply(b"", raw("Location: http://\x1b[31m@/"), status=b"HTTP/1.1 302 Found"),
    "not-http": raw(EVIL) + CRLF + CRLF,
    "header-name": head(raw(EVIL) + b": 1", length(0)),
    "length": head(b"Content-Length: \x1b[31m" + raw("\u202e")),
    "coding": head(b"Transfer-Encoding: \x1b[31m" + raw("\u202e")),
    "chunk": head(b"Transfer-Encoding: chunked") + b"\x1b[31m" + raw("\u202e") + CRLF,
}


def assert_harmless(done: Ended) -> None:
    for shown in (done.text.replace("\r\n", "\n"), done.said):  # CSV ends its lines in CRLF (RFC 4180)
        found = ACTIVE.search(shown)
        assert found is None, f"{found[0]!r} in {shown!r}" if found else ""


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("case", HOSTILE)
@pytest.mark.parametrize("mode", ["async", "sync"])  # one for each engine
def test_nothing_that_a_server_sends_acts_on_a_terminal(cli: Cli, case: str, form: str, mode: str) -> None:
    with Scripted(lambda _: HOSTILE[case]) as server:
        included = () if form == "text" else ("--include", "headers", "--include", "text")
        args = (*included, "--accept-encoded", "-v", "--retries", "0")
        done = cli(f"{server.url}/x", "--format", form, "--mode", mode, *args)
        assert len(server.log) >= 1
    assert done.status in (0, 1)
    assert_harmless(done)
    if form == "jsonl":
        assert done.record["index"] == 0
    assert len(done.lines) == (2 if form == "csv" else 1)


@pytest.mark.parametrize("form", FORMATS)
def test_nothing_in_a_row_acts_on_a_terminal(cli: Cli, practice: PracticeServer, form: str, mode: str) -> None:
    texts = [
        f"{practice.url}/json?{EVIL}",
        f"{practice.url}/json?\u202e\u2066",
        f"http://\u202e{EVIL}/",
        f"{EVIL}://x/",
        f"http://127.0.0.1:{EVIL}/",
        "http://ex\u200bample.invalid\u2028/",
    ]
    rows = [{"url": text} for text in texts]
    rows += [
        {"url": f"{practice.url}/json", "label": EVIL + "\r\n"},
        {"url": f"{practice.url}/json", "method": EVIL},
        {EVIL: 1},
    ]
    listing = "".join(json.dumps(row) + "\n" for row in rows) + EVIL + "\n"
    cli.write("rows.jsonl", listing)
    cli.write("rows.txt", "\n".join(text.replace("\n", "") for text in texts))
    common = ("--format", form, "--mode", mode, "-v", "--retries", "0", "--resolve", "example.invalid:80:127.0.0.1")
    for source, count in (("rows.jsonl", len(rows) + 1), ("rows.txt", len(texts))):
        done = cli(source, *common)
        assert done.status == 1
        assert_harmless(done)
        assert len(done.lines) == count + (form == "csv")


def test_json_holds_hostile_text_escaped_and_exact(cli: Cli, mode: str) -> None:
    value = "a\u202eb\u2028c\u200bd\u009be"
    with Scripted(lambda _: reply(raw(EVIL), b"X-Evil: " + raw(value))) as server:
        name = cli.write("rows.jsonl", json.dumps({"url": server.url, "label": EVIL}))
        done = cli(name, "--json", "--include", "headers", "--include", "text", "--mode", mode)
    assert_harmless(done)
    assert done.record["label"] == EVIL
    assert done.record["body"] == EVIL
    assert done.record["headers"]["x-evil"] == [value]


def test_nothing_in_a_message_about_wrong_usage_acts_on_a_terminal(cli: Cli, practice: PracticeServer) -> None:
    evil = EVIL.replace("/", "")
    cli.write(f"{evil}.csv", f'"{evil}",b\n1,2\n')
    cli.write("key.toml", f"{json.dumps(evil)} = 1\n")
    cli.write("value.toml", f"mode = {json.dumps(evil)}\n")
    cli.write("broken.toml", f"mode = {evil}\n")
    url = f"{practice.url}/json"
    usages = {
        "file": [f"{evil}.txt"],
        "column": [f"{evil}.csv"],
        "key": [url, "--config", "key.toml"],
        "value": [url, "--config", "value.toml"],
        "toml": [url, "--config", "broken.toml"],
        "config": [url, "--config", evil],
        "option": [url, f"--{evil}"],
        "mode": [url, "--mode", evil],
        "header": [url, "-H", evil],
        "cacert": [url, "--cacert", f"{evil}.csv"],
    }
    bad = [name for name, args in usages.items() if ACTIVE.search(cli(*args).problem)]
    assert bad == []


def test_the_name_of_an_empty_list_does_not_act_on_a_terminal(cli: Cli) -> None:
    done = cli(cli.write(f"{EVIL}.txt", ""))
    assert done.status == 0
    assert "no URLs in" in done.said
    assert_harmless(done)


# --- secrets -------------------------------------------------------------------------------------------------------

SECRETS = ("s3cr3t", "hunt3r2", "c00kie", "t0ken", "pr0xypw", "l0cation", "r0wtoken", "r0wbody")


def assert_secret(done: Ended, *more: str) -> None:
    hidden = [*SECRETS, *more]
    hidden += [base64.b64encode(f"{who}:{what}".encode()).decode() for who in ("me", "name", "p") for what in SECRETS]
    assert [secret for secret in hidden if secret in done.text + done.said] == []


@pytest.mark.parametrize("form", FORMATS)
def test_passwords_cookies_and_tokens_are_sent_but_never_shown(cli: Cli, form: str, mode: str) -> None:
    def answer(asked: Any) -> bytes:
        if "/go" in asked.target:
            return reply(
                b"", f"Location: {closed.replace('//', '//me:l0cation@')}/".encode(), status=b"HTTP/1.1 302 Found"
            )
        return reply(b"ok")

    with closed_port() as closed, Scripted(answer) as server:
        secret = server.url.replace("//", "//me:s3cr3t@")
        row = {"url": f"{secret}/row", "headers": {"X-Api-Key": "r0wtoken"}, "body": "r0wbody", "method": "POST"}
        bad = {"url": f"{secret}/bad", "headers": {"Authorization": 5, "Cookie": "r0wtoken"}, "body": "r0wbody"}
        cli.write("rows.jsonl", "".join(json.dumps(one) + "\n" for one in (row, bad)))
        cli.write(
            "rows.txt", f"http://me:s3cr3t@ho st/\nhttp://me:s3cr3t@host:99999/\nftp://me:s3cr3t@host/\n{secret}/go"
        )
        args = ("-u", "name:hunt3r2", "-b", "sid=c00kie", "-H", "Authorization: Bearer t0ken", "--retries", "0", "-v")
        done = cli("rows.jsonl", "rows.txt", f"{secret}/arg", "--format", form, "--mode", mode, *args)
        sent = {asked.target: asked for asked in server.log}
        assert set(sent) == {"/row", "/go", "/arg"}
        assert sent["/arg"].header("Authorization") == "Bearer t0ken"
        assert sent["/arg"].header("Cookie") == "sid=c00kie"
        assert (sent["/row"].header("X-Api-Key"), sent["/row"].body) == ("r0wtoken", b"r0wbody")
    assert done.status == 1
    assert_secret(done)
    assert "//***@" in done.text
    assert "//***@" in done.said  # the lines of --verbose


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_the_password_of_a_proxy_is_sent_but_never_shown(cli: Cli, form: str, scheme: str, mode: str) -> None:
    refusal = reply(b"no", b"Proxy-Authenticate: Basic", status=b"HTTP/1.1 407 Proxy Authentication Required")
    with Scripted(lambda _: refusal) as proxy:
        given = proxy.url.replace("//", "//p:pr0xypw@")
        done = cli(f"{scheme}://example.org/", "-x", given, "--format", form, "--mode", mode, "--retries", "0", "-v")
        wanted = "Basic " + base64.b64encode(b"p:pr0xypw").decode()
        assert [asked.header("Proxy-Authorization") for asked in proxy.log] == [wanted]
    assert done.status == 1
    assert_secret(done)
    with closed_port() as url:
        done = cli(f"{scheme}://example.org/", "-x", url.replace("//", "//p:pr0xypw@"), "--retries", "0", "-v")
    assert done.status == 1
    assert_secret(done)


@pytest.mark.parametrize("mark", list("/?#@\\"), ids=["slash", "question", "hash", "at", "backslash"])
def test_a_password_with_a_character_that_should_have_been_escaped_is_not_shown(
    cli: Cli, mark: str, practice: PracticeServer
) -> None:
    url = practice.url.replace("//", f"//me:s3c{mark}r3t@")
    for form in FORMATS:
        done = cli(f"{url}/json", "--format", form, "-v")
        assert_secret(done, "s3c", "r3t")


WRONG_SECRETS = {
    "header": ["-H", "Authorization Bearer t0ken"],
    "user": ["-u", "hunt3r2"],
    "proxy": ["-x", "http://p:pr0xypw@h/path"],
    "proxy-port": ["-x", "http://p:pr0xypw@h:x"],
    "file": ["http:/me:s3cr3t@example.org/"],
    "config-header": ["--config", "header.toml"],
    "config-user": ["--config", "user.toml"],
}


@pytest.mark.parametrize("case", WRONG_SECRETS)
def test_a_message_about_wrong_usage_does_not_repeat_a_secret(cli: Cli, practice: PracticeServer, case: str) -> None:
    cli.write("header.toml", 'headers = ["Authorization t0ken"]\n')
    cli.write("user.toml", 'user = ["name:hunt3r2"]\n')
    done = cli(f"{practice.url}/json", *WRONG_SECRETS[case])
    assert_secret(done)
    assert done.problem


# --- around it -----------------------------------------------------------------------------------------------------


def test_version_is_the_name_and_the_number(cli: Cli) -> None:
    for flag in ("--version", "-V"):
        done = cli(flag)
        assert (done.status, done.out, done.err) == (0, f"fetchq {__version__}\n".encode(), b"")


def test_help_shows_a_flag_without_its_counterpart(cli: Cli) -> None:
    for args in (["--help"], ["fetch", "--help"], ["compare", "--help"]):
        assert re.search(r"^  -k, --insecure  +Do not verify", cli(*args).text, re.MULTILINE)
    assert "--no-insecure, say, switches off" in " ".join(cli("--help").text.split())


@pytest.mark.parametrize("command", ["resume", "retry"])
def test_help_shows_no_default_where_the_settings_of_the_run_apply(cli: Cli, command: str) -> None:
    text = cli(command, "--help").text
    assert "run's own settings apply" in " ".join(text.split())
    display, _, settings = text.partition("\nTime:\n")
    assert re.findall(r" \[(\S+)\]$", display, re.MULTILINE) == ["text", "auto", "info"]
    assert "  -w, --workers N" in display
    assert not re.search(r" \[\S+\]$", settings, re.MULTILINE)


def test_help_shows_of_a_flag_that_is_set_what_switches_it_off(cli: Cli) -> None:
    text = " ".join(cli("--help").text.split())
    assert "--no-adapt Do not slow down where a host fails or grows slow" in text
    assert " --adapt" not in text


def test_help_mentions_every_option_and_every_command(cli: Cli) -> None:
    from fetchq.cli.fetch import command

    options = {flag for parameter in command.params for flag in parameter.opts if flag.startswith("-")}
    options = options - {"--adapt"} | {"--no-adapt"}
    assert len(options) > 40
    assert re.search(r"^  -V, --version  +Show the version", cli("--help").text, re.MULTILINE)
    for args in (["--help"], ["fetch", "--help"]):
        done = cli(*args)
        assert (done.status, done.err) == (0, b"")
        missing = [option for option in options if not re.search(rf"(?<![\w-]){option}(?![\w-])", done.text)]
        assert missing == []
        assert "Exit status" in done.text or args[0] != "fetch"
    commands = re.findall(r"^  (\w+)  ", cli("--help").text.partition("Commands:")[2], re.MULTILINE)
    assert set(commands) == set(COMMANDS)
    for name in commands:
        assert cli(name, "--help").text.startswith(f"Usage: fetchq {name} ")


def test_python_m_fetchq_is_the_command(cli: Cli, practice: PracticeServer) -> None:
    done = cli.run(f"{practice.url}/json", "--json")
    assert (done.status, done.record["size"]) == (0, 83)


HEAVY = {"aiohttp", "requests", "asyncio", "rich", "orjson", "yarl", "urllib3", "multidict", "uvloop", "h11", "ssl"}


@pytest.mark.parametrize(
    "code",
    [
        "import fetchq",
        "from fetchq.cli import main\ntry: main(['--help'])\nexcept SystemExit: pass",
        "from fetchq.cli import main\ntry: main(['fetch', '--help'])\nexcept SystemExit: pass",
        "from fetchq.cli import main\ntry: main(['--version'])\nexcept SystemExit: pass",
        "from fetchq.cli import main\ntry: main(['--workers', '0'])\nexcept SystemExit: pass",
    ],
    ids=["import", "help", "fetch-help", "version", "wrong-usage"],
)
def test_what_needs_no_network_loads_nothing_heavy(cli: Cli, code: str) -> None:
    code += "\nimport sys\nprint(*sys.modules, sep='\\n', file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(done.stderr.splitlines())
    assert "fetchq" in loaded
    assert HEAVY & loaded == set()


def test_without_uvloop_the_loop_of_asyncio_does(
    cli: Cli, practice: PracticeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "uvloop", None)
    done = cli(f"{practice.url}/json", "--json")
    assert (done.status, done.record["ok"]) == (0, True)


@pytest.mark.parametrize("mode", ["async", "threads"])
def test_a_low_soft_limit_of_open_files_is_raised(cli: Cli, mode: str) -> None:
    import resource

    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with Scripted() as server:
        server.answer = server.hold
        name = cli.write("urls.txt", f"{server.url}/\n" * 60)
        process = cli.start(
            name,
            "-w",
            "60",
            "--mode",
            mode,
            "--json",
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (32, hard)),
        )
        assert server.wait_for_requests(60)  # all of them at once
        server.released.set()
        out, _ = process.communicate()
    assert process.returncode == 0
    assert len(out.splitlines()) == 60


def test_an_ipv6_address_is_fetched_and_its_remote_is_in_brackets(cli: Cli, mode: str) -> None:
    try:
        server = FaultServer("::1")
    except OSError:
        pytest.skip("this machine has no IPv6")
    with server:
        done = cli(f"{server.url}/ok", "--json", "--mode", mode)
    assert done.record["ok"]
    assert done.record["remote"] == server.netloc


@pytest.mark.parametrize("mode", ["async", "sync"])
def test_a_run_of_one_url_imports_nothing_that_it_does_not_need(mode: str) -> None:
    others = {
        "async": ["fetchq.workers.blocking_run", "requests"],
        "sync": ["fetchq.workers.async_pool", "fetchq.workers.async_run", "aiohttp"],
    }[mode]
    unneeded = [*others, "fetchq.inputs.csv", "fetchq.inputs.json", "fetchq.http.cookie_file", "sqlite3"]
    program = (
        "import sys; from fetchq.cli import main\n"
        f"try: main(['http://127.0.0.1:9/', '--retries', '0', '--quiet', '--mode', {mode!r}])\n"
        f"except SystemExit: print([name for name in {unneeded!r} if name in sys.modules])"
    )
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=HUNG)
    assert said.stdout.splitlines()[-1] == "[]"
