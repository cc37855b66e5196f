"""Whatever a URL looks like, its path and query reach the server, or the proxy, as they were written."""

from __future__ import annotations

import pytest
from faults.wire import Asked, Connection, head
from support.modes import every_mode
from support.servers import ScriptServer, ok

from fetchq import fetch_all_sync

TARGETS = {
    "": "/",
    "?": "/?",
    "?q": "/?q",
    "/hello?": "/hello?",
    "/hello?#part": "/hello?",
    "/a//b;c=+/%2f%2F%7E~?a[]=%zz|%7c": "/a//b;c=+/%2f%2F%7E~?a[]=%25zz%7C%7c",
    "/é?ü": "/%C3%A9?%C3%BC",
}


@every_mode
@pytest.mark.parametrize("proxied", [False, True])
def test_the_request_line_has_path_and_query_to_the_letter(mode: str, proxied: bool) -> None:
    with ScriptServer() as server:
        host = "http://host.test" if proxied else server.url
        results = fetch_all_sync(
            [host + rest for rest in TARGETS], mode=mode, workers=1, proxy=server.url if proxied else None
        )
        assert [result.status for result in results] == [200] * len(TARGETS)
        assert sorted(server.seen) == sorted((host if proxied else "") + target for target in TARGETS.values())


@every_mode
@pytest.mark.parametrize("rest", [rest for rest in TARGETS if rest.startswith("/")])
def test_so_does_the_request_line_after_a_redirect(mode: str, rest: str) -> None:
    def play(conn: Connection, asked: Asked) -> None:
        if asked.target == "/":
            conn.send(head(b"Content-Length: 0", b"Location: " + rest.encode(), status=b"HTTP/1.1 302 Found"))
        else:
            ok(conn, asked)

    with ScriptServer(play) as server:
        (result,) = fetch_all_sync([server.url + "/"], mode=mode)
        assert server.seen == ["/", TARGETS[rest]]
        assert result.final_url == server.url + TARGETS[rest]


@every_mode
def test_a_proxy_is_not_asked_for_the_default_port(mode: str) -> None:
    with ScriptServer() as server:
        fetch_all_sync(["http://host.test:80", "http://host.test:81"], mode=mode, workers=1, proxy=server.url)
        assert sorted(server.seen) == ["http://host.test/", "http://host.test:81/"]
