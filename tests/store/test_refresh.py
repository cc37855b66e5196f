"""`--refresh`: what has not changed since an earlier run is not fetched again."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from faults.wire import Asked
from hypothesis import given
from hypothesis import strategies as st
from support.cli import Cli
from support.factories import examples
from support.refresh import DATE, NOT_MODIFIED, Pages, Site, run, statuses
from support.servers import Scripted, reply
from support.store import change_ledger, reseal

from fetchq import Cause, Request, Settings, SettingsError, fetch_all_sync, open_run
from fetchq.http.content_coding import brotli_module
from fetchq.http.zstd_decoder import zstd_module
from fetchq.store.folder import FolderError


@pytest.fixture
def mode(engine_mode: str) -> str:
    """A mode of each engine, and of each way to drive a run: threads and sync share both."""
    return engine_mode


@pytest.fixture
def site() -> Iterator[Site]:
    pages: Pages = {
        "both": (b"both" * 100, '"1"', DATE),
        "weak": (b"weak" * 30_000, 'W/"2"', None),
        "dated": (b"dated", None, DATE),
        "neither": (b"neither", None, None),
        "empty": (b"", '"3"', None),
    }
    with Site(**pages) as one:
        yield one


# --- what is the same, and what is not ---


def test_what_has_not_changed_is_kept_and_what_has_is_fetched(here: Path, site: Site, mode: str) -> None:
    old = run(site.urls(), "old", mode=mode)
    site.asked()
    site.pages["dated"] = (b"newer", None, "Thu, 02 Jan 2025 00:00:00 GMT")
    new = run(site.urls(), "new", mode=mode, refresh="old")
    assert site.asked() == {
        "both": ('"1"', DATE),
        "weak": ('W/"2"', None),
        "dated": (None, DATE),
        "neither": (None, None),
        "empty": ('"3"', None),
    }
    assert statuses(new) == [304, 304, 200, 200, 304]
    assert all(result.ok for result in new)
    for before, after in zip(old, new, strict=True):
        if after.status == 304:
            for name in ("size", "sha256", "content_type", "charset", "body", "complete", "path"):
                assert getattr(before, name) == getattr(after, name), name
            assert (after.wire_size, after.headers["X"]) == (0, "new")
    assert (new[2].body, new[2].size) == (b"newer", 5)
    with open_run("new") as stored:
        assert [stored.body(result) for result in stored] == [result.body for result in new]
    assert os.path.samefile(f"old/{old[0].path}", f"new/{new[0].path}")
    assert os.listdir("new/tmp") == []


def test_a_chain_of_refreshes_goes_on_and_outlives_its_beginning(here: Path, site: Site, mode: str) -> None:
    first = run(site.urls("both", "weak"), "run0", mode=mode)
    for number in range(1, 4):
        again = run(site.urls("both", "weak"), f"run{number}", mode=mode, refresh=f"run{number - 1}")
        assert statuses(again) == [304, 304]
        assert [result.body for result in again] == [result.body for result in first]
        shutil.rmtree(f"run{number - 1}")


def test_both_engines_agree_also_behind_a_redirect(here: Path, site: Site) -> None:
    site.moved = {"here": "/both", "there": "/dated"}
    urls = site.urls("here", "there")
    run(urls, "old")
    site.moved["there"] = "/both"  # what is known of the one page says nothing of the other
    for mode in ("async", "threads", "sync"):
        site.log.clear()
        new = run(urls, f"new-{mode}", mode=mode, refresh="old", workers=1)
        assert [(result.status, result.redirects) for result in new] == [(304, 1), (200, 1)]
        tags = [(asked.path, asked.header("If-None-Match")) for asked in site.log]
        assert tags == [("/here", None), ("/both", '"1"'), ("/there", None), ("/both", None)]


def test_a_page_is_found_by_its_row_and_else_by_its_url(here: Path, site: Site, mode: str) -> None:
    run(site.urls("both", "weak", "dated"), "old")
    new = run(["nonsense", *site.urls("dated", "weak", "neither", "both#part")], "new", refresh="old", mode=mode)
    assert statuses(new) == [None, 304, 304, 200, 304]
    assert [result.body[:5] for result in new] == [b"", b"dated", b"weakw", b"neith", b"bothb"]


def test_rows_that_got_different_bodies_from_one_url_are_told_apart_by_their_numbers_alone(
    here: Path, site: Site
) -> None:
    url = site.urls("both")[0]
    run([url], "old")
    with closing(sqlite3.connect("old/run.db")) as ledger:
        ledger.execute("CREATE TEMP TABLE one AS SELECT * FROM records")
        ledger.execute("""UPDATE one SET "index" = 1, sha256 = 'other', etag = '"other"'""")
        ledger.execute("INSERT INTO records SELECT * FROM one")
        reseal(ledger)
        ledger.commit()
    assert statuses(run([url, "nonsense", url], "new", refresh="old")) == [304, None, 200]


@pytest.mark.parametrize(
    "request_",
    [
        {"method": "POST"},
        {"body": b"x"},
        {"method": "HEAD"},
        {"headers": (("If-None-Match", '"mine"'),)},
        {"headers": (("if-modified-since", DATE),)},
        {"headers": (("Range", "bytes=0-1"),)},
    ],
)
def test_other_requests_are_made_as_they_are(here: Path, site: Site, request_: dict[str, Any]) -> None:
    url = site.urls("weak")[0]
    run([url], "old")
    site.log.clear()
    run([Request(url, **request_)], "new", refresh="old")
    assert site.log[0].header("If-None-Match") in (None, '"mine"')


def test_a_head_request_is_refreshed_too(here: Path, site: Site) -> None:
    urls = site.urls("both", "weak")
    run(urls, "old", method="HEAD")
    new = run(urls, "new", method="HEAD", refresh="old")
    assert [(result.status, result.size, result.path) for result in new] == [(304, 0, None)] * 2


def test_a_304_that_nobody_asked_for_is_a_failure(here: Path) -> None:
    with Scripted(lambda _: reply(b"", status=NOT_MODIFIED)) as server:
        run([server.url], "old")
        (result,) = run([server.url], "new", refresh="old")
        assert (result.ok, result.cause) == (False, Cause.STATUS)
        url = server.url.replace("//", "//me:secret@")
        (result,) = run([url], "other", refresh="old")
        assert result.cause is Cause.STATUS


@pytest.mark.parametrize(
    ("before", "confirms", "trusted"),
    [
        (b'ETag: "a"', b'ETag: "a"', True),
        (b'ETag: "a"', b'ETag: W/"a"', True),
        (b'ETag: "a"', b"X: no tag", True),
        (b'ETag: "a"', b'ETag: "b"', False),
        (b'ETag: "a"', b'ETag: "a"\r\nETag: "b"', False),
        (b'ETag: "a"', b"ETag: a", False),
        (b'ETag: "a"', b"Vary: Accept-Language", True),
        (b"Last-Modified: " + DATE.encode(), b"X: no date", True),
        (b"Last-Modified: " + DATE.encode(), b"Vary: Accept-Encoding", True),
        (b"Last-Modified: " + DATE.encode(), b"Last-Modified: Wed, 01 Jan 2020 00:00:00 GMT", False),
        (b"Last-Modified: " + DATE.encode(), b"Vary: Accept-Encoding, Accept-Language", False),
        (b"Last-Modified: " + DATE.encode(), b"Vary: *", False),
        (b"Last-Modified: " + DATE.encode(), b'ETag: "b"', False),
    ],
)
@pytest.mark.parametrize("save", ["files", "none"])
def test_only_a_304_of_the_version_that_is_known_confirms_it(
    here: Path, mode: str, save: str, before: bytes, confirms: bytes, trusted: bool
) -> None:
    """RFC 9111, 4.3.4 and 4.1."""
    bodies = iter((b"old", b"new"))

    def page(asked: Asked) -> bytes:
        if asked.header("If-None-Match") or asked.header("If-Modified-Since"):
            return reply(b"", confirms, status=NOT_MODIFIED)
        return reply(next(bodies), before)

    with Scripted(page) as server:
        run([server.url], "old", save=save)
        (result,) = run([server.url], "new", save=save, refresh="old", mode=mode, retries=0, keep_body=False)
    assert (result.ok, result.status) == (True, 304 if trusted else 200)
    assert result.sha256 == hashlib.sha256(b"old" if trusted else b"new").hexdigest()


@pytest.mark.parametrize(
    ("tag", "coding", "asked", "confirms"),
    [
        ('"x-gzip"', "gzip", '"x-gzip", "x"', b'ETag: "x"'),
        ('"x-gzip"', "gzip", '"x-gzip", "x"', b'ETag: "x-gzip"'),
        ('"x-gzip"', "gzip", '"x-gzip", "x"', b"X: no tag"),
        ('W/"x-gzip"', "x-gzip", 'W/"x-gzip", W/"x"', b'ETag: "x"'),
        ('"x-br"', "br", '"x-br", "x"', b'ETag: W/"x"'),
        ('"x--gzip"', "gzip", '"x--gzip", "x"', b'ETag: "x--gzip"'),
        ('"x:zstd"', "zstd", '"x:zstd", "x"', b'ETag: "x"'),
        ('"x-gzip"', "br", '"x-gzip"', b'ETag: "x-gzip"'),
        ('"x-gzip"', None, '"x-gzip"', b'ETag: "x-gzip"'),
        ('"-gzip"', "gzip", '"-gzip"', b"X: no tag"),
        ('"xgzip"', "gzip", '"xgzip"', b"X: no tag"),
    ],
)
def test_a_tag_that_names_the_coding_is_asked_with_and_without_it(
    here: Path, tag: str, coding: str | None, asked: str, confirms: bytes
) -> None:
    """Apache compares If-None-Match with the tag of the file, Jetty with both, and names either in its 304."""
    pack = {"br": brotli_module().compress, "zstd": zstd_module().compress, None: bytes}.get(coding, gzip.compress)
    lines = [b"ETag: " + tag.encode(), *([b"Content-Encoding: " + coding.encode()] if coding else [])]

    def page(request: Asked) -> bytes:
        if request.header("If-None-Match"):
            return reply(b"", confirms, status=NOT_MODIFIED)
        return reply(pack(b"page"), *lines)

    with Scripted(page) as server:
        (old,) = run([server.url], "old")
        (new,) = run([server.url], "new", refresh="old")
        (third,) = run([server.url], "third", refresh="new")
        assert [one.header("If-None-Match") for one in server.log] == [None, asked, asked]
    assert statuses([old, new, third]) == [200, 304, 304]
    for result in (new, third):
        assert (result.body, result.sha256, result.content_encoding) == (b"page", old.sha256, coding)
        assert result.headers["ETag"].removeprefix("W/") == tag.removeprefix("W/")


@pytest.mark.parametrize("confirms", ['"y"', '"x-br"', '"x-gzip", "y"', '"y-gzip"'])
def test_a_304_of_another_coding_or_version_confirms_nothing(here: Path, mode: str, confirms: str) -> None:
    def page(request: Asked) -> bytes:
        if request.header("If-None-Match"):
            return reply(b"", b"ETag: " + confirms.encode(), status=NOT_MODIFIED)
        return reply(gzip.compress(b"page"), b'ETag: "x-gzip"', b"Content-Encoding: gzip")

    with Scripted(page) as server:
        run([server.url], "old")
        (new,) = run([server.url], "new", refresh="old", mode=mode, retries=0)
    assert (new.ok, new.status, new.body) == (True, 200, b"page")


@pytest.mark.parametrize(
    ("then", "now"),
    [
        ({"headers": {"Accept-Language": "en"}}, {"headers": {"Accept-Language": "de"}}),
        ({"cookie": "a=1"}, {}),
        ({}, {"user": "me:secret"}),
        ({}, {"user_agent": "other"}),
        ({"cookie_jar": "jar"}, {}),
    ],
)
def test_a_date_says_nothing_where_other_headers_are_sent(
    here: Path, then: dict[str, Any], now: dict[str, Any]
) -> None:
    with Site(dated=(b"dated", None, DATE), tagged=(b"tagged", '"1"', DATE)) as site:
        run(site.urls(), "old", **then)
        assert statuses(run(site.urls(), "new", refresh="old", **now)) == [200, 304]
        rows = [Request(url, headers=(("X-Mine", "1"),)) for url in site.urls()]
        run(rows, "rows")
        assert statuses(run(rows, "more", refresh="rows")) == [200, 304]


@pytest.mark.parametrize("path", ["../outside", "ABSOLUTE"])
def test_a_record_that_leads_out_of_the_folder_is_not_followed(here: Path, site: Site, path: str) -> None:
    """Whoever gives a run away may have changed it."""
    url = site.urls("both")[0]
    (old,) = run([url], "old")
    Path("outside").write_bytes(old.body)
    change_ledger("old", "UPDATE records SET path = ?", path.replace("ABSOLUTE", os.path.abspath("outside")))
    with open_run("old") as stored:
        (result,) = stored
        with pytest.raises(OSError, match="not a file of the run"):
            stored.body(result)
    assert statuses(run([url], "new", refresh="old")) == [200]


def test_tags_that_are_none_are_not_asked_with(here: Path) -> None:
    with Site(page=(b"page", "no-quotes", None), other=(b"other", "no", DATE)) as site:
        run(site.urls(), "old")
        site.asked()
        run(site.urls(), "new", refresh="old")
        assert site.asked() == {"page": (None, None), "other": (None, DATE)}


# --- the bodies ---


def test_a_body_that_is_gone_or_another_is_fetched(here: Path, site: Site) -> None:
    old = run(site.urls("both", "weak", "dated"), "old")
    os.unlink(f"old/{old[0].path}")
    os.truncate(f"old/{old[1].path}", 3)
    os.rename(f"old/{old[2].path}", "elsewhere")
    os.symlink(f"{here}/elsewhere", f"old/{old[2].path}")
    new = run(site.urls("both", "weak", "dated"), "new", refresh="old")
    assert statuses(new) == [200, 200, 200]
    assert [result.body for result in new] == [result.body for result in old]


def test_a_body_that_goes_between_question_and_answer_is_fetched(here: Path, site: Site, mode: str) -> None:
    urls = site.urls("both")
    (old,) = run(urls, "old")
    answer = site.answer

    def losing(asked: Asked) -> bytes:
        Path(f"old/{old.path}").unlink(missing_ok=True)
        return answer(asked)

    site.log.clear()
    site.answer = losing
    (result,) = run(urls, "new", refresh="old", mode=mode, retries=0)
    assert (result.ok, result.status, result.body, result.attempts) == (True, 200, old.body, 2)
    assert [asked.header("If-None-Match") for asked in site.log] == ['"1"', None]
    assert os.listdir("new/tmp") == []


def test_a_body_that_would_be_too_large_now_is_not_kept(here: Path, site: Site, mode: str) -> None:
    run(site.urls("both"), "old")
    (result,) = run(site.urls("both"), "new", refresh="old", mode=mode, max_filesize=399)
    assert (result.cause, result.path) == (Cause.TOO_LARGE, None)


def test_where_a_file_can_have_no_second_name_it_is_copied(
    here: Path, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    (old,) = run(site.urls("weak"), "old")

    def no_link(*_: object, **__: object) -> None:
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr(os, "link", no_link)
    (new,) = run(site.urls("weak"), "new", refresh="old")
    assert (new.status, new.path) == (304, old.path)
    assert not os.path.samefile(f"old/{old.path}", f"new/{new.path}")
    assert Path("new", str(new.path)).read_bytes() == old.body


def test_without_bodies_there_is_nothing_to_keep_but_the_record(here: Path, site: Site) -> None:
    urls = site.urls("both", "dated")
    run(urls, "files")
    run(urls, "none", save="none")
    for number, refreshed in enumerate(["files", "none"]):
        new = run(urls, f"new{number}", refresh=refreshed, save="none", keep_body=False)
        assert [(result.status, result.size, result.path, result.body) for result in new] == [
            (304, 400, None, b""),
            (304, 5, None, b""),
        ]
    wanted = run(urls, "wanted", refresh="files", save="none")
    assert [(result.status, len(result.body)) for result in wanted] == [(304, 400), (304, 5)]
    wanted = run(urls, "fetched", refresh="none", save="none")
    assert [(result.status, len(result.body)) for result in wanted] == [(200, 400), (200, 5)]


def test_the_earlier_run_is_only_read(here: Path, site: Site, mode: str) -> None:
    run(site.urls(), "old")
    for folder, _, names in os.walk("old", topdown=False):
        for name in names:
            os.chmod(f"{folder}/{name}", 0o400)
    before = {path: path.read_bytes() for path in Path("old").rglob("*") if path.is_file()}
    assert statuses(run(site.urls(), "new", refresh="old", mode=mode)) == [304, 304, 304, 200, 304]
    assert {path: path.read_bytes() for path in before} == before


# --- the whole way ---


def test_a_refresh_that_is_killed_goes_on_asking(cli: Cli) -> None:
    pages: Pages = {str(number): (b"x" * number, f'"{number}"', None) for number in range(60)}
    with Site(**pages) as site:
        cli.write("urls.txt", "\n".join(site.urls()))
        assert cli("urls.txt", "-o", "old", "-q").status == 0
        site.log.clear()
        answer = site.answer
        site.answer = lambda asked: answer(asked) if int(asked.path[1:]) < 20 else site.hold(asked)
        process = cli.start("urls.txt", "-o", "new", "--refresh", "old", "-q", "-w", "5")
        assert site.wait_for_requests(25)
        process.kill()
        process.communicate()
        site.answer = answer
        site.released.set()
        os.makedirs("elsewhere")
        os.chdir("elsewhere")  # the folder is known by its absolute path
        assert cli("resume", "../new", "--refresh", "../old", "-q").status == 0
        os.chdir("..")
        assert all(asked.header("If-None-Match") for asked in site.log)
    with open_run("new") as new, open_run("old") as old:
        assert new.finished
        assert statuses(list(new)) == [304] * 60
        assert [new.body(result) for result in new] == [old.body(result) for result in old]


def test_a_page_that_has_not_changed_is_no_difference(cli: Cli, site: Site) -> None:
    cli.write("urls.txt", "\n".join(site.urls()))
    cli("urls.txt", "-o", "old")
    site.pages["dated"] = (b"newer", None, "Thu, 02 Jan 2025 00:00:00 GMT")
    cli("urls.txt", "-o", "new", "--refresh", "old")
    found = cli("diff", "old", "new", "--json")
    changes = [(record["url"], record["change"]) for record in map(json.loads, found.lines)]
    assert changes == [(f"{site.url}/dated", "content")]


def test_an_earlier_run_that_is_gone_when_the_run_goes_on_is_told(cli: Cli, site: Site) -> None:
    cli.write("urls.txt", "\n".join(site.urls("both", "weak")))
    assert cli("urls.txt", "-o", "old").status == 0
    assert cli("urls.txt", "-o", "new", "--refresh", "old").status == 0
    shutil.rmtree("old")
    assert "begun with --refresh, not to be" in cli("retry", "new").problem
    found = cli("retry", "new", "--refresh", "old", "--where", '"index" = 1', "--json")
    assert (found.status, found.record["status"]) == (0, 200)
    assert "there is no run in 'old' to refresh: what is left is fetched whole" in found.said
    assert "gone" not in cli("resume", "new").said


def test_what_was_refreshed_can_be_deduped_too(here: Path, site: Site, mode: str) -> None:
    run(site.urls("both"), "old")
    site.log.clear()
    new = run(site.urls("both") * 20, "new", refresh="old", dedupe=True, mode=mode)
    assert statuses(new) == [304] * 20
    assert len(site.log) == 1
    assert {(result.path, len(result.body)) for result in new} == {(new[0].path, 400)}


# --- usage ---


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["--refresh", "old"], "--refresh: it needs an output folder"),
        (["-o", "new", "--refresh", "home"], "there is no run in '{here}/home' to refresh"),
        (["-o", "new", "--refresh", "new"], "cannot refresh itself"),
        (["-o", "old", "--refresh", "old"], "cannot refresh itself"),
        (["-o", "old", "--refresh", "./old/", "--overwrite"], "cannot refresh itself"),
        (["-o", "new", "--refresh", "none"], "has no bodies (it has --save none): refresh it as --save none"),
        (["-o", "new", "--refresh", "none", "--save", "warc"], "has no bodies (it has --save none)"),
        (["-o", "begun", "--refresh", "old", "--resume"], "was begun with another --refresh"),
    ],
)
def test_wrong_usage_is_told_before_anything_is_fetched(
    cli: Cli, site: Site, arguments: list[str], problem: str
) -> None:
    cli.write("urls.txt", site.urls("both")[0])
    cli("urls.txt", "-o", "old")
    cli("urls.txt", "-o", "none", "--save", "none")
    cli("urls.txt", "-o", "begun")
    site.log.clear()
    assert problem.replace("{here}", str(cli.folder)) in cli("urls.txt", *arguments).problem
    assert site.log == []
    assert len(list(Path("old/bodies").rglob("*.bin"))) + len(list(Path("old/bodies").rglob("*.txt"))) == 1


def test_the_setting_needs_an_output(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="refresh: it needs an output folder"):
        Settings(refresh="old")
    with pytest.raises(FolderError, match="no run"):
        fetch_all_sync(["http://a.test/"], output=tmp_path / "new", refresh=tmp_path)


def test_the_first_night_of_a_job_has_nothing_to_refresh_and_fetches_everything(cli: Cli, site: Site) -> None:
    cli.write("urls.txt", site.urls("both")[0])
    for night in (1, 2, 3):
        done = cli("urls.txt", "-o", f"{night}", "--refresh", f"{night - 1}", "--resume", "--json", "-q")
        assert (done.status, done.record["status"]) == (0, 200 if night == 1 else 304)
        assert ("there is no run in" in done.said) == (night == 1)
    again = cli("urls.txt", "-o", "1", "--refresh", "0", "--resume")
    assert (again.status, again.said) == (0, "fetchq: the only row is done, and ok\n")


# --- whatever the pages do ---

PAGE = st.tuples(st.sampled_from([b"", b"one", b"two" * 30_000]), st.sampled_from([None, '"1"', '"2"']), st.none())


@given(
    before=st.lists(PAGE, min_size=1, max_size=6),
    after=st.lists(PAGE, min_size=6, max_size=6),
    order=st.permutations(range(6)),
    mode=st.sampled_from(["async", "threads"]),
)
@examples(25)
def test_any_refresh_has_the_bodies_that_the_server_has(
    tmp_path_factory: pytest.TempPathFactory, before: Any, after: Any, order: list[int], mode: str
) -> None:
    """As long as another body has another tag."""
    folder = tmp_path_factory.mktemp("runs")
    tagged = [[(body, tag and f'"{len(body)}-{tag[1]}"', None) for body, tag, _ in pages] for pages in (before, after)]
    with Site(**{str(at): page for at, page in enumerate(tagged[0])}) as site:
        run(site.urls(), f"{folder}/old")
        site.pages = {str(at): page for at, page in enumerate(tagged[1])}
        names = [str(at) for at in order]
        new = run(site.urls(*names), f"{folder}/new", refresh=f"{folder}/old", mode=mode)
    assert [result.body for result in new] == [site.pages[name][0] for name in names]
    for result, name in zip(new, names, strict=True):
        same = int(name) < len(before) and tagged[0][int(name)] == tagged[1][int(name)] and site.pages[name][1]
        assert result.status == (304 if same else 200)
    shutil.rmtree(folder)
