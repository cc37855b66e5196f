#!/usr/bin/env bash
# pywb 2.10.0: a `revisit` record with the HTTP head of a 304, as WARC 1.1 describes it, is replayed as an empty page.
#
# The profile server-not-modified is made for this: the server has said 304, and the record refers to an earlier response
# that is in the same archive, by its ID, URL and date. One would guess that the page is shown at both dates, and that
# the head makes no difference. pywb takes any 3xx in the head of a revisit for a redirect, which needs no body; without
# a head, it shows the page.
#
# Seen (the page at its first date, and at the date of the revisit):
#   revisit with the head of the 304   200 OK 'the page'   304 Not Modified ''
#   revisit without a head             200 OK 'the page'   200 OK 'the page'
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check pywb==2.10.0 "setuptools<81" 2>/dev/null
cd "$folder"
cat >replay.py <<'PYTHON'
import io
import logging
import sys

from pywb.manager.manager import main
from pywb.apps.frontendapp import FrontEndApp
from warcio.statusandheaders import StatusAndHeaders
from warcio.warcwriter import WARCWriter
from werkzeug.test import Client

URL = "http://example.org/page"
FIRST, SECOND = "2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z"

logging.disable(logging.CRITICAL)
with open("one.warc.gz", "wb") as file:
    writer = WARCWriter(file, warc_version="1.1")
    head = StatusAndHeaders("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "8")], "HTTP/1.1")
    body = io.BytesIO(b"the page")
    dated = {"WARC-Date": FIRST}
    page = writer.create_warc_record(URL, "response", payload=body, http_headers=head, warc_headers_dict=dated)
    writer.write_record(page)
    refers = {
        "WARC-Date": SECOND,
        "WARC-Profile": "http://netpreserve.org/warc/1.1/revisit/server-not-modified",
        "WARC-Refers-To": page.rec_headers.get_header("WARC-Record-ID"),
        "WARC-Refers-To-Target-URI": URL,
        "WARC-Refers-To-Date": FIRST,
    }
    answer = StatusAndHeaders("304 Not Modified", [], "HTTP/1.1") if sys.argv[1] == "with" else None
    revisit = writer.create_warc_record(URL, "revisit", http_headers=answer, warc_headers_dict=refers)
    writer.write_record(revisit)
shown, sys.stdout = sys.stdout, sys.stderr
main(["init", sys.argv[1]])
main(["add", sys.argv[1], "one.warc.gz"])
client = Client(FrontEndApp())
pages = [client.get(f"/{sys.argv[1]}/{date}id_/{URL}") for date in ("20260101000000", "20260102000000")]
print(*[f"{page.status} {page.get_data().decode()!r}" for page in pages], sep="   ", file=shown)
PYTHON
with=$(venv/bin/python replay.py with 2>/dev/null)
without=$(venv/bin/python replay.py without 2>/dev/null)
echo "revisit with the head of the 304   $with"
echo "revisit without a head             $without"
[ "$with" = "200 OK 'the page'   304 Not Modified ''" ]
[ "$without" = "200 OK 'the page'   200 OK 'the page'" ]
