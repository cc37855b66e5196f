"""`--refresh` of any run by any other: whichever way each of them saves, what has not changed is kept whole."""

from __future__ import annotations

import hashlib
import os
import shutil
import sqlite3
import sys
import tracemalloc
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from fastwarc.warc import ArchiveIterator as FastIterator
from faults.wire import Asked, Connection, head, length
from support.cli import Cli
from support.refresh import Pages, Site, run, statuses
from support.servers import ScriptServer
from warcio.archiveiterator import ArchiveIterator
from warcio.cli import main as warcio

from fetchq import fetch_all_sync, open_run
from fetchq.core.body_spool import MAX_IN_MEMORY

STORES = ("files", "warc", "parquet")
PROFILE = "http://netpreserve.org/warc/1.1/revisit/server-not-modified"
PAGES: Pages = {
    "small": (b"small", '"1"', None),
    "empty": (b"", '"2"', None),
    "large": (os.urandom(MAX_IN_MEMORY) * 5, '"3"', None),
    "changed": (b"as it was", '"4"', None),
    "coded": (b"x" * MAX_IN_MEMORY, 'W/"5"', "Wed, 01 Jan 2025 00:00:00 GMT"),
}

pytestmark = pytest.mark.usefixtures("here")


@pytest.fixture
def mode(engine_mode: str) -> str:
    """A mode of each engine, and of each way to drive a run: threads and sync share both."""
    return engine_mode


@pytest.fixture
def site() -> Iterator[Site]:
    with Site(**PAGES) as one:
        yield one


def check_bodies(folder: str, wanted: list[bytes]) -> None:
    """Each row of the run has its body in the folder itself, and one record; nothing else is left there."""
    with open_run(folder) as stored:
        assert stored.finished
        results = list(stored)
        assert [result.index for result in results] == list(range(len(wanted)))
        assert [stored.body(result) for result in results] == wanted
    assert [result.sha256 for result in results] == [hashlib.sha256(body).hexdigest() for body in wanted]
    assert os.listdir(f"{folder}/tmp") == []


def in_archive(folder: str) -> list[tuple[str, str, Any, Any, bytes]]:
    """Each record but the first, as warcio reads it: kind, URL, its own headers, those of HTTP, and the payload."""
    found = []
    for path in sorted(Path(folder, "warc").iterdir()):
        with path.open("rb") as file:
            for one in ArchiveIterator(file, check_digests="raise"):
                payload = one.content_stream().read()
                said = one.rec_headers.get_header
                found.append((one.rec_type, str(said("WARC-Target-URI")), said, one.http_headers, payload))
    return found[1:]


def check_archive(folder: str) -> None:
    """Its readers find nothing wrong."""
    for path in Path(folder, "warc").iterdir():
        with pytest.raises(SystemExit) as ended:
            warcio(["check", "-v", str(path)])
        assert ended.value.code == 0
        with path.open("rb") as file:
            for record in FastIterator(file, parse_http=False):
                assert record.verify_block_digest()


# --- any by any ---


@pytest.mark.parametrize("new", STORES)
@pytest.mark.parametrize("old", STORES)
def test_what_has_not_changed_is_kept_in_whatever_way(site: Site, old: str, new: str, mode: str) -> None:
    before = run(site.urls(), "old", save=old, mode=mode)
    site.asked()
    site.pages["changed"] = (b"as it is", '"6"', None)
    after = run(site.urls(), "new", save=new, refresh="old", mode=mode)
    assert {name: tag for name, (tag, _) in site.asked().items()} == {name: tag for name, (_, tag, _) in PAGES.items()}
    assert statuses(after) == [304, 304, 304, 200, 304]
    wanted = [body for body, _, _ in site.pages.values()]
    assert [result.body for result in after] == wanted
    for one, other in zip(before, after, strict=True):
        if other.status == 304:
            assert (other.sha256, other.content_type, other.wire_size) == (one.sha256, one.content_type, 0)
            assert (other.ok, other.attempts, other.size) == (True, 1, len(one.body))
    shutil.rmtree("old")  # the new one needs it no more
    check_bodies("new", wanted)
    again = run(site.urls(), "again", save=old, refresh="new", mode=mode, keep_body=False)
    assert statuses(again) == [304] * 5
    shutil.rmtree("new")
    check_bodies("again", wanted)


@pytest.mark.parametrize("old", STORES)
def test_a_row_of_parquet_holds_what_was_kept(site: Site, old: str) -> None:
    run(site.urls(), "old", save=old)
    run(site.urls(), "new", save="parquet", refresh="old", keep_body=False)
    (part,) = Path("new/parquet").iterdir()
    rows = sorted(pq.read_table(part).to_pylist(), key=lambda row: row["index"])
    assert [(row["status"], row["body"]) for row in rows] == [(304, body) for body, _, _ in PAGES.values()]
    headers = {one["name"]: one["value"] for one in rows[0]["headers"]}
    assert (headers["X"], headers["ETag"]) == ("new", '"1"')


def test_without_a_store_the_body_is_read_where_it_is_wanted(site: Site) -> None:
    for old in STORES:
        run(site.urls(), old, save=old)
        new = run(site.urls(), f"of-{old}", save="none", refresh=old)
        assert [(one.status, one.body, one.path) for one in new] == [(304, b, None) for b, _, _ in PAGES.values()]


# --- archives ---


@pytest.mark.parametrize("old", STORES)
def test_an_archive_has_the_304_and_what_it_refers_to(site: Site, old: str, mode: str) -> None:
    before = run(site.urls("small", "large"), "old", save=old, workers=1)
    after = run(site.urls("small", "large"), "new", save="warc", refresh="old", mode=mode, workers=1)
    check_archive("new")
    found = in_archive("new")
    assert [kind for kind, *_ in found] == ["response" if old == "warc" else "resource", "revisit", "request"] * 2
    for at, (earlier, later) in enumerate(zip(before, after, strict=True)):
        (_, url, kept, head, body), (_, _, revisit, answer, nothing), (_, _, request, asked, _) = found[3 * at :][:3]
        assert body == earlier.body
        assert kept("WARC-Payload-Digest") == f"sha256:{earlier.sha256}"
        assert (url, nothing) == (earlier.url, b"")
        assert revisit("WARC-Profile") == PROFILE
        assert revisit("WARC-Refers-To") == kept("WARC-Record-ID")
        assert revisit("WARC-Refers-To-Target-URI") == url
        assert revisit("WARC-Refers-To-Date") == kept("WARC-Date") < revisit("WARC-Date") == request("WARC-Date")
        assert revisit("WARC-IP-Address") == "127.0.0.1"
        assert answer is None, "with the head of the 304, a replayer would show an empty page"
        assert revisit("WARC-Payload-Digest") == kept("WARC-Payload-Digest")
        assert later.headers["ETag"]
        assert request("WARC-Concurrent-To") == revisit("WARC-Record-ID")
        assert asked.get_header("If-None-Match") == later.headers["ETag"]
        if old == "warc":
            assert head.statusline == "200 OK"
            assert kept("WARC-IP-Address") == "127.0.0.1"
        else:
            assert kept("Content-Type") == earlier.content_type == "text/plain; charset=utf-16"
            assert earlier.started is not None
            assert kept("WARC-Date") == earlier.started.isoformat().replace("+00:00", "Z")


def test_a_response_that_is_copied_is_what_it_was(site: Site) -> None:
    """Also through several refreshes."""
    run(site.urls("coded"), "0", save="warc")
    for number in (1, 2):
        run(site.urls("coded"), str(number), save="warc", refresh=str(number - 1))
    was, (is_, *_) = in_archive("0")[0], in_archive("2")
    assert (is_[0], is_[3], is_[4]) == (was[0], was[3], was[4])
    names = ("WARC-Date", "WARC-IP-Address", "WARC-Block-Digest", "WARC-Payload-Digest", "Content-Length")
    assert [is_[2](name) for name in names] == [was[2](name) for name in names]
    assert is_[2]("WARC-Record-ID") != was[2]("WARC-Record-ID")


@pytest.mark.parametrize("old", STORES)
def test_of_head_there_is_no_body_to_refer_to(site: Site, old: str) -> None:
    for number in range(3):
        more = {"refresh": str(number - 1)} if number else {}
        new = run(site.urls("small"), str(number), save="warc" if number else old, method="HEAD", **more)
    assert [(one.status, one.size, one.body) for one in new] == [(304, 0, b"")]
    kinds = [kind for kind, *_ in in_archive("2")]
    assert kinds == (["response"] if old == "warc" else []) + ["revisit", "request"]
    assert in_archive("2")[-2][2]("WARC-Refers-To-Target-URI") == site.urls("small")[0]
    check_archive("2")
    with open_run("2") as stored:
        assert [stored.body(one) for one in stored] == [b""]


def test_a_revisit_with_nothing_to_refer_to_has_the_head_of_its_304_as_it_came() -> None:
    """What the next run will want to know is the Result's, and the ledger's, only."""

    def play(conn: Connection, asked: Asked) -> None:
        asks = asked.header("If-None-Match") is not None
        conn.send(head(status=b"HTTP/1.1 304 Not Modified") if asks else head(length(4), b'ETag: "1"'))

    with ScriptServer(play) as server:
        run([server.url], "0", method="HEAD")
        (new,) = run([server.url], "1", save="warc", refresh="0", method="HEAD")
    assert new.headers["ETag"] == '"1"'
    (revisit,) = [http for kind, _, _, http, _ in in_archive("1") if kind == "revisit"]
    assert (revisit.statusline, revisit.headers) == ("304 Not Modified", [])


# --- what went wrong ---


def damage(folder: str, how: str) -> None:
    """Of all bodies in the run."""
    for file in [one for name in ("bodies", *STORES) for one in Path(folder, name).rglob("*") if one.is_file()]:
        content = file.read_bytes()
        if how == "changed":
            middle = len(content) // 2
            file.write_bytes(content[:middle] + bytes([content[middle] ^ 255]) + content[middle + 1 :])
        elif how == "cut":
            file.write_bytes(content[: len(content) // 2])
        else:
            file.unlink()


@pytest.mark.parametrize("how", ["changed", "cut", "gone"])
@pytest.mark.parametrize("old", STORES)
def test_a_body_that_is_no_longer_what_it_was_is_fetched(site: Site, old: str, how: str, mode: str) -> None:
    urls = site.urls("large")
    (before,) = run(urls, "old", save=old)
    damage("old", how)
    site.log.clear()
    for number, save in enumerate(STORES):
        (after,) = run(urls, f"new{number}", save=save, refresh="old", mode=mode, retries=0)
        assert (after.ok, after.status, after.body) == (True, 200, before.body)
        assert site.log[-1].header("If-None-Match") is None
        assert after.attempts == len(site.log)
        site.log.clear()
        check_bodies(f"new{number}", [before.body])


def test_another_body_of_the_same_size_is_never_taken_for_it(site: Site, mode: str) -> None:
    (before,) = run(site.urls("small"), "old")
    Path("old", str(before.path)).write_bytes(b"SMALL")
    (after,) = run(site.urls("small"), "new", save="warc", refresh="old", mode=mode)
    assert (after.status, after.body, after.attempts) == (200, b"small", 2)
    assert [kind for kind, *_ in in_archive("new")] == ["response", "request"]


def test_a_large_body_is_not_held_in_memory() -> None:
    with Site(page=(bytes(40_000_000), '"1"', None)) as site:
        for old, new in (("warc", "files"), ("files", "warc"), ("warc", "warc")):
            shutil.rmtree("old", ignore_errors=True)
            run(site.urls(), "old", save=old, keep_body=False)
            tracemalloc.start()
            try:
                (result,) = run(site.urls(), f"{old}-{new}", save=new, refresh="old", keep_body=False)
                peak = tracemalloc.get_traced_memory()[1]
            finally:
                tracemalloc.stop()
            assert (result.status, result.size) == (304, 40_000_000)
            assert peak < 8_000_000


# --- the whole way ---


@pytest.mark.parametrize(("old", "new"), [("warc", "files"), ("parquet", "warc"), ("files", "parquet")])
def test_a_refresh_that_is_killed_ends_exact(cli: Cli, old: str, new: str, mode: str) -> None:
    pages: Pages = {str(number): (str(number).encode() * 500 * number, f'"{number}"', None) for number in range(60)}
    with Site(**pages) as site:
        cli.write("urls.txt", "\n".join(site.urls()))
        assert cli("urls.txt", "-o", "old", "-q", "--save", old).status == 0
        site.log.clear()
        answer = site.answer
        site.answer = lambda asked: answer(asked) if int(asked.path[1:]) < 30 else site.hold(asked)
        saving = ["-o", "new", "--refresh", "old", "--save", new, "--mode", mode, "-q", "-w", "5"]
        process = cli.start("urls.txt", *saving)
        assert site.wait_for_requests(31)
        process.kill()
        process.communicate()
        site.answer = answer
        site.released.set()
        assert cli("resume", "new", "--refresh", "old", "-q").status == 0
        assert all(asked.header("If-None-Match") for asked in site.log)
    shutil.rmtree("old")
    check_bodies("new", [body for body, _, _ in pages.values()])
    if new == "warc":
        check_archive("new")
        urls = [url for kind, url, *_ in in_archive("new") if kind == "revisit"]
        assert sorted(urls) == sorted(site.urls())
    if new == "parquet":
        assert sum(pq.read_metadata(part).num_rows for part in Path("new/parquet").iterdir()) == 60


def test_rows_that_a_retry_has_fetched_again_are_refreshed_from_where_they_are_now(cli: Cli, site: Site) -> None:
    cli.write("urls.txt", "\n".join(site.urls()))
    for save in STORES:
        assert cli("urls.txt", "-o", save, "--save", save).status == 0
        assert cli("retry", save, "--where", '"index" = 2').status == 0
        assert cli("urls.txt", "-o", f"of-{save}", "--save", save, "--refresh", save).status == 0
        shutil.rmtree(save)
        check_bodies(f"of-{save}", [body for body, _, _ in PAGES.values()])


@pytest.mark.parametrize(
    ("save", "package", "module"), [("warc", "warcio", "warc_file"), ("parquet", "pyarrow", "parquet_reader")]
)
def test_a_package_that_the_earlier_run_needs_is_told(
    cli: Cli, site: Site, monkeypatch: pytest.MonkeyPatch, save: str, package: str, module: str
) -> None:
    cli(site.urls("small")[0], "-o", "old", "--save", save)
    site.log.clear()
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, package, None)
        patch.setitem(sys.modules, f"fetchq.store.sinks.{module}", None)
        problem = cli(site.urls("small")[0], "-o", "new", "--refresh", "old").problem
        assert f"the run in '{cli.folder}/old' cannot be read: {save} needs the package {package}" in problem
        assert site.log == []
        # Where nobody was asked for it, as when the run goes on, all of it comes anew.
        (result,) = fetch_all_sync(site.urls("small"), output="none", save="none", refresh="old")
        assert (result.status, result.body) == (200, b"small")


def test_of_rows_with_one_body_each_has_its_own(site: Site) -> None:
    """What `--dedupe` has stored once is found from every row."""
    run(site.urls("small") * 3, "old", save="warc", dedupe=True)
    run(site.urls("small") * 3, "new", save="warc", refresh="old")
    check_bodies("new", [b"small"] * 3)
    with closing(sqlite3.connect("new/run.db")) as ledger:
        assert len(set(ledger.execute("SELECT path FROM records"))) == 3
