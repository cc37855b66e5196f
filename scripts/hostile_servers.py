"""Servers that make whoever fetches from them use memory, for `scripts/bench hostile-memory`.

Each is a function that yields the bytes of one response; its docstring says what it does. A body of 95 MB is within the
default of --max-filesize, and those texts are within --max-ratio.
"""

from __future__ import annotations

import sys
import zlib
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from itertools import repeat
from random import Random
from typing import Any

import brotli

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

__all__ = ["SERVERS", "plain"]

MB = 1_000_000
Pieces = Iterator[bytes]
SERVERS: dict[str, Callable[[int], Pieces]] = {}
"""The hostile servers by name. Each is called with the number of the request."""


def _server(play: Callable[[int], Pieces]) -> Callable[[int], Pieces]:
    SERVERS[play.__name__.replace("_", "-")] = play
    return play


def _head(*lines: str, status: str = "200 OK") -> bytes:
    return "\r\n".join([f"HTTP/1.1 {status}", *lines, "", ""]).encode("utf-8", "surrogateescape")


def _whole(body: bytes, *lines: str) -> Pieces:
    yield _head(*lines, f"Content-Length: {len(body)}") + body


# --- bodies that decode to much -----------------------------------------------------------------------------------


def _packed(coding: str, pieces: Iterable[bytes]) -> bytes:
    squeezer: Any
    if coding == "br":
        squeezer = brotli.Compressor(quality=5, lgwin=24)
        return b"".join(map(squeezer.process, pieces)) + squeezer.finish()
    if coding == "zstd":
        parameter = zstd.CompressionParameter
        squeezer = zstd.ZstdCompressor(options={parameter.compression_level: 3, parameter.window_log: 27})
    else:
        squeezer = zlib.compressobj(6, wbits=31)
    return b"".join(map(squeezer.compress, pieces)) + squeezer.flush()


@cache
def _zeros(coding: str) -> bytes:
    """200 MB of zeros."""
    return _packed(coding, repeat(bytes(MB), 200))


@cache
def _text(coding: str, alphabet: tuple[bytes, ...]) -> bytes:
    """95 MB of random words of the alphabet. Each MB is the same."""
    words = Random(1).choices(alphabet, k=MB // min(map(len, alphabet)))
    block = b"".join(words)[:MB]
    return _packed(coding, [block]) * 95 if coding == "gzip" else _packed(coding, repeat(block, 95))


_WORDS = tuple(b"%x " % (number * 7919 % 65536) for number in range(500))


@_server
def bomb_gzip(_: int) -> Pieces:
    """200 MB of zeros in gzip."""
    return _whole(_zeros("gzip"), "Content-Encoding: gzip")


@_server
def bomb_br(_: int) -> Pieces:
    """200 MB of zeros in br."""
    return _whole(_zeros("br"), "Content-Encoding: br")


@_server
def bomb_nested(_: int) -> Pieces:
    """200 MB of zeros in gzip, in gzip again."""
    inner = _zeros("gzip")
    return _whole(zlib.compress(inner, wbits=31), "Content-Encoding: gzip, gzip")


@_server
def text_gzip(_: int) -> Pieces:
    """95 MB of ASCII text in gzip."""
    return _whole(_text("gzip", _WORDS), "Content-Encoding: gzip", "Content-Type: text/plain; charset=utf-8")


@_server
def window_br(_: int) -> Pieces:
    """95 MB of text in br, with the largest window, of 16 MB."""
    return _whole(_text("br", _WORDS), "Content-Encoding: br", "Content-Type: text/plain")


@_server
def window_zstd(_: int) -> Pieces:
    """95 MB of text in zstd, with the largest window that is decoded, of 128 MB."""
    return _whole(_text("zstd", _WORDS), "Content-Encoding: zstd", "Content-Type: text/plain")


@_server
def text_escaped(_: int) -> Pieces:
    """95 MB of characters each of which JSON escapes."""
    return _whole(_text("gzip", (b"\x01", b"\xe2\x80\xae")), "Content-Encoding: gzip", "Content-Type: text/plain")


@_server
def text_wide(_: int) -> Pieces:
    """95 MB of ASCII text after one character that takes Python four bytes for each."""
    packed = zlib.compress("\U00010400".encode() * 4, wbits=31) + _text("gzip", _WORDS)
    return _whole(packed, "Content-Encoding: gzip", "Content-Type: text/plain; charset=utf-8")


@_server
def text_damaged(_: int) -> Pieces:
    """95 MB of bytes that are not valid in the charset that is named."""
    packed = _text("gzip", (b"\xff", b"\xfe", b"\x80"))
    return _whole(packed, "Content-Encoding: gzip", "Content-Type: text/plain; charset=utf-8")


@_server
def text_utf7(_: int) -> Pieces:
    """95 MB in a charset that is decoded in one piece: one shift sequence of UTF-7 without an end."""
    packed = zlib.compress(b"+", wbits=31) + _text("gzip", (b"A", b"G", b"E", b"/"))
    return _whole(packed, "Content-Encoding: gzip", "Content-Type: text/plain; charset=utf-7")


# --- bytes without end --------------------------------------------------------------------------------------------


@_server
def endless_body(_: int) -> Pieces:
    """A body without a length that never ends."""
    yield _head("Content-Type: text/plain")
    while True:
        yield b"x" * 65536


@_server
def endless_gzip_name(_: int) -> Pieces:
    """gzip whose file name never ends: nothing is ever decoded."""
    yield _head("Content-Encoding: gzip") + b"\x1f\x8b\x08\x08\0\0\0\0\0\xff"
    while True:
        yield b"n" * 65536


@_server
def endless_gzip_members(_: int) -> Pieces:
    """gzip of empty members without end."""
    yield _head("Content-Encoding: gzip")
    empty = zlib.compress(b"", wbits=31) * 3000
    while True:
        yield empty


@_server
def endless_deflate_blocks(_: int) -> Pieces:
    """deflate of empty stored blocks without end."""
    yield _head("Content-Encoding: deflate") + b"\x78\x9c"
    blocks = b"\0\0\0\xff\xff" * 13_000
    while True:
        yield blocks


@_server
def endless_zstd_frames(_: int) -> Pieces:
    """zstd of frames that are skipped, without end."""
    yield _head("Content-Encoding: zstd")
    frame = b"\x50\x2a\x4d\x18" + (65_000).to_bytes(4, "little") + b"s" * 65_000
    while True:
        yield frame


@_server
def endless_headers(_: int) -> Pieces:
    """Header lines without end."""
    yield b"HTTP/1.1 200 OK\r\n"
    while True:
        yield b"X-More: and more\r\n" * 3000


@_server
def endless_chunk_extension(_: int) -> Pieces:
    """A chunk extension without end."""
    yield _head("Transfer-Encoding: chunked") + b"5;x="
    while True:
        yield b"e" * 65536


@_server
def endless_trailers(_: int) -> Pieces:
    """Trailer lines without end."""
    yield _head("Transfer-Encoding: chunked") + b"5\r\nhello\r\n0\r\n"
    while True:
        yield b"X-More: and more\r\n" * 3000


@_server
def tiny_chunks(_: int) -> Pieces:
    """2 MB in chunks of one byte, each with a long extension."""
    yield _head("Transfer-Encoding: chunked", "Content-Type: text/plain")
    chunk = b"1;" + b"e" * 100 + b"\r\nx\r\n"
    for _ in range(2000):
        yield chunk * 1000
    yield b"0\r\n\r\n"


# --- small bodies with much around them, each another ------------------------------------------------------------


@_server
def many_headers(number: int) -> Pieces:
    """250 kB of header fields, each with a name of its own."""
    lines = [f"X-{number}-{line}-{'n' * 400}: {'v' * 550}" for line in range(250)]
    return _whole(b"hello", *lines)


@_server
def long_headers(number: int) -> Pieces:
    """Header values of 60 kB: Content-Type, ETag, Keep-Alive, reason and Content-Encoding are kept by name."""
    long = f"{number:08d}" * 5000
    yield (
        _head(
            f"Content-Type: text/plain; charset={long}",
            f'ETag: "{long}"',
            f"Keep-Alive: timeout=5, x={long}",
            f"Last-Modified: {long}",
            "Content-Length: 5",
            status=f"200 {long}",
        )
        + b"hello"
    )


@_server
def long_redirects(number: int) -> Pieces:
    """Redirects to URLs of 60 kB, each another, until there are too many."""
    yield _head(f"Location: /long-redirects/{number}{'r' * 60_000}", "Content-Length: 0", status="302 Found")


@_server
def many_cookies(number: int) -> Pieces:
    """60 cookies of 4 kB in each of ten redirects."""
    cookies = [f"Set-Cookie: c{number}-{one}={'c' * 4000}" for one in range(60)]
    yield _head(*cookies, f"Location: /many-cookies/{number}x", "Content-Length: 0", status="302 Found")


@_server
def many_charsets(number: int) -> Pieces:
    """A charset that nobody knows, each with another name of 60 kB."""
    return _whole(b"hello", f"Content-Type: text/plain; charset=no-{number}-{'s' * 60_000}")


@_server
def many_trailers(number: int) -> Pieces:
    """250 kB of trailer fields."""
    lines = "".join(f"X-{number}-{line}-{'n' * 400}: {'v' * 550}\r\n" for line in range(250))
    yield _head("Transfer-Encoding: chunked", "Trailer: X") + b"5\r\nhello\r\n0\r\n" + lines.encode() + b"\r\n"


@_server
def plain(_: int) -> Pieces:
    """No hostile server: five bytes."""
    return _whole(b"hello", "Content-Type: text/plain")
