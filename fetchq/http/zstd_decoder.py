"""Decodes the content coding zstd (RFC 8878)."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

from fetchq.http.decoder import PIECE, DecodeError, Parts

__all__ = ["ZstdDecoder", "zstd_module"]

ZSTD_WINDOW_LOG = 27
"""128 MiB: the largest window of zstd that is decoded, as curl, urllib3 and aiohttp do, though RFC 9659 allows 8 MiB.

The decoder touches no more of a window than it has decoded, so that the limit of the body bounds its memory, too.
"""
_LONGEST_HEADER = 18
"""The most bytes of the header of a zstd frame (RFC 8878, 3.1.1.1)."""


class ZstdDecoder:
    """Decodes zstd (RFC 8878): one or several frames."""

    def __init__(self) -> None:
        self._zstd = zstd_module()
        self._frame: Any = None
        self._header = b""
        """The first bytes of the frame."""
        self._size = 0
        """How many bytes of the frame were decoded."""
        self._frames = Parts()

    def feed(self, data: bytes) -> Iterator[bytes]:
        self._frames.received += len(data)
        while data:
            if self._frame is None:
                options = {self._zstd.DecompressionParameter.window_log_max: ZSTD_WINDOW_LOG}
                self._frame = self._zstd.ZstdDecompressor(options=options)
                self._header, self._size = b"", 0
            if (missing := _LONGEST_HEADER - len(self._header)) > 0:
                self._header += data[:missing]
            try:
                piece = self._frame.decompress(data, PIECE)
                while piece:
                    self._size += len(piece)
                    yield piece
                    idle = self._frame.eof or self._frame.needs_input
                    piece = b"" if idle else self._frame.decompress(b"", PIECE)
            except self._zstd.ZstdError as problem:
                if "too much memory" in str(problem):
                    most = 1 << ZSTD_WINDOW_LOG - 20
                    raise DecodeError(f"zstd data with a window of more than {most} MiB (RFC 9659: 8 MiB)") from None
                raise DecodeError(f"not valid zstd data ({problem})") from None
            data = b""
            if self._frame.eof:
                self._check_size()
                data, self._frame = self._frame.unused_data, None
                self._frames.add(len(data))
                yield b""

    def _check_size(self) -> None:
        """Raise `DecodeError` if the frame has not as many bytes as its header says.

        libzstd does not check the size of an empty frame that comes in several pieces.
        """
        promised = self._zstd.get_frame_info(self._header).decompressed_size
        if promised is not None and promised != self._size:
            raise DecodeError(f"a frame of {self._size} bytes, whose header says {promised}: not valid zstd data")

    def finish(self) -> None:
        if self._frame is not None:
            raise DecodeError("the zstd data ends too early")


def zstd_module() -> Any:
    """The module compression.zstd, or before Python 3.14 its backport, which has the same names."""
    from importlib import import_module

    return import_module("compression.zstd" if sys.version_info >= (3, 14) else "backports.zstd")
