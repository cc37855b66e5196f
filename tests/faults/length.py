"""Heads that say wrongly how long the body is, answers that have none, and bytes after the end (RFC 9112, 6)."""

from __future__ import annotations

from faults.base import Theme, Then
from faults.wire import CHUNKED, HELLO, LAST_CHUNK, POISON, Asked, Connection, chunk, head, length

theme = Theme("length")
sends, plays = theme.sends, theme.plays

# --- Content-Length -----------------------------------------------------------------------------------------------

_BAD_LENGTHS = {
    "two": ("two of them differ", (b"Content-Length: 5", b"Content-Length: 6")),
    "two-shorter-last": ("two of them differ", (b"Content-Length: 6", b"Content-Length: 5")),
    "list": ("a list of two that differ", (b"Content-Length: 5, 6",)),
    "list-and-line": ("a list and a line that differ", (b"Content-Length: 5, 5", b"Content-Length: 4")),
    "list-empty": ("a list with an empty element", (b"Content-Length: 5,,5",)),
    "list-of-commas": ("a list of nothing", (b"Content-Length: ,",)),
    "list-letter": ("a list with a letter", (b"Content-Length: 5, a",)),
    "list-signed": ("a list with a sign", (b"Content-Length: 5, +5",)),
    "negative": ("negative", (b"Content-Length: -5",)),
    "plus": ("signed", (b"Content-Length: +5",)),
    "letter": ("not a number", (b"Content-Length: 5a",)),
    "empty": ("empty", (b"Content-Length:",)),
    "0x": ("hexadecimal", (b"Content-Length: 0x5",)),
    "underscore": ("with an underscore", (b"Content-Length: 0_5",)),
    "fraction": ("a fraction", (b"Content-Length: 5.0",)),
    "inner-space": ("with a space inside", (b"Content-Length: 0 5",)),
    "superscript": ("a digit that is not ASCII", (b"Content-Length: \xb2",)),
    "fullwidth": ("a digit that is not ASCII", ("Content-Length: \uff15".encode(),)),
}
for name, (what, lines) in _BAD_LENGTHS.items():
    sends(f"length-{name}", f"6.3; RFC 9110, 8.6: Content-Length {what}.", "protocol", head(*lines) + HELLO)
_SAME_LENGTHS = {
    "twice": ("two of the same", (b"Content-Length: 5", b"Content-Length: 5")),
    "apart": ("two of the same, not side by side", (b"Content-Length: 5", b"X-Name: a", b"content-length:5")),
    "list-twice": ("a list of two of the same", (b"Content-Length: 5, 5",)),
    "list-blanks": ("a list with blanks of all kinds", (b"Content-Length:5 ,\t5,5\t",)),
    "list-two-lines": ("a list and a line of the same", (b"Content-Length: 5,5", b"Content-Length: 5")),
}
for name, (what, lines) in _SAME_LENGTHS.items():
    rule = f"6.3, 5; RFC 9110, 8.6: Content-Length as {what}."
    sends(f"length-{name}", rule, None, head(*lines) + HELLO, complete="yes")
sends(
    "length-zeros-differ",
    "6.3, 5: the same number with and without a leading zero.",
    ("ok", "protocol"),
    head(b"Content-Length: 5, 05") + HELLO,
)
sends(
    "length-huge",
    "RFC 9110, 8.6: a Content-Length of 30 digits, which must not overflow; then closes.",
    ("too_large", "protocol", "incomplete"),
    head(b"Content-Length: " + b"9" * 30) + HELLO,
    Then.CLOSES,
)
sends(
    "length-zeros",
    "RFC 9110, 8.6: leading zeros and whitespace around are valid.",
    None,
    head(b"content-length: \t0005 ") + HELLO,
    complete="yes",
)
sends("length-zero", "6.3: an empty body.", None, head(length(0)), body=b"", complete="yes")

# --- Transfer-Encoding --------------------------------------------------------------------------------------------

_CHUNKED_BODY = chunk(HELLO) + LAST_CHUNK
_BAD_TRANSFERS = {
    "transfer-and-length": ("not together with Content-Length", (CHUNKED, length(5))),
    "transfer-and-same-length": ("not together with Content-Length", (length(len(_CHUNKED_BODY)), CHUNKED)),
    "transfer-gzip-chunked": ("a coding that was not asked for (TE)", (b"Transfer-Encoding: gzip, chunked",)),
    "transfer-identity": ("identity is no transfer coding", (b"Transfer-Encoding: identity", length(15))),
    "transfer-identity-alone": ("identity is no transfer coding", (b"Transfer-Encoding: identity",)),
    "transfer-xchunked": ("an unknown coding", (b"Transfer-Encoding: xchunked",)),
    "transfer-chunked-twice": ("chunked is applied once at most", (b"Transfer-Encoding: chunked, chunked",)),
    "transfer-chunked-two-lines": ("chunked is applied once at most", (CHUNKED, CHUNKED)),
    "transfer-chunked-first": ("chunked comes last", (b"Transfer-Encoding: chunked, gzip",)),
    "transfer-vertical-tab": ("a control character in front", (b"Transfer-Encoding: \x0bchunked",)),
    "transfer-quoted": ("not a token", (b'Transfer-Encoding: "chunked"',)),
}
for name, (what, lines) in _BAD_TRANSFERS.items():
    rule = f"6.1: Transfer-Encoding, {what}."
    sends(name, rule, "protocol", head(*lines) + _CHUNKED_BODY, Then.CLOSES)
sends(
    "chunked-http10",
    "6.1: Transfer-Encoding in an HTTP/1.0 answer is faulty framing.",
    "protocol",
    head(CHUNKED, b"Connection: keep-alive", status=b"HTTP/1.0 200 OK") + _CHUNKED_BODY,
)

# --- answers without a body ---------------------------------------------------------------------------------------

sends(
    "204-length",
    "RFC 9110, 8.6: Content-Length in a 204, which has no body whatever the headers say.",
    None,
    head(length(5), status=b"HTTP/1.1 204 No Content"),
    status=204,
    body=b"",
)
sends(
    "204-chunked",
    "6.1: Transfer-Encoding in a 204, which has no body whatever the headers say.",
    ("ok", "protocol"),
    head(CHUNKED, status=b"HTTP/1.1 204 No Content"),
    status=204,
    body=b"",
)
sends(
    "204-body",
    "6.3: bytes follow a 204; they are not its body, nor the next answer.",
    None,
    head(status=b"HTTP/1.1 204 No Content") + POISON,
    status=204,
    body=b"",
    reusable=False,
)
sends(
    "304-length",
    "RFC 9110, 15.4.5: a 304 has no body; its Content-Length speaks of the 200.",
    "status",
    head(length(5), status=b"HTTP/1.1 304 Not Modified"),
)
for name, what, line in (
    ("head-length", "Content-Length", length(5)),
    ("head-chunked", "Transfer-Encoding", CHUNKED),
    ("head-gzip", "Content-Encoding", b"Content-Encoding: gzip"),
):
    rule = f"RFC 9110, 9.3.2: {what} in the answer to HEAD, which has no body."
    sends(name, rule, None, head(line), method="HEAD", body=b"")
sends(
    "head-body",
    "RFC 9110, 9.3.2: a body after the answer to HEAD; it is not the next answer.",
    None,
    head(length(len(POISON))) + POISON,
    method="HEAD",
    body=b"",
    reusable=False,
)

sends(
    "304-body",
    "6.3: a 304 with the body of a 200.",
    "status",
    head(length(5), status=b"HTTP/1.1 304 Not Modified") + HELLO,
    reusable=False,
)
sends(
    "head-page",
    "RFC 9110, 9.3.2: a page after the answer to HEAD.",
    None,
    head(length(30)) + b"<html>not an answer</html>\r\n\r\n",
    method="HEAD",
    body=b"",
    reusable=False,
)
sends(
    "head-page-no-length",
    "RFC 9110, 9.3.2: a page after the answer to HEAD, which does not say so.",
    None,
    head() + b"<html>not an answer</html>\r\n\r\n",
    method="HEAD",
    body=b"",
    reusable=False,
)
sends(
    "head-no-length",
    "6.3: an answer to HEAD without a length ends with its head, and the connection goes on.",
    None,
    head(b"Content-Type: text/html"),
    method="HEAD",
    body=b"",
    complete="yes",
)

# --- bytes after the end ------------------------------------------------------------------------------------------

sends(
    "extra-answer",
    "6.3: a second answer in the same packet; never the answer to the next request.",
    None,
    head(length(5)) + HELLO + POISON,
    complete="yes",
    reusable=False,
)
sends(
    "extra-answer-chunked",
    "6.3: a second answer right after the last chunk.",
    None,
    head(CHUNKED) + _CHUNKED_BODY + POISON,
    complete="yes",
    reusable=False,
)
sends(
    "extra-junk",
    "6.3: bytes after the end of the body.",
    None,
    head(length(5)) + HELLO + b"junk",
    complete="yes",
    reusable=False,
)
sends(
    "extra-empty-line",
    "2.2: an empty line behind the body, as old programs have it.",
    None,
    head(length(5)) + HELLO + b"\r\n",
    complete="yes",
    reusable=False,
)
sends(
    "extra-beginning",
    "6.3: another answer has begun in the same packet; what is on the connection after it is nobody's.",
    None,
    head(length(5)) + HELLO + b"HTTP/1.1 200 OK\r\nContent-Le",
    complete="yes",
    reusable=False,
)
sends(
    "extra-letter",
    "6.3: the first letter of another answer.",
    None,
    head(CHUNKED) + _CHUNKED_BODY + b"H",
    complete="yes",
    reusable=False,
)
sends(
    "unasked-part",
    "RFC 9110, 15.3.7: a 206 answers a request for a part, and none was asked for.",
    "protocol",
    head(length(5), b"Content-Range: bytes 0-4/10", status=b"HTTP/1.1 206 Partial Content") + HELLO,
)


@plays(None, query="after=0.02", complete="yes")
def late_answer(conn: Connection, asked: Asked) -> None:
    """6.3: a whole second answer `after` seconds of idleness, unasked. event("late-answer") is set once it is sent."""
    conn.send(head(length(5)) + HELLO)
    if conn.quiet_for(float(asked.params.get("after", "0.02"))):
        conn.send(POISON)
        conn.mark("late-answer")
