#!/usr/bin/env bash
# requests asks for /hello where urllib3, on which it is built, asks for /hello?; so does aiohttp, whose URLs drop the "?".
#
# Versions:  requests 2.34.2, urllib3 2.8.0, aiohttp 3.14.5, yarl 1.25.1
# Behaviour: the URL http://host/hello? has an empty query, and not none (RFC 3986, 6.2.3): it may name another resource,
#            and signatures are computed over it. urllib3 and urllib.request (like curl and wget) send the "?"; requests
#            and aiohttp leave it out, also when they ask a proxy for the whole URL.
# Guess:     the query is sent as it was written, and requests sends what the library below it would send.
#
# Output seen:
#   urllib.request   /hello?   http://example.test/hello?
#   urllib3          /hello?   http://example.test/hello?
#   requests         /hello    http://example.test/hello
#   aiohttp          /hello    http://example.test/hello
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
  requests==2.34.2 urllib3==2.8.0 aiohttp==3.14.5 yarl==1.25.1

cat > "$folder/ask.py" <<'PY'
import asyncio
import sys
import threading
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import aiohttp
import requests
import urllib3

asked = []


class Handler(BaseHTTPRequestHandler):
    """A server, and a proxy, that notes the target of each request."""

    def do_GET(self):
        asked.append(self.path)
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_):
        pass


async def with_aiohttp():
    async with aiohttp.ClientSession() as session:
        async with session.get(near), session.get(far, proxy=proxy):
            pass


server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
threading.Thread(target=server.serve_forever, daemon=True).start()
proxy = f"http://127.0.0.1:{server.server_port}"
near, far = f"{proxy}/hello?", "http://example.test/hello?"
seen = {}

urllib.request.build_opener(urllib.request.ProxyHandler({})).open(near)
urllib.request.build_opener(urllib.request.ProxyHandler({"http": proxy})).open(far)
seen["urllib.request"], asked = asked, []

urllib3.PoolManager().request("GET", near)
urllib3.ProxyManager(proxy).request("GET", far)
seen["urllib3"], asked = asked, []

session = requests.Session()
session.trust_env = False
session.get(near)
session.get(far, proxies={"http": proxy})
seen["requests"], asked = asked, []

asyncio.run(with_aiohttp())
seen["aiohttp"] = asked

for client, targets in seen.items():
    print(f"{client:<16} {targets[0]:<10}{targets[1]}")
kept, dropped = ["/hello?", "http://example.test/hello?"], ["/hello", "http://example.test/hello"]
expected = {"urllib.request": kept, "urllib3": kept, "requests": dropped, "aiohttp": dropped}
sys.exit(0 if seen == expected else "the behaviour has changed")
PY
"$folder/venv/bin/python" "$folder/ask.py"
