"""Heads that are not HTTP, or only almost (RFC 9112, 2 to 5; RFC 9110, 5 and 15)."""

from __future__ import annotations

from faults.base import Theme, Then
from faults.wire import CHUNKED, HELLO, Asked, Connection, head, length

theme = Theme("head")
sends, plays = theme.sends, theme.plays

_EITHER = ("ok", "protocol")
_FIVE = length(5)

# --- no head at all -----------------------------------------------------------------------------------------------

sends("close-first", "8: closes without a byte of answer.", "connect", b"", Then.CLOSES)
sends("reset-first", "8: RST without a byte of answer.", "connect", b"", Then.RESETS)
sends("garbage", "3: not HTTP.", "protocol", b"SSH-2.0-x\r\n")
sends("garbage-binary", "3: not HTTP; a TLS alert.", "protocol", b"\x15\x03\x03\x00\x02\x02\x46", Then.CLOSES)
sends("garbage-spaces", "3: not HTTP; blanks, then closes.", "protocol", b" " * 100, Then.CLOSES)
sends("http09", "3: a body without a head, as HTTP/0.9 had it.", "protocol", b"<html>hello</html>", Then.CLOSES)
sends("cut-in-status-line", "8: closes inside the status line.", ("incomplete", "protocol"), b"HTTP/1.1 2", Then.CLOSES)
sends(
    "cut-in-headers",
    "8: closes inside the headers; the length it names never counted.",
    ("incomplete", "protocol"),
    b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nX-Cut: ye",
    Then.CLOSES,
)
sends(
    "cut-before-blank-line",
    "8: closes after a whole header line, before the empty one.",
    ("incomplete", "protocol"),
    b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n",
    Then.CLOSES,
)
sends(
    "reset-in-headers",
    "8: RST inside the headers.",
    ("incomplete", "connect"),
    b"HTTP/1.1 200 OK\r\nContent-Len",
    Then.RESETS,
)
sends("crlf-first", "2.2: an empty line before the status line.", _EITHER, b"\r\n" + head(_FIVE) + HELLO)

# --- status lines -------------------------------------------------------------------------------------------------

_STATUS_LINES = {
    "status-99": ("a status of two digits", b"HTTP/1.1 99 Low"),
    "status-abc": ("a status that is no number", b"HTTP/1.1 abc"),
    "status-1000": ("a status of four digits", b"HTTP/1.1 1000 X"),
    "status-099": ("a status below 100", b"HTTP/1.1 099 Low"),
    "status-minus": ("a signed status", b"HTTP/1.1 -200 OK"),
    "status-underscore": ("a status with an underscore", b"HTTP/1.1 2_0 OK"),
    "status-missing": ("no status", b"HTTP/1.1"),
    "version-3": ("a version that this connection cannot speak", b"HTTP/3.0 200 OK"),
    "version-lower-case": ("the protocol's name in lower case", b"http/1.1 200 OK"),
    "version-icy": ("another protocol's name", b"ICY 200 OK"),
    "version-rtsp": ("another protocol's name", b"RTSP/1.0 200 OK"),
    "version-sip": ("another protocol's name", b"SIP/2.0 200 OK"),
    "version-2": ("a version that is not spoken in lines", b"HTTP/2.0 200 OK"),
    "version-2-short": ("a version that is not spoken in lines", b"HTTP/2 200"),
    "version-0": ("a version that had no status line", b"HTTP/0.9 200 OK"),
    "version-2-minor": ("a minor version that there is not", b"HTTP/1.2 200 OK"),
    "version-long": ("a version of two digits", b"HTTP/1.10 200 OK"),
    "version-word": ("a version that is no number", b"HTTP/x.y 200 OK"),
}
for name, (what, line) in _STATUS_LINES.items():
    rule = f"2.3, 4; RFC 9110, 15: {what}."
    sends(name, rule, "protocol", head(_FIVE, status=line) + HELLO)

_TOLERABLE_LINES = {
    "status-no-reason": ("4: neither a reason nor the space before it", b"HTTP/1.1 200"),
    "status-tab": ("4: a tab for a space", b"HTTP/1.1\t200 OK"),
    "status-two-spaces": ("4: two spaces before the status", b"HTTP/1.1  200 OK"),
    "reason-form-feed": ("4: a form feed in the reason", b"HTTP/1.1 200 O\x0cK"),
    "reason-vertical-tab": ("4: a vertical tab in the reason", b"HTTP/1.1 200 O\x0bK"),
    "reason-nul": ("4: NUL in the reason", b"HTTP/1.1 200 O\x00K"),
    "reason-100k": ("4: a reason of 100 kB; more than a client need accept", b"HTTP/1.1 200 " + b"x" * 100_000),
    "reason-escape": ("4: a terminal's escape sequence in the reason", b"HTTP/1.1 200 \x1b[31mOK"),
    "version-1-2": ("2.3; RFC 9110, 2.5: a higher minor version is to be read as 1.1", b"HTTP/1.2 200 OK"),
}
for name, (what, line) in _TOLERABLE_LINES.items():
    sends(name, f"{what}.", _EITHER, head(_FIVE, status=line) + HELLO)
_VALID_LINES = {
    "reason-empty": ("4: an empty reason is valid", b"HTTP/1.1 200 "),
    "reason-latin1": ("4: obs-text in the reason is valid", b"HTTP/1.1 200 tr\xe8s bien"),
    "reason-long": ("4: a long reason is valid", b"HTTP/1.1 200 " + b"x" * 2000),
}
for name, (what, line) in _VALID_LINES.items():
    sends(name, f"{what}.", None, head(_FIVE, status=line) + HELLO)
sends(
    "status-999",
    "RFC 9110, 15: a status outside 100 to 599 is to be treated as a 5xx.",
    "status",
    head(_FIVE, status=b"HTTP/1.1 999 Denied") + HELLO,
)

# --- header lines -------------------------------------------------------------------------------------------------

_BAD_HEADERS = {
    "header-no-colon": ("5: no colon", b"X-Name value"),
    "header-no-name": ("5.1: no name", b": value"),
    "header-space-in-name": ("RFC 9110, 5.1: a name that is no token", b"X Name: value"),
    "header-separator-in-name": ("RFC 9110, 5.1: a name that is no token", b"X(Name): value"),
    "header-latin1-name": ("RFC 9110, 5.1: a name that is no token", b"X-N\xe9: value"),
    "header-nul": ("RFC 9110, 5.5: NUL in a value", b"X-Name: a\x00b"),
    "header-bare-cr": ("2.2; RFC 9110, 5.5: CR alone in a value", b"X-Name: a\rb"),
    "header-bare-cr-split": ("2.2: CR alone must not start a new header", b"X-Name: a\rContent-Length: 2"),
}
for name, (what, line) in _BAD_HEADERS.items():
    sends(name, f"{what}.", "protocol", head(line, _FIVE) + HELLO)
_BLANK_COLONS = {
    "length": b"Content-Length : 2",
    "length-tab": b"content-length\t: 2",
    "transfer": b"Transfer-Encoding : chunked",
    "transfer-tab": b"transfer-encoding \t : chunked",
}
for name, line in _BLANK_COLONS.items():
    rule = "5.1: a blank before the colon of a field that frames the body, which some read and others do not"
    for where, before, after in (("first", (), (b"X-Name: a",)), ("last", (b"X-Name: a",), ()), ("alone", (), ())):
        wire = head(*before, line, *after) + HELLO
        sends(f"header-{name}-space-colon-{where}", f"{rule}.", "protocol", wire)
        sends(f"header-{name}-space-colon-{where}-closes", f"{rule}; closes.", "protocol", wire, Then.CLOSES)

_TOLERABLE_HEADERS = {
    "header-fold": ("5.2: an obsolete line folding", b"X-Name: a\r\n b"),
    "header-fold-first": ("2.2: whitespace before the first header", b" X-Name: a"),
    "header-form-feed": ("RFC 9110, 5.5: a form feed in a value", b"X-Name: a\x0cb"),
    "header-vertical-tab": ("RFC 9110, 5.5: a vertical tab at the end of a value", b"X-Name: a\x0b"),
    "header-control": ("RFC 9110, 5.5: a control character in a value", b"X-Name: a\x1b[31m\x07b"),
    "header-bare-lf": ("2.2: a line that ends in LF alone", b"X-Name: a\nX-Other: b"),
}
for name, (what, line) in _TOLERABLE_HEADERS.items():
    sends(name, f"{what}.", _EITHER, head(line, _FIVE) + HELLO)
_VALID_HEADERS = {
    "header-latin1": ("RFC 9110, 5.5: bytes that are not UTF-8 are opaque, not wrong", b"X-Name: caf\xe9 \xff\xfe"),
    "header-utf8": ("RFC 9110, 5.5: UTF-8 bytes are opaque, not wrong", "X-Name: café ✓".encode()),
    "header-empty": ("RFC 9110, 5.5: an empty value is valid", b"X-Name:"),
    "header-no-space": ("5: whitespace around a value is optional", b"X-Name:value\t "),
    "header-odd-name": ("RFC 9110, 5.1: a token may hold these", b"!#$%&'*+-.^_`|~1: value"),
    "header-bidi": (
        "RFC 9110, 5.5: a BiDi override is opaque here, dangerous on a screen",
        "X-Name: a\u202eb".encode(),
    ),
}
for name, (what, line) in _VALID_HEADERS.items():
    sends(name, f"{what}.", None, head(line, _FIVE) + HELLO)
for name, line in (("space", b"X-Name : value"), ("tab", b"X-Name\t: value")):
    rule = f"5.1: a {name} before the colon of a field that frames nothing, which a proxy has to remove."
    sends(f"header-{name}-colon", rule, ("ok",), head(line, _FIVE) + HELLO)
sends("lf-only", "2.2: every line ends in LF alone.", _EITHER, head(_FIVE).replace(b"\r\n", b"\n") + HELLO)
sends(
    "header-1mb",
    "RFC 9110, 5.4: a header line of 1 MB; more than a client need accept.",
    "protocol",
    head(b"X-Long: " + b"x" * 1_000_000, _FIVE) + HELLO,
)


@plays(_EITHER, query="kb=16", reusable=True)
def header_long(conn: Connection, asked: Asked) -> None:
    """RFC 9110, 5.4: a header line of `kb` kilobytes."""
    conn.send(head(b"X-Long: " + b"x" * (1000 * int(asked.params.get("kb", "16"))), _FIVE) + HELLO)


@plays(_EITHER, query="kb=300", reusable=True)
def head_long(conn: Connection, asked: Asked) -> None:
    """RFC 9110, 5.4: 200 headers of `kb` kilobytes together."""
    value = b"x" * (5 * int(asked.params.get("kb", "300")))
    conn.send(head(*(b"X-%d: %b" % (n, value) for n in range(200)), _FIVE) + HELLO)


@plays(_EITHER, query="n=1000", reusable=True)
def headers_many(conn: Connection, asked: Asked) -> None:
    """RFC 9110, 5.4: `n` short headers."""
    lines = (b"X-%d: x" % n for n in range(int(asked.params.get("n", "1000"))))
    conn.send(head(*lines, _FIVE) + HELLO)


@plays("protocol")
def endless_headers(conn: Connection, asked: Asked) -> None:
    """RFC 9110, 5.4: headers without end; a client bounds them."""
    conn.send(b"HTTP/1.1 200 OK\r\n")
    conn.flood(b"X-Name: value\r\n")


@plays("protocol")
def endless_header_line(conn: Connection, asked: Asked) -> None:
    """RFC 9110, 5.4: a header line without end; a client bounds it."""
    conn.send(b"HTTP/1.1 200 OK\r\nX-Name: ")
    conn.flood(b"x")


@plays("protocol")
def endless_status_line(conn: Connection, asked: Asked) -> None:
    """4: a reason without end; a client bounds it."""
    conn.send(b"HTTP/1.1 200 ")
    conn.flood(b"x")


@plays("protocol")
def endless_blank_lines(conn: Connection, asked: Asked) -> None:
    """2.2: empty lines without end before the status line."""
    conn.flood(b"\r\n")


@plays(("timeout", "too_slow"), query="interval=0.05", settings={"timeout": 1.0, "min_speed_time": 0.5})
def slow_head(conn: Connection, asked: Asked) -> None:
    """No rule broken: a long head, one byte per `interval` seconds."""
    conn.drip(head(b"X-Long: " + b"x" * 4000, _FIVE), float(asked.params.get("interval", "0.05")))
    conn.send(HELLO)


# --- interim answers ----------------------------------------------------------------------------------------------

_HINTS = head(b"Link: </a.css>; rel=preload", status=b"HTTP/1.1 103 Early Hints")
_CONTINUE = head(status=b"HTTP/1.1 100 Continue")
_FINAL = head(_FIVE) + HELLO

sends("interim-103", "RFC 8297; RFC 9110, 15.2: 103 before the answer; the answer counts.", None, _HINTS + _FINAL)
sends("interim-100", "RFC 9110, 15.2: an unasked 100 is to be passed over.", None, _CONTINUE + _FINAL)
sends(
    "interim-several",
    "RFC 9110, 15.2: several interim answers, some unknown.",
    None,
    _CONTINUE + head(status=b"HTTP/1.1 102 Processing") + _HINTS + head(status=b"HTTP/1.1 199 X") + _HINTS + _FINAL,
)
sends(
    "interim-length",
    "6.3; RFC 9110, 8.6: a 103 with Content-Length, which has no body whatever the headers say.",
    ("ok", "protocol"),
    head(_FIVE, status=b"HTTP/1.1 103 Early Hints") + _FINAL,
)
sends(
    "interim-chunked",
    "6.1: a 103 with Transfer-Encoding, which has no body whatever the headers say.",
    ("ok", "protocol"),
    head(CHUNKED, status=b"HTTP/1.1 103 Early Hints") + _FINAL,
)
sends(
    "interim-two-lengths",
    "6.3: two lengths in an answer that comes in the same packet as the 103 before it.",
    "protocol",
    _HINTS + head(_FIVE, length(4)) + HELLO,
)
sends(
    "interim-then-page",
    "RFC 9110, 15.2: what follows a 103 is no answer, and the connection stays open.",
    "protocol",
    b"HTTP/1.1 103 X\r\n\r\n<html>oops</html>",
    Then.HANGS,
)
sends(
    "interim-then-other-protocol",
    "RFC 9110, 15.2: what follows a 103 is the answer of another protocol.",
    "protocol",
    b"HTTP/1.1 103 X\r\n\r\nICY 200 OK\r\n\r\n",
    Then.HANGS,
)
sends(
    "interim-then-body",
    "6.3: what follows a 103 is the body that its length promises, which a 103 never has.",
    "protocol",
    head(_FIVE, status=b"HTTP/1.1 103 X") + b"<b>..",
    Then.HANGS,
)
sends(
    "interim-large",
    "RFC 9110, 15.2: a 103 of 100 KB, to read which takes as long as to read a head that counts.",
    "protocol",
    head(*(b"X-%d: " % number + b"x" * 990 for number in range(100)), status=b"HTTP/1.1 103 Early Hints") + _FINAL,
)
sends(
    "folds-many",
    "5.2: more lines than a head may have, each of which continues the one before it.",
    "protocol",
    head(_FIVE, b"X-Folded: a" + b"\r\n b" * 1000) + HELLO,
)
sends("interim-only", "RFC 9110, 15.2: 103, and closes.", ("incomplete", "protocol"), _HINTS, Then.CLOSES)
sends(
    "interim-hang",
    "RFC 9110, 15.2: 103, and nothing more.",
    "timeout",
    _HINTS,
    Then.HANGS,
    settings={"read_timeout": 0.3},
)
sends(
    "switching",
    "RFC 9110, 15.2.2: 101 without an Upgrade in the request.",
    "protocol",
    head(b"Upgrade: websocket", b"Connection: Upgrade", status=b"HTTP/1.1 101 Switching Protocols"),
)
sends(
    "switching-then-answer",
    "RFC 9110, 15.2.2: an unasked 101, then an answer.",
    "protocol",
    head(b"Upgrade: h2c", b"Connection: Upgrade", status=b"HTTP/1.1 101 Switching Protocols") + _FINAL,
)


@plays("protocol")
def endless_interim(conn: Connection, asked: Asked) -> None:
    """RFC 9110, 15.2: interim answers without end; a client bounds them."""
    conn.flood(_HINTS)
