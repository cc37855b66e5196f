"""Generates the bodies that the practice server sends: reproducible bytes, plain or in a content coding."""

from __future__ import annotations

import gzip
import hashlib
import json
import zlib
from collections.abc import Callable, Iterator
from functools import lru_cache

from multidict import CIMultiDict

from fetchq.http.content_coding import brotli_module
from fetchq.http.zstd_decoder import zstd_module

__all__ = ["BLOCK", "CODERS", "blocks", "coded_body", "headers_of", "small_body"]

BLOCK = 64 * 1024
"""Bodies are generated in blocks of this many bytes; a body of at most one block is cached."""


def blocks(size: int, seed: str = "") -> Iterator[bytes]:
    """The body of `/bytes/{size}?seed={seed}`, in blocks. The bytes are incompressible."""
    for start in range(0, size, BLOCK):
        yield hashlib.shake_128(f"{seed}/{start}".encode()).digest(min(BLOCK, size - start))


@lru_cache(maxsize=256)
def headers_of(size: int, seed: str) -> CIMultiDict[str]:
    """The header fields of `/bytes/{size}?seed={seed}`."""
    etag = hashlib.sha256(f"{seed}/{size}".encode()).hexdigest()[:32]
    kind = "application/octet-stream"
    return CIMultiDict({"Content-Type": kind, "Content-Length": str(size), "ETag": f'"{etag}"'})


@lru_cache(maxsize=256)
def small_body(size: int, seed: str) -> bytes:
    """The body of `/bytes/{size}?seed={seed}`, of at most one block."""
    return b"".join(blocks(size, seed))


def _brotli(data: bytes) -> bytes:
    coded: bytes = brotli_module().compress(data, quality=5)
    return coded


def _zstd(data: bytes) -> bytes:
    coded: bytes = zstd_module().compress(data)
    return coded


# RFC 9110, 8.4.1.2: `deflate` is the zlib format, not raw deflate.
CODERS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": lambda data: gzip.compress(data, mtime=0),
    "deflate": zlib.compress,
    "br": _brotli,
    "zstd": _zstd,
}
"""The content codings, and the functions that encode a body."""


@lru_cache(maxsize=8)
def coded_body(coding: str, size: int | None) -> bytes:
    """A small JSON document, or `size` bytes, encoded in a content coding."""
    text = {"coding": coding, "text": "The quick brown fox jumps over the lazy dog. " * 20}
    return CODERS[coding](json.dumps(text).encode() if size is None else b"".join(blocks(size)))
