"""Decodes the text of a body by the charset that its server named, whole or piece by piece."""

from __future__ import annotations

import codecs
import sys
from encodings import normalize_encoding
from encodings.aliases import aliases
from functools import cache
from itertools import chain
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = ["decoded", "decoded_pieces"]

_UTF8 = "utf-8"
_LONGEST = 64
"""The most characters of a charset's name; the longest that is registered has 45 (IANA, Character Sets)."""
_SLICE = 65_536
"""The most bytes to decode at a time, and to hold back for a sequence that has not ended."""
_MARKED = {
    "utf_16": (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE),
    "utf_32": (codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE),
}
"""Codecs whose data begins with a mark, without which only their incremental decoders refuse it."""
# Python has codecs with these names, but they are not character sets.
_NO_CHARSETS = frozenset({"idna", "punycode", "undefined", "unicode_escape", "raw_unicode_escape"})


def decoded(body: bytes, charset: str | None, errors: str = "replace") -> str:
    """The body as text; in UTF-8 where `charset` is None, unknown, or fails. Raises ValueError if `errors` says so."""
    try:
        return body.decode(_codec_of(charset), errors)
    except (LookupError, ValueError):
        return body.decode(_UTF8, errors)


def decoded_pieces(pieces: Iterable[bytes], charset: str | None) -> Iterator[str]:
    """The text of a body in pieces, as `decoded` gives it, in bounded memory.

    It is in UTF-8 from where the charset fails. A sequence of UTF-7 that is longer than a slice is cut.
    """
    codec = _codec_of(charset)
    if codec in _MARKED:
        pieces, codec = _without_mark(iter(pieces), codec)
    decoder = _incremental(codec)
    for piece in pieces:
        for at in range(0, len(piece), _SLICE):
            data = piece[at : at + _SLICE]
            try:
                text = decoder.decode(data)
                if len(decoder.getstate()[0]) > _SLICE:
                    text += decoder.decode(b"", True)
                    decoder.reset()
            except (LookupError, ValueError):
                decoder = _incremental(_UTF8)
                text = decoder.decode(data)
            yield text
    try:
        yield decoder.decode(b"", True)
    except (LookupError, ValueError):
        return


def _without_mark(pieces: Iterator[bytes], codec: str) -> tuple[Iterator[bytes], str]:
    """The pieces, and a codec that needs no byte order mark if they begin with none: that of this machine's order."""
    head = b""
    while len(head) < 4 and (piece := next(pieces, None)) is not None:
        head += piece
    if not head.startswith(_MARKED[codec]):
        codec += "_le" if sys.byteorder == "little" else "_be"
    return chain([head], pieces), codec


def _incremental(codec: str) -> codecs.IncrementalDecoder:
    return codecs.getincrementaldecoder(codec)("replace")


def _codec_of(charset: str | None) -> str:
    """Python's name of the codec; that of UTF-8 if it has none for this charset.

    Only names that Python knows are looked up: `codecs` keeps every name for ever, also of those that it does not find.
    """
    if charset is None or len(charset) > _LONGEST:
        return _UTF8
    name = normalize_encoding(charset.lower())
    codec = aliases.get(name) or aliases.get(name.replace(".", "_")) or name
    if codec in _NO_CHARSETS or (codec not in _alias_targets() and codec not in _modules()):
        return _UTF8
    try:
        b" ".decode(codec, "replace")
    except (LookupError, ValueError):  # it is no codec for texts, or one of another system
        return _UTF8
    return codec


@cache
def _alias_targets() -> frozenset[str]:
    return frozenset(aliases.values())


@cache
def _modules() -> frozenset[str]:
    """The names of Python's codecs, some of which have no alias."""
    import encodings
    import pkgutil

    return frozenset(one.name for one in pkgutil.iter_modules(encodings.__path__))
