"""Answers that come too slowly or not at all, and connections that are not what they seem (RFC 9112, 9)."""

from __future__ import annotations

from collections.abc import Callable

from faults.base import Theme, Then
from faults.wire import CHUNKED, HELLO, LAST_CHUNK, Asked, Connection, chunk, head, length

theme = Theme("time")
sends, plays = theme.sends, theme.plays

_IMPATIENT = {"read_timeout": 0.3}
_MINIMUM = {"min_speed": 100, "min_speed_time": 0.5}

# --- silence ------------------------------------------------------------------------------------------------------

sends("hang", "9.5: never answers.", "timeout", b"", Then.HANGS, settings=_IMPATIENT)
sends(
    "hang-in-head",
    "9.5: stops inside the headers.",
    "timeout",
    b"HTTP/1.1 200 OK\r\nContent-",
    Then.HANGS,
    settings=_IMPATIENT,
)
_STALLS = {
    "stall": ("a body with Content-Length", head(length(10)) + HELLO),
    "stall-first": ("a body before its first byte", head(length(10))),
    "stall-chunked": ("a chunked body", head(CHUNKED) + chunk(HELLO)),
    "stall-in-chunk": ("a chunk", head(CHUNKED) + b"a\r\nhello"),
    "stall-before-last-chunk-ends": ("the last chunk", head(CHUNKED) + chunk(HELLO) + b"0\r\n"),
    "stall-until-close": ("a body without a length", head() + HELLO),
}
for name, (what, wire) in _STALLS.items():
    sends(name, f"9.5: stalls inside {what}.", "timeout", wire, Then.HANGS, complete="no", settings=_IMPATIENT)


@plays("incomplete", complete="no")
def close_in_middle(conn: Connection, asked: Asked) -> None:
    """8: half a body, a moment of silence, and closes."""
    conn.send(head(length(10)) + HELLO)
    conn.pause(0.05)
    conn.close()


def _interval(asked: Asked) -> float:
    return float(asked.params.get("interval", "0.05"))


@plays("too_slow", query="interval=0.05", settings=_MINIMUM, complete="no")
def drip(conn: Connection, asked: Asked) -> None:
    """No rule broken: one byte of body per `interval` seconds."""
    conn.send(head(length(100_000)))
    conn.drip(b"x" * 100_000, _interval(asked))


@plays("too_slow", query="interval=0.05", settings=_MINIMUM, complete="no")
def drip_chunked(conn: Connection, asked: Asked) -> None:
    """No rule broken: one byte of a chunked body, frames included, per `interval` seconds."""
    conn.send(head(CHUNKED))
    conn.drip(chunk(b"x") * 20_000, _interval(asked))


@plays("too_slow", query="interval=0.05", settings=_MINIMUM, complete="no")
def drip_until_close(conn: Connection, asked: Asked) -> None:
    """No rule broken: one byte of a body without a length per `interval` seconds."""
    conn.send(head())
    conn.drip(b"x" * 100_000, _interval(asked))
    conn.close()


@plays(None, query="interval=0.01", reusable=True, complete="yes")
def drip_whole(conn: Connection, asked: Asked) -> None:
    """No rule broken: head and body byte by byte, to the end; every way to split an answer is the same answer."""
    conn.drip(head(CHUNKED) + chunk(HELLO) + LAST_CHUNK, float(asked.params.get("interval", "0.01")))


@plays(None, query="after=0.2", reusable=True, complete="yes")
def late(conn: Connection, asked: Asked) -> None:
    """No rule broken: answers after `after` seconds."""
    conn.pause(float(asked.params.get("after", "0.2")))
    conn.send(head(length(5)) + HELLO)


# --- kept-alive connections ---------------------------------------------------------------------------------------

_WHOLE = head(length(5), b"Connection: keep-alive") + HELLO


@plays(None, reusable=True)
def stale(conn: Connection, asked: Asked) -> None:
    """9.3.1: closes without an answer when the next request comes; one retry on a fresh connection is free."""
    conn.send(_WHOLE)
    conn.on_next = conn.close


@plays(None, reusable=True)
def stale_reset(conn: Connection, asked: Asked) -> None:
    """9.3.1: RST when the next request comes; one retry on a fresh connection is free."""
    conn.send(_WHOLE)
    conn.on_next = conn.reset


@plays(None, reusable=True)
def stale_half(conn: Connection, asked: Asked) -> None:
    """9.3.1: the next request gets half an answer, then the end: it was served, so that is `incomplete`, not stale."""

    def half() -> None:
        conn.send(head(length(10)) + HELLO)
        conn.close()

    conn.send(_WHOLE)
    conn.on_next = half


sends("quiet-close", "9.6: closes after the answer, without having said so.", None, _WHOLE, Then.CLOSES)
sends("quiet-reset", "9.6: RST after a whole answer.", None, _WHOLE, Then.RESETS)
sends(
    "close-said",
    "9.6: says Connection: close, and does.",
    None,
    head(length(5), b"Connection: close") + HELLO,
    Then.CLOSES,
)
sends(
    "close-said-not-done",
    "9.6: says Connection: close, and stays; a client sends nothing more on it.",
    None,
    head(length(5), b"Connection: Close") + HELLO,
    reusable=False,
)
sends(
    "http10-not-kept",
    "9.3: an HTTP/1.0 answer without keep-alive; a client sends nothing more on it.",
    None,
    head(length(5), status=b"HTTP/1.0 200 OK") + HELLO,
    reusable=False,
)
sends(
    "http10-kept",
    "9.3: an HTTP/1.0 answer with keep-alive.",
    None,
    head(length(5), b"Connection: Keep-Alive", status=b"HTTP/1.0 200 OK") + HELLO,
)


@plays(None, query="after=0.02")
def idle_408(conn: Connection, asked: Asked) -> None:
    """RFC 9110, 15.5.9: a 408 `after` seconds of idleness, then closes; event("idle-408") is set once it is sent."""
    conn.send(_WHOLE)
    if conn.quiet_for(float(asked.params.get("after", "0.02"))):
        conn.send(head(length(0), b"Connection: close", status=b"HTTP/1.1 408 Request Timeout"))
        conn.close()
        conn.mark("idle-408")


@plays(None)
def idle_close(conn: Connection, asked: Asked) -> None:
    """9.5: closes a moment after the answer; event("idle-close") is set once it has."""
    conn.send(_WHOLE)
    if conn.quiet_for(0.02):
        conn.close()
        conn.mark("idle-close")


# --- answers that get better --------------------------------------------------------------------------------------


def _short(conn: Connection) -> None:
    conn.send(head(length(10)) + HELLO)
    conn.close()


def _unavailable(conn: Connection) -> None:
    conn.send(head(length(0), b"Retry-After: 0", status=b"HTTP/1.1 503 Service Unavailable"))


_AT_FIRST: dict[str, Callable[[Connection], None]] = {
    "reset": Connection.reset,
    "close": Connection.close,
    "short": _short,
    "503": _unavailable,
}


@plays(None, query="key=a&times=1&how=reset", reusable=True, settings={"retries": 2, "retry_wait": 0})
def flaky(conn: Connection, asked: Asked) -> None:
    """The first `times` requests with this `key` get `how` (reset, close, short, 503), later ones a whole answer."""
    asked_so_often = conn.server.count(f"flaky {asked.params.get('key')}")
    if asked_so_often <= int(asked.params.get("times", "1")):
        _AT_FIRST[asked.params.get("how", "reset")](conn)
    else:
        conn.send(_WHOLE)
