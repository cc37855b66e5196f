#!/usr/bin/env bash
# libcurl 8.23.0 (pycurl 7.49.0) and MozillaCookieJar of Python 3.11: session cookies do not pass from one to the other,
# though both call the file "Netscape".
#
# libcurl writes 0 as the end of a cookie that ends with the session. One would guess that Python keeps such cookies with
# load(ignore_discard=True), the argument that says so. Python leaves that column empty in its own files, and reads 0 as
# the first second of 1970: the cookie has expired. It says nothing. With ignore_expires=True, which lets expired cookies
# in as well, the cookie is in the jar, and is still not sent. Nor does libcurl take the line with the empty column.
#
# Seen:
#   written by libcurl, read by libcurl                      keep sid
#   written by libcurl, read by Python                       keep
#   the same with ignore_discard=True                        keep
#   the same with ignore_discard=True, ignore_expires=True   keep
#   written by Python with ignore_discard, read by Python    keep sid
#   written by Python with ignore_discard, read by libcurl   keep
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/python -m pip install --quiet --disable-pip-version-check "pycurl==7.49.0"
cat >run.py <<'PYTHON'
import http.server
import threading
import urllib.request
from http.cookiejar import MozillaCookieJar

import pycurl


class Handler(http.server.BaseHTTPRequestHandler):
    """Sets two cookies at /set, one of them for the session; elsewhere tells the names of those that came."""

    def do_GET(self) -> None:
        pairs = self.headers.get("Cookie", "").split(";")
        names = " ".join(sorted(pair.partition("=")[0].strip() for pair in pairs if pair))
        self.send_response(200)
        if self.path == "/set":
            self.send_header("Set-Cookie", "sid=abc; Path=/")
            self.send_header("Set-Cookie", "keep=1; Path=/; Max-Age=86400")
        self.end_headers()
        self.wfile.write(names.encode())

    def log_message(self, *_: object) -> None:
        pass


def curl(path: str, option: int, file: str) -> str:
    handle = pycurl.Curl()
    handle.setopt(pycurl.URL, url + path)
    handle.setopt(pycurl.NOPROXY, "*")
    handle.setopt(option, file)
    body = handle.perform_rb()
    handle.close()
    return body.decode()


def python(path: str, jar: MozillaCookieJar) -> str:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), urllib.request.HTTPCookieProcessor(jar))
    with opener.open(url + path) as answer:
        return answer.read().decode()


def loaded(**how: bool) -> MozillaCookieJar:
    jar = MozillaCookieJar("curl.txt")
    jar.load(**how)
    return jar


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
threading.Thread(target=server.serve_forever, daemon=True).start()
url = f"http://127.0.0.1:{server.server_port}"
curl("/set", pycurl.COOKIEJAR, "curl.txt")
own = MozillaCookieJar("python.txt")
python("/set", own)
own.save(ignore_discard=True)
again = MozillaCookieJar("python.txt")
again.load(ignore_discard=True)
seen = {
    "written by libcurl, read by libcurl": curl("/", pycurl.COOKIEFILE, "curl.txt"),
    "written by libcurl, read by Python": python("/", loaded()),
    "the same with ignore_discard=True": python("/", loaded(ignore_discard=True)),
    "the same with ignore_discard=True, ignore_expires=True": python(
        "/", loaded(ignore_discard=True, ignore_expires=True)
    ),
    "written by Python with ignore_discard, read by Python": python("/", again),
    "written by Python with ignore_discard, read by libcurl": curl("/", pycurl.COOKIEFILE, "python.txt"),
}
server.shutdown()
print(pycurl.version)
for what, names in seen.items():
    print(f"{what:56} {names}")
raise SystemExit(list(seen.values()) != ["keep sid", "keep", "keep", "keep", "keep sid", "keep"])
PYTHON
venv/bin/python run.py || { echo "it has changed" >&2; exit 1; }
