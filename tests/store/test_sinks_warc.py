"""Web archives hold what came, to the byte where they say so, and every reader takes them."""

from __future__ import annotations

import errno
import gzip
import hashlib
import os
import tracemalloc
import zlib
from dataclasses import replace
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from fastwarc.warc import ArchiveIterator as FastIterator
from hypothesis import given
from hypothesis import strategies as st
from support.factories import any_text, examples, failed_result, header_map, make_result
from support.store import (
    SENT,
    SIZES,
    body_of,
    fetched,
    files_of_at_most,
    lose_spool,
    names,
    numbered,
    run_folder,
    temporary,
)
from warcio.archiveiterator import ArchiveIterator
from warcio.cli import main as warcio

from fetchq.core.disk import StorageError
from fetchq.core.model import Cause, Complete, Result
from fetchq.core.row_set import RowSet
from fetchq.core.sent_request import ArchivedRedirect
from fetchq.store.folder import RunFolder
from fetchq.store.sinks import bodies_warc
from fetchq.store.sinks.bodies_warc import WarcStore
from fetchq.store.stored_run import StoredBodies
from fetchq.store.writer import Writer


def store_in(folder: RunFolder, state: Any = None) -> WarcStore:
    store = WarcStore(folder.path, 0)
    store.restore(state, RowSet())
    return store


def archived(folder: RunFolder, *results: Result) -> list[Result]:
    """What a new store gives back for these."""
    return store_in(folder).store(results)


def files(folder: RunFolder) -> list[Path]:
    return sorted((folder.path / "warc").iterdir())


def records(folder: RunFolder, kind: str | None = None) -> list[tuple[Any, bytes]]:
    """Each record, of this kind, with its payload, as warcio reads it; it checks the digests."""
    found = []
    for path in files(folder):
        with path.open("rb") as file:
            for record in ArchiveIterator(file, check_digests="raise"):
                payload = record.content_stream().read()
                if kind in (None, record.rec_type):
                    found.append((record, payload))
    return found


def response(folder: RunFolder) -> tuple[Any, bytes]:
    (found,) = records(folder, "response")
    return found


def content(folder: RunFolder) -> bytes:
    return b"".join(gzip.decompress(path.read_bytes()) for path in files(folder))


def record_at(folder: RunFolder, path: str) -> Any:
    """The record that a result's `path` names, read from there on."""
    name, _, offset = path.partition("#")
    with (folder.path / name).open("rb") as file:
        file.seek(int(offset))
        record = next(iter(ArchiveIterator(file)))
        return record, record.content_stream().read()


# --- what is in it ---


def test_bodies_of_all_sizes_can_be_read_back(tmp_path: Path) -> None:
    folder = run_folder(tmp_path)
    results = archived(folder, *numbered(fetched(folder, body_of(size)) for size in SIZES))
    assert [payload for _, payload in records(folder, "response")] == [body_of(size) for size in SIZES]
    assert temporary(folder) == []
    for result, size in zip(results, SIZES, strict=True):
        assert result._spool is None
        assert result._sent is None
        assert result.path is not None
        record, payload = record_at(folder, result.path)
        assert record.rec_type == "response"
        assert payload == body_of(size)
        assert result.timing.store > 0
        assert result.elapsed == pytest.approx(0.5 + result.timing.store)


def test_warcio_finds_nothing_wrong_with_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = run_folder(tmp_path)
    archived(folder, *(fetched(folder, body_of(size)) for size in SIZES))
    with pytest.raises(SystemExit) as exit_:
        warcio(["check", "-v", *map(str, files(folder))])
    assert exit_.value.code == 0
    said = capsys.readouterr().out
    assert said.count("digest pass") == 1 + 2 * len(SIZES)
    assert "no digest" not in said


def test_another_reader_finds_the_same_in_it(tmp_path: Path) -> None:
    folder = run_folder(tmp_path)
    archived(folder, *(fetched(folder, body_of(size), status=404, reason="Not Found") for size in SIZES))
    bodies = []
    with files(folder)[0].open("rb") as file:
        for record in FastIterator(file, parse_http=False):
            assert record.verify_block_digest()
    with files(folder)[0].open("rb") as file:
        for record in FastIterator(file, parse_http=True):
            if record.headers["WARC-Type"] == "response":
                assert record.verify_payload_digest()
                assert record.http_headers.status_code == 404
                bodies.append(record.reader.read())
    assert bodies == [body_of(size) for size in SIZES]


def test_a_file_begins_with_what_wrote_it(tmp_path: Path) -> None:
    folder = run_folder(tmp_path)
    archived(folder, fetched(folder))
    first, text = records(folder)[0]
    assert first.rec_type == "warcinfo"
    assert first.rec_headers.protocol == "WARC/1.1"
    assert first.rec_headers.get_header("WARC-Filename") == "00000.warc.gz"
    assert b"software: fetchq/" in text


def test_a_response_tells_where_when_and_from_whom_it_came(tmp_path: Path) -> None:
    folder = run_folder(tmp_path)
    asked, answered = "http://example.org/a", "http://example.org/b?c=%20"
    archived(folder, fetched(folder, url=asked, final_url=answered, remote="[2001:db8::1]:443", reason=None))
    headers = response(folder)[0].rec_headers
    assert headers.get_header("WARC-Target-URI") == answered
    assert headers.get_header("WARC-Date") == "2026-01-02T03:04:05.678901Z"
    assert headers.get_header("WARC-IP-Address") == "2001:db8::1"
    assert response(folder)[0].http_headers.get_statuscode() == "200"


def test_a_request_goes_with_its_response(tmp_path: Path) -> None:
    folder = run_folder(tmp_path)
    archived(folder, fetched(folder), replace(fetched(folder), _sent=SENT._replace(with_body=True)))
    answers = records(folder, "response")
    for (asked, body), (answered, _), truncated in zip(
        records(folder, "request"), answers, (None, "unspecified"), strict=True
    ):
        identity = answered.rec_headers.get_header("WARC-Record-ID")
        assert asked.rec_headers.get_header("WARC-Concurrent-To") == identity
        assert asked.rec_headers.get_header("WARC-Date") == answered.rec_headers.get_header("WARC-Date")
        assert asked.rec_headers.get_header("WARC-Truncated") == truncated
        assert asked.rec_headers.get_header("WARC-Payload-Digest") is None
        assert body == b""
    assert content(folder).count(SENT.head) == 2


def test_each_redirect_is_there_with_its_request_before_the_answer_it_led_to(tmp_path: Path) -> None:
    folder = run_folder(tmp_path)
    moved = redirect_of("http://h/a", b"moved", [("Location", "/b"), ("Content-Length", "5"), ("Set-Cookie", "s=1")])
    long = redirect_of(
        "http://h/b", b"", [("Transfer-Encoding", "chunked")], truncated=True, with_body=True, status=307
    )
    (done,) = archived(folder, replace(fetched(folder), _sent=SENT._replace(redirects=(moved, long))))
    found = records(folder)[1:]
    assert [record.rec_type for record, _ in found] == ["response", "request"] * 3
    said = [record.rec_headers.get_header for record, _ in found]
    assert [one("WARC-Target-URI") for one in said[:4]] == ["http://h/a"] * 2 + ["http://h/b"] * 2
    assert [one("WARC-Date") for one in said[:4]] == ["2026-11-28T00:00:00.000000Z"] * 4
    assert [one("WARC-IP-Address") for one in said[:4:2]] == ["192.0.2.1"] * 2
    assert [one("WARC-Truncated") for one in said] == [None, None, "length", "unspecified", None, None]
    for answered, asked in zip(said[::2], said[1::2], strict=True):
        assert asked("WARC-Concurrent-To") == answered("WARC-Record-ID")
    (first, body), _, (second, nothing), *_ = found
    assert (first.http_headers.statusline, body) == ("302 Found", b"moved")
    assert first.http_headers.headers == [("Location", "/b"), ("Content-Length", "5"), ("Set-Cookie", "s=1")]
    assert said[0]("WARC-Payload-Digest") == f"sha256:{sha256(b'moved').hexdigest()}"
    assert second.http_headers.headers == [("X-Crawler-Transfer-Encoding", "chunked"), ("Content-Length", "0")]
    assert nothing == b""
    record, _ = record_at(folder, done.path or "")
    assert record.rec_headers.get_header("WARC-Record-ID") == said[4]("WARC-Record-ID"), "path names the final response"


def redirect_of(url: str, body: bytes, headers: list[tuple[str, str]], **changes: Any) -> ArchivedRedirect:
    redirect = ArchivedRedirect(
        url=url,
        method="GET",
        head=SENT.head,
        with_body=False,
        at=datetime(2026, 11, 28, tzinfo=UTC),
        remote="192.0.2.1:80",
        http_version="1.1",
        status=302,
        reason="Found",
        headers=header_map(headers),
        body=body,
        truncated=False,
    )
    return redirect._replace(**changes)


def test_what_brought_no_whole_answer_is_passed_on_as_it_is(tmp_path: Path) -> None:
    folder = run_folder(tmp_path)
    failed = [failed_result(cause) for cause in Cause if cause is not Cause.STATUS]
    cut_short = make_result(cause=Cause.INCOMPLETE, complete=Complete.NO, size=10)
    store = store_in(folder)
    assert store.store([*failed, cut_short]) == [*failed, cut_short]
    assert files(folder) == []
    assert store.state() == {"file": 0, "size": 0}


@pytest.mark.parametrize("size", [100, 300_000])
def test_a_record_that_is_damaged_anywhere_is_told_and_not_printed(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], size: int
) -> None:
    folder = run_folder(tmp_path)
    results = archived(folder, *(fetched(folder, os.urandom(size)) for _ in range(2)))
    (path,) = files(folder)
    offset = int(str(results[-1].path).partition("#")[2])
    good = path.read_bytes()
    member = zlib.decompressobj(zlib.MAX_WBITS + 16)
    member.decompress(good[offset:])
    end = len(good) - len(member.unused_data)
    told = 0
    for at in range(offset, end, 1 + (end - offset) // 200):
        path.write_bytes(good[:at] + bytes([good[at] ^ 16]) + good[at + 1 :])
        try:
            body = StoredBodies(folder.path).read(results[-1].path)
        except OSError:
            told += 1
        else:  # a few bits are of no account, as those of the time at which it was packed
            assert hashlib.sha256(body).hexdigest() == results[-1].sha256
    assert told > 150
    path.write_bytes(good[: end - 1])
    with pytest.raises(OSError, match="no such record"):
        StoredBodies(folder.path).read(results[-1].path)
    path.write_bytes(good[:end] + b"another record, half of it written")
    assert len(StoredBodies(folder.path).read(results[-1].path)) == size
    assert capfd.readouterr() == ("", "")


# --- the head of a response ---


def head_of(folder: RunFolder, result: Result) -> list[bytes]:
    archived(folder, result)
    block = content(folder).partition(b"application/http; msgtype=response")[2].split(b"\r\n\r\n")[1]
    return block.split(b"\r\n")


def with_headers(folder: RunFolder, *pairs: tuple[str, str], body: bytes = b"body", **changes: Any) -> Result:
    return replace(fetched(folder, body, **changes), headers=header_map(pairs))


@pytest.mark.parametrize(
    ("sent", "kept", "changes"),
    [
        pytest.param(
            [("content-encoding", "gzip"), ("Content-Length", "99"), ("ETag", '"a"')],
            [b"X-Crawler-Content-Encoding: gzip", b"X-Crawler-Content-Length: 99", b'ETag: "a"', b"Content-Length: 4"],
            {"content_encoding": "gzip"},
            id="decoded",
        ),
        pytest.param(
            [("Transfer-Encoding", "chunked")],
            [b"X-Crawler-Transfer-Encoding: chunked", b"Content-Length: 4"],
            {},
            id="chunked",
        ),
        pytest.param([("Content-Length", "4")], [b"Content-Length: 4"], {}, id="as it came"),
        pytest.param([], [b"Content-Length: 4"], {}, id="until the connection closed"),
        pytest.param(
            [("Content-Encoding", "rot13"), ("Content-Length", "4")],
            [b"Content-Encoding: rot13", b"Content-Length: 4"],
            {"content_encoding": "rot13"},
            id="a coding nobody knows",
        ),
        pytest.param(
            [("Content-Encoding", "gzip"), ("Content-Length", "99")],
            [b"Content-Encoding: gzip", b"Content-Length: 99"],
            {"content_encoding": "gzip", "method": "HEAD", "body": b""},
            id="HEAD",
        ),
        pytest.param([("Content-Length", "99")], [b"Content-Length: 99"], {"status": 304, "body": b""}, id="304"),
    ],
)
def test_the_head_is_true_of_the_body_that_follows(
    tmp_path: Path, sent: list[tuple[str, str]], kept: list[bytes], changes: dict[str, Any]
) -> None:
    folder = run_folder(tmp_path)
    assert head_of(folder, with_headers(folder, *sent, **changes))[1:] == kept
    assert response(folder)[1] == changes.get("body", b"body")


def test_the_bytes_of_a_header_are_those_that_came(tmp_path: Path) -> None:
    folder = run_folder(tmp_path)
    latin, utf8 = b"caf\xe9".decode("utf-8", "surrogateescape"), "café"
    head = head_of(folder, with_headers(folder, ("X-A", latin), ("X-B", utf8), reason="Très bien"))
    assert head[:3] == ["HTTP/1.1 200 Très bien".encode(), b"X-A: caf\xe9", "X-B: café".encode()]


@given(any_text, any_text, st.sampled_from(["\r\n", "\n", "\0", ""]))
@examples(60)
def test_no_text_breaks_out_of_its_line(tmp_path_factory: pytest.TempPathFactory, one: str, two: str, end: str) -> None:
    folder = run_folder(tmp_path_factory.mktemp("warc"))
    hostile = f"{one}{end}WARC-Type: evil{end}{end}{two}"
    urls = {"url": hostile, "final_url": f"http://example.org/{hostile}", "reason": hostile}
    archived(folder, with_headers(folder, ("X-A", hostile), ("X-B", two), **urls), fetched(folder, b"next"))
    assert [record.rec_type for record, _ in records(folder)] == ["warcinfo", *["response", "request"] * 2]
    assert [payload for _, payload in records(folder, "response")] == [b"body", b"next"]
    uri = records(folder, "response")[0][0].rec_headers.get_header("WARC-Target-URI")
    assert uri.isascii()
    assert uri.isprintable()
    assert " " not in uri


# --- files ---


def test_a_full_file_is_followed_by_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bodies_warc, "FILE_SIZE", 5000)
    folder = run_folder(tmp_path)
    bodies = [os.urandom(2000) for _ in range(7)]
    store = store_in(folder)
    results = [result for body in bodies for result in store.store([fetched(folder, body)])]
    results += store.store([fetched(folder, body) for body in bodies])
    assert len(files(folder)) == 7
    assert names(folder.path / "warc")[:2] == ["00000.warc.gz", "00001.warc.gz"]
    assert [payload for _, payload in records(folder, "response")] == bodies * 2
    assert len(records(folder, "warcinfo")) == 7
    assert [record_at(folder, result.path or "")[1] for result in results] == bodies * 2
    for path in files(folder)[:-1]:
        assert 5000 <= path.stat().st_size < 8000
    assert store.state() == {"file": 6, "size": files(folder)[-1].stat().st_size}


def test_what_was_written_after_the_last_commit_goes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bodies_warc, "FILE_SIZE", 5000)
    folder = run_folder(tmp_path)
    store = store_in(folder)
    store.store([fetched(folder, b"first")])
    state = store.state()
    before = files(folder)[0].read_bytes()
    for number in range(5):
        store.store([fetched(folder, os.urandom(3000 + number))])
    assert len(files(folder)) > 2
    (folder.path / "warc" / "00009.warc.gz").write_bytes(b"half a rec")
    (folder.path / "warc" / "notes.txt").write_text("mine")
    store = store_in(folder, state)
    assert names(folder.path / "warc") == ["00000.warc.gz", "notes.txt"]
    assert (folder.path / "warc" / "00000.warc.gz").read_bytes() == before
    store.store([fetched(folder, b"second")])
    (folder.path / "warc" / "notes.txt").unlink()
    assert [payload for _, payload in records(folder, "response")] == [b"first", b"second"]


def test_a_run_that_was_killed_before_its_first_commit_begins_anew(tmp_path: Path) -> None:
    folder = run_folder(tmp_path)
    archived(folder, fetched(folder))
    assert store_in(folder).state() == {"file": 0, "size": 0}
    assert files(folder) == []


def test_a_full_file_at_the_last_commit_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bodies_warc, "FILE_SIZE", 100)
    folder = run_folder(tmp_path)
    store = store_in(folder)
    store.store([fetched(folder, b"first")])
    again = store_in(folder, store.state())
    again.store([fetched(folder, b"second")])
    assert len(files(folder)) == 2
    assert [payload for _, payload in records(folder, "response")] == [b"first", b"second"]


@pytest.mark.parametrize("left", [None, 10])
def test_an_archive_that_lost_something_is_not_written_on(tmp_path: Path, left: int | None) -> None:
    folder = run_folder(tmp_path)
    store = store_in(folder)
    store.store([fetched(folder)])
    (path,) = files(folder)
    if left is None:
        path.unlink()
    else:
        os.truncate(path, left)
    with pytest.raises(StorageError, match="is gone" if left is None else "is shorter than it was"):
        store_in(folder, store.state())


def test_a_symbolic_link_is_not_followed(tmp_path: Path) -> None:
    folder = run_folder(tmp_path)
    outside = tmp_path / "outside"
    outside.mkdir()
    (folder.path / "warc").symlink_to(outside)
    with pytest.raises(NotADirectoryError):
        store_in(folder)
    (folder.path / "warc").unlink()
    store = store_in(folder)
    (folder.path / "warc" / "00000.warc.gz").symlink_to(outside / "file")
    with pytest.raises(OSError, match="exists"):
        store.store([fetched(folder)])
    store.store([fetched(folder)])
    (path,) = files(folder)
    path.rename(outside / "file")
    path.symlink_to(outside / "file")
    with pytest.raises(OSError, match="symbolic links"):
        store.store([fetched(folder)])


# --- disks ---


def test_a_big_body_is_never_in_memory(tmp_path: Path) -> None:
    folder = run_folder(tmp_path)
    result = fetched(folder, bytes(40_000_000))
    tracemalloc.start()
    try:
        archived(folder, result)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 4_000_000
    assert len(response(folder)[1]) == 40_000_000


def test_a_body_that_cannot_be_read_costs_its_own_row_only(tmp_path: Path) -> None:
    folder = run_folder(tmp_path)
    results = [fetched(folder, b"one"), fetched(folder, body_of(300_000)), fetched(folder, b"three")]
    lose_spool(folder, results[1])
    one, two, three = archived(folder, *results)
    assert (two.ok, two.cause, two.path) == (False, Cause.STORE, None)
    assert two.error == "the body cannot be stored: No such file or directory"
    assert one.ok
    assert three.ok
    assert [payload for _, payload in records(folder, "response")] == [b"one", b"three"]


def test_a_body_that_ends_in_the_middle_leaves_no_trace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = run_folder(tmp_path)
    noise = os.urandom(2_000_000)

    class Failing(bodies_warc.Body):
        again = False

        def seek(self, at: int) -> int:
            self.again = True  # it has been read once, for its digest
            return super().seek(at)

        def read(self, most: int = -1) -> bytes:
            if self.again and self.tell() > 1_000_000:
                raise bodies_warc.Unreadable(OSError(errno.EIO, os.strerror(errno.EIO)))
            return super().read(most)

    monkeypatch.setattr(bodies_warc, "Body", Failing)
    moved = SENT._replace(redirects=(redirect_of("http://h/a", b"moved", [("Location", "/b")]),))
    broken = replace(fetched(folder, noise), _sent=moved)
    results = archived(folder, fetched(folder, b"one"), broken, fetched(folder, b"three"))
    assert [result.cause for result in results] == [None, Cause.STORE, None]
    assert [payload for _, payload in records(folder, "response")] == [b"one", b"three"]
    assert temporary(folder) == []


def test_a_full_disk_ends_the_run_and_keeps_what_was_done(tmp_path: Path) -> None:
    folder = run_folder(tmp_path)
    store = store_in(folder)
    writer = Writer(store=store)
    writer.commit([fetched(folder, b"first")])
    before, state = content(folder), store.state()
    more = [fetched(folder, os.urandom(20_000)) for _ in range(40)]
    with files_of_at_most(100_000), pytest.raises(StorageError, match="File too large"):
        writer.commit(more)
    assert content(folder) == before
    assert store.state() == state
    assert list(writer.finish()) == []


def test_what_does_not_reach_the_disk_is_not_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = run_folder(tmp_path)
    store = store_in(folder)

    def fail(_: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(StorageError, match="Input/output error"):
        Writer(store=store).commit([fetched(folder)])
    assert files(folder) == []
