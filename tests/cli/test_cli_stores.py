"""Durable runs that save into archives and Parquet, from the command line: what is kept, and that nothing is lost."""

from __future__ import annotations

import gzip
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import duckdb
import pytest
from faults.wire import Asked
from support.cli import Cli
from support.servers import Scripted, closed_port, reply
from warcio.archiveiterator import ArchiveIterator

from fetchq.cli import main
from fetchq.cli.practice.server import PracticeServer
from fetchq.core.settings import Settings, SettingsError

PACKAGES = {"warc": "warcio", "parquet": "pyarrow"}
STORES = ("warc", "parquet")


def ledger(folder: Path) -> list[tuple[Any, ...]]:
    """Index, cause, SHA-256 and path of each record."""
    with closing(sqlite3.connect(folder / "run" / "run.db")) as connection:
        return connection.execute('SELECT "index", cause, sha256, path FROM records ORDER BY "index"').fetchall()


def in_parquet(folder: Path) -> list[tuple[Any, ...]]:
    """The same, as DuckDB reads it, and the SHA-256 of the body itself."""
    found = f"SELECT index, cause, sha256, path, sha256(body) FROM '{folder}/run/parquet/*.parquet' ORDER BY index"
    return duckdb.sql(found).fetchall()


def in_archive(folder: Path) -> tuple[bytes, list[Any]]:
    """All the text of the archive, and its requests and responses with their payloads."""
    pairs = []
    text = b""
    for path in sorted((folder / "run" / "warc").iterdir()):
        text += gzip.decompress(path.read_bytes())
        with path.open("rb") as file:
            pairs += [(one, one.content_stream().read()) for one in ArchiveIterator(file, check_digests="raise")]
    return text, pairs[1:]


def check_kept(folder: Path, save: str, rows: int) -> None:
    """Each row has one record, and what is stored is what the records say."""
    records = ledger(folder)
    assert [record[0] for record in records] == list(range(rows))
    if save == "parquet":
        found = in_parquet(folder)
        assert [row[:4] for row in found] == records
        assert all(row[4] == row[2] for row in found)
    else:
        answers = [one for one, _ in in_archive(folder)[1] if one.rec_type == "response"]
        answers = [one for one in answers if one.http_headers.get_header("Location") is None]
        digests = sorted(one.rec_headers.get_header("WARC-Payload-Digest") for one in answers)
        assert digests == sorted(f"sha256:{record[2]}" for record in records if record[3] is not None)
    assert not list((folder / "run" / "tmp").iterdir())


# --- a whole run ---


@pytest.mark.parametrize("save", STORES)
def test_a_run_keeps_every_answer(cli: Cli, practice: PracticeServer, mode: str, save: str) -> None:
    paths = ["json", "html", "bytes/300000", "gzip", "status/404", "redirect/2"]
    with closed_port() as url:
        cli.write("urls.txt", "\n".join([f"{practice.url}/{path}" for path in paths] + [f"{url}/"]))
        done = cli("urls.txt", "-o", "run", "--save", save, "--mode", mode, "--json", "--retries", "0")
    assert done.status == 1
    assert "7 URLs: 5 ok, 2 failed" in done.said
    assert [record["path"] is None for record in done.records] == [False] * 6 + [True]
    assert [(record["index"], record["path"]) for record in done.records] == [
        (row[0], row[3]) for row in ledger(cli.folder)
    ]
    check_kept(cli.folder, save, 7)
    again = cli("resume", "run")
    assert again.status == 1
    assert "all 7 rows are done, 2 of them failed" in again.said


def test_records_with_bodies_come_out_though_parquet_keeps_them_back(cli: Cli, practice: PracticeServer) -> None:
    done = cli(f"{practice.url}/bytes/70000", "-o", "run", "--save", "parquet", "--json", "--include", "base64")
    assert done.status == 0
    assert len(done.record["body"]) > 90_000


def test_an_archive_shows_what_was_asked_and_no_secret(cli: Cli, mode: str) -> None:
    def answer(asked: Asked) -> bytes:
        if asked.target == "/from":
            return reply(b"", b"Location: /to?q=%C3%A9", status=b"HTTP/1.1 303 See Other")
        return reply(gzip.compress(b"decoded"), b"Content-Encoding: gzip", b"X-Latin: caf\xe9")

    with Scripted(answer) as server:
        url = server.url.replace("//", "//me:s3cret1@")
        asked_for = ["-H", "X-Api-Key: s3cret2", "-H", "Accept-Language: fr", "-b", "id=s3cret3", "-d", "pw=s3cret4"]
        done = cli(
            f"{url}/from", f"{url}/only", "-o", "run", "--save", "warc", "--mode", mode, "-A", "me/1", *asked_for
        )
        log = {asked.target: asked for asked in server.log}
    assert done.status == 0
    text, records = in_archive(cli.folder)
    assert b"s3cret" not in text
    assert b"X-Latin: caf\xe9\r\n" in text
    found = {one.rec_headers.get_header("WARC-Target-URI"): one for one, _ in records if one.rec_type == "request"}
    assert set(found) == {f"{server.url}/{path}" for path in ("from", "to?q=%C3%A9", "only")}
    for one in found.values():
        method, target, _ = f"{one.http_headers.protocol} {one.http_headers.statusline}".split(" ")
        asked = log[target]
        assert method == asked.method == ("GET" if target.startswith("/to") else "POST")
        shown = [(name.lower(), value) for name, value in one.http_headers.headers]
        assert set(shown) <= {(name.lower(), value) for name, value in asked.headers}
        assert {"host", "user-agent", "accept", "accept-language"} <= {name for name, _ in shown}
        assert one.rec_headers.get_header("WARC-Truncated") == (None if target.startswith("/to") else "unspecified")
    for one, payload in records:
        if one.rec_type == "response" and one.http_headers.get_header("Location") is None:
            assert payload == b"decoded"
            assert one.http_headers.get_header("X-Crawler-Content-Encoding") == "gzip"
            assert one.http_headers.get_header("Content-Length") == "7"


# --- a run that ends early ---


@pytest.mark.parametrize("save", STORES)
def test_ctrl_c_keeps_what_was_done(cli: Cli, mode: str, save: str) -> None:
    with Scripted(lambda asked: server.hold(asked) if asked.target == "/5" else reply(b"ok")) as server:
        cli.write("urls.txt", "".join(f"{server.url}/{number}\n" for number in range(6)))
        process = cli.start("urls.txt", "-o", "run", "--save", save, "--mode", mode, "-w", "1")
        assert server.wait_for_requests(6)
        process.send_signal(signal.SIGINT)
        server.released.set()
        out, err = process.communicate(timeout=60)
        assert process.returncode == 130, err
        done = len(ledger(cli.folder))
        assert done >= 5
        assert f"{done} ok" in err.decode()
        assert out.count(b"\n") >= done
        assert f"{done} rows are done".encode() in err or done == 6
        assert cli("resume", "run", "--mode", mode).status == 0
        assert sum(asked.target != "/5" for asked in server.log) == 5
    check_kept(cli.folder, save, 6)


@pytest.mark.parametrize("save", STORES)
def test_a_reader_that_leaves_costs_no_row_that_was_done(cli: Cli, mode: str, save: str) -> None:
    answered = 3000
    with Scripted(lambda _: reply(b"ok")) as server:
        cli.write("urls.txt", "".join(f"{server.url}/{number}\n" for number in range(answered)))
        script = (
            "import fetchq.store.sinks.bodies_parquet as store; store.PART_ROWS = 20\n"
            "import sys; from fetchq.cli import main; main(sys.argv[1:])"
        )
        process = subprocess.Popen(
            [sys.executable, "-W", "error", "-c", script, "urls.txt", "-o", "run", "--save", save, "--mode", mode],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        assert process.stdout is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr is not None
        said = process.stderr.read()
        process.stderr.close()
        assert process.wait(60) == 1, said
        assert b"Traceback" not in said
    rows = ledger(cli.folder)
    assert 1 <= len(rows) < answered
    if save == "parquet":
        assert [row[:4] for row in in_parquet(cli.folder)] == rows
    assert not list((cli.folder / "run" / "tmp").iterdir())


def test_a_source_that_breaks_off_costs_no_row_that_was_done(cli: Cli, practice: PracticeServer, mode: str) -> None:
    whole = gzip.compress("".join(f"{practice.url}/bytes/{n}\n" for n in range(5)).encode())
    broken = gzip.compress("".join(f"{practice.url}/bytes/{n}\n" for n in range(50)).encode())[:-20]
    cli.write("whole.txt.gz", whole)
    cli.write("broken.txt.gz", broken)
    done = cli("whole.txt.gz", "broken.txt.gz", "-o", "run", "--save", "parquet", "--mode", mode)
    assert done.status == 3
    rows = ledger(cli.folder)
    assert len(rows) >= 5
    assert f"{len(rows)} URLs" in done.said
    assert [row[:4] for row in in_parquet(cli.folder)] == rows


@pytest.mark.parametrize("save", STORES)
def test_a_deadline_keeps_what_was_done(cli: Cli, mode: str, save: str) -> None:
    with Scripted(lambda asked: server.hold(asked) if asked.target == "/5" else reply(b"ok")) as server:
        cli.write("urls.txt", "".join(f"{server.url}/{number}\n" for number in range(6)))
        done = cli("urls.txt", "-o", "run", "--save", save, "--mode", mode, "-w", "1", "--deadline", "0.5")
        assert done.status == 4
        kept = len(ledger(cli.folder))
        assert kept <= 5
        assert f"6 URLs: {kept} ok, 0 failed, 1 cut off" in done.said
        assert f"{kept} rows are done; go on with: fetchq resume run" in done.said
        server.released.set()
        assert cli("resume", "run", "--mode", mode, "--deadline", "1h").status == 0
    check_kept(cli.folder, save, 6)


def test_an_archive_that_lost_something_is_not_gone_on_with(cli: Cli, practice: PracticeServer) -> None:
    cli(f"{practice.url}/json", "-o", "run", "--save", "warc")
    with closing(sqlite3.connect(cli.folder / "run" / "run.db")) as connection, connection:
        connection.execute("DELETE FROM meta WHERE name = 'finished'")
    (archive,) = (cli.folder / "run" / "warc").iterdir()
    whole = archive.read_bytes()
    archive.write_bytes(whole[:100])
    done = cli("resume", "run")
    assert done.status == 3
    assert "00000.warc.gz' is shorter than it was" in done.said
    archive.write_bytes(whole)
    assert cli("resume", "run").status == 0


# --- packages ---


@pytest.fixture(params=STORES)
def missing(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """The package that this way to save needs is not installed."""
    monkeypatch.setitem(sys.modules, PACKAGES[request.param], None)
    for name in [name for name in sys.modules if name == f"fetchq.store.sinks.{request.param}"]:
        monkeypatch.delitem(sys.modules, name)
    return str(request.param)


def test_a_missing_package_is_told_before_anything_is_done(cli: Cli, missing: str) -> None:
    with Scripted() as server:
        done = cli(server.url, "-o", "run", "--save", missing)
        assert server.log == []
    assert f"{missing} needs the package {PACKAGES[missing]}" in done.problem
    assert f"pip install 'fetchq[{missing}]'" in done.problem
    assert not (cli.folder / "run").exists()
    with pytest.raises(SettingsError, match="pip install"):
        Settings(save=missing)


def test_a_run_that_needs_a_missing_package_is_not_resumed(
    cli: Cli, practice: PracticeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    for save in STORES:
        cli(f"{practice.url}/json", "-o", save, "--save", save)
        with closing(sqlite3.connect(cli.folder / save / "run.db")) as connection, connection:
            connection.execute("DELETE FROM records")
            connection.execute("DELETE FROM meta WHERE name = 'finished'")
        with monkeypatch.context() as patch:
            patch.setitem(sys.modules, PACKAGES[save], None)
            problem = cli("resume", save).problem
        assert f"pip install 'fetchq[{save}]'" in problem
        assert cli("resume", save).status == 0


def test_the_help_names_every_way_to_save(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["fetch", "--help"])
    assert "files|warc|parquet|none" in capsys.readouterr().out
