#!/usr/bin/env bash
# express 4.21.2 with compression 1.8.1: the answer to a Range holds gzip of the part, and a Content-Range of the plain file.
#
# One would guess that with `Content-Encoding: gzip` a Content-Range counts encoded bytes, since the coding belongs to the
# representation (RFC 9110, 8.4 and 14.4), or that the middleware leaves a 206 alone. It encodes the part by itself, a new
# gzip stream, under the same ETag as the whole. A download that broke off after N bytes of the encoded file, and goes on
# at byte N, joins the beginning of one gzip stream and the middle of the plain file, encoded again: the status, the ETag,
# the coding and the place all match, and only decoding shows that the two do not fit. (Caddy 2.6 with `encode` does so
# under a strong ETag; nginx with gzip on makes the ETag weak and gives no ranges.)
#
# Seen:
#   200 gzip, ETag as before: true
#   206 gzip, Content-Range bytes 5000-108893/108894 (the plain file has 108894 bytes)
#   the part begins with a gzip header: true; it decodes to byte 5000 to the end of the plain file: true
#   joined with the first 5000 encoded bytes it decodes: false
set -euo pipefail
folder=$(mktemp -d)
server=
trap 'if [ -n "$server" ]; then kill "$server" 2>/dev/null || true; fi; rm -rf "$folder"' EXIT
cd "$folder"
npm init -y >/dev/null
npm install --silent --no-audit --no-fund express@4.21.2 compression@1.8.1 >/dev/null
mkdir www
seq 1 20000 > www/file.txt
cat > server.js <<'JAVASCRIPT'
const express = require("express");
const app = express();
app.use(require("compression")());
app.use(express.static("www"));
const server = app.listen(0, "127.0.0.1", () => console.log(server.address().port));
JAVASCRIPT
node server.js > port &
server=$!
for _ in $(seq 100); do [ -s port ] && break; sleep 0.1; done
python3 - "$(cat port)" <<'PYTHON'
import http.client
import sys
import zlib

PLAIN = open("www/file.txt", "rb").read()
BREAK = 5000


def get(**headers: str) -> tuple[http.client.HTTPResponse, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", int(sys.argv[1]))
    connection.request("GET", "/file.txt", headers={"Accept-Encoding": "gzip", **headers})
    response = connection.getresponse()
    return response, response.read()


def decoded(data: bytes) -> bytes | None:
    try:
        return zlib.decompress(data, 31)
    except zlib.error:
        return None


whole, encoded = get()
part, rest = get(Range=f"bytes={BREAK}-")
alike = whole.headers["ETag"] == part.headers["ETag"]
seen = [
    f"{whole.status} {whole.headers['Content-Encoding']}, ETag as before: {alike}".replace("True", "true"),
    f"{part.status} {part.headers['Content-Encoding']}, Content-Range {part.headers['Content-Range']}"
    f" (the plain file has {len(PLAIN)} bytes)",
    f"the part begins with a gzip header: {rest[:2] == bytes([0x1F, 0x8B])}; it decodes to byte {BREAK} to the end of"
    f" the plain file: {decoded(rest) == PLAIN[BREAK:]}".replace("True", "true"),
    f"joined with the first {BREAK} encoded bytes it decodes: {decoded(encoded[:BREAK] + rest) == PLAIN}".replace(
        "False", "false"
    ),
]
print(*seen, sep="\n")
expected = [
    "200 gzip, ETag as before: true",
    "206 gzip, Content-Range bytes 5000-108893/108894 (the plain file has 108894 bytes)",
    "the part begins with a gzip header: true; it decodes to byte 5000 to the end of the plain file: true",
    "joined with the first 5000 encoded bytes it decodes: false",
]
sys.exit(seen != expected)
PYTHON
