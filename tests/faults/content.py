"""Content codings: whole, damaged, unknown, too many (RFC 9110, 8.4); and charsets that lie."""

from __future__ import annotations

import gzip
import sys
import zlib
from collections.abc import Callable
from functools import partial
from typing import Any

from faults.base import Expect, Theme, Then
from faults.wire import CHUNKED, HELLO, head, length

theme = Theme("content")
sends = theme.sends

TEXT = b"".join(b"line %d of a text that can be squeezed\n" % n for n in range(500))
Codec = Callable[[bytes], bytes]
LENIENT: Expect = ("ok",)
"""Ok, though a strict decoder refuses it."""

# --- codings ------------------------------------------------------------------------------------------------------


def zstd_module() -> Any:
    if sys.version_info >= (3, 14):
        from compression import zstd
    else:
        from backports import zstd
    return zstd


def gz(data: bytes) -> bytes:
    return gzip.compress(data, mtime=0)


def deflate_raw(data: bytes) -> bytes:
    return zlib.compress(data, wbits=-15)


def br(data: bytes) -> bytes:
    import brotli

    return bytes(brotli.compress(data))


def zstd(data: bytes) -> bytes:
    module = zstd_module()
    checked = {module.CompressionParameter.checksum_flag: 1}
    return bytes(module.compress(data, options=checked))


def zstd_frame(window_log: int, data: bytes) -> bytes:
    """One frame, one raw block, made by hand (RFC 8878, 3.1.1): no more data than it holds, but any window."""
    block = (len(data) << 3 | 1).to_bytes(3, "little") + data
    return b"\x28\xb5\x2f\xfd" + bytes((0, window_log - 10 << 3)) + block


def _damaged(data: bytes, at: int) -> bytes:
    """With the bits of eight bytes flipped."""
    at %= len(data)
    return data[:at] + bytes(b ^ 0xFF for b in data[at : at + 8]) + data[at + 8 :]


def coded(
    name: str,
    rule: str,
    expect: Expect,
    coding: str,
    make: Callable[[], bytes],
    body: bytes = TEXT,
    media_type: bytes = b"text/plain",
    **settings: Any,
) -> None:
    """A fault with a right Content-Length around what `make` returns."""

    def wire() -> bytes:
        data = make()
        label = b"Content-Encoding: " + coding.encode()
        return head(label, b"Content-Type: " + media_type, length(len(data))) + data

    sends(name, rule, expect, wire, body=body, settings=settings)


# --- whole --------------------------------------------------------------------------------------------------------

_CODECS: dict[str, Codec] = {"gzip": gz, "deflate": zlib.compress, "br": br, "zstd": zstd}
for coding, codec in _CODECS.items():
    coded(coding, f"8.4.1: {coding}.", None, coding, partial(codec, TEXT))
    coded(f"{coding}-empty", f"8.4: an empty body, labelled {coding}.", None, coding, bytes, body=b"")
    coded(f"{coding}-of-nothing", f"8.4: nothing, squeezed by {coding}.", None, coding, partial(codec, b""), body=b"")

_WHOLE: dict[str, tuple[str, str, Callable[[], bytes]]] = {
    "deflate-raw": (
        "8.4.1.2: deflate without its zlib wrapping, as some send it",
        "deflate",
        lambda: deflate_raw(TEXT),
    ),
    "gzip-upper-case": ("8.4.1: codings are case-insensitive", "GZIP", lambda: gz(TEXT)),
    "gzip-x": ("8.4.1.3: x-gzip is gzip", "x-gzip", lambda: gz(TEXT)),
    "gzip-two-members": ("RFC 1952, 2.2: two members", "gzip", lambda: gz(TEXT[:999]) + gz(TEXT[999:])),
    "zstd-two-frames": ("RFC 8878, 3.1: two frames", "zstd", lambda: zstd(TEXT[:999]) + zstd(TEXT[999:])),
    "zstd-skippable": (
        "RFC 8878, 3.1.2: a skippable frame",
        "zstd",
        lambda: b"\x50\x2a\x4d\x18\x04\0\0\0skip" + zstd(TEXT),
    ),
    "zstd-window-8m": ("RFC 9659: the largest window allowed, 8 MB", "zstd", lambda: zstd_frame(23, TEXT)),
    "zstd-window-16m": ("RFC 9659: a larger window, as curl decodes it", "zstd", lambda: zstd_frame(24, TEXT)),
    "zstd-window-128m": ("RFC 9659: the largest window that curl decodes", "zstd", lambda: zstd_frame(27, TEXT)),
    "gzip-br": ("8.4: two codings, in the order applied", "gzip, br", lambda: br(gz(TEXT))),
    "gzip-gzip": ("8.4: the same coding twice", "gzip,gzip", lambda: gz(gz(TEXT))),
    "identity": ("8.4.1: identity, which should not be named, changes nothing", "identity", lambda: TEXT),
    "coding-empty": ("5.6.1; 8.4: an empty list of codings", "", lambda: TEXT),
    "coding-empty-element": ("5.6.1: an empty element of a list is passed over", ", gzip ,", lambda: gz(TEXT)),
}
for name, (what, coding, make) in _WHOLE.items():
    coded(name, f"{what}.", None, coding, make)
_READABLE: dict[str, tuple[str, str, Callable[[], bytes]]] = {
    "coding-none": ("8.4.1: what some call identity", "none", lambda: TEXT),
    "coding-binary": ("8.4.1: a transfer encoding of MIME, which changes nothing", "binary", lambda: TEXT),
    "coding-charset": ("8.4.1: a charset in the wrong place", "UTF-8", lambda: TEXT),
    "coding-charset-gzip": ("8.4.1: a charset in the wrong place, and a coding", "utf-8, gzip", lambda: gz(TEXT)),
    "gzip-blanks-after": ("RFC 1952: blanks after it", "gzip", lambda: gz(TEXT) + b"\n \n"),
    "gzip-zeros-after": ("RFC 1952: it is padded with zeros", "gzip", lambda: gz(TEXT) + bytes(512)),
    "gzip-garbage-after": ("RFC 1952: garbage after it, which gzip ignores", "gzip", lambda: gz(TEXT) + b"garbage"),
    "deflate-blanks-after": ("RFC 1950: blanks after it", "deflate", lambda: zlib.compress(TEXT) + b"\r\n"),
}
for name, (what, coding, make) in _READABLE.items():
    coded(name, f"{what}.", LENIENT, coding, make)
sends(
    "coding-two-lines",
    "5.3; 8.4: two Content-Encoding lines are one list.",
    None,
    lambda: head(b"Content-Encoding: gzip", b"Content-Encoding: br", length(len(br(gz(TEXT))))) + br(gz(TEXT)),
    body=TEXT,
)
sends(
    "gzip-chunked",
    "8.4: gzip in chunks of one byte: every way to split it is the same text.",
    None,
    head(b"Content-Encoding: gzip", CHUNKED) + b"".join(b"1\r\n%c\r\n" % b for b in gz(TEXT)) + b"0\r\n\r\n",
    body=TEXT,
)
sends(
    "gzip-head",
    "8.4: gzip named in the answer to HEAD.",
    None,
    head(b"Content-Encoding: gzip", length(500)),
    method="HEAD",
    body=b"",
)

# --- damaged ------------------------------------------------------------------------------------------------------

_GZIP, _DEFLATE = gz(TEXT), zlib.compress(TEXT)
_DAMAGED: dict[str, tuple[str, str, Callable[[], bytes]]] = {
    "gzip-truncated": ("half of it, with a right Content-Length", "gzip", lambda: _GZIP[: len(_GZIP) // 2]),
    "gzip-truncated-head": ("three bytes of its head", "gzip", lambda: _GZIP[:3]),
    "gzip-truncated-crc": ("its trailer is missing", "gzip", lambda: _GZIP[:-8]),
    "gzip-truncated-by-one": ("its last byte is missing", "gzip", lambda: _GZIP[:-1]),
    "gzip-truncated-second": ("a second member without its end", "gzip", lambda: _GZIP + _GZIP[:-20]),
    "gzip-bad-crc": ("a wrong CRC", "gzip", lambda: _GZIP[:-8] + b"\0\0\0\0" + _GZIP[-4:]),
    "gzip-bad-size": ("a wrong size in the trailer", "gzip", lambda: _GZIP[:-4] + b"\1\0\0\0"),
    "gzip-bad-middle": ("damaged in the middle", "gzip", lambda: _damaged(_GZIP, len(_GZIP) // 2)),
    "gzip-plain": ("plain bytes", "gzip", lambda: TEXT),
    "gzip-second-damaged": ("a second member that is none", "gzip", lambda: _GZIP + b"\x1f\x8b garbage"),
    "gzip-truncated-blanks": ("its last byte is missing, and blanks follow", "gzip", lambda: _GZIP[:-1] + b"\n \n"),
    "gzip-deflate": ("what came is deflate", "gzip", lambda: _DEFLATE),
    "deflate-truncated": ("half of it", "deflate", lambda: _DEFLATE[: len(_DEFLATE) // 2]),
    "deflate-truncated-by-one": ("its last byte is missing", "deflate", lambda: _DEFLATE[:-1]),
    "deflate-raw-truncated": ("half of it", "deflate", lambda: deflate_raw(TEXT)[:100]),
    "deflate-bad-adler": ("a wrong checksum", "deflate", lambda: _DEFLATE[:-4] + b"\0\0\0\0"),
    "deflate-plain": ("plain bytes", "deflate", lambda: TEXT),
    "deflate-raw-garbage-after": ("garbage after it", "deflate", lambda: deflate_raw(TEXT) + b"garbage"),
    "br-truncated": ("half of it", "br", lambda: br(TEXT)[: len(br(TEXT)) // 2]),
    "br-truncated-by-one": ("its last byte is missing", "br", lambda: br(TEXT)[:-1]),
    "br-plain": ("plain bytes", "br", lambda: TEXT),
    "br-garbage-after": ("garbage after it", "br", lambda: br(TEXT) + b"garbage"),
    "zstd-truncated": ("half of it", "zstd", lambda: zstd(TEXT)[: len(zstd(TEXT)) // 2]),
    "zstd-truncated-by-one": ("its last byte is missing", "zstd", lambda: zstd(TEXT)[:-1]),
    "zstd-bad-checksum": ("a wrong checksum", "zstd", lambda: zstd(TEXT)[:-4] + b"\0\0\0\0"),
    "zstd-plain": ("plain bytes", "zstd", lambda: TEXT),
    "zstd-garbage-after": ("garbage after it", "zstd", lambda: zstd(TEXT) + b"garbage"),
    "zstd-window-256m": ("a window that nobody decodes", "zstd", lambda: zstd_frame(28, TEXT)),
    "gzip-br-wrong-order": ("named in the wrong order", "br, gzip", lambda: br(gz(TEXT))),
    "gzip-br-inner-truncated": ("whole br of half a gzip", "gzip, br", lambda: br(_GZIP[: len(_GZIP) // 2])),
}
for name, (what, coding, make) in _DAMAGED.items():
    coded(name, f"8.4: {coding}: {what}.", "decode", coding, make)
sends(
    "gzip-short-body",
    "6.3: gzip cut short by the framing too, which comes first.",
    "incomplete",
    head(b"Content-Encoding: gzip", length(len(_GZIP))) + _GZIP[:-20],
    Then.CLOSES,
    complete="no",
)
sends(
    "gzip-reset",
    "6.3: gzip, and RST inside it.",
    "incomplete",
    head(b"Content-Encoding: gzip", length(len(_GZIP))) + _GZIP[:-20],
    Then.RESETS,
    complete="no",
)
sends(
    "gzip-until-close-truncated",
    "6.3; 8.4: half a gzip without a length: the framing cannot tell, the coding can.",
    ("decode", "incomplete"),
    head(b"Content-Encoding: gzip") + _GZIP[:-20],
    Then.CLOSES,
)

# --- unknown ------------------------------------------------------------------------------------------------------

for name, what, coding in (
    ("coding-unknown", "an unknown coding", "foo"),
    ("coding-unknown-inner", "an unknown coding inside a known one", "foo, gzip"),
    ("coding-unknown-outer", "an unknown coding around a known one", "gzip, foo"),
    ("coding-parameter", "a coding takes no parameters", "gzip;q=1"),
    ("coding-compress", "compress, which nobody decodes any more", "compress"),
):
    coded(name, f"8.4: {what}.", "decode", coding, partial(bytes, _GZIP))

# --- kept as it came ----------------------------------------------------------------------------------------------

for coding in _CODECS:
    coded(
        f"{coding}-plain-accepted",
        f"8.4: plain bytes, labelled {coding}, that the user wants all the same.",
        LENIENT,
        coding,
        lambda: TEXT,
        accept_encoded=True,
    )
coded(
    "coding-unknown-accepted",
    "8.4: an unknown coding, which the user accepts.",
    LENIENT,
    "foo",
    partial(bytes, _GZIP),
    _GZIP,
    accept_encoded=True,
)
coded(
    "coding-not-asked-for",
    "12.5.3: a coding that was not asked for.",
    LENIENT,
    "gzip",
    partial(bytes, _GZIP),
    _GZIP,
    headers=["Accept-Encoding: identity"],
)
_FILES: dict[str, tuple[str, str, bytes, Callable[[], bytes], bytes]] = {
    "gzip-of-a-file": ("the label of a published file", "x-gzip", b"application/gzip", lambda: _GZIP, _GZIP),
    "bzip2-of-a-file": ("the same of another format", "x-bzip2", b"application/x-bzip2", lambda: b"BZh9!", b"BZh9!"),
    "gzip-around-a-file": ("a packed file, packed for the way", "gzip", b"application/gzip", lambda: gz(_GZIP), _GZIP),
}
for name, (what, coding, media_type, make, body) in _FILES.items():
    coded(name, f"8.4: {what}.", LENIENT, coding, make, body, media_type)

# --- too many ------------------------------------------------------------------------------------------------------


def _many_times(data: bytes) -> bytes:
    for _ in range(100):
        data = gz(data)
    return data


coded(
    "gzip-hundredfold",
    "8.4: a hundred codings; each costs the decoder memory.",
    ("decode", "too_large"),
    ", ".join(["gzip"] * 100),
    lambda: _many_times(HELLO),
)

# --- charsets -----------------------------------------------------------------------------------------------------

_LATIN1 = "caf\u00e9 \u00fcber".encode("latin-1")
for name, what, charset in (
    ("charset-lies", "says UTF-8, is Latin-1", b"utf-8"),
    ("charset-unknown", "one that nobody knows", b"klingon"),
    ("charset-not-text", "a codec that is no charset", b"rot13"),
    ("charset-nul", "a name that no codec can have", b'"a%00b/../../x"'),
):
    sends(
        name,
        f"8.3.2: charset: {what}; the bytes are kept exactly.",
        None,
        head(b"Content-Type: text/html; charset=" + charset, length(len(_LATIN1))) + _LATIN1,
        body=_LATIN1,
    )
