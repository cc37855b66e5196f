"""The beginning of a long body outlives its session: what the next one goes on with, and what it must not use."""

from __future__ import annotations

import gzip
import json
import os
import signal
from hashlib import sha256
from pathlib import Path
from random import Random
from typing import Any

import pytest
from faults.wire import Asked, Connection, head, length
from support.cli import Cli, ended
from support.factories import make_attempt, respond
from support.modes import each_engine
from support.servers import Script, ScriptServer
from test_continued import serving, start_of, starts
from test_long_downloads import ETAG, MB, long_download

from fetchq import Cause, Result, Settings, fetch_all_sync
from fetchq.core.body_spool import DESCRIPTION, MAX_IN_MEMORY
from fetchq.http.failure import AttemptFailed
from fetchq.http.range_resume import MIN_RESUMED
from fetchq.http.stored_part import load_part
from fetchq.store.folder import RunFolder
from fetchq.store.ledger import Ledger

BODY = Random(8).randbytes(3 * MIN_RESUMED)
CUT = 2 * MIN_RESUMED


def once_broken(*lines: bytes, cut: int = CUT, body: bytes = BODY) -> Script:
    """Breaks off at byte `cut` when all is asked for; gives the rest."""

    def play(conn: Connection, asked: Asked) -> None:
        step = cut if start_of(asked) is None else len(body)
        long_download(len(body), step, *(lines or (ETAG,)), body=body)(conn, asked)

    return play


def session(server: ScriptServer, folder: Path, mode: str = "async", **settings: Any) -> Result:
    """One session of a run; the rows that failed before are fetched again."""
    given = {"output": str(folder), "retry_wait": 0, "workers": 1} | settings
    (result,) = fetch_all_sync([server.url + "/file.bin"], mode=mode, **given)
    return result


def parts(folder: Path) -> list[Path]:
    return sorted((folder / "parts").glob("*")) if (folder / "parts").exists() else []


def stored(folder: Path) -> bytes:
    (file,) = (folder / "bodies").glob("*/*")
    return file.read_bytes()


# --- kill, interrupt, give up: the next session goes on ---


@each_engine
def test_a_download_that_is_killed_in_the_middle_goes_on_with_what_it_had(mode: str, cli: Cli) -> None:
    """Twenty megabytes, from a server that breaks off after each three: at most 24 on the wire."""
    body, held = Random(9).randbytes(20 * MB), []

    def play(conn: Connection, asked: Asked) -> None:
        long_download(len(body), 3 * MB, ETAG, body=body)(conn, asked)
        if len(server.log) == 4 and not held:
            held.append(asked)
            process.send_signal(signal.SIGKILL)

    with ScriptServer(play) as server:
        process = cli.start(f"{server.url}/f.bin", "-o", "run", "--mode", mode, "--retry-wait", "0.01", "-q")
        assert ended(process).status == -signal.SIGKILL
        folder = cli.folder / "run"
        assert [path.suffix for path in parts(folder)] == ["", DESCRIPTION]
        assert not [*(folder / "bodies").glob("*/*")]
        found = cli("resume", "run", "--json", "-q")
    assert (found.status, found.record["sha256"]) == (0, sha256(body).hexdigest())
    assert stored(folder) == body
    assert parts(folder) == []
    assert sum(server.sent.values()) <= 24 * MB
    assert all(start is not None for start in starts(server)[1:])


@pytest.mark.parametrize(("mode", "save"), [("async", "files"), ("threads", "warc"), ("sync", "parquet")])
def test_retry_goes_on_with_a_row_that_was_given_up(mode: str, save: str, cli: Cli) -> None:
    with ScriptServer(once_broken()) as server:
        args = ["-o", "run", "--mode", mode, "--save", save, "--retries", "0", "--json", "-q"]
        assert cli(f"{server.url}/f.bin", *args).record["cause"] == "incomplete"
        found = cli("retry", "run", "--json", "-q")
    assert (found.status, found.record["sha256"]) == (0, sha256(BODY).hexdigest())
    asked = starts(server)
    assert len(asked) == 2
    assert MIN_RESUMED < (asked[1] or 0) <= CUT
    assert parts(cli.folder / "run") == []


@each_engine
def test_an_interrupted_download_keeps_what_it_had(mode: str, cli: Cli) -> None:
    body = Random(9).randbytes(16 * MB)

    def play(conn: Connection, asked: Asked) -> None:
        if start_of(asked) is None:
            conn.send(head(length(len(body)), ETAG) + body[: 13 * MB])  # more than the buffers of the sockets take
            process.send_signal(signal.SIGTERM)
            process.send_signal(signal.SIGINT)  # ends what is under way at once
            conn.hang()
        else:
            long_download(len(body), len(body), ETAG, body=body)(conn, asked)

    with ScriptServer(play) as server:
        process = cli.start(f"{server.url}/f.bin", "-o", "run", "--mode", mode, "-q")
        assert ended(process).status in (130, 143)
        found = cli("resume", "run", "--json", "-q")
    assert (found.status, found.record["sha256"]) == (0, sha256(body).hexdigest())
    assert (starts(server)[1] or 0) > MIN_RESUMED


@each_engine
def test_a_python_program_goes_on_too_and_gets_the_whole_body(mode: str, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    with serving(once_broken()) as server:
        assert session(server, folder, mode, retries=0).cause is Cause.INCOMPLETE
        retry_all(folder)
        result = session(server, folder, mode, resume=True)
    assert (result.ok, result.body, result.sha256) == (True, BODY, sha256(BODY).hexdigest())
    assert (result.status, result.headers["ETag"], result.attempts) == (200, '"v1"', 1)
    assert len(starts(server)) == 2
    assert parts(folder) == []


# --- what must not be used ---


@each_engine
def test_a_body_that_has_changed_since_is_begun_anew(mode: str, tmp_path: Path) -> None:
    folder, new = tmp_path / "run", Random(10).randbytes(5000)

    def play(conn: Connection, asked: Asked) -> None:
        if len(server.log) == 1:
            once_broken()(conn, asked)
        else:
            conn.send(head(length(len(new)), b'ETag: "v2"') + new)

    with serving(play) as server:
        session(server, folder, mode, retries=0)
        retry_all(folder)
        result = session(server, folder, mode, resume=True)
    assert (result.ok, result.body, stored(folder)) == (True, new, new)
    assert server.log[1].header("If-Range") == '"v1"'
    assert parts(folder) == []


@each_engine
@pytest.mark.parametrize(
    "damage",
    [
        *("zeros", "short", "a link"),
        *("no description", "torn description", "changed description", "no marks", "a linked description", "a pipe"),
    ],
)
def test_a_part_that_is_damaged_is_not_used(mode: str, damage: str, tmp_path: Path) -> None:
    """As a power cut may leave it, since nothing of it is synced."""
    folder = tmp_path / "run"
    with serving(once_broken()) as server:
        session(server, folder, mode, retries=0)
        part, description = parts(folder)
        lines = description.read_bytes().splitlines(keepends=True)
        if damage == "zeros":
            part.write_bytes(bytes(part.stat().st_size))
        elif damage == "short":
            part.write_bytes(part.read_bytes()[:1000])
        elif damage == "no description":
            description.unlink()
        elif damage == "torn description":
            description.write_bytes(lines[0][:50])
        elif damage == "changed description":
            description.write_bytes(b"".join(lines).replace(b'"length": 3', b'"length": []'))
        elif damage == "no marks":
            description.write_bytes(lines[0])
        elif damage == "a linked description":
            description.rename(tmp_path / "elsewhere")
            description.symlink_to(tmp_path / "elsewhere")
        elif damage == "a pipe":
            description.unlink()
            os.mkfifo(description)
        else:
            part.rename(tmp_path / "elsewhere")
            part.symlink_to(tmp_path / "elsewhere")
        retry_all(folder)
        result = session(server, folder, mode, resume=True)
        asked = starts(server)
    assert asked[:2] == [None, None]  # begun anew; it breaks off once more, and is continued then
    assert (result.ok, result.body, stored(folder)) == (True, BODY, BODY)
    assert parts(folder) == []


def test_what_follows_the_last_good_mark_is_not_used(tmp_path: Path) -> None:
    part, settings = kept(tmp_path, (CUT, 300_000, 400_000))
    content = bytearray(part.read_bytes())
    content[CUT + 300_001 :] = bytes(len(content) - CUT - 300_001)
    part.write_bytes(content)
    loaded = load_part(str(part), settings)
    assert loaded is not None
    assert (loaded.wire_size, part.read_bytes()) == (CUT + 300_000, BODY[: CUT + 300_000])


def test_a_part_grows_and_is_loaded_with_all_that_was_written(tmp_path: Path) -> None:
    part, settings = kept(tmp_path, (CUT, 300_000))
    loaded = load_part(str(part), settings)
    assert loaded is not None
    loaded.body.feed(BODY[CUT + 300_000 : CUT + 700_000])
    loaded.body.write()
    assert loaded.suspend() == str(part)
    again = load_part(str(part), settings)
    assert again is not None
    assert again.body.size == CUT + 700_000


# --- what is kept at all ---


@pytest.mark.parametrize(
    "how", ["short", "coded", "no validator", "not stored", "refuses ranges", "a redirect to a signature"]
)
def test_only_what_can_be_continued_is_kept(how: str, tmp_path: Path) -> None:
    lines = {
        "coded": [("ETag", '"v"'), ("Content-Encoding", "gzip")],
        "no validator": [],
        "refuses ranges": [("ETag", '"v"'), ("Accept-Ranges", "none")],
    }.get(how, [("ETag", '"v"'), ("Set-Cookie", "session=secret")])
    folder = RunFolder(tmp_path / "run")
    folder.make()
    folder.sweep()
    settings = Settings(output=str(folder), save="none" if how == "not stored" else "files", keep_body=False)
    url = "http://example.org/file?X-Signature=secret" if how == "a redirect to a signature" else "http://example.org/"
    attempt = make_attempt(settings, url=url)
    body = gzip.compress(BODY, 0) if how == "coded" else BODY
    respond(attempt, 200, [("Content-Length", str(len(body))), *lines])
    if attempt.on_data(body[: MAX_IN_MEMORY + 1 if how == "short" else CUT]):
        attempt.body.write()
    attempt.finish(AttemptFailed(Cause.CANCELLED, "the run ended first"))
    if how == "a redirect to a signature":
        assert "secret" not in "".join(path.read_text() for path in parts(Path(str(folder))) if path.suffix)
        assert len(parts(Path(str(folder)))) == 2
    else:
        assert parts(Path(str(folder))) == []
    assert [*folder.temporary.iterdir()] == []


def test_parts_of_rows_that_are_ok_and_the_shorter_of_two_are_deleted(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    with serving(once_broken()) as server:
        session(server, folder, retries=0)
        description = parts(folder)[1]
        told = json.loads(description.read_bytes().splitlines()[0].partition(b" ")[2])
        for name, row, size in (("short", 0, 5), ("unknown", 7, 5), ("other", 1, 9)):
            (folder / "parts" / name).write_bytes(bytes(size))
            line = json.dumps(told | {"row": row})
            (folder / "parts" / f"{name}.json").write_text(f"{sha256(line.encode()).hexdigest()} {line}\n")
        (folder / "parts" / "alone").touch()
        (folder / "parts" / "alone2.json").touch()
        retry_all(folder)
        assert session(server, folder, resume=True).ok
    assert {path.name for path in parts(folder)} == {"unknown", "unknown.json", "other", "other.json"}


def retry_all(folder: Path) -> None:
    """As `fetchq retry` does: the rows of the run are to be fetched again."""
    ledger = Ledger.open(folder / "run.db")
    assert ledger.retry("1") == 1
    ledger.close()


def kept(tmp_path: Path, writes: tuple[int, ...]) -> tuple[Path, Settings]:
    """A part that was written in these steps, in bytes, and the settings of its run."""
    folder = RunFolder(tmp_path / "run")
    folder.make()
    folder.sweep()
    settings = Settings(output=str(folder), keep_body=False)
    attempt = make_attempt(settings)
    respond(attempt, 200, [("Content-Length", str(len(BODY))), ("ETag", '"v1"')])
    at = 0
    for size in writes:
        assert attempt.on_data(BODY[at : at + size])
        attempt.body.write()
        at += size
    attempt.finish(AttemptFailed(Cause.CANCELLED, "the run ended first"))
    return parts(Path(str(folder)))[0], settings
