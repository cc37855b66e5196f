#!/usr/bin/env bash
# c-ares answers names below localhost itself, but sends them to the DNS server once a final dot ends them.
#
# Versions:  aiodns 4.0.4 with pycares 5.2.1 (the c-ares in its wheel)
# Behaviour: "localhost" and "app.localhost" are the loopback, and no server is asked (RFC 6761, 6.3). "localhost." and
#            "app.localhost.", which are the same names written as absolute ones, go to the server and are not found.
#            Of the other special names, "x.onion" is asked of nobody (RFC 7686), and "x.invalid" is asked for.
# Guess:     a final dot makes no difference to which name it is.
#
# Output seen:
#   localhost        ['127.0.0.1', '::1']   asked: no
#   app.localhost    ['127.0.0.1', '::1']   asked: no
#   localhost.       not found              asked: yes
#   app.localhost.   not found              asked: yes
#   x.onion          not found              asked: no
#   x.invalid        not found              asked: yes
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check aiodns==4.0.4 pycares==5.2.1

cat > "$folder/ask.py" <<'PY'
import asyncio
import socket
import sys
import threading

import aiodns

asked = []
server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
server.bind(("127.0.0.1", 0))


def serve():
    """Answer each question with NXDOMAIN."""
    while True:
        query, client = server.recvfrom(4096)
        end = query.index(0, 12) + 5
        asked.append(query[12:end])
        server.sendto(query[:2] + b"\x81\x83\0\1\0\0\0\0\0\0" + query[12:end], client)


async def main():
    resolver = aiodns.DNSResolver([f"127.0.0.1:{server.getsockname()[1]}"])
    seen = {}
    for name in ("localhost", "app.localhost", "localhost.", "app.localhost.", "x.onion", "x.invalid"):
        asked.clear()
        try:
            found = await resolver.getaddrinfo(name, family=socket.AF_UNSPEC, type=socket.SOCK_STREAM)
            what = sorted(node.addr[0].decode() for node in found.nodes)
        except aiodns.error.DNSError:
            what = "not found"
        seen[name] = (what != "not found", bool(asked))
        print(f"{name:<16} {what!s:<22} asked: {'yes' if asked else 'no'}")
    await resolver.close()
    return seen


threading.Thread(target=serve, daemon=True).start()
seen = asyncio.run(main())
expected = {
    "localhost": (True, False),
    "app.localhost": (True, False),
    "localhost.": (False, True),
    "app.localhost.": (False, True),
    "x.onion": (False, False),
    "x.invalid": (False, True),
}
sys.exit(0 if seen == expected else "the behaviour has changed")
PY
"$folder/venv/bin/python" "$folder/ask.py"
