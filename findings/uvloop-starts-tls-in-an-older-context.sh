#!/usr/bin/env bash
# uvloop 0.23.0: a context variable that is set before `loop.start_tls` is not seen in the TLS handshake that it makes.
#
# `loop.start_tls` makes its handshake in callbacks. One would guess that these run in a copy of the caller's context,
# as PEP 567 has it for `call_soon`, and as asyncio does. uvloop runs them in the context in which the TCP transport
# was made, which may be long before. So an `SSLContext.sslobject_class`, `sni_callback` or `msg_callback` that looks
# up by a context variable for which request the handshake is (to measure or trace it) finds another value than under
# asyncio. A variable that holds an object, and is set before the connection is opened, works in both.
#
# Seen (a variable is "early" when the connection is opened, and "late" just before start_tls):
#   asyncio   the handshake is made with: late
#   uvloop    the handshake is made with: early
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check uvloop==0.23.0 trustme==1.2.1 2>/dev/null
"$folder/venv/bin/python" - <<'PYTHON'
import asyncio
import ssl
import sys
from contextvars import ContextVar

import trustme
import uvloop

moment: ContextVar[str] = ContextVar("moment")
seen: set[str] = set()


class Watched(ssl.SSLObject):
    def do_handshake(self) -> None:
        seen.add(moment.get("none"))
        super().do_handshake()


async def main() -> str:
    seen.clear()
    authority = trustme.CA()
    serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(serving)
    asking = ssl.create_default_context()
    authority.configure_trust(asking)
    asking.sslobject_class = Watched
    loop = asyncio.get_running_loop()
    server = await asyncio.start_server(lambda reader, writer: None, "127.0.0.1", 0, ssl=serving)
    moment.set("early")
    transport, protocol = await loop.create_connection(asyncio.Protocol, *server.sockets[0].getsockname())
    moment.set("late")
    secure = await loop.start_tls(transport, protocol, asking, server_hostname="localhost")
    secure.abort()
    server.close()
    return ", ".join(sorted(seen))


found = {}
for name, factory in (("asyncio", None), ("uvloop", uvloop.new_event_loop)):
    with asyncio.Runner(loop_factory=factory) as runner:
        found[name] = runner.run(main())
    print(f"{name:<9} the handshake is made with: {found[name]}")
sys.exit(found != {"asyncio": "late", "uvloop": "early"})
PYTHON
