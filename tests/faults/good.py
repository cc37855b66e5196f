"""Answers that are right, or that every client has to put up with, in all the forms that HTTP/1 has.

They are no faults, and no part of FAULTS: the property of the packets (`packets.ways`) serves them beside those.
"""

from __future__ import annotations

import re
import zlib
from functools import partial

from faults.base import Expect, Theme, Then
from faults.content import TEXT, br, deflate_raw, gz, zstd
from faults.wire import CHUNKED, HELLO, LAST_CHUNK, chunk, head, length

theme = Theme("good")
sends = theme.sends

_KINDS = {
    r"good-length-\d": "a body of that many bytes, with Content-Length",
    r"good-close-\d": "a body of that many bytes, which the end of the connection ends",
    r"good-chunked-\d": "a body of that many bytes, in chunks",
    r"good-chunks-of": "chunks of that many bytes",
    r"good-(chunked-|close-)?body": "a body that looks like something else",
    r"good-chunk-": "chunks with all that may come with them",
    r"good-head-of": "an answer to HEAD, and what some send behind it",
    r"good-(204|304)": "an answer without a body, and what some send behind it",
    r"good-head-": "a head that every client has to put up with",
    r"good-hinted": "the same head, behind a 103",
    r"good-interim": "interim answers before the answer",
    r"good-\w+-with-": "a whole answer, and bytes behind it, which are nobody's",
    r"good-\d+": "an answer with that status",
}
"""What is right, by the beginning of a name."""
_PACKED = "no rule broken: content that is packed for the way."


def _rule(name: str) -> str:
    return f"no rule broken: {next(what for kind, what in _KINDS.items() if re.match(kind, name))}."


_FIVE = length(5)


def good(
    name: str, wire: bytes, then: Then = Then.STAYS, *, expect: Expect = None, body: bytes = HELLO, **facts: object
) -> None:
    sends(name, _rule(name), expect, wire, then, body=body, **facts)  # type: ignore[arg-type]  # fields of a Fault


# --- lengths ------------------------------------------------------------------------------------------------------

for size in (0, 1, 2, 255, 1023, 1024, 4097, 65535, 65536, 200_000):
    data = bytes(n * 7 & 255 for n in range(size))
    good(f"good-length-{size}", head(length(size)) + data, body=data)
    good(f"good-close-{size}", head() + data, Then.CLOSES, body=data, complete="unverified")
    pieces = [data[at : at + 1000] for at in range(0, size, 1000)]
    good(f"good-chunked-{size}", head(CHUNKED) + b"".join(map(chunk, pieces)) + LAST_CHUNK, body=data)
for size in (1, 2, 3, 7, 100):
    cut = [TEXT[at : at + size] for at in range(0, 700, size)]
    good(f"good-chunks-of-{size}", head(CHUNKED) + b"".join(map(chunk, cut)) + LAST_CHUNK, body=b"".join(cut))

# --- bodies that look like something else ---------------------------------------------------------------------------

_LIKE = {
    "answer": head(_FIVE) + HELLO,
    "chunks": chunk(HELLO) + LAST_CHUNK,
    "crlf": b"\r\n\r\n",
    "lf": b"\n\n\n",
    "cr": b"\r",
    "last-chunk": LAST_CHUNK,
    "status-line": b"HTTP/1.1 ",
    "nul": b"\0" * 9,
}
for name, data in _LIKE.items():
    good(f"good-body-{name}", head(length(len(data))) + data, body=data)
    good(f"good-chunked-body-{name}", head(CHUNKED) + chunk(data) + LAST_CHUNK, body=data)
    good(f"good-close-body-{name}", head() + data, Then.CLOSES, body=data, complete="unverified")

# --- chunks ---------------------------------------------------------------------------------------------------------

_CHUNKS = {
    "extension": b"5;a=b\r\nhello\r\n0\r\n\r\n",
    "quoted-extension": b'5;a="b; \\" c"\r\nhello\r\n0;end="\\\\"\r\n\r\n',
    "extension-name": b"5;a\r\nhello\r\n0;b;c\r\n\r\n",
    "capitals": b"5\r\nhello\r\n000\r\n\r\n",
    "trailer": b"5\r\nhello\r\n0\r\nX-Sum: 1\r\n\r\n",
    "trailers": b"5\r\nhello\r\n0\r\nX-Sum: 1\r\nX-Sum: 2\r\nServer-Timing: total;dur=1\r\n\r\n",
    "trailer-empty": b"5\r\nhello\r\n0\r\nX-Sum:\r\n\r\n",
    "trailer-latin1": b"5\r\nhello\r\n0\r\nX-Sum: caf\xe9\r\n\r\n",
    "trailer-after-extension": b'2;x\r\nhe\r\n3;y=z\r\nllo\r\n00;last\r\nETag: "1"\r\n\r\n',
}
for name, data in _CHUNKS.items():
    good(f"good-chunk-{name}", head(CHUNKED) + data, complete="yes")
    good(f"good-chunk-{name}-closed", head(CHUNKED, b"Connection: close") + data, Then.CLOSES, complete="yes")
    good(f"good-chunk-{name}-hinted", head(status=b"HTTP/1.1 103 X") + head(CHUNKED) + data, complete="yes")

# --- heads ----------------------------------------------------------------------------------------------------------

_HEADS = {
    "plain": head(_FIVE),
    "keep-alive": head(_FIVE, b"Connection: keep-alive", b"Keep-Alive: timeout=5, max=100"),
    "no-reason": head(_FIVE, status=b"HTTP/1.1 200 "),
    "no-reason-no-space": head(_FIVE, status=b"HTTP/1.1 200"),
    "long-reason": head(_FIVE, status=b"HTTP/1.1 200 " + b"fine " * 40),
    "reason-utf8": head(_FIVE, status="HTTP/1.1 200 très bien".encode()),
    "http10": head(_FIVE, status=b"HTTP/1.0 200 OK"),
    "http10-keep-alive": head(_FIVE, b"Connection: Keep-Alive", status=b"HTTP/1.0 200 OK"),
    "many": head(*(b"X-%d: %d" % (n, n) for n in range(200)), _FIVE),
    "same-name": head(b"Set-Cookie: a=1", b"Set-Cookie: b=2", b"SET-COOKIE: c=3", _FIVE),
    "tabs": head(b"X-A:\t\ta\t", b"X-B: \t b", _FIVE),
    "empty-values": head(b"X-A:", b"X-B: ", _FIVE, b"X-C:\t"),
    "long-value": head(b"X-A: " + b"v" * 30_000, _FIVE),
    "length-last": head(b"Date: Thu, 01 Jan 1970 00:00:00 GMT", b"Server: x", _FIVE),
    "lower-case": head(b"content-length: 5", b"content-type: text/plain; charset=utf-8"),
    "upper-case": head(b"CONTENT-LENGTH: 5", b"CONTENT-TYPE: TEXT/PLAIN"),
    "colon-in-value": head(b"X-A: a : b", b"X-B: c\t: d", _FIVE),
    "blank-before-colon": head(b"X-A : a", b"Server\t: x", _FIVE),
    "lf": head(_FIVE, b"X-A: a").replace(b"\r\n", b"\n"),
    "lf-mixed": b"HTTP/1.1 200 OK\nX-A: a\r\nContent-Length: 5\n\r\n",
    "crlf-before": b"\r\n" + head(_FIVE),
    "fold": head(b"X-A: a\r\n b\r\n\tc", _FIVE),
    "length-twice": head(_FIVE, b"X-A: a", _FIVE),
    "length-thrice": head(_FIVE, b"content-length: 5", b"Content-Length:5"),
    "length-list": head(b"Content-Length: 5, 5"),
    "length-odd-list": head(b"Content-Length:5 ,\t5,5"),
    "length-list-twice": head(b"Content-Length: 5,5", b"Content-Length: 5"),
}
for name, data in _HEADS.items():
    good(f"good-head-{name}", data + HELLO, reusable="http10" not in name or "keep-alive" in name)
    hinted = head(b"Link: </a>; rel=preload", status=b"HTTP/1.1 103 Early Hints") + data + HELLO
    if not name.startswith("crlf"):
        good(f"good-hinted-{name}", hinted, reusable="http10" not in name or "keep-alive" in name)

# --- interim answers --------------------------------------------------------------------------------------------------

_INTERIM = {
    "100": head(status=b"HTTP/1.1 100 Continue"),
    "102-103": head(status=b"HTTP/1.1 102 X") + head(b"Link: </b>", status=b"HTTP/1.1 103 X"),
    "http10": head(status=b"HTTP/1.0 100 Continue"),
    "length": head(_FIVE, status=b"HTTP/1.1 103 X"),
    "close": head(b"Connection: close", status=b"HTTP/1.1 103 X"),
    "sixteen": head(status=b"HTTP/1.1 102 X") * 16,
    "lf": head(b"X-A: a", status=b"HTTP/1.1 103 X").replace(b"\r\n", b"\n"),
}
for name, data in _INTERIM.items():
    good(f"good-interim-{name}", data + head(_FIVE) + HELLO)
    good(f"good-interim-{name}-204", data + head(status=b"HTTP/1.1 204 X"), status=204, body=b"")
    good(f"good-interim-{name}-chunked", data + head(CHUNKED) + chunk(HELLO) + LAST_CHUNK)
    good(f"good-interim-{name}-head", data + head(_FIVE), method="HEAD", body=b"")

# --- answers without a body -------------------------------------------------------------------------------------------

_NO_BODY = {
    "nothing": head(),
    "length": head(length(357)),
    "chunked": head(CHUNKED),
    "close": head(b"Connection: close"),
    "http10": head(status=b"HTTP/1.0 200 OK"),
    "http10-keep-alive": head(b"Connection: keep-alive", status=b"HTTP/1.0 200 OK"),
    "gzip": head(b"Content-Encoding: gzip", b"Vary: Accept-Encoding"),
    "length-twice": head(_FIVE, _FIVE),
}
_PAGE = b"<html><head><title>A page</title></head>\n<body>" + b"text " * 60 + b"</body></html>"
for name, data in _NO_BODY.items():
    ends = "close" in name or name == "http10"
    then = Then.CLOSES if ends else Then.STAYS
    good(f"good-head-of-{name}", data, then, method="HEAD", body=b"", complete="yes")
    for behind, after in (("page", _PAGE), ("chunks", chunk(_PAGE) + LAST_CHUNK), ("crlf", b"\r\n"), ("gz", gz(_PAGE))):
        wire = data + after
        good(f"good-head-of-{name}-with-{behind}", wire, then, method="HEAD", body=b"", complete="yes", reusable=False)
for status in (b"204 No Content", b"304 Not Modified"):
    code, expect = int(status[:3]), (None if status.startswith(b"204") else "status")
    for name, lines in (("nothing", ()), ("length", (_FIVE,)), ("close", (b"Connection: close",))):
        data = head(*lines, status=b"HTTP/1.1 " + status)
        then = Then.CLOSES if name == "close" else Then.STAYS
        good(f"good-{code}-{name}", data, then, expect=expect, status=code, body=b"")
        for behind, after in (("hello", HELLO), ("page", _PAGE), ("crlf", b"\r\n\r\n")):
            full = data + after
            good(f"good-{code}-{name}-with-{behind}", full, then, expect=expect, status=code, body=b"", reusable=False)

# --- bytes after the end ----------------------------------------------------------------------------------------------

_AFTER = {
    "junk": b"junk",
    "page": _PAGE,
    "crlf": b"\r\n",
    "nul": b"\0",
    "blank": b" ",
    "http": b"HTTP/1.1 200 OK\r\nX-",
}
_WHOLE = {
    "length": head(_FIVE) + HELLO,
    "zero": head(length(0)),
    "chunked": head(CHUNKED) + chunk(HELLO) + LAST_CHUNK,
    "trailer": head(CHUNKED) + chunk(HELLO) + b"0\r\nX-Sum: 1\r\n\r\n",
    "404": head(_FIVE, status=b"HTTP/1.1 404 Not Found") + HELLO,
}
for name, data in _WHOLE.items():
    for behind, after in _AFTER.items():
        good(
            f"good-{name}-with-{behind}",
            data + after,
            expect="status" if name == "404" else None,
            body=b"" if name == "zero" else HELLO,
            reusable=False,
        )

# --- content ----------------------------------------------------------------------------------------------------------

_CODECS = {"gzip": gz, "deflate": zlib.compress, "br": br, "zstd": zstd, "x-gzip": gz}
for coding, codec in _CODECS.items():
    make = partial(codec, TEXT)
    label = b"Content-Encoding: " + coding.encode()

    def by_length(make: partial[bytes] = make, label: bytes = label) -> bytes:
        return head(label, length(len(make()))) + make()

    def by_chunks(make: partial[bytes] = make, label: bytes = label) -> bytes:
        data = make()
        cut = [data[at : at + 61] for at in range(0, len(data), 61)]
        return head(label, CHUNKED) + b"".join(map(chunk, cut)) + LAST_CHUNK

    def by_closing(make: partial[bytes] = make, label: bytes = label) -> bytes:
        return head(label) + make()

    sends(f"good-{coding}", _PACKED, None, by_length, body=TEXT)
    sends(f"good-{coding}-chunked", _PACKED, None, by_chunks, body=TEXT)
    sends(f"good-{coding}-close", _PACKED, None, by_closing, Then.CLOSES, body=TEXT)
sends(
    "good-deflate-raw",
    _PACKED,
    None,
    lambda: head(b"Content-Encoding: deflate", length(len(deflate_raw(TEXT)))) + deflate_raw(TEXT),
    body=TEXT,
)

# --- statuses ---------------------------------------------------------------------------------------------------------

for status in (201, 202, 203, 205, 226, 299):
    good(f"good-{status}", head(_FIVE, status=b"HTTP/1.1 %d X" % status) + HELLO, status=status)
for status in (300, 400, 403, 404, 410, 418, 500, 502, 503, 599):
    good(f"good-{status}", head(_FIVE, status=b"HTTP/1.1 %d X" % status) + HELLO, expect="status")
    coded = head(CHUNKED, status=b"HTTP/1.1 %d X" % status) + chunk(HELLO) + LAST_CHUNK
    good(f"good-{status}-chunked", coded, expect="status")
for status in (301, 302, 303, 307, 308):
    line = b"HTTP/1.1 %d X" % status
    good(f"good-{status}", head(b"Location: /ok", _FIVE, status=line) + HELLO, body=b"ok")
    good(f"good-{status}-chunked", head(b"Location: /ok", CHUNKED, status=line) + chunk(HELLO) + LAST_CHUNK, body=b"ok")
    good(f"good-{status}-close", head(b"Location: /ok", status=line) + HELLO, Then.CLOSES, body=b"ok")
    good(f"good-{status}-junk", head(b"Location: /ok", _FIVE, status=line) + HELLO + b"junk", body=b"ok")
