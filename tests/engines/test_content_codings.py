"""Bodies that are stored as received, from the server to the disk, in every mode. The rules: test_coding_policy."""

from __future__ import annotations

import gzip
from hashlib import sha256
from pathlib import Path
from random import Random
from typing import Any

import pytest
from faults.wire import Asked
from support.modes import every_mode
from support.servers import Scripted, reply

from fetchq import Cause, Request, Result, fetch_all_sync, open_run
from fetchq.http import large_windows

TEXT = b"a line of text\n" * 100
FILE = gzip.compress(TEXT, mtime=0)
TAR = b"Content-Type: application/x-tar"
HTML = b"Content-Type: text/html"
CODED = b"Content-Encoding: x-gzip"


def fetch(body: bytes, *lines: bytes, path: str = "/", mode: str = "async", **settings: Any) -> Result:
    with Scripted(lambda _: reply(body, *lines)) as server:
        (result,) = fetch_all_sync([server.url + path], mode=mode, retries=0, **settings)
    return result


def assert_is(result: Result, body: bytes) -> None:
    assert result.ok, result.error
    assert (result.body, result.size, result.sha256) == (body, len(body), sha256(body).hexdigest())


@every_mode
def test_an_archive_is_stored_as_it_was_published(here: Path, mode: str) -> None:
    result = fetch(FILE, TAR, CODED, path="/pkg-1.0.tar.gz", mode=mode, output="run")
    assert_is(result, FILE)
    assert (result.content_encoding, result.wire_size) == ("x-gzip", len(FILE))
    assert Path("run", str(result.path)).read_bytes() == FILE


@every_mode
def test_an_archive_that_the_server_packed_for_the_way_is_as_published_too(mode: str) -> None:
    result = fetch(gzip.compress(FILE), TAR, b"Content-Encoding: gzip", path="/pkg-1.0.tar.gz", mode=mode)
    assert_is(result, FILE)


def test_a_page_with_the_name_of_an_archive_is_a_page(mode: str) -> None:
    assert_is(fetch(FILE, HTML, CODED, path="/page.html.gz", mode=mode), TEXT)


def test_the_name_that_was_asked_for_counts_after_a_redirect(mode: str) -> None:
    def answer(asked: Asked) -> bytes:
        if asked.path == "/pkg.tar.gz":
            return reply(b"", b"Location: /blob?1", status=b"HTTP/1.1 302 Found")
        return reply(FILE, TAR, CODED)

    with Scripted(answer) as server:
        (result,) = fetch_all_sync([server.url + "/pkg.tar.gz"], mode=mode)
    assert_is(result, FILE)


@every_mode
@pytest.mark.parametrize("coding", [b"gzip", b"snappy"])
def test_a_coding_that_was_not_asked_for_is_not_undone(mode: str, coding: bytes) -> None:
    label = b"Content-Encoding: " + coding
    result = fetch(FILE, HTML, label, mode=mode, headers={"accept-encoding": "identity"})
    assert_is(result, FILE)
    assert result.content_encoding == coding.decode()


def test_a_row_may_ask_for_codings_of_its_own(mode: str) -> None:
    with Scripted(lambda _: reply(FILE, HTML, b"Content-Encoding: gzip")) as server:
        rows = [Request(server.url, headers=(("Accept-Encoding", value),)) for value in ("br", "gzip, br")]
        kept, decoded = fetch_all_sync([*rows], mode=mode)
    assert_is(kept, FILE)
    assert_is(decoded, TEXT)


@every_mode
@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "zstd", "gzip, br", "unknown", ", ".join(["gzip"] * 9)])
def test_accept_encoded_keeps_what_does_not_decode(mode: str, coding: str) -> None:
    label = b"Content-Encoding: " + coding.encode()
    assert fetch(TEXT, HTML, label, mode=mode).cause is Cause.DECODE
    assert_is(fetch(TEXT, HTML, label, mode=mode, accept_encoded=True), TEXT)


@pytest.mark.parametrize("coding", ["br", "gzip, br", "zstd"])
def test_accept_encoded_keeps_what_does_not_decode_also_while_other_bodies_have_all_the_memory(
    mode: str, coding: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(large_windows, "BUDGET", 0)
    label = b"Content-Encoding: " + coding.encode()
    assert fetch(TEXT, HTML, label, mode=mode).cause is Cause.DECODE
    assert_is(fetch(TEXT, HTML, label, mode=mode, accept_encoded=True), TEXT)


def test_accept_encoded_keeps_a_large_body_in_the_folder(here: Path, mode: str) -> None:
    body = Random(1).randbytes(500_000)
    result = fetch(body, HTML, b"Content-Encoding: gzip", mode=mode, accept_encoded=True, output="run", keep_body=False)
    assert (result.ok, result.size, result.wire_size) == (True, 500_000, 500_000)
    assert Path("run", str(result.path)).read_bytes() == body


def test_accept_encoded_decodes_what_can_be_decoded(mode: str) -> None:
    assert_is(fetch(FILE, HTML, CODED, mode=mode, accept_encoded=True), TEXT)
    assert_is(fetch(b"", HTML, CODED, mode=mode, accept_encoded=True), b"")


def test_limits_hold_for_what_is_kept(mode: str) -> None:
    kept = fetch(TEXT, HTML, b"Content-Encoding: gzip", mode=mode, accept_encoded=True, max_filesize=len(TEXT) - 1)
    assert kept.cause is Cause.TOO_LARGE
    bomb = gzip.compress(bytes(3_000_000))
    found = fetch(bomb, HTML, CODED, mode=mode, accept_encoded=True, max_ratio=100)
    assert found.cause is Cause.TOO_LARGE


@pytest.mark.parametrize("save", ["files", "warc", "parquet"])
def test_what_is_kept_can_be_refreshed(here: Path, save: str) -> None:
    def answer(asked: Asked) -> bytes:
        if asked.header("If-None-Match"):
            return reply(b"", status=b"HTTP/1.1 304 Not Modified")
        return reply(FILE, TAR, CODED, b'ETag: "1"')

    with Scripted(answer) as server:
        url = f"{server.url}/pkg.tar.gz"
        (old,) = fetch_all_sync([url], output="old", save=save)
        (new,) = fetch_all_sync([url], output="new", save=save, refresh="old")
    assert (old.status, new.status, new.content_encoding) == (200, 304, "x-gzip")
    assert_is(new, FILE)
    with open_run("new") as run:
        assert run.body(new) == FILE


def test_a_web_archive_keeps_the_coding_in_the_head_of_what_is_kept(here: Path) -> None:
    from warcio.archiveiterator import ArchiveIterator

    fetch(FILE, TAR, CODED, path="/pkg.tar.gz", output="run", save="warc")
    (path,) = Path("run", "warc").iterdir()
    with path.open("rb") as stream:
        records = ArchiveIterator(stream, no_record_parse=False)
        responses = [
            (record.http_headers.get_header("Content-Encoding"), record.raw_stream.read())
            for record in records
            if record.rec_type == "response"
        ]
    assert responses == [("x-gzip", FILE)]
