"""Bodies that grow without measure when they are decoded, or are too large as they come (RFC 9110, 8.4).

Sizes in MB are decoded ones. The bombs are made while they are sent and need little memory.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Iterator

from faults.base import Theme, Then
from faults.content import Codec, gz, zstd_frame, zstd_module
from faults.wire import CHUNKED, HELLO, Asked, Connection, chunk, head, length

theme = Theme("bombs")
sends, plays = theme.sends, theme.plays

# --- bombs --------------------------------------------------------------------------------------------------------


def zeros(mb: int) -> Iterator[bytes]:
    block = bytes(1_000_000)
    for _ in range(mb):
        yield block


def _squeezed(pieces: Iterable[bytes], feed: Codec, finish: Callable[[], bytes]) -> Iterator[bytes]:
    for piece in pieces:
        yield feed(piece)
    yield finish()


def gzip_stream(pieces: Iterable[bytes]) -> Iterator[bytes]:
    squeezer = zlib.compressobj(wbits=31)
    return _squeezed(pieces, squeezer.compress, squeezer.flush)


def deflate_stream(pieces: Iterable[bytes]) -> Iterator[bytes]:
    squeezer = zlib.compressobj()
    return _squeezed(pieces, squeezer.compress, squeezer.flush)


def br_stream(pieces: Iterable[bytes]) -> Iterator[bytes]:
    import brotli

    squeezer = brotli.Compressor(quality=5)
    return _squeezed(pieces, squeezer.process, squeezer.finish)


def zstd_stream(pieces: Iterable[bytes]) -> Iterator[bytes]:
    squeezer = zstd_module().ZstdCompressor()
    return _squeezed(pieces, squeezer.compress, squeezer.flush)


def _bomb(conn: Connection, asked: Asked, coding: bytes, mb: int, make: Callable[[int], Iterable[bytes]]) -> None:
    conn.send(head(b"Content-Encoding: " + coding, CHUNKED))
    conn.send_chunks(make(int(asked.params.get("mb", mb))))


@plays("too_large", query="mb=200")
def bomb_gzip(conn: Connection, asked: Asked) -> None:
    """8.4: gzip of `mb` MB of zeros."""
    _bomb(conn, asked, b"gzip", 200, lambda mb: gzip_stream(zeros(mb)))


@plays("too_large", query="mb=200")
def bomb_deflate(conn: Connection, asked: Asked) -> None:
    """8.4: deflate of `mb` MB of zeros."""
    _bomb(conn, asked, b"deflate", 200, lambda mb: deflate_stream(zeros(mb)))


@plays("too_large", query="mb=200")
def bomb_br(conn: Connection, asked: Asked) -> None:
    """8.4: br of `mb` MB of zeros, a few hundred bytes."""
    _bomb(conn, asked, b"br", 200, lambda mb: br_stream(zeros(mb)))


@plays("too_large", query="mb=200")
def bomb_zstd(conn: Connection, asked: Asked) -> None:
    """8.4: zstd of `mb` MB of zeros."""
    _bomb(conn, asked, b"zstd", 200, lambda mb: zstd_stream(zeros(mb)))


@plays("too_large", query="mb=200")
def bomb_nested(conn: Connection, asked: Asked) -> None:
    """8.4: gzip of gzip of `mb` MB of zeros."""
    _bomb(conn, asked, b"gzip, gzip", 200, lambda mb: gzip_stream(gzip_stream(zeros(mb))))


@plays("too_large", query="mb=50")
def bomb_ratio(conn: Connection, asked: Asked) -> None:
    """8.4: br of `mb` MB of zeros: below the largest size, far above any honest ratio."""
    _bomb(conn, asked, b"br", 50, lambda mb: br_stream(zeros(mb)))


@plays(("decode", "too_large"), query="log=31")
def zstd_window(conn: Connection, asked: Asked) -> None:
    """RFC 9659; RFC 8878, 3.1.1.1.2: a window of 2**`log` bytes, more than the 8 MB allowed; the data is tiny."""
    data = zstd_frame(int(asked.params.get("log", "31")), HELLO)
    conn.send(head(b"Content-Encoding: zstd", length(len(data))) + data)


# --- much to receive, and nothing to decode -----------------------------------------------------------------------


def _endless(conn: Connection, coding: bytes, start: bytes, again: bytes) -> None:
    """A chunked body that begins so, and then repeats itself until the client hangs up."""
    conn.send(head(b"Content-Encoding: " + coding, CHUNKED) + (chunk(start) if start else b""))
    conn.flood(chunk(again))


@plays("too_large", settings={"max_filesize": 1_000_000})
def endless_gzip_name(conn: Connection, asked: Asked) -> None:
    """RFC 1952, 2.3.1: a gzip header with the name of a file, which never ends."""
    _endless(conn, b"gzip", b"\x1f\x8b\x08\x08\0\0\0\0\0\xff", b"n" * 8000)


@plays("too_large", settings={"max_filesize": 1_000_000})
def endless_gzip_members(conn: Connection, asked: Asked) -> None:
    """RFC 1952, 2.2: member after member of gzip, and nothing in any of them."""
    _endless(conn, b"gzip", b"", gz(b"") * 400)


@plays("too_large", settings={"max_filesize": 1_000_000})
def endless_zstd_skippable(conn: Connection, asked: Asked) -> None:
    """RFC 8878, 3.1.2: skippable frames without end."""
    _endless(conn, b"zstd", b"", b"\x50\x2a\x4d\x18\x08\0\0\0skipthis" * 500)


# --- plain, but too much ------------------------------------------------------------------------------------------


@plays("too_large", query="mb=3", settings={"max_filesize": 1_000_000})
def large(conn: Connection, asked: Asked) -> None:
    """8.6: a body of `mb` MB with Content-Length."""
    mb = int(asked.params.get("mb", "3"))
    conn.send(head(length(mb * 1_000_000)))
    for block in zeros(mb):
        conn.send(block)


@plays("too_large", query="mb=3", settings={"max_filesize": 1_000_000})
def large_chunked(conn: Connection, asked: Asked) -> None:
    """8.6: a body of `mb` MB in chunks."""
    conn.send(head(CHUNKED))
    conn.send_chunks(zeros(int(asked.params.get("mb", "3"))))


sends(
    "large-claimed",
    "8.6: Content-Length of 1 TB, five bytes of it, silence: no need to wait for the rest.",
    "too_large",
    head(length(10**12)) + HELLO,
    Then.HANGS,
)
