"""A replayer shows what is in a web archive: pywb, in an environment of its own (`scripts/setup pywb`)."""

from __future__ import annotations

import json
import os
import subprocess
import time
from pathlib import Path
from typing import NamedTuple

import pytest
from faults.wire import Asked
from support.refresh import NOT_MODIFIED, run
from support.servers import Scripted, reply

from fetchq.workers import archived_request, settle

REPLAY = """
import json, logging, os, sys, tempfile
from pywb.manager.manager import main
from pywb.apps.frontendapp import FrontEndApp  # which replaces parts of the standard library
from werkzeug.test import Client

logging.disable(logging.CRITICAL)
shown, sys.stdout = sys.stdout, sys.stderr
with tempfile.TemporaryDirectory() as folder:
    os.chdir(folder)
    main(["init", "all"])
    main(["add", "all", sys.argv[1]])
    client = Client(FrontEndApp())
    with open("collections/all/indexes/index.cdxj") as index:
        for line in sorted(index, key=lambda line: line.split()[1]):
            _, date, said = line.split(" ", 2)
            url = json.loads(said)["url"]
            page = client.get(f"/all/{date}id_/{url}")
            text = page.get_data().decode()
            print(json.dumps([date, url, page.status, page.headers.get("Location"), text]), file=shown)
"""


class Capture(NamedTuple):
    """A page as it is replayed."""

    date: str
    url: str
    status: str
    location: str | None
    body: str


def replayed(archive: Path) -> list[Capture]:
    """All captures of an archive, in the order of their dates."""
    if not (python := os.environ.get("FETCHQ_PYWB")):
        assert not os.environ.get("FETCHQ_REQUIRE_ALL"), "FETCHQ_PYWB names no Python that has pywb"
        pytest.skip("FETCHQ_PYWB names no Python that has pywb")
    done = subprocess.run(
        [python, "-c", REPLAY, str(archive.absolute())], capture_output=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr.decode()
    return [Capture(*json.loads(line)) for line in done.stdout.splitlines()]


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize("old", ["files", "warc"])
def test_both_dates_of_a_refreshed_page_and_the_way_to_it_are_replayed(
    old: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def answer(asked: Asked) -> bytes:
        if asked.path == "/moved":
            return reply(b"moved", b"Location: /page", b"Set-Cookie: s=1", status=b"HTTP/1.1 302 Found")
        if asked.header("If-None-Match"):
            return reply(b"", b'ETag: "1"', status=NOT_MODIFIED)
        return reply(b"<p>the page</p>", b"Content-Type: text/html", b'ETag: "1"')

    with Scripted(answer) as server:
        urls = [f"{server.url}/page", f"{server.url}/moved"]
        with monkeypatch.context() as patch:
            for module in (settle, archived_request):
                patch.setattr(module, "time", lambda: time.time() - 86400)
            run(urls, "old", save=old)
        assert [result.status for result in run(urls, "new", save="warc", refresh="old", workers=1)] == [304, 304]
        captures = replayed(Path("new/warc/00000.warc.gz"))
    page = {one.date: one[2:] for one in captures if one.url == urls[0]}
    assert len({date[:8] for date in page}) >= 2, "of both days"
    assert set(page.values()) == {("200 OK", None, "<p>the page</p>")}
    (moved,) = [one for one in captures if one.url == urls[1]]
    assert moved[2:] == ("302 Found", "/page", "moved")
