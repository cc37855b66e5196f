#!/usr/bin/env bash
# libcurl 8.23.0 (pycurl 7.49.0), curl 7.88.1 alike: an interim response to CONNECT is taken for a refusal.
#
# One would guess that a client which skips 100 and 103 before the answer to a GET skips them before the answer to
# CONNECT as well: RFC 9110, 15.2 lets any request have them. libcurl ends the transfer with "CONNECT tunnel failed,
# response 103" (CURLE_COULDNT_CONNECT), although the 200 is in the same packet. (http.client, and so urllib3 and
# requests, do the same: "Tunnel connection failed: 103".)
#
# Seen:
#   200                begins TLS in the tunnel
#   103, then 200      CONNECT tunnel failed, response 103
#   100, then 200      CONNECT tunnel failed, response 100
#   GET: 103, then 200 status 200
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check pycurl==7.49.0 2>/dev/null
"$folder/venv/bin/python" - <<'PYTHON'
import socket
import sys
import threading

import pycurl

OK = b"HTTP/1.1 200 OK\r\n\r\n"


def serve(answer: bytes, came: list[bytes]) -> int:
    """A server that gives one answer, and then notes what the client sends next."""
    listener = socket.create_server(("127.0.0.1", 0))

    def run() -> None:
        connection, _ = listener.accept()
        with connection, listener:
            request = b""
            while b"\r\n\r\n" not in request:
                request += connection.recv(4096)
            connection.sendall(answer)
            try:
                came.append(connection.recv(3))
            except OSError:
                came.append(b"")

    threading.Thread(target=run, daemon=True).start()
    return listener.getsockname()[1]


def connect(answer: bytes) -> str:
    came: list[bytes] = []
    curl = pycurl.Curl()
    curl.setopt(pycurl.URL, "https://origin.test/")
    curl.setopt(pycurl.PROXY, f"http://127.0.0.1:{serve(answer, came)}")
    curl.setopt(pycurl.TIMEOUT, 10)
    try:
        curl.perform()
    except pycurl.error as problem:
        text = str(problem.args[1])
    return "begins TLS in the tunnel" if came[:1] == [b"\x16\x03\x01"] else text


def get(answer: bytes) -> str:
    curl = pycurl.Curl()
    curl.setopt(pycurl.URL, f"http://127.0.0.1:{serve(answer, [])}/")
    curl.setopt(pycurl.NOPROXY, "*")
    curl.setopt(pycurl.WRITEFUNCTION, lambda data: None)
    curl.perform()
    return f"status {curl.getinfo(pycurl.RESPONSE_CODE)}"


print(pycurl.version)
seen = {
    "200": connect(OK),
    "103, then 200": connect(b"HTTP/1.1 103 Early Hints\r\n\r\n" + OK),
    "100, then 200": connect(b"HTTP/1.1 100 Continue\r\n\r\n" + OK),
    "GET: 103, then 200": get(b"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
}
for name, what in seen.items():
    print(f"{name:<20}{what}")
failed = "CONNECT tunnel failed, response"
wanted = ["begins TLS in the tunnel", f"{failed} 103", f"{failed} 100", "status 200"]
sys.exit(0 if list(seen.values()) == wanted else "it is no longer so")
PYTHON
