#!/usr/bin/env bash
# libcurl 8.23.0 (pycurl 7.49.0): a comment at the end of a line of netrc is read as part of the entry.
#
# A line that begins with # is a comment for curl. One would guess that so is what follows " # " on a line, as in
# Python's netrc module and in curl 7.88.1: libcurl 8.23 reads on, and a login or a password in the comment replaces
# that of the entry. It says nothing of the words that it does not know either.
#
# Seen:
#   # a comment of its own line                           me:word
#   machine ... login me password word # was login you    you:word
#   Python's netrc module, for the latter                 me:word
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check pycurl==7.49.0 2>/dev/null
cd "$folder"
"$folder/venv/bin/python" - <<'PYTHON'
import netrc
import sys
import threading
from base64 import b64decode
from http.server import BaseHTTPRequestHandler, HTTPServer

import pycurl

came: list[str] = []


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        came.append(b64decode(self.headers["Authorization"].removeprefix("Basic ")).decode())
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


def sent(text: str) -> str:
    """The login and the password that libcurl sends with this file."""
    with open("netrc", "w") as file:
        file.write(text)
    curl = pycurl.Curl()
    curl.setopt(pycurl.URL, f"http://127.0.0.1:{server.server_port}/")
    curl.setopt(pycurl.NETRC, pycurl.NETRC_REQUIRED)
    curl.setopt(pycurl.NETRC_FILE, "netrc")
    curl.setopt(pycurl.NOPROXY, "*")
    curl.perform()
    return came[-1]


server = HTTPServer(("127.0.0.1", 0), Handler)
threading.Thread(target=server.serve_forever, daemon=True).start()
entry = "machine 127.0.0.1 login me password word"
own = sent(f"# login you\n{entry}\n")
trailing = sent(f"{entry} # was login you\n")
login, _, password = netrc.netrc("netrc").authenticators("127.0.0.1")
server.shutdown()
print(pycurl.version)
print("a comment on a line of its own:   ", own)
print("a comment at the end of the line: ", trailing)
print("Python's netrc module, the latter:", f"{login}:{password}")
sys.exit(0 if (own, trailing, login) == ("me:word", "you:word", "me") else "it is no longer so")
PYTHON
