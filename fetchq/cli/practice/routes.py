"""Defines the routes of the practice server, and their responses.

`ROUTES` lists them. Every route accepts every method, and responds with 400 to a parameter out of bounds. All responses
are valid HTTP; a server that breaks the rules needs a raw socket.
"""

from __future__ import annotations

import asyncio
import math
import re
import time
from base64 import b64encode
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from email.utils import formatdate
from typing import Any, NamedTuple, TypeVar

from aiohttp import web
from multidict import CIMultiDict

from fetchq.cli.practice.bodies import BLOCK, CODERS, blocks, coded_body, headers_of, small_body
from fetchq.http.redirects import REDIRECTS

__all__ = ["ROUTES", "Route", "make_app"]

MAX_BYTES = 2**30
MAX_HELD = 16 * 2**20
"""The most bytes of a body that is encoded or echoed, and so is in memory as a whole."""
MAX_SECONDS = 300.0
MAX_TIMES = 1_000_000
MAX_KEYS = 100_000

_BODYLESS = frozenset({204, 205, 304})
_HEADER_NAME = re.compile(r"(?!(?i:content-length|transfer-encoding)$)[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_HEADER_VALUE = re.compile(r"[^\x00-\x08\x0a-\x1f\x7f]*")

N = TypeVar("N", int, float)


class Memory(OrderedDict[str, float]):
    """A dict of at most `MAX_KEYS` keys, which drops the oldest one."""

    def __setitem__(self, key: str, value: float) -> None:
        super().__setitem__(key, value)
        if len(self) > MAX_KEYS:
            self.popitem(last=False)


class State(NamedTuple):
    """The state of an application: a number for each key, and its clocks."""

    memory: Memory
    monotonic: Callable[[], float]
    wall: Callable[[], float]


STATE = web.AppKey("state", State)


def _read(number: Callable[[str], N], text: str, low: N, high: N) -> N:
    with suppress(ValueError):
        if low <= (value := number(text)) <= high:
            return value
    raise web.HTTPBadRequest(text=f"{text!r} is not a number from {low} to {high}\n")


def _text(status: int, text: str, headers: Iterable[tuple[str, str]] = ()) -> web.Response:
    """A text response; 400 if a header cannot be sent, or would break the framing."""
    sent = CIMultiDict(headers)
    for name, value in sent.items():
        if not _HEADER_NAME.fullmatch(name) or not _HEADER_VALUE.fullmatch(value):
            raise web.HTTPBadRequest(text=f"{name!r}: {value!r} cannot be sent as a header\n")
    if status in _BODYLESS:
        return web.Response(status=status, headers=sent)
    sent.setdefault("Content-Type", "text/plain; charset=utf-8")
    return web.Response(status=status, body=f"{text}\n".encode(errors="backslashreplace"), headers=sent)


async def _stream(
    request: web.Request, headers: CIMultiDict[str], chunks: Iterable[bytes], pause: float = 0.0
) -> web.StreamResponse:
    response = web.StreamResponse(headers=headers)
    with suppress(ConnectionError):  # the client has disconnected, which aiohttp would log as an error
        await response.prepare(request)
        for number, chunk in enumerate(chunks if request.method != "HEAD" else ()):
            if number:
                # Even if the pause is 0, since the handler would otherwise block the loop while the client keeps up.
                await asyncio.sleep(pause)
            await response.write(chunk)
    return response


# --- the answers -----------------------------------------------------------------------------------------------------


async def index(request: web.Request) -> web.StreamResponse:
    here = f"{request.scheme}://{request.host}"
    return _text(200, "\n".join(f"{route.path:<24} {route.says}\n{'':<24} {here}{route.example}" for route in ROUTES))


async def delay(request: web.Request) -> web.StreamResponse:
    seconds = _read(float, request.match_info["seconds"], 0.0, MAX_SECONDS)
    await asyncio.sleep(seconds)
    return web.json_response({"delay": seconds})


async def some_bytes(request: web.Request) -> web.StreamResponse:
    size = _read(int, request.match_info["n"], 0, MAX_BYTES)
    seed = request.query.get("seed", "")
    if "delay" in request.query:
        await asyncio.sleep(_read(float, request.query["delay"], 0.0, MAX_SECONDS))
    headers = headers_of(size, seed)
    if _is_known(request, headers["ETag"]):
        return web.Response(status=304, headers={"ETag": headers["ETag"]})
    if size <= BLOCK:
        return web.Response(body=small_body(size, seed), headers=headers)
    return await _stream(request, headers, blocks(size, seed))


def _is_known(request: web.Request, etag: str) -> bool:
    """Whether the client already has this representation (If-None-Match; RFC 9110, 13.1.2)."""
    known = request.if_none_match or ()
    return request.method in ("GET", "HEAD") and any(one.value in ("*", etag.strip('"')) for one in known)


async def status(request: web.Request) -> web.StreamResponse:
    code = _read(int, request.match_info["code"], 200, 999)
    location = request.query.get("location")
    return _text(code, str(code), () if location is None else [("Location", location)])


async def redirect(request: web.Request) -> web.StreamResponse:
    left = _read(int, request.match_info["n"], 0, MAX_TIMES)
    code = _read(int, request.query.get("status", "302"), 300, 399)
    if code not in REDIRECTS:
        raise web.HTTPBadRequest(text=f"{code} is not a redirect\n")
    if left == 0:
        return _text(200, "arrived")
    location = request.rel_url.with_path(f"/redirect/{left - 1}", keep_query=True)
    return _text(code, f"{left} to go", [("Location", str(location))])


async def flaky(request: web.Request) -> web.StreamResponse:
    times = _read(int, request.match_info["n"], 0, MAX_TIMES)
    code = _read(int, request.query.get("status", "503"), 200, 999)
    memory = request.app[STATE].memory
    failed = int(memory.get(request.path_qs, 0))
    if failed >= times:
        return _text(200, f"no failure, after {times}")
    memory[request.path_qs] = failed + 1
    return _text(code, f"failure {failed + 1} of {times}")


async def retry_after(request: web.Request) -> web.StreamResponse:
    seconds = _read(int, request.match_info["seconds"], 0, MAX_TIMES)
    memory, monotonic, wall = request.app[STATE]
    key, now = f"{request.path}?{request.query.get('key', '')}", monotonic()
    if key not in memory:
        memory[key] = now + seconds
    elif now >= memory[key]:
        return _text(200, "welcome back")
    left = min(memory[key] - now, seconds)  # the difference may be a little greater because of rounding
    value = formatdate(math.ceil(wall() + left), usegmt=True) if "date" in request.query else str(math.ceil(left))
    return _text(429, f"{left:g} seconds too early", [("Retry-After", value)])


async def stream(request: web.Request) -> web.StreamResponse:
    count = _read(int, request.match_info["n"], 0, MAX_TIMES)
    pause = _read(float, request.query.get("interval", "0"), 0.0, MAX_SECONDS)
    lines = (b'{"line": %d, "of": %d}\n' % (number, count) for number in range(1, count + 1))
    return await _stream(request, CIMultiDict({"Content-Type": "application/x-ndjson"}), lines, pause)


async def coded(request: web.Request) -> web.StreamResponse:
    coding, asked = request.path.removeprefix("/"), request.query.get("bytes")
    size = None if asked is None else _read(int, asked, 0, MAX_HELD)
    body = await asyncio.to_thread(coded_body, coding, size)
    kind = "application/json" if size is None else "application/octet-stream"
    return web.Response(body=body, headers={"Content-Type": kind, "Content-Encoding": coding})


async def echo(request: web.Request) -> web.StreamResponse:
    body = await request.read()
    target = request.raw_path  # as received; a proxy gets an absolute URL
    url = f"{request.scheme}://{request.host}{target}" if target.startswith("/") else target
    said: dict[str, Any] = {
        "method": request.method,
        # aiohttp turns bytes that are not UTF-8 into lone surrogates, which some JSON parsers refuse.
        "url": url.encode(errors="backslashreplace").decode(),
        "headers": [[part.decode("utf-8", "backslashreplace") for part in pair] for pair in request.raw_headers],
        "remote": request.remote,
    }
    try:
        said["body"] = body.decode()
    except UnicodeDecodeError:
        said |= {"body": b64encode(body).decode(), "encoding": "base64"}
    return web.json_response(said)


async def some_json(_: web.Request) -> web.StreamResponse:
    return web.json_response({"name": "fetchq", "numbers": [1, 2.5, -3], "nested": {"true": True, "null": None}})


async def some_headers(request: web.Request) -> web.StreamResponse:
    return _text(200, "\n".join(f"{name}: {value}" for name, value in request.query.items()), request.query.items())


async def html(_: web.Request) -> web.StreamResponse:
    page = "<!doctype html><title>Latin-1</title><p>Crème brûlée</p>\n"
    return web.Response(text=page, content_type="text/html", charset="iso-8859-1")


class Route(NamedTuple):
    """A path with an example, its line in the index, and its handler."""

    path: str
    example: str
    says: str
    answer: Callable[[web.Request], Awaitable[web.StreamResponse]]


ROUTES = (
    Route("/", "/", "this list", index),
    Route("/delay/{seconds}", "/delay/0.5", "answers after so many seconds", delay),
    Route(
        "/bytes/{n}",
        "/bytes/1024?seed=a&delay=0.1",
        "n bytes, always the same ones; 304 where its ETag is known",
        some_bytes,
    ),
    Route("/status/{code}", "/status/301?location=/json", "that status", status),
    Route("/redirect/{n}", "/redirect/3?status=307", "n redirects, then 200", redirect),
    Route("/flaky/{n}", "/flaky/2?key=a&status=500", "n failures, then 200; each URL has its own count", flaky),
    Route("/retry-after/{seconds}", "/retry-after/2?key=a&date=1", "429 until so many seconds later", retry_after),
    Route("/stream/{n}", "/stream/5?interval=0.1", "n lines of JSON, chunked", stream),
    *(Route(f"/{name}", f"/{name}?bytes=1000", f"JSON, or n bytes, in the coding {name}", coded) for name in CODERS),
    Route("/echo", "/echo?a=1", "the request, as JSON", echo),
    Route("/json", "/json", "a small JSON document", some_json),
    Route("/headers", "/headers?X-A=1&X-A=2", "with these headers", some_headers),
    Route("/html", "/html", "a small page in ISO-8859-1", html),
)


# --- running it ------------------------------------------------------------------------------------------------------


def make_app(
    *, monotonic: Callable[[], float] = time.monotonic, wall: Callable[[], float] = time.time
) -> web.Application:
    """Make the application. `/retry-after` uses the clocks, which return seconds."""
    app = web.Application(client_max_size=MAX_HELD)
    app[STATE] = State(Memory(), monotonic, wall)
    for route in ROUTES:
        app.router.add_route("*", route.path, route.answer)
    return app
