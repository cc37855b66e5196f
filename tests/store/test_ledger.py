"""The ledger: what is committed is there, whole, whatever happens after."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, suppress
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict, CIMultiDictProxy
from support.factories import HOSTILE, any_text, examples, failed_result, make_result

from fetchq.core.disk import StorageError
from fetchq.core.model import RECORD_FIELDS, Cause, Request, Timing
from fetchq.core.redirect_hop import HopTiming, RedirectHop, hop_records
from fetchq.store.ledger import Ledger
from fetchq.store.ledger_connection import ConditionError, LedgerError, ledger_exists
from fetchq.store.ledger_reader import LedgerReader
from fetchq.store.schema import COLUMNS, FORMAT
from fetchq.store.stored_run import stored_result


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "run.db"


@pytest.fixture
def ledger(path: Path) -> Iterator[Ledger]:
    with closing(Ledger.create(path, {"generation": 0})) as ledger:
        yield ledger


def rows(path: Path, sql: str = 'SELECT * FROM records ORDER BY "index"') -> list[tuple[object, ...]]:
    """Read as people do, with SQLite alone."""
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(sql).fetchall()


# --- records ---


def test_the_columns_are_the_fields_of_the_record_with_the_timing_spread_and_three_more(ledger: Ledger) -> None:
    plain = [name for name in RECORD_FIELDS if name != "timing"]
    assert list(COLUMNS[: len(plain)]) == plain
    assert COLUMNS[-3:] == ("etag", "last_modified", "generation")
    assert rows(ledger.path, "SELECT name FROM pragma_table_info('records')") == [
        (name,) for name in (*COLUMNS, "checksum")
    ]


def test_a_record_comes_back_as_it_was(ledger: Ledger) -> None:
    hops = (RedirectHop(302, "http://a/", 0.25, HopTiming(wait=0.25)),)
    result = make_result(
        index=7,
        label="a",
        status=404,
        hops=hops,
        cause=Cause.STATUS,
        size=5,
        wire_size=4,
        sha256="ab" * 32,
        path="bodies/000000/x",
        passed={"sku": 12345678901234567890123, "name": "\u00fc"},
        timing=Timing(queued=1.0, held=2.0, tls=None, wait=0.5),
        headers=[("ETag", '"v1"'), ("Last-Modified", "yesterday")],
    )
    ledger.commit([result])
    (row,) = ledger.records()
    record = result.to_record()
    timing = record.pop("timing")
    record |= {f"timing_{phase}": seconds for phase, seconds in timing.items()}
    record |= {"ok": 0, "started": "2026-01-02T03:04:05.678901Z", "etag": '"v1"', "last_modified": "yesterday"}
    record |= {"hops": json.dumps(hop_records(hops))}
    record |= {"passed": json.dumps(result.passed, ensure_ascii=False, separators=(",", ":"))}
    assert row == record | {"generation": 0}
    assert stored_result(row).hops == hops
    assert stored_result(row).passed == result.passed


def test_started_is_in_utc(ledger: Ledger) -> None:
    ledger.commit([make_result(started=datetime(2026, 1, 2, tzinfo=UTC)), make_result(index=1, started=None)])
    assert [row["started"] for row in ledger.records()] == ["2026-01-02T00:00:00Z", None]


@examples(30)
@given(text=any_text | st.just(HOSTILE))
def test_any_text_can_be_kept(text: str) -> None:
    with TemporaryDirectory() as folder, closing(Ledger.create(Path(folder) / "run.db", {})) as ledger:
        ledger.commit([make_result(index=0, label=text), make_result(index=1)])
        first, second = ledger.records()
        assert first["label"] == text.encode("utf-8", "backslashreplace").decode()
        assert second["index"] == 1


def test_a_commit_is_all_or_nothing(ledger: Ledger) -> None:
    ledger.commit([make_result(index=0)], {"store": 1})
    with pytest.raises(LedgerError):
        ledger.commit([make_result(index=1), make_result(index=2, status="x")], {"store": 2})
    assert [row["index"] for row in ledger.records()] == [0]
    assert ledger.meta("store") == 1


def test_what_is_done_is_known_by_number(ledger: Ledger) -> None:
    ledger.commit([make_result(index=index) for index in (0, 3, 70)])
    done = ledger.done()
    assert [index for index in range(100) if index in done] == [0, 3, 70]
    assert ledger.count() == 3
    assert ledger.causes() == {"ok": 3}


def test_a_ledger_that_was_closed_is_one_file(path: Path) -> None:
    with closing(Ledger.create(path, {"a": [1, None]})) as ledger:
        ledger.commit([make_result()])
    assert [one.name for one in path.parent.iterdir()] == ["run.db"]
    with closing(Ledger.open(path)) as again:
        assert again.meta("a") == [1, None]
        assert again.meta("b", 5) == 5
        assert again.count() == 1


def test_a_ledger_can_be_read_while_it_is_written(ledger: Ledger) -> None:
    with closing(LedgerReader.open(ledger.path)) as reader:
        assert reader.count() == 0
        ledger.commit([make_result()])
        assert reader.count() == 1
        with pytest.raises(StorageError):
            reader._select("DELETE FROM records")


def test_what_a_kill_leaves_of_a_commit_is_nothing(path: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    copy.mkdir()
    with closing(Ledger.create(path, {})) as ledger:
        ledger.commit([make_result(index=0)])
        ledger._connection.execute("BEGIN IMMEDIATE")
        ledger._connection.execute("DELETE FROM records")
        for one in ("run.db", "run.db-wal"):
            shutil.copy(path.with_name(one), copy / one)
        ledger._connection.execute("ROLLBACK")
    with closing(Ledger.open(copy / "run.db")) as survivor:
        assert survivor.count() == 1


# --- conditions ---


def test_a_condition_is_plain_sql(ledger: Ledger) -> None:
    ledger.commit([make_result(index=0, status=200), failed_result(Cause.TIMEOUT, index=1), make_result(index=2)])
    assert [row["index"] for row in ledger.records("cause = 'timeout' OR \"index\" > 1 -- those")] == [1, 2]
    assert ledger.count("records", "NOT ok") == 1


@pytest.mark.parametrize(
    "where",
    [
        "",
        "no_such_column = 1",
        "index > 3",
        "1); DROP TABLE records; --",
        "1) UNION SELECT 1 --",
        "'",
        "ok = ",
        "(",
        ")",
    ],
)
def test_what_is_no_condition_is_told(ledger: Ledger, where: str) -> None:
    ledger.commit([make_result()])
    for ask in (
        lambda: list(ledger.records(where)),
        lambda: ledger.retry(where),
        lambda: ledger.count("records", where),
    ):
        with pytest.raises(ConditionError) as caught:
            ask()
        assert "\n" not in str(caught.value)
    assert ledger.count() == 1


def test_a_pattern_that_no_signal_would_end_is_refused(ledger: Ledger) -> None:
    ledger.commit([make_result()])
    assert ledger.retry(f"url LIKE '{'%' * 1000}'") == 1
    for pattern in ("%a" * 501, "a" * 1001):
        with pytest.raises(ConditionError, match="too complex"):
            ledger.retry(f"url LIKE '{pattern}'")


def test_the_quotes_that_index_needs_are_told(ledger: Ledger) -> None:
    with pytest.raises(ConditionError, match='needs quotes: "index"'):
        list(ledger.records("index > 3"))


# --- retries ---


def test_a_retried_row_is_to_do_until_its_new_record_is_there_and_the_old_one_is_history(path: Path) -> None:
    with closing(Ledger.create(path, {"finished": "x", "generation": 0})) as ledger:
        ledger.commit([make_result(index=0), failed_result(Cause.DNS, index=1), failed_result(Cause.TLS, index=2)])
        assert ledger.retry("NOT ok") == 2
        assert ledger.meta("finished") is None
    with closing(Ledger.open(path)) as ledger:  # a kill between the two changes nothing
        assert [index for index in range(3) if index in ledger.done()] == [0]
        assert ledger.count() == 3
        ledger.commit([make_result(index=1)])
    with closing(Ledger.open(path)) as ledger:
        assert [index for index in range(3) if index in ledger.done()] == [0, 1]
    assert rows(path, 'SELECT "index", cause, generation FROM records') == [(0, None, 0), (1, None, 1), (2, "tls", 0)]
    assert rows(path, 'SELECT "index", cause, generation FROM history') == [(1, "dns", 0)]


def test_history_keeps_every_earlier_record(path: Path) -> None:
    with closing(Ledger.create(path, {})) as ledger:
        ledger.commit([failed_result(Cause.DNS)])
        for cause in (Cause.TLS, Cause.TIMEOUT, None):
            ledger.retry("1")
            ledger.commit([make_result() if cause is None else failed_result(cause)])
    assert rows(path, "SELECT cause, generation FROM history ORDER BY generation") == [
        ("dns", 0),
        ("tls", 1),
        ("timeout", 2),
    ]


def test_a_retry_of_nothing_changes_nothing(ledger: Ledger) -> None:
    ledger.commit([make_result()], {"finished": "x"})
    assert ledger.retry("NOT ok") == 0
    assert (ledger.meta("finished"), ledger.generation) == ("x", 0)


# --- rows of a program ---


def test_a_header_that_is_no_utf_8_is_kept_as_what_it_says_in_latin_1(ledger: Ledger, path: Path) -> None:
    headers = CIMultiDictProxy(CIMultiDict({"ETag": '"caf\udce9"', "Last-Modified": "caf\u00e9"}))
    ledger.commit([make_result(headers=headers)])
    assert rows(path, "SELECT etag, last_modified FROM records") == [('"caf\u00e9"', "caf\u00e9")]


def test_kept_rows_come_back_in_pages(ledger: Ledger) -> None:
    requests = [
        Request("http://a/", 0),
        Request("http://b/\ud800", 1, "POST", (("A", "1"), ("a", "2")), b"\x00\xff", "label"),
        Request("nonsense", 2, problem="line 3: no URL", priority=-5),
    ]
    ledger.add_input(requests)
    assert ledger.input_rows() == []
    ledger.commit(())
    assert ledger.input_rows(0, 2)[1] == Request(
        "http://b/\\ud800", 1, "POST", (("A", "1"), ("a", "2")), b"\x00\xff", "label"
    )
    assert ledger.input_rows(2) == requests[2:]
    assert ledger.input_rows(3) == []


# --- what is no ledger ---


def test_a_ledger_that_is_not_there_is_told(path: Path) -> None:
    with pytest.raises(LedgerError, match="there is no run in"):
        Ledger.open(path)


@pytest.mark.parametrize(
    "content", [b"no database at all, but long enough to be one" * 100, b"SQLite format 3\0" + b"x" * 4096]
)
def test_what_is_no_database_is_told(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    with pytest.raises(LedgerError):
        Ledger.open(path)
    with pytest.raises(LedgerError):
        ledger_exists(path)


def test_a_database_of_somebody_else_is_told(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE a (b)")
    with pytest.raises(LedgerError, match="not a ledger of fetchq"):
        Ledger.open(path)


def test_a_ledger_of_a_later_format_is_told(ledger: Ledger) -> None:
    ledger._connection.execute(f"PRAGMA user_version = {FORMAT + 1}")
    with pytest.raises(LedgerError, match=f"format {FORMAT + 1}"):
        Ledger.open(ledger.path)


def test_a_damaged_ledger_is_told(path: Path) -> None:
    with closing(Ledger.create(path, {})) as ledger:
        ledger.commit([make_result(index=index) for index in range(2000)])
    content = bytearray(path.read_bytes())
    for at in range(20_000, len(content), 4096):
        content[at : at + 200] = b"\xff" * 200
    path.write_bytes(content)
    with pytest.raises(LedgerError, match="damaged"), closing(Ledger.open(path)) as ledger:
        list(ledger.records())


def test_what_is_left_of_a_ledger_that_was_never_made_is_none(path: Path) -> None:
    assert not ledger_exists(path)
    path.touch()
    assert not ledger_exists(path)
    sqlite3.connect(path).close()
    assert not ledger_exists(path)
    path.unlink()
    Ledger.create(path, {}).close()
    assert ledger_exists(path)


def test_a_full_disk_is_a_storage_error_and_leaves_the_ledger_as_it_was(path: Path) -> None:
    with closing(Ledger.create(path, {})) as ledger:
        ledger.commit([make_result(index=0)])
        (pages,) = ledger._connection.execute("PRAGMA page_count").fetchone()
        ledger._connection.execute(f"PRAGMA max_page_count = {pages + 2}")
        with pytest.raises(StorageError, match="No space left") as caught:
            ledger.commit([make_result(index=index) for index in range(1, 2000)])
        assert not isinstance(caught.value, LedgerError)
        assert isinstance(caught.value.__cause__, sqlite3.OperationalError)
        assert ledger.count() == 1


def test_only_its_owner_may_read_a_ledger(ledger: Ledger) -> None:
    ledger.commit([make_result()])
    assert {one.stat().st_mode & 0o077 for one in ledger.path.parent.iterdir()} == {0}


def test_a_ledger_that_cannot_be_opened_leaves_no_connection(path: Path) -> None:
    Ledger.create(path, {}).close()
    path.with_name("run.db-wal").mkdir()  # SQLite finds that out when it is asked for the journal
    with pytest.raises(StorageError, match="unable to open database file") as failed:
        Ledger.open(path)
    assert failed.value.__traceback__ is not None  # which keeps what was not closed
    assert [name for name in map(_target, os.listdir("/proc/self/fd")) if name.startswith(str(path))] == []


def _target(descriptor: str) -> str:
    with suppress(FileNotFoundError):
        return os.readlink(f"/proc/self/fd/{descriptor}")
    return ""


@pytest.mark.parametrize("another", [False, True])
def test_a_ledger_that_is_taken_away_keeps_nothing_any_more_and_says_so(
    ledger: Ledger, path: Path, another: bool
) -> None:
    ledger.commit([make_result(index=0)])
    path.rename(path.with_name("elsewhere.db"))
    if another:
        path.touch()
    with pytest.raises(LedgerError, match="was taken away"):
        ledger.commit([make_result(index=1)])
    assert not ledger.in_place
