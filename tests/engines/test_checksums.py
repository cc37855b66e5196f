"""A body is compared with the checksum of its row, in every mode, however it came; another one is not kept."""

from __future__ import annotations

import gzip
from hashlib import sha256
from pathlib import Path

import pytest
from faults.wire import Asked, Connection, head, length
from support.servers import ScriptServer, answer, by_path

from fetchq import Cause, Request, Result, fetch_all_sync, open_run
from fetchq.core.settings import Settings

BODY = b"what is wanted " * 50
OTHER = b"something else " * 50


def checksum(body: bytes) -> str:
    return f"sha256:{sha256(body).hexdigest()}"


def row(server: ScriptServer, path: str = "/", body: bytes = BODY, **more: object) -> Request:
    return Request(server.url + path, checksum=checksum(body), **more)  # type: ignore[arg-type]  # of any field


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*") if path.is_file() and path.name not in ("lock", "run.db"))


def is_wrong(result: Result, found: bytes = OTHER) -> bool:
    wanted = (False, Cause.CHECKSUM, f"the body has {checksum(found)}", None, None, b"")
    return (result.ok, result.cause, result.error, result.sha256, result.path, result.body) == wanted


def test_the_decoded_body_must_be_the_one_that_the_row_asks_for(mode: str) -> None:
    coded = answer(gzip.compress(BODY), b"Content-Encoding: gzip")
    with ScriptServer(by_path({"/other": answer(OTHER), "/gzip": coded}, answer(BODY))) as server:
        rows = [row(server), row(server, "/gzip"), row(server, "/other"), row(server, body=OTHER)]
        good, decoded, wrong, also = fetch_all_sync(rows, mode=mode)
        assert len(server.log) == 4  # a whole body would be the same again
    assert [one.ok for one in (good, decoded)] == [True, True]
    assert good.body == decoded.body == BODY
    assert is_wrong(wrong)
    assert is_wrong(also, BODY)


@pytest.mark.parametrize("save", ["files", "warc", "parquet", "none"])
def test_a_wrong_body_is_stored_nowhere(tmp_path: Path, engine_mode: str, save: str) -> None:
    big = OTHER * 4000  # more than is kept in memory
    with ScriptServer(by_path({"/other": answer(OTHER), "/big": answer(big)}, answer(BODY))) as server:
        rows = [row(server, "/other"), row(server, "/big"), row(server), row(server, body=OTHER)]
        options = Settings(mode=engine_mode, output=str(tmp_path / "run"), save=save, keep_body=False, dedupe=True)
        wrong, large, good, also = fetch_all_sync(rows, settings=options)
        assert len(server.log) == 4  # another checksum, another request
    assert good.ok
    assert is_wrong(wrong)
    assert is_wrong(large, big)
    assert is_wrong(also, BODY)
    if save == "files":
        assert len(files(tmp_path)) == 1
    with open_run(tmp_path / "run") as run:
        assert [one.cause for one in run] == [Cause.CHECKSUM, Cause.CHECKSUM, None, Cause.CHECKSUM]
        assert [run.body(one) for one in run] == [b"", b"", BODY if save != "none" else b"", b""]


def test_a_body_that_may_lack_its_end_is_asked_for_again(engine_mode: str) -> None:
    def closes(conn: Connection, _: Asked) -> None:
        conn.send(b"HTTP/1.1 200 OK\r\n\r\n" + (BODY if len(server.log) > 1 else BODY[:-1]))
        conn.close()

    with ScriptServer(closes) as server:
        (result,) = fetch_all_sync([row(server)], mode=engine_mode, retry_wait=0)
        assert (result.ok, result.attempts, len(server.log)) == (True, 2, 2)


def test_a_body_put_together_from_parts_is_asked_for_again(engine_mode: str) -> None:
    good, cut = BODY * 4000, 2_000_000
    bad = good[:-1] + b"!"
    etag = b'ETag: "v"'

    def play(conn: Connection, asked: Asked) -> None:
        if asked.header("Range"):
            span = f"Content-Range: bytes {cut}-{len(bad) - 1}/{len(bad)}".encode()
            rest = bad[cut:]
            conn.send(head(length(len(rest)), span, etag, status=b"HTTP/1.1 206 Partial Content") + rest)
            return
        whole = len(server.log) > 1
        conn.send(head(length(len(good)), etag) + (good if whole else good[:cut]))
        if not whole:
            conn.close()

    with ScriptServer(play) as server:
        (result,) = fetch_all_sync([row(server, body=good)], mode=engine_mode, retry_wait=0)
        assert [bool(one.header("Range")) for one in server.log] == [False, True, False]
    assert (result.ok, result.attempts) == (True, 3)


def test_a_failure_of_another_kind_stays_one_and_a_head_has_no_body(engine_mode: str) -> None:
    with ScriptServer(answer(OTHER, status=b"404 Not Found")) as server:
        missing, asked = fetch_all_sync([row(server), row(server, method="HEAD")], mode=engine_mode)
        (also,) = fetch_all_sync([row(server)], mode=engine_mode, method="HEAD")
        assert len(server.log) == 1
    assert missing.cause is Cause.STATUS
    for one in (asked, also):
        assert (one.cause, one.error) == (
            Cause.INVALID_URL,
            "a checksum needs a body, and the response to HEAD has none",
        )


def test_a_stored_body_that_is_not_the_one_is_not_asked_about(tmp_path: Path, engine_mode: str) -> None:
    def play(conn: Connection, asked: Asked) -> None:
        if asked.header("If-None-Match"):
            conn.send(head(b'ETag: "v"', status=b"HTTP/1.1 304 Not Modified"))
        else:
            answer(BODY if len(server.log) == 1 else OTHER, b'ETag: "v"')(conn, asked)

    with ScriptServer(play) as server:
        old, new, newer = (str(tmp_path / name) for name in ("old", "new", "newer"))
        fetch_all_sync([row(server)], mode=engine_mode, output=old)
        (same,) = fetch_all_sync([row(server)], mode=engine_mode, output=new, refresh=old)
        (changed,) = fetch_all_sync([row(server, body=OTHER)], mode=engine_mode, output=newer, refresh=old)
        assert [one.header("If-None-Match") for one in server.log] == [None, '"v"', None]
    assert (same.ok, same.status, same.body) == (True, 304, BODY)
    assert (changed.ok, changed.status, changed.body) == (True, 200, OTHER)
