"""Both engines ask the host that browsers would ask, and the record has what was asked for and what was sent."""

from __future__ import annotations

from typing import Any

import pytest
from faults.wire import Asked, Connection, head
from support.modes import every_mode
from support.servers import ScriptServer, ok

from fetchq import Result, fetch_all_sync

NAMES = {
    "\U0001f600\u00df.example": "xn--zca1967w.example",
    "\u0646\u0627\u0645\u0647\u200c\u0627\u06cc.example": "xn--mgba3gch31f060k.example",
}


def fetch(url: str, server: ScriptServer, mode: str, **options: Any) -> Result:
    resolve = [f"{name}:{server.port}:127.0.0.1" for name in NAMES]
    return fetch_all_sync([url], mode=mode, resolve=resolve, **options)[0]


@every_mode
@pytest.mark.parametrize("name", NAMES)
def test_the_name_is_dialled_in_ascii_and_recorded_as_it_was_written(mode: str, name: str) -> None:
    with ScriptServer() as server:
        result = fetch(server.at(name), server, mode)
        assert (result.url, result.final_url) == (server.at(name), server.at(NAMES[name]))
        assert result.remote == server.netloc
        assert server.log[0].header("Host") == f"{NAMES[name]}:{server.port}"


@every_mode
@pytest.mark.parametrize("name", NAMES)
def test_a_redirect_to_such_a_name_leads_to_the_same_host(mode: str, name: str) -> None:
    def play(conn: Connection, asked: Asked) -> None:
        if asked.target == "/":
            location = b"Location: " + server.at(name).encode() + b"/there"
            conn.send(head(b"Content-Length: 0", location, status=b"HTTP/1.1 302 Found"))
        else:
            ok(conn, asked)

    with ScriptServer(play) as server:
        result = fetch(server.url + "/", server, mode)
        assert result.final_url == server.at(NAMES[name]) + "/there"
        assert server.log[1].header("Host") == f"{NAMES[name]}:{server.port}"
