"""JSON, params, auth and cookies reach the server as parts of the request, those of a row in place of the run's."""

from __future__ import annotations

import base64
from dataclasses import replace
from typing import Any

import pytest
from faults.wire import Asked, Connection, head, length
from support.servers import ScriptServer, by_path, ok

from fetchq import Request, Settings, SettingsError, fetch_all_sync


def basic(text: str) -> str:
    return "Basic " + base64.b64encode(text.encode()).decode()


def test_what_the_settings_have_is_sent_with_every_row(mode: str) -> None:
    settings = Settings(
        mode=mode, workers=1, auth=("me", "p:w"), cookies={"a": 1}, json={"n": [1]}, params={"k": ["v", 2]}
    )
    with ScriptServer() as server:
        results = fetch_all_sync([server.url, f"{server.url}/x?z=1#f"], settings=replace(settings, retries=0))
        log = server.log
    assert [result.url for result in results] == [f"{server.url}?k=v&k=2", f"{server.url}/x?z=1&k=v&k=2#f"]
    assert {asked.target for asked in log} == {"/?k=v&k=2", "/x?z=1&k=v&k=2"}
    for asked in log:
        assert (asked.method, asked.body, asked.header("Content-Type")) == ("POST", b'{"n":[1]}', "application/json")
        assert (asked.header("Authorization"), asked.header("Cookie")) == (basic("me:p:w"), "a=1")


@pytest.mark.parametrize("run", [{"user": "run:SECRET"}, {"bearer": "SECRET"}])
def test_the_auth_of_a_row_replaces_that_of_the_run_and_goes_to_no_other_origin(
    engine_mode: str, run: dict[str, Any]
) -> None:
    with ScriptServer() as other:

        def away(conn: Connection, _: Asked) -> None:
            conn.send(head(length(0), f"Location: {other.url}/".encode(), status=b"HTTP/1.1 302 Found"))

        with ScriptServer(by_path({"/away": away}, ok)) as server:
            rows = [Request(server.url + "/away", auth="row:pw", cookies={"a": "b"}), Request(server.url, bearer="tok")]
            for result in fetch_all_sync(rows, mode=engine_mode, workers=1, **run):
                assert result.ok
            sent = [(asked.header("Authorization"), asked.header("Cookie")) for asked in server.log]
            assert sent == [(basic("row:pw"), "a=b"), ("Bearer tok", None)]
        assert [(asked.header("Authorization"), asked.header("Cookie")) for asked in other.log] == [(None, None)]


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({"auth": "a:SECRET", "user": "c:d"}, "auth: not together with user"),
        ({"cookies": {"a": "SECRET"}, "cookie": "c=d"}, "cookies: not together with cookie"),
        ({"json": ["SECRET"], "data": "x"}, "json: not together with data"),
        ({"json": {"SECRET": object()}}, "json: 'json' has a value that JSON does not know"),
        ({"bearer": "SECRET", "auth": "a:b"}, "bearer: not together with user: both are the header Authorization"),
    ],
)
def test_two_settings_that_mean_the_same_are_refused(given: dict[str, Any], problem: str) -> None:
    with pytest.raises(SettingsError) as caught:
        Settings(**given)
    assert str(caught.value) == problem


def test_the_repr_of_settings_and_requests_shows_no_part_that_may_be_secret() -> None:
    parts: dict[str, Any] = {"auth": "a:SECRET", "cookies": {"a": "SECRET"}, "json": "SECRET"}
    assert "SECRET" not in f"{Settings(**parts)} {Request('http://a/', **parts)}"
