"""Decides whether the content coding of a body is decoded: not one that was not asked for, nor one of the file itself.

A response may have a coding that the request did not ask for. Then the user, whose Accept-Encoding says what can be
used, gets the bytes as received (RFC 9110, 12.5.3).

A server may label a published file such as pkg.tar.gz with the coding that it was packed with. Clients then keep the
file: wget by the suffixes .gz and .tgz, wget and wget2 by the types application/gzip and application/x-gzip, Firefox by
both when it saves a file. But a server may also have compressed a packed file once more on its way. So the name and
the type tell only the format of the file, and its bytes decide.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING

from fetchq.core.header_text import wire_text
from fetchq.http.decoder import PIECE, BombError, DecodeError, Decoder
from fetchq.http.large_windows import WindowedDecoder

if TYPE_CHECKING:
    from multidict import MultiMapping

    from fetchq.core.body_spool import Spool

__all__ = ["MAX_HELD", "UndecidedDecoder", "asks_for", "published_format"]

MAX_HELD = PIECE
"""Up to this many bytes, as received, an `UndecidedDecoder` decides by."""

_GZIP, _BZIP2, _XZ = b"\x1f\x8b", b"BZh", b"\xfd7zXZ\0"
_ZSTD, _LZIP, _LZ4, _COMPRESS = b"\x28\xb5\x2f\xfd", b"LZIP", b"\x04\x22\x4d\x18", b"\x1f\x9d"
_FORMATS_BY_SUFFIX = {
    "gz": _GZIP, "tgz": _GZIP, "taz": _GZIP, "bz2": _BZIP2, "tbz2": _BZIP2, "tbz": _BZIP2, "xz": _XZ, "txz": _XZ,
    "zst": _ZSTD, "tzst": _ZSTD, "lz": _LZIP, "lz4": _LZ4, "z": _COMPRESS,
}  # fmt: skip
"""The bytes that files with these suffixes begin with."""
_FORMATS_BY_TYPE = {
    "application/gzip": _GZIP, "application/x-gzip": _GZIP, "application/x-gtar-compressed": _GZIP,
    "application/x-tgz": _GZIP, "application/bzip2": _BZIP2, "application/x-bzip2": _BZIP2, "application/x-xz": _XZ,
    "application/xz": _XZ, "application/zstd": _ZSTD, "application/x-zstd": _ZSTD, "application/x-lzip": _LZIP,
    "application/x-lz4": _LZ4, "application/x-compress": _COMPRESS,
}  # fmt: skip
"""The bytes that files of these types begin with, whatever their names are."""
_ARCHIVES = frozenset({
    "", "application/x-tar", "application/tar", "application/x-gtar", "application/x-ustar", "application/x-compressed",
    "application/x-compressed-tar", "application/x-archive", "application/octet-stream", "binary/octet-stream",
    "application/binary", "application/x-binary", "application/x-download", "application/download",
    "application/force-download", "application/x-force-download",
})  # fmt: skip
"""Types of archives, and those that say nothing: there the suffix of the name tells the format."""
_FILENAME = re.compile(r"""filename\*?\s*=\s*("[^"]*"|[^;\s]+)""", re.IGNORECASE)
_SUFFIX = re.compile(r"\.([a-z0-9]{1,4})[\"'\s]*\Z", re.IGNORECASE)


def asks_for(accept_encoding: str | None, codings: list[str]) -> bool:
    """Whether a request with this Accept-Encoding asks for all of these codings (RFC 9110, 12.5.3).

    None stands for fetchq's own Accept-Encoding: then whatever comes is to be decoded.
    """
    if accept_encoding is None:
        return True
    weights: dict[str, bool] = {}
    for element in accept_encoding.lower().split(","):
        name, *parameters = (part.strip(" \t") for part in element.split(";"))
        weights[name.removeprefix("x-")] = not any(re.fullmatch(r"q\s*=\s*0(\.0*)?", one) for one in parameters)
    return all(weights.get(name.removeprefix("x-"), weights.get("*", False)) for name in codings)


def published_format(paths: Iterable[str], headers: MultiMapping[str]) -> bytes | None:
    """The bytes that the file begins with, if it is a packed one by its type, or an archive by its name and type.

    `paths`: of the URL that was asked for, and of the one that answered. None if it is no such file.
    """
    media_type = wire_text(headers.get("Content-Type", "")).partition(";")[0].strip(" \t").lower()
    if (by_type := _FORMATS_BY_TYPE.get(media_type)) is not None or media_type not in _ARCHIVES:
        return by_type
    names = _FILENAME.findall(headers.get("Content-Disposition", ""))
    for name in [*names, *paths]:
        if (suffix := _SUFFIX.search(name)) and suffix[1].lower() in _FORMATS_BY_SUFFIX:
            return _FORMATS_BY_SUFFIX[suffix[1].lower()]
    return None


class _AsReceived:
    """Decodes nothing."""

    def feed(self, data: bytes) -> Iterator[bytes]:
        yield data

    def finish(self) -> None:
        """Do nothing, since any data is whole."""


class UndecidedDecoder:
    """Holds back the beginning of a body until that shows whether the coding is to be decoded.

    The first `MAX_HELD` bytes decide, or the whole of a shorter body, so that the packets of the body do not matter.
    """

    def __init__(self, make: Callable[[], Decoder], published: bytes | None, *, keeps_damaged: bool) -> None:
        """`make`: makes the decoder of the coding; raises `DecodeError` if there is none.

        `published`: what `published_format` says. `keeps_damaged`: whether a body whose beginning does not decode is
        kept as received.
        """
        self._make = make
        self._published = published
        self._keeps_damaged = keeps_damaged
        self._held: list[bytes] = []
        self._size = 0
        self._chosen: Decoder | None = None

    @property
    def decodes(self) -> bool:
        """Whether the coding is decoded."""
        return not isinstance(self._chosen, _AsReceived)

    @property
    def held(self) -> Spool | None:
        """What is held back on the disk (`fetchq.http.large_windows`)."""
        return self._chosen.held if isinstance(self._chosen, WindowedDecoder) else None

    def feed(self, data: bytes) -> Iterator[bytes]:
        if self._chosen is not None:
            yield from self._chosen.feed(data)
            return
        self._held.append(data)
        self._size += len(data)
        if self._size >= MAX_HELD:
            yield from self._decide(whole=False)

    def flush(self) -> Iterator[bytes]:
        """Yield what is held back of data that has ended. The iterator must be exhausted. Raises `DecodeError`."""
        if self._chosen is None:
            yield from self._decide(whole=True)
        if isinstance(self._chosen, WindowedDecoder):
            yield from self._chosen.flush()

    def finish(self) -> None:
        """End the data, after `flush`. Raises `DecodeError` if it has not reached its own end."""
        assert self._chosen is not None
        self._chosen.finish()

    def _decide(self, *, whole: bool) -> Iterator[bytes]:
        held, self._held = b"".join(self._held), []
        self._chosen = self._choose(held[:MAX_HELD], whole=whole)
        return self._chosen.feed(held)

    def _choose(self, held: bytes, *, whole: bool) -> Decoder:
        decoded, damaged = _try(self._make, held, whole=whole)
        if self._published is not None:
            if decoded.startswith(self._published):
                return self._make()
            if held.startswith(self._published):
                return _AsReceived()
        return _AsReceived() if damaged and self._keeps_damaged else self._make()


def _try(make: Callable[[], Decoder], held: bytes, *, whole: bool) -> tuple[bytes, bool]:
    """The beginning of the decoded data, at most about `PIECE` bytes, and whether the data is damaged so far.

    `whole`: whether `held` is all of the data.
    """
    found = b""
    try:
        decoder = make()
        if isinstance(decoder, WindowedDecoder):
            decoder = decoder.unbounded()  # so that it holds nothing back; the beginning is decoded in one step
        for piece in decoder.feed(held):
            found += piece
            if len(found) >= PIECE:
                return found, False
        if whole:
            decoder.finish()
    except BombError:
        return found, False
    except DecodeError:
        return found, True
    return found, False
