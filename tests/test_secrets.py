"""No secret that a run gets is in anything that it writes, says or logs."""

from __future__ import annotations

import gzip
import json
import logging
import os
import re
import traceback
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from faults.wire import Asked, Connection, head, length
from support.cli import Cli
from support.servers import ScriptServer, by_path

from fetchq import Request, Settings, SettingsError, compare, fetch_all_sync
from fetchq.core.settings_pace import MODES
from fetchq.http.cookies import Cookie
from fetchq.http.hops import HopPlan
from fetchq.http.proxies import ProxyConfig
from fetchq.http.url import parse_url

MARK = "pl4nted"
USER = f"user-{MARK}"


def secret(name: str) -> str:
    return f"{MARK}-{name}"


def answers(*lines: bytes, status: bytes = b"HTTP/1.1 200 OK") -> Any:
    def play(conn: Connection, _: Asked) -> None:
        conn.send(head(length(2), *lines, status=status) + b"ok")

    return play


def raw(text: bytes) -> Any:
    def play(conn: Connection, _: Asked) -> None:
        conn.send(text)
        conn.close()

    return play


def _server() -> ScriptServer:
    """A server that sends cookies, and shows secrets in its Locations and its errors."""
    place = f"Location: http://{USER}:{secret('location')}@%s".encode()
    cookie = f"Set-Cookie: sid={secret('cookie')}; Path=/".encode()
    moved = b"HTTP/1.1 302 Found"
    return ScriptServer(
        by_path(
            {
                "/cookie": answers(cookie, b"Location: /ok", status=moved),
                "/away": answers(place % b"localhost:1/", status=moved),
                "/malformed": answers(place % b"local host:99999/", status=moved),
                "/slashes": answers(place.replace(b"//", b"\\\\", 1) % b"localhost:99999/", status=moved),
                "/bare": answers(f"Location: {USER}:{secret('location')}@host/".encode(), status=moved),
                "/scheme": answers(f"Location: ftp://{USER}:{secret('location')}@host/".encode(), status=moved),
                "/line": raw(b"HTTP/1.1 200 OK\r\n" + cookie.replace(b":", b" ") + b"\r\n\r\n"),
                "/folded": raw(
                    b"HTTP/1.1 200 OK\r\nX: 1\r\nSet-Cookie: a=b\x00" + secret("cookie").encode() + b"\r\n\r\n"
                ),
                "/denied": answers(b"WWW-Authenticate: Basic", status=b"HTTP/1.1 401 No"),
            },
            answers(cookie),
        )
    )


def _rows(server: ScriptServer) -> bytes:
    host = server.netloc
    urls = [
        *(f"{server.url}{path}" for path in server.script_paths),
        f"http://{USER}:{secret('url')}@{host}/ok",
        f"http://{USER}:{secret('url')}@{host}/denied",
        f"http://{USER}:{secret('url')}@127.0.0.1:1/refused",
        f"http:/{USER}:{secret('url')}@{host}/",
        f"{USER}:{secret('url')}@{host}/",
        f"http://{USER}:{secret('url')}@{host}:99999/",
        f"http://{USER}:{secret('url')}/@ {host}/",
    ]
    rows: list[Any] = [{"url": url} for url in urls]
    rows.append({"url": f"{server.url}/ok", "headers": {"X-Key": secret("row-header")}, "body": secret("row-body")})
    rows.append({"url": f"{server.url}/ok", "headers": {"Authorization": secret("row-auth")}, "method": "G T"})
    rows.append({"url": f"{server.url}/ok", "bearer": secret("bearer"), "json": {"a": secret("json")}})
    rows.append({"url": f"{server.url}/away", "auth": f"{USER}:{secret('auth')}", "cookies": {"a": secret("cookies")}})
    wrong = {"auth": secret("auth")}, {"bearer": f"Bearer {secret('bearer')}"}, {"tokn": secret("bearer")}
    rows += [{"url": f"{server.url}/ok"} | one for one in wrong]
    lines = [json.dumps(row) for row in rows]
    lines.append(lines[-1][:-2].replace('"G T', secret("unclosed")))
    lines.append(f'{{"url": "{server.url}/ok", "headers: {{"X-Key": "{secret("unclosed")}"}}}}')
    return "\n".join(lines).encode()


@pytest.fixture
def server() -> Iterator[Any]:
    with _server() as server:
        server.script_paths = [  # type: ignore[attr-defined]
            "/cookie", "/away", "/malformed", "/slashes", "/bare", "/scheme", "/line", "/folded", "/denied",
        ]  # fmt: skip
        yield server


def _found_in(name: str, data: bytes) -> set[str]:
    """The planted secrets in some bytes, also as the base64 of basic authentication."""
    marks = [
        MARK.encode(),
        *(b64encode(b" " * shift + MARK.encode())[start:8] for shift, start in enumerate((0, 2, 3))),
    ]
    return {f"{name}: ...{data[max(0, at - 60) : at + 60]!r}" for mark in marks if (at := data.find(mark)) >= 0}


def _outputs(folder: Path) -> Iterator[tuple[str, bytes]]:
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.name not in GIVEN:
            if path.suffix != ".parquet":
                yield path.name, path.read_bytes()
            if path.suffix == ".gz":
                yield path.name, _without_received(gzip.decompress(path.read_bytes()))
            if path.suffix == ".parquet":
                yield path.name, _without_received(str(pq.read_table(path).to_pylist()).encode())


def _without_received(data: bytes) -> bytes:
    """An archive, or records that include the headers, without what the server has sent in them, which is kept."""
    return re.sub(rf"({USER}:)?{MARK}-(location|cookie)".encode(), b"", data)


GIVEN = {"rows.jsonl", "config.toml", "netrc", "jar.txt"}
"""The files that hold the secrets because they were put there, and the cookie jar."""


@pytest.mark.parametrize(("mode", "save"), [("async", "files"), ("async", "warc"), ("threads", "parquet")])
def test_no_planted_secret_is_in_any_output_of_a_run(
    cli: Cli, server: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, mode: str, save: str
) -> None:
    caplog.set_level(logging.DEBUG)
    rows = cli.write("rows.jsonl", _rows(server))
    config = cli.write("config.toml", f'header = ["X-Token: {secret("config")}"]\nuser = "{USER}:{secret("user")}"\n')
    netrc = cli.write("netrc", f"machine localhost login {USER} password {secret('netrc')}\n")
    monkeypatch.setenv("NETRC", str(Path(netrc).resolve()))
    monkeypatch.setenv("FETCHQ_COOKIE", f"a={secret('option-cookie')}")
    options = ("--config", config, "--mode", mode, "--retries", "0", "-v", "--trust-env", "--cookie-jar", "jar.txt")
    reports = ("--report", "report.html", "--har", "run.har", "--trace", "run.trace")
    done = [cli(rows, *options, *reports, "-o", "run", "--save", save, "-H", f"X-Api-Key: {secret('header')}")]
    assert len(done[0].err.splitlines()) > 10
    login = b64encode(f"{USER}:{secret('user')}".encode()).decode()
    assert login in "".join(str(asked.headers) for asked in server.log), "they are used"
    done += [cli("export", "run", "--format", shape, "--include", "headers") for shape in ("csv", "jsonl")]
    done.append(cli("report", "run"))
    done.append(cli("retry", "run", "--mode", mode))
    proxy = f"http://{USER}:{secret('proxy')}@127.0.0.1:1"
    done.append(cli(f"{server.url}/ok", "--mode", mode, "--retries", "0", "-x", proxy, "--json", "--include", "hops"))
    done.append(cli(f"{USER}:{secret('argument')}@host", "--json"))
    done.append(cli(rows, "--resolve", f"{USER}:{secret('resolve')}@host"))
    done.append(cli(rows, "--proxy", f"{USER}:{secret('proxy')}@host:x"))
    if mode == "threads":
        ways = ("--mode", "async", "--mode", mode, "--rounds", "1", "--retries", "0", "--limit", "12")
        done.append(cli("compare", rows, *ways, "--json", "-u", f"{USER}:{secret('user')}", "--report", "compare.html"))
    texts = [(f"stdout {at}", one.out) for at, one in enumerate(done)]
    done.append(cli(rows, *options, "--json", "--include", "headers", "--include", "hops"))
    texts.append(("headers", _without_received(done[-1].out)))
    texts += [(f"stderr {at}", one.err) for at, one in enumerate(done)]
    texts.append(("log", caplog.text.encode()))
    found: set[str] = set()
    for name, data in [*texts, *_outputs(Path())]:
        found |= _found_in(name, data)
    assert not found, "\n".join(sorted(found))


def _shown_by_fetchq(problem: BaseException) -> str:
    """The variables of fetchq's own frames in a traceback, as some tools show them."""
    shown = traceback.TracebackException.from_exception(problem, capture_locals=True)
    frames = [frame for frame in shown.stack if f"{os.sep}fetchq{os.sep}" in frame.filename or frame.filename[0] == "<"]
    assert frames
    return str([(frame.name, frame.locals) for frame in frames])


@pytest.mark.parametrize("mode", MODES)
def test_no_planted_secret_is_in_the_variables_that_a_traceback_shows(server: Any, mode: str) -> None:
    def fails(*_: object) -> None:
        raise LookupError

    rows = [Request(f"http://{USER}:{secret('url')}@{server.netloc}/ok", headers={"X-Key": secret("row-header")})]
    options: dict[str, Any] = {
        "user": f"{USER}:{secret('user')}", "headers": {"X-Token": secret("header")}, "cookie": secret("cookie"),
    }  # fmt: skip
    for more in ({"on_start": fails}, {"on_result": fails}, {"workers": 0}, {"worker": 1}, {"proxy": "ftp://x"}):
        with pytest.raises((LookupError, SettingsError, TypeError)) as caught:
            fetch_all_sync(rows, **{"mode": mode, **options, **more})
        assert not _found_in(str(more), _shown_by_fetchq(caught.value).encode())
    for more in ({"workers": 0}, {"worker": 1}, {"timeout": "x"}, {"limit": 0}):
        with pytest.raises((SettingsError, TypeError, ValueError)) as found:
            compare(rows, modes=mode, **{**options, **more})
        assert not _found_in(str(more), _shown_by_fetchq(found.value).encode())


def test_no_planted_secret_is_in_what_a_traceback_shows_of_objects() -> None:
    url = f"http://{USER}:{secret('url')}@host/"
    settings = Settings(
        user=f"{USER}:{secret('user')}", headers=(("X-Key", secret("header")),), cookie=secret("cookie"),
        proxy=f"http://{USER}:{secret('proxy')}@host:1", data=secret("data").encode(),
    )  # fmt: skip
    request = Request(url, headers=(("X-Key", secret("row-header")),), body=secret("row-body").encode())
    proxies = ProxyConfig(settings)
    plan = HopPlan(settings, proxies)
    hop = plan.first(request, parse_url(url))
    cookie = Cookie("host", "/", "sid", secret("cookie"), True, True, True, None)
    shown = [settings, request, plan, proxies, hop, hop.target, cookie, Request(f"{USER}:{secret('url')}@host")]
    assert not _found_in("repr", repr(shown).encode())
