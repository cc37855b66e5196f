"""The routes of the practice server.

One table, `ROUTES`, says what it answers to what; every route answers every method, and a parameter out of bounds is
a 400. It speaks HTTP as it should be spoken: a server that breaks the rules is a raw socket's work.
"""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import json
import math
import re
import time
import zlib
from base64 import b64encode
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import suppress
from email.utils import formatdate
from functools import lru_cache
from typing import Any, NamedTuple, TypeVar

from aiohttp import web
from multidict import CIMultiDict

from fetchq.http.content_coding import brotli_module, zstd_module

__all__ = ["ROUTES", "Route", "blocks", "make_app"]

BLOCK = 64 * 1024
"""Bytes of a generated body that are made at a time; a body of no more is kept."""
MOST_BYTES = 2**30
MOST_HELD = 16 * 2**20
"""The largest body that is coded or echoed, and so held whole."""
MOST_SECONDS = 300.0
MOST_TIMES = 1_000_000
MOST_KEYS = 100_000

_BODYLESS = frozenset({204, 205, 304})
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_HEADER_NAME = re.compile(r"(?!(?i:content-length|transfer-encoding)$)[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_HEADER_VALUE = re.compile(r"[^\x00-\x08\x0a-\x1f\x7f]*")

N = TypeVar("N", int, float)


class Memory(OrderedDict[str, float]):
    """Forgets its oldest key when there are too many."""

    def __setitem__(self, key: str, value: float) -> None:
        super().__setitem__(key, value)
        if len(self) > MOST_KEYS:
            self.popitem(last=False)


class State(NamedTuple):
    """What an app remembers of keys, and its clocks."""

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
    """A text response; a 400 where a header could not be sent, or would break the framing."""
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
    with suppress(ConnectionError):  # the client has left, which aiohttp would log as an error of ours
        await response.prepare(request)
        for number, chunk in enumerate(chunks if request.method != "HEAD" else ()):
            if number:
                # Also when the pause is 0: a reader that keeps up would else have the loop for itself.
                await asyncio.sleep(pause)
            await response.write(chunk)
    return response


# --- generated bodies ------------------------------------------------------------------------------------------------


def blocks(size: int, seed: str = "") -> Iterator[bytes]:
    """The body of `/bytes/{size}?seed={seed}`, in blocks. It cannot be compressed."""
    for start in range(0, size, BLOCK):
        yield hashlib.shake_128(f"{seed}/{start}".encode()).digest(min(BLOCK, size - start))


@lru_cache(maxsize=256)
def _headers_of(size: int, seed: str) -> CIMultiDict[str]:
    etag = hashlib.sha256(f"{seed}/{size}".encode()).hexdigest()[:32]
    kind = "application/octet-stream"
    return CIMultiDict({"Content-Type": kind, "Content-Length": str(size), "ETag": f'"{etag}"'})


@lru_cache(maxsize=256)
def _small(size: int, seed: str) -> bytes:
    return b"".join(blocks(size, seed))


def _brotli(data: bytes) -> bytes:
    coded: bytes = brotli_module().compress(data, quality=5)
    return coded


def _zstd(data: bytes) -> bytes:
    coded: bytes = zstd_module().compress(data)
    return coded


# RFC 9110, 8.4.1.2: `deflate` is the zlib format, not the bare one.
CODERS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": lambda data: gzip.compress(data, mtime=0),
    "deflate": zlib.compress,
    "br": _brotli,
    "zstd": _zstd,
}


@lru_cache(maxsize=8)
def _coded(coding: str, size: int | None) -> bytes:
    text = {"coding": coding, "text": "The quick brown fox jumps over the lazy dog. " * 20}
    return CODERS[coding](json.dumps(text).encode() if size is None else b"".join(blocks(size)))


# --- the answers -----------------------------------------------------------------------------------------------------


async def index(request: web.Request) -> web.StreamResponse:
    here = f"{request.scheme}://{request.host}"
    return _text(200, "\n".join(f"{route.path:<24} {route.says}\n{'':<24} {here}{route.example}" for route in ROUTES))


async def delay(request: web.Request) -> web.StreamResponse:
    seconds = _read(float, request.match_info["seconds"], 0.0, MOST_SECONDS)
    await asyncio.sleep(seconds)
    return web.json_response({"delay": seconds})


async def some_bytes(request: web.Request) -> web.StreamResponse:
    size = _read(int, request.match_info["n"], 0, MOST_BYTES)
    seed = request.query.get("seed", "")
    if "delay" in request.query:
        await asyncio.sleep(_read(float, request.query["delay"], 0.0, MOST_SECONDS))
    headers = _headers_of(size, seed)
    if _is_known(request, headers["ETag"]):
        return web.Response(status=304, headers={"ETag": headers["ETag"]})
    if size <= BLOCK:
        return web.Response(body=_small(size, seed), headers=headers)
    return await _stream(request, headers, blocks(size, seed))


def _is_known(request: web.Request, etag: str) -> bool:
    """Whoever asks has it already (RFC 9110, 13.1.2)."""
    known = request.if_none_match or ()
    return request.method in ("GET", "HEAD") and any(one.value in ("*", etag.strip('"')) for one in known)


async def status(request: web.Request) -> web.StreamResponse:
    code = _read(int, request.match_info["code"], 200, 999)
    location = request.query.get("location")
    return _text(code, str(code), () if location is None else [("Location", location)])


async def redirect(request: web.Request) -> web.StreamResponse:
    left = _read(int, request.match_info["n"], 0, MOST_TIMES)
    code = _read(int, request.query.get("status", "302"), 300, 399)
    if code not in _REDIRECTS:
        raise web.HTTPBadRequest(text=f"{code} is not a redirect\n")
    if left == 0:
        return _text(200, "arrived")
    location = request.rel_url.with_path(f"/redirect/{left - 1}", keep_query=True)
    return _text(code, f"{left} to go", [("Location", str(location))])


async def flaky(request: web.Request) -> web.StreamResponse:
    times = _read(int, request.match_info["n"], 0, MOST_TIMES)
    code = _read(int, request.query.get("status", "503"), 200, 999)
    memory = request.app[STATE].memory
    failed = int(memory.get(request.path_qs, 0))
    if failed >= times:
        return _text(200, f"no failure, after {times}")
    memory[request.path_qs] = failed + 1
    return _text(code, f"failure {failed + 1} of {times}")


async def retry_after(request: web.Request) -> web.StreamResponse:
    seconds = _read(int, request.match_info["seconds"], 0, MOST_TIMES)
    memory, monotonic, wall = request.app[STATE]
    key, now = f"{request.path}?{request.query.get('key', '')}", monotonic()
    if key not in memory:
        memory[key] = now + seconds
    elif now >= memory[key]:
        return _text(200, "welcome back")
    left = min(memory[key] - now, seconds)  # the difference of two floats may exceed it a little
    value = formatdate(math.ceil(wall() + left), usegmt=True) if "date" in request.query else str(math.ceil(left))
    return _text(429, f"{left:g} seconds too early", [("Retry-After", value)])


async def stream(request: web.Request) -> web.StreamResponse:
    count = _read(int, request.match_info["n"], 0, MOST_TIMES)
    pause = _read(float, request.query.get("interval", "0"), 0.0, MOST_SECONDS)
    lines = (b'{"line": %d, "of": %d}\n' % (number, count) for number in range(1, count + 1))
    return await _stream(request, CIMultiDict({"Content-Type": "application/x-ndjson"}), lines, pause)


async def coded(request: web.Request) -> web.StreamResponse:
    coding, asked = request.path.removeprefix("/"), request.query.get("bytes")
    size = None if asked is None else _read(int, asked, 0, MOST_HELD)
    body = await asyncio.to_thread(_coded, coding, size)
    kind = "application/json" if size is None else "application/octet-stream"
    return web.Response(body=body, headers={"Content-Type": kind, "Content-Encoding": coding})


async def echo(request: web.Request) -> web.StreamResponse:
    body = await request.read()
    target = request.raw_path  # as it came: a proxy is asked for the whole URL
    url = f"{request.scheme}://{request.host}{target}" if target.startswith("/") else target
    said: dict[str, Any] = {
        "method": request.method,
        # Of bytes that are not UTF-8 aiohttp makes lone surrogates, which not every parser of JSON takes.
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
    """A path, an example of it, and what the index says of it."""

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
    """The application. The clocks, in seconds, are those of `/retry-after`."""
    app = web.Application(client_max_size=MOST_HELD)
    app[STATE] = State(Memory(), monotonic, wall)
    for route in ROUTES:
        app.router.add_route("*", route.path, route.answer)
    return app
