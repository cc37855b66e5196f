"""`--dedupe`: rows that ask the same are fetched once, and each of them has its record."""

from __future__ import annotations

import random
import shutil
import signal
import sqlite3
import tempfile
import threading
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from faults.wire import Asked
from hypothesis import given
from hypothesis import strategies as st
from support.cli import Cli, ended
from support.factories import examples, failed_result, make_result
from support.leaks import left_threads
from support.servers import Scripted, reply
from support.signals import PATIENT, signal_twice
from support.store import files_of_at_most
from support.waiting import PATIENCE

from fetchq import Cause, Request, Result, Settings, SettingsError, fetch_all, fetch_all_sync, fetch_iter, open_run
from fetchq.core.disk import StorageError
from fetchq.store.dedupe import BATCH_ROWS
from fetchq.store.folder import FolderError
from fetchq.store.open_session import session_for_rows, session_in_folder
from fetchq.store.scratch_db import ScratchDatabase


def echo(asked: Asked) -> bytes:
    """Says which request it was, and has a body of its own even where it fails."""
    status = b"HTTP/1.1 404 Not Found" if asked.path == "/404" else b"HTTP/1.1 200 OK"
    if asked.method == "HEAD":
        return reply(b"", status=status)
    what = f"{asked.method} {asked.target} {asked.header('X') or ''} ".encode() + asked.body
    return reply(what * 5000, b'ETag: "1"', b"Content-Type: text/plain", status=status)


def rows(folder: str = "run", sql: str = 'SELECT "index", path FROM records ORDER BY "index"') -> list[Any]:
    with closing(sqlite3.connect(f"{folder}/run.db")) as connection:
        return connection.execute(sql).fetchall()


# --- what is the same ---


def test_rows_differ_when_anything_that_is_sent_does(tmp_path: Path, mode: str) -> None:
    with Scripted(echo) as server:
        url = f"{server.url}/a"
        alike = [Request(url), Request(f"{url}#part"), Request(url, label="x"), Request(url, method="get")]
        other = [
            Request(f"{url}?"),
            Request(f"{server.url}/A"),
            Request(url, method="HEAD"),
            Request(url, method="POST"),
            Request(url, headers=(("X", "1"),)),
            Request(url, headers=(("X", "2"),)),
            Request(url, body=b""),
            Request(url, body=b"1"),
        ]
        again = [Request(url, headers=(("x", "1"),)), Request(url, body=b"1", method="POST")]
        results = fetch_all_sync([*alike, *other, *again], output=str(tmp_path / "run"), dedupe=True, mode=mode)
        assert len(server.log) == 1 + len(other)
    assert [result._duplicate_of for result in results] == [None, 0, 0, 0, *[None] * 8, 8, 11]
    assert [result.label for result in results[:3]] == [None, None, "x"]
    assert results[1].url == f"{url}#part"
    assert {result.body for result in results[:4]} == {b"GET /a  " * 5000}
    assert results[-1].body == results[-3].body
    assert left_threads() == []


@pytest.mark.parametrize("url", ["http:/name:secret@host/", "name:secret@host", "http://name:secret/x@host:1/"])
def test_no_copy_of_a_malformed_url_shows_its_password(url: str, tmp_path: Path, mode: str) -> None:
    results = fetch_all_sync([url] * 3, mode=mode, output=tmp_path, dedupe=True)
    with open_run(tmp_path) as run:
        shown = [result.url for result in (*results, *run)]
    assert len(shown) == 6
    assert all("***@host" in one and "secret" not in one for one in shown)


@pytest.mark.parametrize("dedupe", [False, True])
def test_a_program_cannot_call_a_row_a_duplicate(tmp_path: Path, dedupe: bool) -> None:
    with Scripted(echo) as server:
        rows = [Request(f"{server.url}/{at}", _duplicate_of=0) for at in range(2)]
        results = fetch_all_sync(rows, output=str(tmp_path / "run"), dedupe=dedupe)
    assert [(result.status, result._duplicate_of) for result in results] == [(200, None)] * 2


def test_a_row_without_a_method_is_the_same_as_one_with_that_of_the_run(cli: Cli) -> None:
    with Scripted(echo) as server:
        url = f"{server.url}/a"
        cli.write("rows.jsonl", f'{{"url": "{url}"}}\n{{"url": "{url}", "method": "head"}}\n')
        assert cli("rows.jsonl", "-o", "run", "--dedupe", "-X", "HEAD").status == 0
        assert len(server.log) == 1
        assert cli("rows.jsonl", "-o", "other", "--dedupe", "-d", "data").status == 0
        assert len(server.log) == 3


def test_unusable_rows_have_their_own_records(cli: Cli) -> None:
    cli.write("urls.txt", "nonsense\nnonsense\nhttp://\n")
    found = cli("urls.txt", "-o", "run", "--dedupe", "--json")
    assert [record["cause"] for record in found.records] == ["invalid_url"] * 3


# --- the whole way ---


@pytest.mark.parametrize("save", ["files", "warc", "parquet", "none"])
def test_each_row_has_its_record_and_the_body_is_stored_once(cli: Cli, mode: str, save: str) -> None:
    with Scripted(echo) as server:
        pages = [f"{server.url}/{name}" for name in ("a", "b", "404")]
        cli.write("urls.txt", "\n".join(pages * 40))
        found = cli("urls.txt", "-o", "run", "--dedupe", "--json", "--save", save, "--mode", mode, "-w", "2")
        assert found.status == 1
        assert len(server.log) == 3
    records = found.records
    assert [record["index"] for record in records] == list(range(120))
    assert [record["url"] for record in records] == pages * 40
    for record in records:
        assert record | {"index": 0} == records[record["index"] % 3] | {"index": 0}
    assert rows() == [(record["index"], record["path"]) for record in records]
    assert "117 rows asked the same as others, and got a copy" in found.said
    with open_run("run") as run:
        assert run.finished
        for result in run:
            whole = f"GET {result.url.removeprefix(server.url)}  ".encode() * 5000
            assert run.body(result) == (b"" if save == "none" else whole)
        assert len({result.path for result in run}) == (1 if save == "none" else 3)
    assert list(Path("run/tmp").iterdir()) == []


@pytest.mark.parametrize("mode", ["async", "threads"])
def test_rows_wait_without_holding_a_worker(cli: Cli, mode: str) -> None:
    """The first is answered when the last has been asked for, and there are two workers."""
    last = threading.Event()

    def answer(asked: Asked) -> bytes:
        if asked.path == "/b":
            last.set()
        return reply(status=b"HTTP/1.1 200 OK" if last.wait(PATIENCE) else b"HTTP/1.1 500 Stuck")

    with Scripted(answer) as server:
        cli.write("urls.txt", f"{server.url}/a\n" * 10 + f"{server.url}/b\n")
        assert cli("urls.txt", "-o", "run", "--dedupe", "--mode", mode, "-w", "2").status == 0
        assert len(server.log) == 2


def test_more_copies_than_fit_in_memory_at_a_time(cli: Cli, mode: str) -> None:
    count = 5 * BATCH_ROWS + 7
    with Scripted(echo) as server:
        cli.write("urls.txt", f"{server.url}/a\n" * count + f"{server.url}/b\n" + f"{server.url}/a\n" * count)
        assert cli("urls.txt", "-o", "run", "--dedupe", "-q", "--mode", mode).status == 0
        assert len(server.log) == 2
    assert [index for index, _ in rows()] == list(range(2 * count + 1))
    assert len({path for _, path in rows()}) == 2


@pytest.mark.parametrize("save", ["files", "warc", "parquet"])
def test_a_copy_made_later_has_the_body_and_the_validators(tmp_path: Path, mode: str, save: str) -> None:
    """What the first session has fetched is known to the second by its ledger and its folder alone."""
    folder = str(tmp_path / "run")
    with Scripted(echo) as server:
        first = fetch_all_sync([f"{server.url}/a"], output=folder, dedupe=True, save=save, mode=mode)
        both = fetch_all_sync(
            [f"{server.url}/a", f"{server.url}/a"], output=folder, dedupe=True, resume=True, save=save, mode=mode
        )
        assert len(server.log) == 1
    assert [result.body for result in both] == [first[0].body] * 2
    assert both[1].headers["ETag"] == '"1"'
    assert {result.path for result in both} == {first[0].path}


async def test_an_endless_list_of_the_same_gives_results_at_once(tmp_path: Path) -> None:
    async def endless(url: str) -> AsyncIterator[str]:
        while True:
            yield url

    with Scripted(echo) as server:
        found = []
        stream = fetch_iter(endless(f"{server.url}/a"), output=str(tmp_path / "run"), dedupe=True, keep_body=False)
        async for result in stream:
            found.append(result)
            if len(found) == 3000:
                break
        await stream.aclose()
        assert len(server.log) == 1
    assert {result.status for result in found} == {200}
    assert len({result.index for result in found}) == 3000


async def test_what_the_deadline_cancels_is_cancelled_for_all_rows_and_done_by_the_next_session(tmp_path: Path) -> None:
    folder = str(tmp_path / "run")
    with Scripted() as server:
        server.answer = server.hold
        urls = [f"{server.url}/a", f"{server.url}/b"] * 800
        results = await fetch_all(urls, output=folder, dedupe=True, deadline=0.3, workers=1)
        assert Counter(result.cause for result in results) == {Cause.CANCELLED: 1600}
        assert rows(folder) == []
        server.released.set()
        asked = len(server.log)
        results = await fetch_all(urls, output=folder, dedupe=True, resume=True)
        assert len(server.log) - asked == 2
    assert [result.status for result in results] == [200] * 1600


# --- usage ---


def test_it_needs_a_folder_and_is_decided_once(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="dedupe: it needs an output folder"):
        Settings(dedupe=True)
    folder = str(tmp_path / "run")
    fetch_all_sync(["nonsense"], output=folder)
    with pytest.raises(FolderError, match="was begun with another --dedupe"):
        fetch_all_sync(["nonsense"], output=folder, dedupe=True, resume=True)


# --- kills ---


@pytest.mark.parametrize("save", ["files", "warc", "parquet"])
def test_a_run_that_is_killed_fetches_each_request_once_for_each_kill_at_most(cli: Cli, save: str) -> None:
    chance = random.Random(1)
    with Scripted(echo) as server:
        pages = [f"{server.url}/{number}" for number in range(300)]
        urls = [chance.choice(pages) for _ in range(3000)]
        cli.write("urls.txt", "\n".join(urls))
        process = cli.start("urls.txt", "-o", "run", "--dedupe", "-q", "--save", save)
        assert server.wait_for_requests(100)
        process.kill()
        process.communicate()
        assert cli("resume", "run", "-q").status == 0
        assert {asked.path for asked in server.log} == {url.removeprefix(server.url) for url in urls}
        assert max(Counter(asked.path for asked in server.log).values()) <= 2
    with open_run("run") as run:
        assert run.finished
        assert [result.url for result in run] == urls
        paths = {result.url: result.path for result in run}
        for result in run:
            assert result.path == paths[result.url]
            assert run.body(result).startswith(f"GET {result.url.removeprefix(server.url)} ".encode())
    if save == "files":
        assert {str(path.relative_to("run")) for path in Path("run/bodies").rglob("*.*")} == set(paths.values())


def test_a_signal_leaves_the_waiting_rows_to_do(cli: Cli, mode: str) -> None:
    with Scripted() as server:
        server.answer = server.hold
        cli.write("urls.txt", f"{server.url}/a\n" * 1500)
        process = cli.start("urls.txt", "-o", "run", "--dedupe", "--mode", mode, "--progress", "none", patch=PATIENT)
        assert server.wait_for_requests(1)
        signal_twice(process, signal.SIGINT)
        found = ended(process)
        assert found.status == 130
        assert found.said.splitlines()[-1] == "run: 0 rows are done; go on with: fetchq resume run"
        server.released.set()
        assert cli("resume", "run", "-q").status == 0
        assert len(server.log) == 2
    assert [index for index, _ in rows()] == list(range(1500))


# --- the writer ---


def test_a_copy_counts_only_when_everybody_else_is_done_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[tuple[str, list[int]]] = []

    def told(step: str, results: Sequence[Result]) -> None:
        steps.append((step, [result.index for result in results]))

    class Sink:
        def write(self, results: Sequence[Result]) -> None:
            told("write", results)

        def flush(self) -> None:
            told("flush", [])

    fake_run = FakeRun(str(tmp_path / "run"), [0, 0, 0])
    fake_run.open()
    commit = fake_run.session.ledger.commit

    def committed(results: Sequence[Result], meta: Any = None) -> None:
        told("commit", results)
        commit(results, meta)

    monkeypatch.setattr(fake_run.session.ledger, "commit", committed)
    fake_run.writer = fake_run.session.writer(Sink(), lambda results: told("count", results))
    while fake_run.read():
        pass
    for _ in range(3):
        fake_run.land(0, None)
    fake_run.close()
    each = [[("write", [row]), ("flush", []), ("commit", [row]), ("count", [row])] for row in range(3)]
    assert [step for step in steps if step != ("commit", [])] == [step for steps in each for step in steps]


def test_a_disk_that_is_full_is_told(tmp_path: Path) -> None:
    scratch = ScratchDatabase(tmp_path / "scratch.db", "CREATE TABLE rows (text TEXT)")
    with files_of_at_most(20_000), pytest.raises(StorageError, match=r"scratch\.db"):
        scratch.execute_many("INSERT INTO rows VALUES (?)", [("x" * 1000,)] * 100)
    scratch.close()
    assert list(tmp_path.iterdir()) == []


# --- retries ---


def test_a_retry_fetches_the_first_of_the_failed_and_copies_it_to_the_others(cli: Cli) -> None:
    healthy = False

    def answer(asked: Asked) -> bytes:
        return reply(status=b"HTTP/1.1 200 OK" if healthy or asked.path == "/ok" else b"HTTP/1.1 503 Busy")

    with Scripted(answer) as server:
        cli.write("urls.txt", f"{server.url}/a\n{server.url}/ok\n" * 5)
        assert cli("urls.txt", "-o", "run", "--dedupe", "--retries", "0").status == 1
        assert len(server.log) == 2
        healthy = True
        found = cli("retry", "run", "--json")
        assert [(record["index"], record["status"]) for record in found.records] == [
            (row, 200) for row in (0, 2, 4, 6, 8)
        ]
        assert len(server.log) == 3


def test_a_retry_of_copies_fetches_them_though_the_first_is_not_a_part_of_it(cli: Cli) -> None:
    bodies = iter([b"old", b"new"])
    with Scripted(lambda _: reply(next(bodies))) as server:
        cli.write("urls.txt", f"{server.url}/a\n" * 4)
        assert cli("urls.txt", "-o", "run", "--dedupe").status == 0
        found = cli("retry", "run", "--where", '"index" IN (1, 3)', "--json", "--include", "text")
        assert [(record["index"], record["body"]) for record in found.records] == [(1, "new"), (3, "new")]
        assert len(server.log) == 2
    with open_run("run") as run:
        assert [run.body(result) for result in run] == [b"old", b"new", b"old", b"new"]


# --- any history at all ---


class FakeRun:
    """A run without a network: what a session hands out waits here until the test says what became of it."""

    def __init__(self, folder: str, pages: Sequence[int]) -> None:
        self.requests = [Request(f"http://a.test/{page}", at, label=str(at)) for at, page in enumerate(pages)]
        self.folder = folder
        self.flying: list[Request] = []
        self.fetched: Counter[tuple[int, str]] = Counter()
        """How often each was done, in each generation."""
        self.shown: list[int] = []
        self.again: str | None = None

    def open(self) -> None:
        if self.again is None:
            self.session = session_for_rows(Settings(output=self.folder, save="none", dedupe=True, resume=True))
            self.session.rows.keep(self.requests)
            self.left = iter([self.session.rows.select(request) for request in self.requests])
            self.session.source.ended = True
        else:
            self.session = session_in_folder(self.folder)
            self.session.retry(self.again)
            self.left = iter(self.session.source)
        self.writer = self.session.writer()

    def close(self) -> None:
        self.session.close()
        self.flying = []

    def read(self) -> bool:
        batch = next(self.left, None)
        self.flying += batch or []
        return batch is not None

    def land(self, at: int, cause: Cause | None) -> None:
        """One that is under way is over."""
        request = self.flying.pop(at % len(self.flying))
        url, index, label = request.url, request.index, request.label
        if request._duplicate_of is not None:
            result = failed_result(Cause.INVALID_URL, url=url, index=index, _duplicate_of=request._duplicate_of)
        elif cause is not None:
            result = failed_result(cause, url=url, index=index, label=label)
        else:
            result = make_result(url=url, index=index, label=label, size=index)
        if request._duplicate_of is None and cause is not Cause.CANCELLED:
            self.fetched[self.session.ledger.generation, url] += 1
        list(self.writer.write([result]))

    def to_the_end(self) -> None:
        while self.read() or self.flying:
            while self.flying:
                self.land(0, None)
        list(self.writer.rest())
        self.session.end()


CAUSES = st.sampled_from([None, None, Cause.TIMEOUT, Cause.CANCELLED])
STEPS = st.lists(st.tuples(st.sampled_from(["read", "land", "land", "kill"]), st.integers(0, 9), CAUSES), max_size=40)


@given(pages=st.lists(st.integers(0, 3), min_size=1, max_size=20), steps=STEPS, retried=STEPS, chosen=st.data())
@examples(60)
def test_any_mixture_gives_one_record_for_each_row_and_asks_each_request_once(
    pages: list[int], steps: list[Any], retried: list[Any], chosen: Any
) -> None:
    root = tempfile.mkdtemp()
    fake_run = FakeRun(f"{root}/run", pages)
    try:
        fake_run.open()
        _play(fake_run, steps)
        _check(fake_run, {0})
        some = chosen.draw(st.sets(st.integers(0, len(pages) - 1), min_size=1))
        before = {row.index: row for row in _records(fake_run)}
        fake_run.close()
        fake_run.again = f'"index" IN ({", ".join(map(str, some))})'
        fake_run.open()
        fake_run.again = "0"  # once is enough
        _play(fake_run, retried)
        after = _records(fake_run)
        _check(fake_run, {0, 1})
        for row in after:
            assert row.index in some or row == before[row.index]
        fresh = {url for generation, url in fake_run.fetched if generation}
        assert fresh == {fake_run.requests[index].url for index in some}
    finally:
        fake_run.close()
        shutil.rmtree(root)


def _play(fake_run: FakeRun, steps: list[Any]) -> None:
    for step, at, cause in steps:
        if step == "read":
            fake_run.read()
        elif step == "land" and fake_run.flying:
            fake_run.land(at, cause)
        elif step == "kill":
            fake_run.close()
            fake_run.open()
    fake_run.to_the_end()
    fake_run.close()  # some may have been cancelled
    fake_run.open()
    fake_run.to_the_end()


def _records(fake_run: FakeRun) -> list[Result]:
    with open_run(fake_run.folder) as run:
        return list(run)


def _check(fake_run: FakeRun, generations: set[int]) -> None:
    records = _records(fake_run)
    assert [(row.index, row.url, row.label) for row in records] == [
        (one.index, one.url, one.label) for one in fake_run.requests
    ]
    assert set(fake_run.fetched.values()) == {1}
    assert {generation for generation, _ in fake_run.fetched} <= generations
