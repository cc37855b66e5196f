"""Decodes content codings (RFC 9110, 8.4) as a stream, in bounded memory.

The HTTP libraries can decode too, but they accept truncated bodies and decompression bombs. Here the coded stream must
reach its own end, and no decoded piece is larger than `PIECE` bytes.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from typing import Any

from fetchq.http.decoder import PIECE, BombError, DecodeError, Decoder, Parts
from fetchq.http.zstd_decoder import ZstdDecoder

__all__ = [
    "ACCEPT_ENCODING",
    "RATIO_FROM",
    "SLICE",
    "brotli_module",
    "codings_in",
    "decodable",
    "decoder_for",
    "sliced",
]

MOST_CODINGS = 4
_GZIP_MAGIC = b"\x1f\x8b"
RATIO_FROM = 1_000_000
"""Up to this many decoded bytes, their ratio to the received ones is not limited."""


SLICE = 16_384
"""The most coded bytes that are decoded in one step. Blocks of deflate without data take 20 ms a MB."""


def sliced(decoder: Decoder, data: bytes) -> Iterator[bytes]:
    """Feed the decoder with one slice of the data after the other."""
    for at in range(0, len(data), SLICE):
        yield from decoder.feed(data[at : at + SLICE])
        yield b""


class _Inflate:
    """Decodes gzip (RFC 1952; several members, too) and deflate (RFC 1950, or raw RFC 1951, as some servers send).

    Bytes after the end are ignored, as gzip and browsers do, if a checksum shows that the data is whole. Raw deflate
    data has none.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._bits = 31 if name == "gzip" else 15
        self._inflater: Any = None
        self._ended = self._ignores_rest = False
        self._head = b""
        self._members = Parts()

    def feed(self, data: bytes) -> Iterator[bytes]:
        if self._ignores_rest:
            return
        self._members.received += len(data)
        data = self._head + data
        self._head = b""
        while data:
            if self._inflater is None:
                if self._ended and not self._begins_member(data):
                    return
                if len(data) < 2:
                    self._head = data  # two bytes tell a zlib header from raw deflate data, and a member from others
                    return
                self._inflater = self._begin(data)
            full = True
            while full or data:
                try:
                    piece = self._inflater.decompress(data, PIECE)
                except zlib.error as problem:
                    raise DecodeError(f"not valid {self._name} data ({problem})") from None
                if piece or self._inflater.eof:
                    yield piece
                if self._inflater.eof:
                    data, self._inflater, self._ended = self._inflater.unused_data, None, True
                    self._members.add(len(data))
                    break
                data = self._inflater.unconsumed_tail
                full = len(piece) == PIECE  # then the inflater may have more output

    def _begins_member(self, data: bytes) -> bool:
        """Whether another gzip member begins, or may begin, after the end of the data. Raises `DecodeError`."""
        if self._bits < 0:
            raise DecodeError("bytes after the end of the deflate data")
        self._ignores_rest = self._name != "gzip" or not _GZIP_MAGIC.startswith(data[:2])
        return not self._ignores_rest

    def _begin(self, data: bytes) -> Any:
        if self._name == "deflate" and not (data[0] & 15 == 8 and (data[0] * 256 + data[1]) % 31 == 0):
            self._bits = -15
        return zlib.decompressobj(self._bits)

    def finish(self) -> None:
        if self._inflater is not None or self._head:
            raise DecodeError(f"the {self._name} data ends too early")


_LARGE_WINDOW = 0b0010001
"""The first 7 bits of Large Window Brotli data, which no window of br begins with (RFC 7932, 9.1)."""


class _Brotli:
    """Decodes br (RFC 7932)."""

    def __init__(self) -> None:
        brotli = brotli_module()
        self._error = brotli.error
        self._brotli = brotli.Decompressor()
        self._head = b""

    def feed(self, data: bytes) -> Iterator[bytes]:
        self._head = self._head or data[:1]
        if data and self._brotli.is_finished():
            raise DecodeError("not valid br data")  # as Brotli says it where they come with the end
        try:
            piece = self._brotli.process(data, output_buffer_limit=PIECE)
            while piece:
                # Brotli may exceed `output_buffer_limit`.
                yield from (piece[at : at + PIECE] for at in range(0, len(piece), PIECE))
                piece = b"" if self._brotli.is_finished() else self._brotli.process(b"", output_buffer_limit=PIECE)
        except self._error:
            large = self._head[0] & 127 == _LARGE_WINDOW
            raise DecodeError(f"not valid br data{' (it has a large window)' if large else ''}") from None

    def finish(self) -> None:
        if self._head and not self._brotli.is_finished():
            raise DecodeError("the br data ends too early")


def brotli_module() -> Any:
    """The brotli package."""
    from importlib import import_module

    return import_module("brotli")


class _Chain:
    """Decodes two codings that were applied one after the other: first `outer`, the one that was applied last."""

    def __init__(self, outer: Decoder, inner: Decoder, max_size: int, max_ratio: int) -> None:
        self._outer, self._inner = outer, inner
        self._max_size, self._max_ratio = max_size, max_ratio
        self._received = self._between = 0

    def feed(self, data: bytes) -> Iterator[bytes]:
        self._received += len(data)
        for piece in self._outer.feed(data):
            self._between += len(piece)
            if self._between > self._max_size or self._between > max(RATIO_FROM, self._received * self._max_ratio):
                raise BombError(f"more than {self._between - 1} bytes between two content codings")
            yield from self._inner.feed(piece)
            yield b""

    def finish(self) -> None:
        self._outer.finish()
        self._inner.finish()


_DECODERS: dict[str, Callable[[], Decoder]] = {
    "gzip": lambda: _Inflate("gzip"),
    "x-gzip": lambda: _Inflate("gzip"),
    "deflate": lambda: _Inflate("deflate"),
    "br": _Brotli,
    "zstd": ZstdDecoder,
}
ACCEPT_ENCODING = "gzip, deflate, br, zstd"


_NO_CODINGS = frozenset(
    {"", "identity", "none", "binary", "7bit", "8bit", "us-ascii", "utf-8", "utf8", "iso-8859-1", "windows-1252"}
)
"""What servers call the absence of a coding: RFC 9110, curl (none), names of MIME (RFC 2045, 6.2), and charsets."""


def codings_in(content_encoding: str) -> list[str]:
    """The codings that a Content-Encoding lists, in the order in which they were applied."""
    names = (name.strip().lower() for name in content_encoding.split(","))
    return [name for name in names if name not in _NO_CODINGS]


def decodable(codings: list[str]) -> bool:
    """Whether fetchq can decode all of these codings."""
    return all(name in _DECODERS for name in codings)


def decoder_for(codings: list[str], *, max_size: int = 10**9, max_ratio: int = 1000) -> Decoder | None:
    """The decoder of these codings; None if one of them is unknown. Raises `DecodeError` if there are too many.

    `max_size`, `max_ratio`: limits of the bytes between two codings, and of their ratio to the received bytes.
    """
    if len(codings) > MOST_CODINGS:
        raise DecodeError(f"{len(codings)} content codings, one upon the other")
    if not decodable(codings):
        return None
    decoder = _DECODERS[codings[-1]]()
    for name in reversed(codings[:-1]):
        decoder = _Chain(decoder, _DECODERS[name](), max_size, max_ratio)
    return decoder
