"""Bodies that end too early, too late or nowhere (RFC 9112, 6 and 7)."""

from __future__ import annotations

from faults.base import Theme, Then
from faults.wire import CHUNKED, CRLF, HELLO, LAST_CHUNK, Asked, Connection, chunk, head, length

theme = Theme("framing")
sends, plays = theme.sends, theme.plays

# --- the body ends early ------------------------------------------------------------------------------------------

sends(
    "short-body",
    "6.3: closes cleanly before Content-Length is reached.",
    "incomplete",
    head(length(10)) + HELLO,
    Then.CLOSES,
    complete="no",
)
sends(
    "no-body",
    "6.3: a Content-Length, and closes after the head.",
    "incomplete",
    head(length(5)),
    Then.CLOSES,
    complete="no",
)
sends(
    "short-by-one",
    "6.3: one byte is missing.",
    "incomplete",
    head(length(6)) + HELLO,
    Then.CLOSES,
    complete="no",
)
sends(
    "reset-body",
    "6.3: RST inside a body with Content-Length.",
    "incomplete",
    head(length(10)) + HELLO,
    Then.RESETS,
    complete="no",
)
sends(
    "reset-chunked",
    "7.1: RST inside a chunked body.",
    "incomplete",
    head(CHUNKED) + chunk(HELLO),
    Then.RESETS,
    complete="no",
)
sends(
    "reset-until-close",
    "8: RST inside a body without a length, which only a clean close may end.",
    "incomplete",
    head() + HELLO,
    Then.RESETS,
    complete="no",
)
sends(
    "until-close",
    "6.3: no length; a clean close ends it, and nobody can tell whether it is whole.",
    None,
    head() + HELLO,
    Then.CLOSES,
    complete="unverified",
)
sends(
    "until-close-empty",
    "6.3: no length and no byte of body; still only unverified.",
    None,
    head(),
    Then.CLOSES,
    complete="unverified",
    body=b"",
)
sends(
    "until-close-http10",
    "6.3: an HTTP/1.0 answer without a length.",
    None,
    head(status=b"HTTP/1.0 200 OK") + HELLO,
    Then.CLOSES,
    complete="unverified",
)

_CUTS = {
    "chunked-no-last-chunk": ("the last chunk is missing", chunk(HELLO)),
    "chunked-cut-in-size": ("closes inside a chunk size", chunk(HELLO) + b"5"),
    "chunked-cut-in-data": ("closes inside a chunk", b"a\r\nhello"),
    "chunked-cut-before-crlf": ("closes after the data of a chunk", b"5\r\nhello"),
    "chunked-cut-in-last-size": ("closes inside the line of the last chunk", chunk(HELLO) + b"0\r"),
    "chunked-nothing": ("closes before the first chunk", b""),
}
for name, (what, wire) in _CUTS.items():
    sends(name, f"7.1, 8: {what}.", "incomplete", head(CHUNKED) + wire, Then.CLOSES, complete="no")
sends(
    "chunked-no-final-crlf",
    "7.1, 8: the last chunk came, the CRLF that ends the (empty) trailers did not.",
    ("incomplete", "ok"),
    head(CHUNKED) + chunk(HELLO) + b"0\r\n",
    Then.CLOSES,
)
sends(
    "chunked-cut-in-trailers",
    "7.1.2, 8: closes inside a trailer.",
    ("incomplete", "ok"),
    head(CHUNKED) + chunk(HELLO) + b"0\r\nX-Sum: 1",
    Then.CLOSES,
)

# --- chunks -------------------------------------------------------------------------------------------------------

_BAD_CHUNKS = {
    "zz": ("is not hexadecimal", b"zz\r\nhello\r\n"),
    "minus": ("has a sign", b"-5\r\nhello\r\n"),
    "plus": ("has a sign", b"+5\r\nhello\r\n"),
    "0x": ("has a prefix", b"0x5\r\nhello\r\n"),
    "underscore": ("has an underscore", b"0_5\r\nhello\r\n"),
    "underscore-5-0": ("has an underscore", b"5_0\r\n" + b"h" * 80 + CRLF),
    "empty": ("is empty", b"\r\nhello\r\n"),
    "only-extension": ("is empty before its extension", b";x=1\r\nhello\r\n"),
    "space-first": ("has a space in front", b" 5\r\nhello\r\n"),
    "bare-lf": ("ends in LF alone", b"5\nhello\r\n"),
}
for name, (what, wire) in _BAD_CHUNKS.items():
    sends(f"chunk-size-{name}", f"7.1: a chunk size that {what}.", "protocol", head(CHUNKED) + wire + LAST_CHUNK)
sends(
    "chunk-size-huge",
    "7.1: a chunk size of 18 digits f, which must not overflow; then closes.",
    ("protocol", "too_large", "incomplete"),
    head(CHUNKED) + b"f" * 18 + b"\r\nhello",
    Then.CLOSES,
)
sends(
    "chunk-size-space-after",
    "7.1: whitespace after a chunk size without an extension.",
    ("protocol", "ok"),
    head(CHUNKED) + b"5 \r\nhello\r\n" + LAST_CHUNK,
)
sends(
    "chunk-data-too-long",
    "7.1: no CRLF where the chunk's data should end.",
    "protocol",
    head(CHUNKED) + b"5\r\nhello!!\r\n" + LAST_CHUNK,
)
sends(
    "chunk-data-bare-lf",
    "7.1: LF alone after a chunk's data.",
    "protocol",
    head(CHUNKED) + b"5\r\nhello\n" + LAST_CHUNK,
)
_BAD_EXTENSIONS = {
    "xff": ("obs-text outside of quotes", b"5;a=\xff"),
    "control": ("a control character", b"5;a=\x01"),
    "nul": ("NUL", b"5;a\x00"),
    "bare-cr": ("CR alone", b"5;a\rb"),
    "empty": ("no name", b"5;"),
    "no-name": ("a value without a name", b"5;=b"),
    "unclosed": ("a quote that does not end", b'5;a="b'),
    "after-quote": ("something after a quoted value", b'5;a="b"c'),
}
for name, (what, line) in _BAD_EXTENSIONS.items():
    rule = f"7.1.1: a chunk extension with {what}."
    sends(f"chunk-extension-{name}", rule, "protocol", head(CHUNKED) + line + b"\r\nhello\r\n" + LAST_CHUNK)
sends(
    "chunk-extension-bare-lf",
    "7.1.1: a chunk extension that ends in LF alone; to some it goes on in the data.",
    "protocol",
    head(CHUNKED) + b"5;a\nhello\r\n" + LAST_CHUNK,
)
sends(
    "chunk-extension-spaces",
    "7.1.1: whitespace around a chunk extension, which is bad but allowed.",
    ("ok", "protocol"),
    head(CHUNKED) + b"5 ; a = b\r\nhello\r\n" + LAST_CHUNK,
)
sends(
    "chunk-size-many-zeros",
    "7.1: a chunk size of 21 digits, all but one of them zero.",
    ("ok", "protocol"),
    head(CHUNKED) + b"0" * 20 + b"5\r\nhello\r\n" + LAST_CHUNK,
)
sends(
    "chunk-extensions",
    "7.1.1: valid chunk extensions, which are to be ignored.",
    None,
    head(CHUNKED) + b'5;a;b=1;c="x\\"y;z"\r\nhello\r\n0;last\r\n\r\n',
    complete="yes",
)
sends(
    "chunk-spellings",
    "7.1: leading zeros and capital digits are valid; so is a last chunk of several zeros.",
    None,
    head(b"transfer-encoding: CHUNKED") + b"0005\r\nhello\r\n000A\r\n, chunked!\r\n000\r\n\r\n",
    body=b"hello, chunked!",
    complete="yes",
)
sends(
    "chunks-of-one",
    "7.1: many chunks of one byte.",
    None,
    head(CHUNKED) + b"".join(chunk(b"x") for _ in range(5000)) + LAST_CHUNK,
    body=b"x" * 5000,
    complete="yes",
)
sends(
    "chunked-empty",
    "7.1: the last chunk alone, an empty body.",
    None,
    head(CHUNKED) + LAST_CHUNK,
    body=b"",
    complete="yes",
)
sends(
    "trailers",
    "7.1.2: valid trailers.",
    None,
    head(CHUNKED, b"Trailer: X-Sum") + chunk(HELLO) + b"0\r\nX-Sum: 1\r\nX-Other: two\r\n\r\n",
    complete="yes",
)
sends(
    "trailer-content-length",
    "RFC 9110, 6.5.1: a trailer about framing, which must not be sent and never counts.",
    ("ok", "protocol"),
    head(CHUNKED) + chunk(HELLO) + b"0\r\nContent-Length: 99\r\n\r\n",
    complete="yes",
)
sends(
    "trailer-no-colon",
    "7.1.2: a trailer line without a colon.",
    "protocol",
    head(CHUNKED) + chunk(HELLO) + b"0\r\nno colon here\r\n\r\n",
)


sends(
    "trailer-transfer-encoding",
    "RFC 9110, 6.5.1: a trailer about framing, which must not be sent and never counts.",
    ("ok", "protocol"),
    head(CHUNKED) + chunk(HELLO) + b"0\r\nTransfer-Encoding: chunked\r\n\r\n",
    complete="yes",
)
sends(
    "trailer-control",
    "RFC 9110, 5.5: NUL in a trailer.",
    "protocol",
    head(CHUNKED) + chunk(HELLO) + b"0\r\nX-Sum: a\x00b\r\n\r\n",
)
sends(
    "trailer-long",
    "RFC 9110, 5.4: a trailer of 70 kB; more than a client need accept.",
    ("ok", "protocol"),
    head(CHUNKED) + chunk(HELLO) + b"0\r\nX-Sum: " + b"x" * 70_000 + b"\r\n\r\n",
)
sends(
    "trailers-many",
    "RFC 9110, 5.4: 300 trailers; more than a client need accept.",
    ("ok", "protocol"),
    head(CHUNKED) + chunk(HELLO) + b"0\r\n" + b"X-Sum: x\r\n" * 300 + CRLF,
)


@plays("protocol")
def endless_trailers(conn: Connection, asked: Asked) -> None:
    """7.1.2: trailers without end; a client bounds them."""
    conn.send(head(CHUNKED) + chunk(HELLO) + b"0\r\n")
    conn.flood(b"X-Trailer: x\r\n")


@plays("protocol")
def endless_chunk_extension(conn: Connection, asked: Asked) -> None:
    """7.1.1: a chunk extension without end; a client bounds it."""
    conn.send(head(CHUNKED) + b"5;x=")
    conn.flood(b"x")


@plays("too_large", settings={"max_filesize": 1_000_000})
def endless_chunked(conn: Connection, asked: Asked) -> None:
    """7.1: chunks without end."""
    conn.send(head(CHUNKED))
    conn.flood(chunk(b"x" * 8000))


@plays("too_large", settings={"max_filesize": 1_000_000})
def endless_until_close(conn: Connection, asked: Asked) -> None:
    """6.3: a body without length or end."""
    conn.send(head())
    conn.flood(b"x" * 8000)
