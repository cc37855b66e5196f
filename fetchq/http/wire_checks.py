"""Checks the heads of responses where the HTTP libraries disagree or are too lenient, and repairs some of them.

If two recipients disagree about where a message ends, an attacker can make one of them take a part of it for the next
response (request and response smuggling; RFC 9112, 11).
"""

from __future__ import annotations

import re

from fetchq.core.model import Cause
from fetchq.http.failure import AttemptFailed

__all__ = [
    "BAD_CODING",
    "FRAMING_FIELDS",
    "MAX_EMPTY",
    "MAX_HEAD",
    "MAX_HEADERS",
    "MAX_INTERIM",
    "MAX_LINE",
    "bad_head",
    "check_interim",
    "not_http",
    "other_version",
    "repair_head",
]

MAX_INTERIM = 16
"""The most interim responses (1xx) before the final one."""
MAX_LINE = 65536
"""The most bytes of a status line, a header line, a trailer line or a chunk size line."""
MAX_HEADERS = 256
"""The most header lines of a response, and also the most trailer lines; where one goes on in the next, both count."""
MAX_HEAD = 262_144
"""The most bytes of a response's head."""
MAX_EMPTY = 1024
"""The most bytes of empty lines before a head. They are looked at again with each packet."""

_TOKEN = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_STATUS_LINE = re.compile(rb"HTTP/(1\.[0-9])[ \t]+([1-9][0-9]{2})(?:[ \t][^\r\n]*)?")
_BLANK_COLON = re.compile(rb"^(" + _TOKEN + rb")[ \t]+:", re.MULTILINE)
# Blanks are only tried where they begin: from each of them on, it would take quadratic time.
_FOLD = re.compile(rb"(?:(?<![ \t])[ \t]++)?+\r?\n[ \t]+")
_LENGTH = re.compile(rb"^content-length:([^\r\n]*)(?:\r?\n)?", re.IGNORECASE | re.MULTILINE)
_HEADER = re.compile(_TOKEN + rb":[^\x00\r\n]*")
_UNASKED_SWITCH = "status 101, though no other protocol was asked for"
BAD_CODING = "a Transfer-Encoding that is not just chunked"
FRAMING_FIELDS = frozenset({b"content-length", b"transfer-encoding"})
"""The fields that say where the body ends (RFC 9112, 6)."""
_MOST_DIGITS = 18
"""Of a Content-Length: a longer one is no number of bytes."""


def not_http(what: str, *, stray: bool = False) -> AttemptFailed:
    """The failure of an attempt whose response is not valid HTTP. `stray`: as in `AttemptFailed`."""
    return AttemptFailed(Cause.PROTOCOL, f"not valid HTTP: {what}", stray=stray)


def repair_head(head: bytes) -> bytes:
    """A whole head as every recipient is to read it. Raises `AttemptFailed` (`protocol`) if it cannot be.

    A line that continues the one before it becomes part of that (RFC 9112, 5.2). Blanks before a colon are removed, as
    a proxy has to do (5.1), except for fields that say where the body ends: others may ignore such a field. Several
    equal Content-Length become one (6.3).
    """
    if b"\x0b" in head or b"\x0c" in head or b"\x00" in head:
        raise not_http("a control character in the head", stray=True)
    status, line_end, fields = head.partition(b"\n")
    if fields[:1] in (b" ", b"\t"):
        raise not_http("the first header is the continuation of none", stray=True)
    if fields.count(b"\n") > MAX_HEADERS + 1:  # with the lines that continue others, each of which takes its time
        raise not_http("too many headers, or too long ones", stray=True)
    fields = _FOLD.sub(b" ", fields)
    for found in _BLANK_COLON.finditer(fields):
        if found[1].lower() in FRAMING_FIELDS:
            line = fields[found.start() :].split(b"\n", 1)[0]
            raise not_http(f"a blank before the colon: {_shown(line)}", stray=True)
    fields = _BLANK_COLON.sub(rb"\1:", fields)
    lengths = [one.strip(b" \t") for found in _LENGTH.finditer(fields) for one in found[1].split(b",")]
    if len(lengths) > 1 and all(one.isdigit() for one in lengths):
        if len(set(map(_number, lengths))) > 1:
            raise not_http(f"several Content-Length: {_shown(b', '.join(lengths))}", stray=True)
        first = next(_LENGTH.finditer(fields)).start()
        one = b"Content-Length: " + lengths[0] + b"\r\n"
        fields = _LENGTH.sub(lambda found: one if found.start() == first else b"", fields)
    return status + line_end + fields


def _number(digits: bytes) -> bytes:
    """A number to compare, without its leading zeros: `int` would refuse thousands of digits."""
    return digits.lstrip(b"0")


def other_version(version: str, status: int) -> AttemptFailed:
    """The failure for a response in a version that is none of HTTP/1, or with an impossible status."""
    return AttemptFailed(Cause.PROTOCOL, f"an answer in HTTP/{version} with status {status}")


def bad_head(head: bytes) -> AttemptFailed:
    """The failure for a head that the library of an engine refuses: the same for all of them. The error names why."""
    status, *lines = head.rstrip(b"\r\n").replace(b"\r\n", b"\n").split(b"\n")
    found = _STATUS_LINE.fullmatch(status)
    if found is None:
        return not_http(f"not a status line: {_shown(status)}", stray=True)
    if found[1] not in (b"1.0", b"1.1"):
        return other_version(found[1].decode(), int(found[2]))
    if found[2] == b"101":
        return AttemptFailed(Cause.PROTOCOL, _UNASKED_SWITCH)
    if len(lines) > MAX_HEADERS or any(len(line) > MAX_LINE for line in (status, *lines)):
        return not_http("too many headers, or too long ones", stray=True)
    if any(line.lower().startswith(b"transfer-encoding:") for line in lines):
        return AttemptFailed(Cause.PROTOCOL, BAD_CODING, stray=True)
    lengths = []
    for line in lines:
        name, colon, value = line.partition(b":")
        if _HEADER.fullmatch(line) is None or not colon:
            # The rest of the line may be a secret, such as a part of a cookie.
            shown = name + colon if colon else line.split(b" ", 1)[0]
            return not_http(f"not a header line: {_shown(shown)}", stray=True)
        if name.lower() == b"content-length":
            lengths.append(line)
            if len(lengths) > 1 or not value.strip().isdigit() or len(value.strip()) > _MOST_DIGITS:
                return not_http(f"not a {_shown(line)}", stray=True)
    return not_http("a head that cannot be read", stray=True)


def _shown(line: bytes) -> str:
    """The beginning of a line, for an error message."""
    text = line[:80].rstrip(b"\r\n").decode("utf-8", "backslashreplace")
    return f"{text}..." if len(line) > 80 else text


def check_interim(head: bytes, status: int, count: int) -> None:
    """Check an interim response (1xx), the `count`th one. Raises `AttemptFailed` (`protocol`).

    All of them together may be as long as one head, so that to read them takes no longer.
    """
    if status < 100:
        raise bad_head(head)
    if status == 101:
        raise AttemptFailed(Cause.PROTOCOL, _UNASKED_SWITCH)
    if len(head) > MAX_HEAD // MAX_INTERIM:
        raise not_http(f"an interim response of more than {MAX_HEAD // MAX_INTERIM} bytes")
    if count > MAX_INTERIM:
        raise not_http(f"more than {MAX_INTERIM} interim responses")
