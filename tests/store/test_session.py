"""A session on a run in a folder: it begins it or goes on with it, and no row is lost or done twice."""

from __future__ import annotations

import gzip
import io
import os
import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from support.factories import failed_result, make_result
from support.store import set_meta

from fetchq.core.model import Cause, Request
from fetchq.core.settings import Settings
from fetchq.inputs.lines import SourceError
from fetchq.store import pipe_copy
from fetchq.store.folder import FolderError
from fetchq.store.input_copy import describe_inputs, same_inputs
from fetchq.store.ledger_connection import ConditionError, LedgerError
from fetchq.store.ledger_reader import LedgerReader
from fetchq.store.open_session import session_for_rows, session_for_sources, session_in_folder
from fetchq.store.pipe_copy import PipeCopier
from fetchq.store.session import Session

URLS = [f"http://a.test/{number}" for number in range(5)]


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("urls.txt").write_text("".join(f"{url}\n" for url in URLS))
    return tmp_path


def begin(*arguments: str, stdin: bytes | None = None, **changes: Any) -> Session:
    chosen = Settings(**({"output": "run", "save": "none"} | changes))
    stream = None if stdin is None else io.BytesIO(stdin)
    return session_for_sources(chosen, arguments or ("urls.txt",), stdin=stream)


def read(session: Session) -> list[tuple[int, str]]:
    return [(request.index, request.url) for batch in session.source for request in batch]


def do(session: Session, *rows: int) -> None:
    session.writer().commit([make_result(index=row, url=URLS[row % len(URLS)]) for row in rows])


ALL = list(enumerate(URLS))


# --- beginning and going on ---


def test_what_is_done_is_left_out_when_the_run_goes_on() -> None:
    with begin() as session:
        assert read(session) == ALL
        do(session, 0, 3)
        session.end()
        assert (session.left, session.ledger.meta("finished")) == (3, None)
    with session_in_folder("run") as session:
        assert not session.finished
        assert session.source.count() == 3
        assert read(session) == [ALL[1], ALL[2], ALL[4]]
        do(session, 1, 2, 4)
        session.end()
        assert session.left == 0
    with session_in_folder("run") as session:
        assert session.finished


def test_nobody_knows_what_is_left_of_a_source_that_was_not_read_to_its_end() -> None:
    with begin() as session:
        next(iter(session.source))
        session.end()
        assert session.left is None


def test_a_run_is_neither_begun_twice_nor_thrown_away_unasked() -> None:
    with begin() as session:
        do(session, 0)
    with pytest.raises(FolderError, match="holds a run already: --resume goes on with it, --overwrite throws it away"):
        begin()
    with begin(resume=True) as session:
        assert read(session) == ALL[1:]
    with begin(overwrite=True) as session:
        assert read(session) == ALL


def test_going_on_with_nothing_is_to_begin() -> None:
    with begin(resume=True) as session:
        assert read(session) == ALL


@pytest.mark.parametrize("left", [[], ["lock"], ["lock", "run.db"], ["lock", "run.db", "run.db-journal", "tmp"]])
def test_what_a_kill_has_left_of_a_beginning_is_begun_anew(left: list[str]) -> None:
    os.mkdir("run")
    for name in left:
        Path("run", name).touch()
    with pytest.raises(FolderError, match="there is no run in 'run'"):
        session_in_folder("run")
    with begin() as session:
        assert read(session) == ALL


def test_two_sessions_on_one_folder_are_one_too_many() -> None:
    with begin(), pytest.raises(FolderError, match="another fetchq is at work"):
        session_in_folder("run")
    with session_in_folder("run"):
        pass


def test_a_session_that_cannot_begin_leaves_no_lock() -> None:
    with begin() as session:
        do(session, 0)
    os.rename("urls.txt", "other.txt")
    with pytest.raises(SourceError, match="is gone; put it back to go on"):
        session_in_folder("run")
    os.rename("other.txt", "urls.txt")
    with session_in_folder("run"):
        pass


@pytest.mark.parametrize("change", ["http://b.test/\n", "x" * 120])
def test_an_input_that_has_changed_is_refused(change: str) -> None:
    with begin() as session:
        do(session, 0)
    Path("urls.txt").write_text(change)
    with pytest.raises(SourceError, match="has changed since it began"):
        session_in_folder("run")


@pytest.mark.parametrize("change", ["http://b.test/\n", "".join(f"{url}\n" for url in [*URLS, "http://b.test/"])])
def test_an_input_that_has_changed_is_refused_also_where_it_is_named_again(change: str) -> None:
    with begin() as session:
        do(session, 0)
    Path("urls.txt").write_text(change)
    with pytest.raises(SourceError, match="has changed since it began"):
        begin(resume=True)


@pytest.mark.parametrize("other", [{"input_format": "text"}, {"url_column": "other"}])
def test_another_way_to_read_the_input_is_refused(other: dict[str, str]) -> None:
    Path("urls.csv").write_text("url,other\nhttp://a.test/0,http://b.test/0\n")
    with begin("urls.csv") as session:
        assert read(session) == ALL[:1]
    chosen = Settings(output="run", save="none", resume=True)
    with pytest.raises(FolderError, match=f"another --{next(iter(other)).replace('_', '-')}"):
        session_for_sources(chosen, ["urls.csv"], **other)
    with session_for_sources(chosen, ["urls.csv"]) as session:
        assert read(session) == ALL[:1]


def test_an_input_that_is_no_file_any_more_is_refused_at_once() -> None:
    with begin() as session:
        do(session, 0)
    os.unlink("urls.txt")
    os.mkfifo("urls.txt")
    with pytest.raises(SourceError, match="is not a file any more"):
        session_in_folder("run")


def test_a_folder_of_somebody_s_own_is_not_taken_for_a_run_because_of_a_lock() -> None:
    os.makedirs("run/input")
    for name in ("lock", "main.c", "input/thesis.txt"):
        Path("run", name).write_text(name)
    with pytest.raises(FolderError, match=r"holds other files \('main.c'\) and no run"):
        begin()
    assert Path("run/input/thesis.txt").read_text() == "input/thesis.txt"


def test_what_the_run_was_begun_with_is_kept_also_where_it_is_the_default() -> None:
    with begin(retries=2) as session:
        kept = session.ledger.required_meta("settings")
    assert (kept["retries"], kept["insecure"], kept["retry_on"]) == (2, False, sorted(Settings().retry_on))


def test_other_sources_and_another_way_to_save_are_refused() -> None:
    Path("more.txt").write_text("http://b.test/\n")
    with begin():
        pass
    for arguments in (["more.txt"], ["urls.txt", "more.txt"], ["-"], ["http://a.test/"]):
        with pytest.raises(FolderError, match="has other sources"):
            begin(*arguments, resume=True, stdin=b"")
    with pytest.raises(FolderError, match="another --save"):
        begin(resume=True, save="files")


def test_a_damaged_ledger_is_told() -> None:
    with begin():
        pass
    Path("run/run.db").write_bytes(b"SQLite format 3\0" + b"x" * 5000)
    with pytest.raises(LedgerError):
        session_in_folder("run")


@pytest.mark.parametrize("name", ["settings", "inputs", "reading", "withheld"])
@pytest.mark.parametrize("value", ["{", None])
def test_damage_in_what_every_ledger_has_is_told(name: str, value: str | None) -> None:
    with begin() as session:
        do(session, 0)
    set_meta("run", name, value)
    with pytest.raises(LedgerError, match=f"its meta has no good '{name}'"):
        session_in_folder("run")


@pytest.mark.parametrize("table", ["records", "again"])
def test_a_table_that_is_missing_is_no_wrong_condition(table: str) -> None:
    with begin():
        pass
    with closing(sqlite3.connect("run/run.db")) as connection, connection:
        connection.execute(f"DROP TABLE {table}")
    with pytest.raises(LedgerError, match="it has not the tables of one"):
        session_in_folder("run")


def test_settings_are_kept_and_secrets_are_not() -> None:
    secret = "s3cr3t"
    with begin(
        timeout=5,
        retry_on="500..=502",
        resolve=["a.test:80:127.0.0.1"],
        user=f"me:{secret}",
        headers=[f"Authorization: {secret}"],
        cookie=secret,
        data=secret,
        proxy=f"http://u:{secret}@127.0.0.1:1",
    ) as session:
        kept = session.ledger.meta("settings")
        assert sorted(session.ledger.meta("withheld")) == ["cookie", "data", "headers", "proxy", "user"]
    again = Settings(**kept)
    assert (again.timeout, again.retry_on, again.resolve) == (5, {500, 501, 502}, (("a.test", 80, "127.0.0.1"),))
    for path in Path("run").rglob("*"):
        assert not path.is_file() or secret.encode() not in path.read_bytes()


# --- every kind of input ---


def test_urls_that_are_arguments_are_kept_for_their_owner_alone() -> None:
    arguments = ["http://u:p@a.test/0", "http://a.test/1", "urls.txt", "http://a.test/x"]
    with begin(*arguments) as session:
        rows = read(session)
        do(session, 0)
    assert [url for _, url in rows] == [*arguments[:2], *URLS, arguments[3]]
    with session_in_folder("run") as session:
        assert read(session) == rows[1:]
    for path in Path("run/input").iterdir():
        assert path.stat().st_mode & 0o077 == 0
    with begin(*arguments, resume=True) as session:
        assert read(session) == rows[1:]


def test_arguments_that_a_kill_has_kept_from_being_kept_are_asked_for_again() -> None:
    with begin(*URLS):
        pass
    os.unlink("run/input/0.jsonl")
    with pytest.raises(SourceError, match="begin it anew"):
        session_in_folder("run")
    with begin(*URLS, resume=True) as session:
        assert read(session) == ALL


def test_standard_input_is_kept_as_it_comes() -> None:
    with begin("-", stdin="".join(f"{url}\n" for url in URLS).encode()) as session:
        assert not session.source.rereadable
        assert read(session) == ALL
        do(session, 1)
    with session_in_folder("run") as session:
        assert session.source.rereadable
        assert session.warning is None
        assert read(session) == [ALL[0], *ALL[2:]]


class Pipe(io.RawIOBase):
    """Standard input that has more only when a test says so."""

    def __init__(self, first: bytes) -> None:
        self._pieces = [first]

    def read(self, _: int = -1) -> bytes:
        if self._pieces:
            return self._pieces.pop()
        raise OSError(5, "Input/output error")  # the run was killed: what stands for it in a test


def test_what_had_come_in_when_the_run_was_killed_can_be_gone_on_with_and_it_is_said_that_there_was_more() -> None:
    cut_off = Pipe(b"http://a.test/0\nhttp://a.test/1\nhttp://a.te")
    with _begun_with(cut_off) as session, pytest.raises(SourceError, match="damaged after line 2"):
        read(session)
    with session_in_folder("run") as session:
        assert (
            session.warning
            == "the run ended before all of standard input had come in; it goes on with the 32 bytes that had"
        )
        assert read(session) == ALL[:2]
    with session_in_folder("run") as session:
        assert session.warning is None


def _begun_with(stdin: Any) -> Session:
    return session_for_sources(Settings(output="run", save="none", resume=True), ["-"], stdin=stdin)


def test_standard_input_that_comes_again_completes_what_was_killed() -> None:
    whole = "".join(f"{url}\n" for url in URLS).encode()
    with _begun_with(Pipe(whole[:40])) as session, pytest.raises(SourceError):
        read(session)
    with _begun_with(io.BytesIO(whole)) as session:
        do(session, 0)
        assert read(session) == ALL
    assert Path("run/input/0").read_bytes() == whole


WHOLE = "".join(f"{url}\n" for url in URLS).encode()


@pytest.mark.parametrize("other", [b"http://b.test/\n" * 10, WHOLE[:-1], WHOLE + b"http://b.test/\n", b""])
def test_standard_input_that_was_kept_whole_must_be_the_same_when_it_comes_again(other: bytes) -> None:
    with begin("-", stdin=WHOLE) as session:
        assert read(session) == ALL
    with begin("-", stdin=other, resume=True) as session, pytest.raises(SourceError, match=r"than it was|what it was"):
        read(session)
    with begin("-", stdin=WHOLE, resume=True) as session:
        assert read(session) == ALL
    assert Path("run/input/0").read_bytes() == WHOLE


def test_an_argument_that_is_not_utf_8_does_not_become_another_url() -> None:
    argument = os.fsdecode(b"http://a.test/\xff")
    with begin(argument) as session:
        (row,) = [request for batch in session.source for request in batch]
    assert row.problem is not None
    assert "UTF-8" in row.problem


@pytest.mark.parametrize("other", [b"http://b.test/\n" * 10, b"http://a.test/0\n"])
def test_standard_input_that_comes_again_must_be_the_same(other: bytes) -> None:
    with _begun_with(Pipe(b"http://a.test/0\nhttp://a.test/1\n")) as session, pytest.raises(SourceError):
        read(session)
    with _begun_with(io.BytesIO(other)) as session, pytest.raises(SourceError, match=r"than it was|what it was"):
        read(session)


def test_a_named_pipe_is_kept_too_also_a_compressed_one(here: Path) -> None:
    os.mkfifo("urls.txt.gz")
    with begin("urls.txt.gz", resume=True) as session:
        with open("urls.txt.gz", "wb") as pipe:
            pipe.write(gzip.compress("".join(f"{url}\n" for url in URLS).encode()))
        assert read(session) == ALL
    with session_in_folder("run") as session:
        assert read(session) == ALL


def test_a_copy_can_be_read_while_it_grows(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    with os.fdopen(reader, "rb", buffering=0) as stream, os.fdopen(writer, "wb", buffering=0) as sender:
        copier = PipeCopier("-", stream, tmp_path / "copy")
        copier.start()
        tail = copier.tail()
        for piece in (b"one", b"two", b"three"):
            sender.write(piece)
            assert tail.read1(100) == piece  # type: ignore[attr-defined]
        sender.close()
        assert tail.read1(100) == b""  # type: ignore[attr-defined]
    assert (tmp_path / "copy").read_bytes() == b"onetwothree"


def test_a_copy_that_gets_its_final_name_just_before_it_is_opened_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copier = PipeCopier("-", io.BytesIO(b"http://a.test/"), tmp_path / "copy")
    copier._run()
    (tmp_path / "copy").rename(tmp_path / "copy.part")

    def rename_and_open(path: Path, *args: Any, **options: Any) -> Any:
        if path.suffix == ".part" and path.exists():
            path.rename(tmp_path / "copy")
        return open(path, *args, **options)

    monkeypatch.setattr(pipe_copy, "open", rename_and_open, raising=False)
    assert copier.tail().read() == b"http://a.test/"


def test_sources_are_the_same_when_they_hold_the_same() -> None:
    assert same_inputs(describe_inputs(["urls.txt"]), describe_inputs([os.path.abspath("urls.txt")]))
    assert same_inputs(describe_inputs(["http://a/", "http://b/"]), describe_inputs(["http://a/", "http://b/"]))
    assert not same_inputs(describe_inputs(["http://a/", "http://b/"]), describe_inputs(["http://b/", "http://a/"]))
    with pytest.raises(SourceError, match="cannot be read"):
        describe_inputs(["missing.txt"])


# --- rows of a program ---


def test_rows_of_a_program_are_known_to_the_folder_alone() -> None:
    requests = [Request(url, index, "POST", (("A", "b"),), b"\xff", "x", priority=-index) for index, url in ALL]
    with session_for_rows(Settings(output="run", save="none")) as session:
        session.rows.keep(requests)
        assert all(session.rows.select(request) for request in requests)
        do(session, 2)
    with session_in_folder("run") as session:
        assert [one for batch in session.source for one in batch] == [*requests[:2], *requests[3:]]


def test_a_row_that_is_another_one_now_is_refused() -> None:
    with session_for_rows(Settings(output="run", save="none")) as session:
        session.rows.keep([Request(url, index) for index, url in ALL])
    with session_for_rows(Settings(output="run", save="none", resume=True)) as session:
        assert session.rows.select(Request(URLS[0], 0))
        with pytest.raises(FolderError, match="row 1 is not what it was"):
            session.rows.select(Request("http://other.test/", 1))


@pytest.mark.parametrize("one_by_one", [False, True])
def test_fewer_rows_than_before_are_refused(one_by_one: bool) -> None:
    with session_for_rows(Settings(output="run", save="none")) as session:
        session.rows.keep([Request(url, index) for index, url in ALL])
    with session_for_rows(Settings(output="run", save="none", resume=True)) as session:

        def come() -> None:
            rows = [Request(URLS[0], 0)]
            if one_by_one:
                session.rows.select(rows[0])
            else:
                session.rows.keep(rows)
            session.rows.end()

        with pytest.raises(FolderError, match="there are fewer rows than when"):
            come()


def test_texts_that_utf_8_cannot_hold_are_the_same_when_they_come_again() -> None:
    rows = [Request("http://a.test/\ud83d", 0, label="\udcff")]
    for resume in (False, True):
        with session_for_rows(Settings(output="run", save="none", resume=resume)) as session:
            session.rows.keep(rows)


def test_a_row_may_have_another_priority_in_a_later_session() -> None:
    with session_for_rows(Settings(output="run", save="none")) as session:
        session.rows.keep([Request(url, index) for index, url in ALL])
    with session_for_rows(Settings(output="run", save="none", resume=True)) as session:
        urgent = Request(URLS[0], 0, priority=5)
        assert session.rows.select(urgent) == [urgent]


def test_a_longer_list_goes_on_where_the_shorter_ended() -> None:
    with session_for_rows(Settings(output="run", save="none")) as session:
        assert session.rows.select(Request(URLS[0], 0))
        do(session, 0)
    with session_for_rows(Settings(output="run", save="none", resume=True)) as session:
        rows = [Request(url, index) for index, url in ALL]
        assert [session.rows.select(row) for row in rows] == [[], *([row] for row in rows[1:])]
        do(session, 1)
    with session_in_folder("run") as session:
        assert read(session) == ALL[2:]


# --- retries ---


def test_rows_are_fetched_again_by_a_condition() -> None:
    with begin() as session:
        list(session.source)
        do(session, 0, 1, 2)
        session.writer().commit([failed_result(Cause.DNS, index=3), failed_result(Cause.TLS, index=4)])
        session.end()
    with session_in_folder("run") as session:
        with pytest.raises(ConditionError):
            session.retry("nonsense =")
        assert session.finished
        session.retry("cause = 'dns'")
        assert read(session) == [ALL[3]]
    with session_in_folder("run") as session:  # a kill came first
        assert read(session) == [ALL[3]]
        do(session, 3)
        session.end()
        assert session.left == 0
    with session_in_folder("run") as session:
        session.retry("cause = 'dns'")
        assert session.finished


# --- any history at all ---


class AnyHistory(RuleBasedStateMachine):
    """Whatever happens, a row has one final record, and what was committed is not fetched again."""

    def __init__(self) -> None:
        super().__init__()
        self.root = Path(tempfile.mkdtemp())
        self.folder = str(self.root / "run")
        self.rows = 6
        self.model: dict[int, bool] = {}
        """Of each row that is done, whether it is ok."""
        self.again: set[int] = set()
        self.session: Session | None = None
        self.waiting: Iterator[Request] = iter(())
        self.taken: list[Request] = []

    def _requests(self) -> list[Request]:
        return [Request(URLS[0], index) for index in range(self.rows)]

    def _open(self, session: Session, batches: Iterable[Sequence[Request]]) -> None:
        self.session = session
        self.taken = []
        self.waiting = iter([request for batch in batches for request in batch])
        session.source.ended = True

    @precondition(lambda self: self.session is None)
    @rule(more=st.integers(0, 3))
    def begin_or_resume(self, more: int) -> None:
        self.rows += more
        session = session_for_rows(Settings(output=self.folder, save="none", resume=True))
        session.rows.keep(self._requests())
        self._open(session, map(session.rows.select, self._requests()))

    @precondition(lambda self: self.session is None and os.path.exists(f"{self.folder}/run.db"))
    @rule(failed_only=st.booleans())
    def retry(self, failed_only: bool) -> None:
        session = session_in_folder(self.folder)
        session.retry("NOT ok" if failed_only else "1")
        self.again |= {row for row, ok in self.model.items() if not (ok and failed_only)}
        self._open(session, session.source)

    @precondition(lambda self: self.session is not None)
    @rule()
    def take(self) -> None:
        request = next(self.waiting, None)
        if request is not None:
            assert request.index not in self.model or request.index in self.again
            self.taken.append(request)

    @precondition(lambda self: self.session is not None and self.taken)
    @rule(ok=st.booleans(), cancelled=st.booleans())
    def finish_one(self, ok: bool, cancelled: bool) -> None:
        assert self.session is not None
        row = self.taken.pop().index
        cause = Cause.CANCELLED if cancelled else None if ok else Cause.TIMEOUT
        self.session.writer().commit([make_result(index=row) if cause is None else failed_result(cause, index=row)])
        if not cancelled:
            self.model[row] = ok
            self.again.discard(row)

    @precondition(lambda self: self.session is not None)
    @rule(finished=st.booleans())
    def end(self, finished: bool) -> None:
        assert self.session is not None
        if finished:
            self.session.end()
            assert self.session.left == self.rows - len(self.model) + len(self.again)
        self.session.close()
        self.session = None

    @precondition(lambda self: self.session is not None)
    @rule()
    def crash(self) -> None:
        """As a kill would leave it: the files as they are, the lock gone."""
        assert self.session is not None
        copy = self.root / f"copy-{len(list(self.root.iterdir()))}"
        shutil.copytree(self.folder, copy)
        self.session.close()
        self.session = None
        shutil.rmtree(self.folder)
        copy.rename(self.folder)

    @invariant()
    def each_row_has_one_final_record(self) -> None:
        if os.path.exists(f"{self.folder}/run.db"):
            with closing(LedgerReader.open(Path(self.folder, "run.db"))) as ledger:
                assert {record["index"]: bool(record["ok"]) for record in ledger.records()} == self.model
                assert ledger.count("again") == len(self.again)

    def teardown(self) -> None:
        if self.session is not None:
            self.session.close()
        shutil.rmtree(self.root)


AnyHistory.TestCase.settings = settings(
    max_examples=25, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck)
)
TestAnyHistory: Callable[..., Any] = AnyHistory.TestCase


@pytest.mark.parametrize("planted", ["input", "input/0.part"])
def test_a_link_planted_where_the_input_is_kept_is_not_followed(here: Path, planted: str) -> None:
    elsewhere = here / "elsewhere"
    begin().close()
    link = here / "run" / planted
    if planted == "input":
        elsewhere.mkdir()
        (here / "run" / "input").rmdir()
    else:
        elsewhere.write_text("precious")
    link.symlink_to(elsewhere)
    with begin("-", stdin=b"http://a.test/0\n", output="other") as session:
        read(session)  # so runs with such an input look
    (here / "run" / "run.db").write_bytes((here / "other" / "run.db").read_bytes())
    with pytest.raises(OSError, match="symbolic link"):
        session_in_folder("run")
    assert not list(elsewhere.iterdir()) if elsewhere.is_dir() else elsewhere.read_text() == "precious"
