#!/usr/bin/env bash
# httpx 0.28.1 and libcurl 8.23.0 (pycurl 7.49.0), beside requests 2.34.2 (urllib3 2.8.0) and aiohttp 3.14.5: a body with
# Content-Encoding: gzip that consists of two gzip members, as `cat a.gz b.gz`, bgzip and appended logs make it.
#
# RFC 9110, 8.4.1.3 defines the coding by the file format of RFC 1952, in which members simply follow one another (2.2).
# One would guess that every client returns both, or at least that one which does not says so. httpx returns the first
# alone, with status 200 and without an error. libcurl hands the first one out, and then fails with the code of a failed
# write (23), not with that of a bad content encoding (61).
#
# Seen, of 1200 bytes in two members with the right Content-Length:
#   httpx     200, 600 bytes
#   libcurl   error 23 after 600 bytes: Multi-member gzip response not supported
#   requests  200, 1200 bytes
#   aiohttp   200, 1200 bytes
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
    httpx==0.28.1 pycurl==7.49.0 requests==2.34.2 urllib3==2.8.0 aiohttp==3.14.5 2>/dev/null
cd "$folder"
"$folder/venv/bin/python" - <<'PYTHON'
import asyncio
import gzip
import io
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import aiohttp
import httpx
import pycurl
import requests

BODY = gzip.compress(b"first half.\n" * 50) + gzip.compress(b"other half.\n" * 50)


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Encoding", "gzip")
        self.send_header("Content-Length", str(len(BODY)))
        self.end_headers()
        self.wfile.write(BODY)

    def log_message(self, *_: object) -> None:
        pass


def by_libcurl(url: str) -> str:
    body, curl = io.BytesIO(), pycurl.Curl()
    curl.setopt(curl.URL, url)
    curl.setopt(curl.ACCEPT_ENCODING, "")
    curl.setopt(curl.WRITEDATA, body)
    try:
        curl.perform()
    except pycurl.error as error:
        return f"error {error.args[0]} after {len(body.getvalue())} bytes: {error.args[1]}"
    return f"{curl.getinfo(curl.RESPONSE_CODE)}, {len(body.getvalue())} bytes"


async def by_aiohttp(url: str) -> str:
    async with aiohttp.ClientSession() as session, session.get(url) as response:
        return f"{response.status}, {len(await response.read())} bytes"


def by_get(get, url: str) -> str:
    response = get(url)
    return f"{response.status_code}, {len(response.content)} bytes"


server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
threading.Thread(target=server.serve_forever, daemon=True).start()
url = f"http://127.0.0.1:{server.server_port}/"
seen = {
    "httpx": by_get(httpx.Client(trust_env=False).get, url),
    "libcurl": by_libcurl(url),
    "requests": by_get(requests.get, url),
    "aiohttp": asyncio.run(by_aiohttp(url)),
}
server.shutdown()
for name, what in seen.items():
    print(f"{name:9} {what}")
expected = {
    "httpx": "200, 600 bytes",
    "libcurl": "error 23 after 600 bytes: Multi-member gzip response not supported",
    "requests": "200, 1200 bytes",
    "aiohttp": "200, 1200 bytes",
}
sys.exit(seen != expected)
PYTHON
