#!/usr/bin/env bash
# requests 2.34.2 with urllib3 2.8.0: an answer that comes before the body was sent is read over http, rarely over https.
#
# A server that refuses an upload answers 413 and closes, without reading the rest (RFC 9112, 9.5). One would guess that
# a client sees the 413 or a broken connection, alike with and without TLS. urllib3 ignores a broken pipe or a reset
# while it sends, and reads the answer that has arrived. Over TLS, Python's ssl reports the same end of the connection as
# SSLEOFError, which urllib3 does not ignore: the 413 that is there to be read is thrown away, nearly each time.
#
# Seen (20 uploads of 3 MB each):
#   http   20 x 413
#   https  18 to 20 x SSLError, 0 to 2 x 413
#   https  read after SSLEOFError: 413 each time, so that it was there
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
    requests==2.34.2 urllib3==2.8.0 trustme==1.2.1 2>/dev/null
"$folder/venv/bin/python" - "$folder/ca.pem" <<'PYTHON'
import http.client
import socket
import ssl
import sys
import threading
from collections import Counter

import requests
import trustme

ANSWER = b"HTTP/1.1 413 Content Too Large\r\nConnection: close\r\nContent-Length: 2\r\n\r\nno"
BODY = bytes(3_000_000)
authority = trustme.CA()
authority.cert_pem.write_to_path(sys.argv[1])
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
authority.issue_cert("127.0.0.1").configure_cert(context)


def serve(listener: socket.socket, tls: bool) -> None:
    """Reads the beginning of each request, answers, and closes."""
    while True:
        connection, _ = listener.accept()
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if tls:
            connection = context.wrap_socket(connection, server_side=True)
        connection.recv(1)
        connection.sendall(ANSWER)
        connection.close()


def start(tls: bool) -> int:
    listener = socket.create_server(("127.0.0.1", 0))
    threading.Thread(target=serve, args=(listener, tls), daemon=True).start()
    return listener.getsockname()[1]


def by_requests(url: str) -> str:
    try:
        return str(requests.post(url, data=BODY, verify=sys.argv[1], timeout=10).status_code)
    except requests.RequestException as problem:
        return type(problem).__name__


def by_hand(port: int) -> str:
    """Like requests over https, but reads after the failure."""
    client = http.client.HTTPSConnection(
        "127.0.0.1", port, context=ssl.create_default_context(cafile=sys.argv[1]), timeout=10
    )
    try:
        client.request("POST", "/", BODY)
    except (ssl.SSLEOFError, ConnectionError):
        pass
    return client.sock.recv(65536).split()[1].decode()


plain, secure = start(tls=False), start(tls=True)
seen = [
    Counter(by_requests(f"http://127.0.0.1:{plain}/") for _ in range(20)),
    Counter(by_requests(f"https://127.0.0.1:{secure}/") for _ in range(20)),
    Counter(by_hand(secure) for _ in range(20)),
]
for name, counted in zip(("http", "https", "https, read after the failure"), seen, strict=True):
    print(f"{name}:", ", ".join(f"{count} x {what}" for what, count in counted.items()))
sys.exit(0 if seen[0]["413"] == seen[2]["413"] == 20 and seen[1]["413"] <= 10 else 1)
PYTHON
