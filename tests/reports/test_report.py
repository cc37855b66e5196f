"""The report of a run: what is in it, also of a durable run, and that nothing in it grows without bound."""

from __future__ import annotations

import json
import random
import re
import shutil
import sqlite3
from collections import Counter
from collections.abc import Sequence
from contextlib import closing, suppress
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from html import unescape
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.cli import Cli
from support.factories import any_text, examples, failed_result, make_result
from support.servers import Scripted, closed_port, reply
from support.store import reseal

from fetchq import Cause, Summary, fetch_all_sync, open_run
from fetchq.cli.practice.server import PracticeServer
from fetchq.core.text import printable
from fetchq.reports.html.bins import MOST_BINS, MOST_LANES, Bins
from fetchq.reports.html.hosts import MOST_HOSTS, HostTable
from fetchq.reports.html.page import LIBRARY, size_on_page
from fetchq.reports.html.rows import MOST_OF_CAUSE, MOST_ROWS, MOST_SLOW, KeptRows
from fetchq.reports.html.run_report import RunReport
from fetchq.reports.html.stored import stored_report

ECHARTS_6_1_0 = "b66b25aeb4df84e33199dc21694014d336d222cbd9deb0e5a7c14bd6aa0d0fd0"


def blocks_of(page: bytes) -> dict[str, dict[str, Any]]:
    """The tables and charts of a page, by their titles."""
    found = re.search(r'<script type="application/json" id="data">([^<>&]*)</script>', page.decode())
    assert found is not None
    return {block["title"]: block for section in json.loads(found[1]) for block in section["blocks"]}


def table(page: bytes, title: str) -> list[dict[str, Any]]:
    """The rows of a table, by the titles of its columns."""
    block = blocks_of(page)[title]
    return [dict(zip([column["title"] for column in block["columns"]], row, strict=True)) for row in block["rows"]]


# --- the page ---


def test_the_plotting_library_is_the_published_file_and_has_its_licence_beside_it() -> None:
    assets = files("fetchq.reports.html") / "assets"
    library = (assets / LIBRARY).read_bytes()
    assert sha256(library).hexdigest() == ECHARTS_6_1_0
    assert b'version="6.1.0"' in library
    folder = assets / Path(LIBRARY).parent.name
    assert "Apache License" in (folder / "LICENSE").read_text()
    assert (folder / "NOTICE").is_file()
    assert (folder / "LICENSE-d3").is_file()


@given(any_text)
@examples(60)
def test_no_text_of_a_row_is_markup_in_the_page(text: str) -> None:
    report, summary = RunReport(), Summary()
    result = make_result(url=f"http://{text}", label=text, reason=text, cause=Cause.STATUS, error=text, worker=3)
    report.add(result, 0.0)
    summary.add([result])
    page = report.page(summary, subtitle=text, workers=3)
    blocks_of(page)  # which is JSON without any sign that HTML knows
    (row,) = table(page, "All URLs")
    assert row["Label"] == row["Reason"] == row["Error"] == printable(text)
    assert page.count(b"<script") == page.count(b"</script>") == 3
    found = re.search(r'<p class="subtitle">([^<>]*)</p>', page.decode())
    assert found is not None
    assert unescape(found[1]) == printable(text)


def test_the_report_of_a_run_has_its_numbers_its_verdict_and_no_secrets(cli: Cli, engine_mode: str) -> None:
    def answer(asked: Any) -> bytes:
        bad = asked.path == "/bad"
        return reply(b"body", status=b"HTTP/1.1 404 <b>Gone</b>" if bad else b"HTTP/1.1 200 OK")

    with Scripted(answer) as server:
        place = server.url.removeprefix("http://")
        urls = [f"{server.url}/a", f"http://me:SECRET@{place}/b", f"{server.url}/bad", "no <URL> of me:SECRET@x:y"]
        cli.write("list.txt", "\n".join(urls))
        ran = cli(
            "list.txt", "-q", "--report", "r.html", "-H", "X-Key: SECRET", "--retries", "0", "--mode", engine_mode
        )
    assert ran.status == 1
    page = (cli.folder / "r.html").read_bytes()
    assert b"SECRET" not in page
    assert b'<p class="lead">' in page
    assert b"What limited this run is not known" not in page
    rows = {row["Row"]: row for row in table(page, "All URLs")}
    assert [rows[at]["Status"] for at in range(4)] == [200, 200, 404, None]
    assert rows[2]["Reason"] == "<b>Gone</b>"
    assert {row["Cause"]: row["URLs"] for row in table(page, "Causes")} == {"status": 1, "invalid_url": 1}
    assert {row["Host"]: row["Failed"] for row in table(page, "By host")} == {server.url: 1}
    parts = {name: seconds for name, seconds, _ in blocks_of(page)["The time of the workers"]["parts"]}
    assert parts["wait"] > 0


# --- in bounded memory ---


segments = st.lists(
    st.tuples(st.integers(1, 2000), st.floats(0, 1e5), st.tuples(*[st.floats(0, 1e4)] * 3)), min_size=1, max_size=30
)


@given(segments)
@examples(150)
def test_the_bins_are_few_and_lose_no_time_and_no_row(given_segments: Sequence[tuple[int, float, Any]]) -> None:
    bins = Bins(3)
    for worker, began, spent in given_segments:
        bins.add(worker, began, spent)
        bins.count(began + sum(spent), "rows")
    assert len(bins) <= MOST_BINS
    assert bins.lanes <= MOST_LANES
    assert sum(bins.counts("rows")) == len(given_segments)
    for phase in range(3):
        whole = sum(spent[phase] for _, _, spent in given_segments)
        by_lane = sum(bins.spent(number, lane)[phase] for number in bins.numbers() for lane in range(bins.lanes))
        assert sum(bins.total(number, phase) for number in bins.numbers()) == pytest.approx(whole, abs=1e-4)
        assert by_lane == pytest.approx(whole, abs=1e-4)


@pytest.mark.parametrize("sign", ["<", "€"])
@pytest.mark.parametrize("rows", [3000, 6000])
def test_the_tables_stay_small_however_long_the_texts_are(sign: str, rows: int) -> None:
    kept, text, causes = KeptRows(), 500 * sign, [one for one in Cause if one is not Cause.CANCELLED]
    for index in range(rows):
        cause = causes[index % len(causes)]
        kept.add(failed_result(cause, index=index, url=text, label=text, reason=text, error=f"{index}{text}"))
    tables = [*kept.tables(), kept.errors()]
    assert size_on_page(tables) < 3_000_000
    assert all(str(cell).endswith("…") for one in tables[:-1] for row in one.rows for cell in row[1:3])


def test_of_very_many_hosts_the_leading_ones_are_kept_and_all_rows_are_counted() -> None:
    hosts, chosen = HostTable(), random.Random(2)
    names = [f"http://host{number}" for number in range(5 * MOST_HOSTS)] + ["http://slow"] * 20 + ["http://bad"] * 50
    chosen.shuffle(names)
    for name in names:
        slow = name == "http://slow"
        hosts.add(name, ok=name != "http://bad", size=1, elapsed=9.0 if slow else 0.01, wait=0.01)
    rows = hosts.table("By host").rows
    assert rows[0][:4] == ("http://slow", 20, 0, 180.0)
    assert ("http://bad", 50, 50) in [row[:3] for row in rows]
    assert rows[-1][0] == "(all others)"
    assert sum(int(row[1] or 0) for row in rows) == len(names)
    assert len(rows) <= 400


def test_of_many_rows_the_slowest_are_listed_and_some_of_each_cause() -> None:
    kept, chosen = KeptRows(), random.Random(3)
    seconds = [chosen.random() for _ in range(MOST_ROWS + 1)]
    for index, elapsed in enumerate(seconds):
        cause = Cause.STATUS if index % 5 == 0 else Cause.DNS if index % 1000 == 1 else None
        kept.add(make_result(index=index, elapsed=elapsed, cause=cause, status=None if cause else 200))
    slow, failed = kept.tables()
    assert {row[0] for row in slow.rows} == {
        index for index, _ in sorted(enumerate(seconds), key=lambda one: -one[1])[:MOST_SLOW]
    }
    causes = [column.title for column in failed.columns].index("Cause")
    assert Counter(row[causes] for row in failed.rows) == {"status": MOST_OF_CAUSE, "dns": 3}


# --- of a durable run ---


def test_report_shows_a_durable_run_with_its_verdict(cli: Cli, practice: PracticeServer, mode: str) -> None:
    assert cli(f"{practice.url}/delay/0.2", f"{practice.url}/bytes/5", "-o", "run", "-q", "--mode", mode).status == 0
    shown = cli("report", "run")
    assert (shown.status, shown.text) == (0, "")
    assert shown.said == "fetchq: the report is run/report.html\n"
    page = (cli.folder / "run" / "report.html").read_bytes()
    assert {row["URL"] for row in table(page, "All URLs")} == {f"{practice.url}/delay/0.2", f"{practice.url}/bytes/5"}
    assert cli("report", "run", "-o", "-").out == page
    assert cli("report", "run", "-o", "other.html").status == 0
    assert (cli.folder / "other.html").read_bytes() == page


def test_rows_that_were_not_tried_are_no_failures_in_any_report(cli: Cli, practice: PracticeServer, mode: str) -> None:
    urls = [f"{practice.url}/status/404", *[f"{practice.url}/json"] * 3]
    given = [*urls, "--fail-fast", "-w", "1", "--mode", mode, "-q"]
    cli(*given, "--report", "page.html")
    cli(*given, "-o", "run")
    cli("report", "run")
    for name in ("page.html", "run/report.html"):
        page = (cli.folder / name).read_bytes()
        facts = dict(re.findall(r"<dt>([^<]+)</dt><dd>([^<]+)<", page.decode()))
        assert [facts[fact] for fact in ("URLs", "ok", "failed", "not tried")] == ["4", "0", "1", "3"]
        assert [(row["Cause"], row["URLs"], row["Share"]) for row in table(page, "Causes")] == [("status", 1, 1.0)]
        assert len(table(page, "All URLs")) == 1
    with open_run(cli.folder / "run") as run:
        (session,) = run.ledger.meta("sessions")  # type: ignore[misc]  # a list, as this test asserts
        assert [session[name] for name in ("ok", "failed", "not_tried")] == [0, 1, 3]


def test_the_times_between_sessions_are_left_out_also_of_sessions_that_were_killed(tmp_path: Path) -> None:
    with PracticeServer() as server:
        fetch_all_sync([f"{server.url}/bytes/{number}" for number in range(6)], output=tmp_path, workers=2)
    change(tmp_path, "DELETE FROM meta WHERE name = 'sessions'")
    later = datetime.now(UTC) + timedelta(days=2)
    for index in (3, 4, 5):
        change(tmp_path, 'UPDATE records SET started = ? WHERE "index" = ?', later.isoformat(), index)
    with open_run(tmp_path) as run:
        page = stored_report(run)
    timeline = blocks_of(page)["What each worker did"]
    assert timeline["end"] < 60
    assert len(timeline["breaks"]) == 1
    assert len(timeline["rows"]) == 6
    assert b"What limited this run is not known: no session" in page


def test_rows_that_got_a_copy_of_a_result_count_once_in_the_time(tmp_path: Path) -> None:
    with PracticeServer() as server:
        results = fetch_all_sync([f"{server.url}/bytes/7"] * 4, output=tmp_path, dedupe=True)
    with open_run(tmp_path) as run:
        page = stored_report(run)
    assert len(blocks_of(page)["What each worker did"]["rows"]) == 1
    assert sum(seconds for row in blocks_of(page)["What each worker did"]["rows"] for seconds in row[3]) == (
        pytest.approx(results[0].elapsed)
    )
    assert len(table(page, "All URLs")) == 4


def test_a_run_without_rows_and_one_that_is_going_on_have_a_report(cli: Cli, practice: PracticeServer) -> None:
    fetch_all_sync([], output=cli.folder / "empty")
    assert cli("report", "empty").status == 0
    cli.write("list.txt", f"{practice.url}/bytes/1\n{practice.url}/bytes/2\n")
    cli("list.txt", "-o", "run", "-q")
    change(cli.folder / "run", "DELETE FROM meta WHERE name = 'finished'")
    with sqlite3.connect(cli.folder / "run" / "run.db", isolation_level=None) as other:
        other.execute("BEGIN IMMEDIATE")  # as a session does that writes at this moment
        shown = cli("report", "run")
    other.close()
    assert shown.status == 0
    assert b"not all rows are done" in (cli.folder / "run" / "report.html").read_bytes()


@pytest.mark.parametrize(
    "damage",
    [
        lambda run: (run / "run.db").write_bytes(b"something else" * 1000),
        lambda run: change(run, "UPDATE records SET started = 'yesterday'"),
        lambda run: change(run, "UPDATE records SET elapsed = 9e999"),
        lambda run: change(run, "UPDATE records SET worker = -3"),
        lambda run: change(run, "UPDATE records SET cause = 'bad luck'"),
        lambda run: change(run, "DROP TABLE records"),
        lambda run: change(run, "UPDATE records SET timing_wait = NULL"),
        lambda run: change(run, "UPDATE records SET hops = '[{}]'"),
        lambda run: change(run, "INSERT OR REPLACE INTO meta VALUES ('sessions', 'no JSON', 0)"),
        lambda run: change(run, "INSERT OR REPLACE INTO meta VALUES ('sessions', ?, 0)", "[" * 100_000),
        lambda run: change(run, "UPDATE meta SET value = '[]' WHERE name IN ('sessions', 'settings')"),
        shutil.rmtree,
    ],
)
def test_a_damaged_or_foreign_folder_is_refused_in_one_line(cli: Cli, practice: PracticeServer, damage: Any) -> None:
    cli(f"{practice.url}/bytes/1", "-o", "run", "-q")
    damage(cli.folder / "run")
    ended = cli("report", "run")
    assert (ended.status, ended.out) == (2 if damage is shutil.rmtree else 3, b"")
    assert ended.said.startswith("fetchq: ")
    assert "run" in ended.said
    assert ended.said.count("\n") == 1
    assert not (cli.folder / "run" / "report.html").exists()


_SESSION = '{"started": "%s", "duration": %s, "workers": %s, "mode": "async", "attribution": null, "verdict": null}'


@pytest.mark.parametrize(
    "sessions",
    [
        '[5, {}, {"started": "x"}]',
        '{"a": 1}',
        "null",
        f"[{_SESSION % ('0001-01-01T00:00:00', 1, 1)}]",
        f"[{_SESSION % ('9999-12-31T23:59:59+00:00', 1, 1)}]",
        f"[{_SESSION % ('2026-01-01T00:00:00Z', -1, 1)}]",
        f"[{_SESSION % ('2026-01-01T00:00:00Z', 1, 0)}]",
    ],
)
def test_sessions_that_are_not_as_expected_are_left_out(cli: Cli, practice: PracticeServer, sessions: str) -> None:
    cli(f"{practice.url}/bytes/1", "-o", "run", "-q")
    change(cli.folder / "run", "INSERT OR REPLACE INTO meta VALUES ('sessions', ?, 0)", sessions)
    assert cli("report", "run").status == 0
    assert b"What limited this run is not known: no session" in (cli.folder / "run" / "report.html").read_bytes()


def test_of_very_many_sessions_the_last_ones_are_listed(cli: Cli, practice: PracticeServer) -> None:
    cli(f"{practice.url}/bytes/1", "-o", "run", "-q")
    many = ", ".join([_SESSION % ("2026-01-01T00:00:00Z", 1, 1)] * 1000)
    change(cli.folder / "run", "INSERT OR REPLACE INTO meta VALUES ('sessions', ?, 0)", f"[{many}]")
    assert cli("report", "run").status == 0
    shown = blocks_of((cli.folder / "run" / "report.html").read_bytes())["Sessions"]
    assert len(shown["rows"]) == 300
    assert shown["note"].startswith("The last 300 of 1,000. ")


@pytest.mark.parametrize("sessions", ["null", "5", '{"a": 1}', '"text"'])
def test_a_run_goes_on_whatever_its_ledger_says_of_sessions(cli: Cli, sessions: str) -> None:
    with closed_port() as url:
        cli(url, "-o", "run", "-q", "--retries", "0")
        change(cli.folder / "run", "INSERT OR REPLACE INTO meta VALUES ('sessions', ?, 0)", sessions)
        assert cli("retry", "run", "-q").status == 1
    with open_run(cli.folder / "run") as run:
        assert [one["mode"] for one in run.ledger.meta("sessions")] == ["async"]


def test_a_report_is_not_written_over_the_run_nor_where_there_is_no_folder(cli: Cli, practice: PracticeServer) -> None:
    cli(f"{practice.url}/bytes/1", "-o", "run", "-q")
    assert "own" in cli("report", "run", "-o", "run/run.db").problem
    assert "no folder" in cli("report", "run", "-o", "missing/r.html").problem


def change(run: Path, sql: str, *values: object) -> None:
    with closing(sqlite3.connect(run / "run.db")) as connection, connection:
        connection.execute(sql, values)
        with suppress(sqlite3.OperationalError):  # a table is gone
            reseal(connection)
