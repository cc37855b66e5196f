"""Redirects that lead nowhere, in circles, or where they must not (RFC 9110, 10.2.2 and 15.4)."""

from __future__ import annotations

from http import HTTPStatus

from faults.base import Theme, Then
from faults.wire import CHUNKED, Asked, Connection, chunk, head, length

theme = Theme("redirect")
sends, plays = theme.sends, theme.plays

_EMPTY = length(0)
_OK = b"ok"


def _status(code: int) -> bytes:
    return f"HTTP/1.1 {code} {HTTPStatus(code).phrase}".encode()


def moved(*lines: bytes, code: int = 302) -> bytes:
    """The head of a redirect."""
    return head(*lines, status=_status(code))


def _to(location: bytes, *lines: bytes) -> bytes:
    return moved(b"Location: " + location, *lines, _EMPTY)


# --- nowhere, or in circles ---------------------------------------------------------------------------------------

sends("redirect-loop", "15.4: to itself.", "redirect", _to(b"/fault/redirect-loop"))
sends("redirect-loop-two", "15.4: to another that leads back.", "redirect", _to(b"/fault/redirect-loop-back"))
sends("redirect-loop-back", "15.4: the other one.", "redirect", _to(b"/fault/redirect-loop-two"))
sends(
    "redirect-fragment-loop", "15.4: to itself, with a fragment.", "redirect", _to(b"/fault/redirect-fragment-loop#a")
)
sends("redirect-no-location", "15.4: no Location, so this is the answer.", "status", moved(length(5)) + b"moved")
sends(
    "redirect-no-location-accepted",
    "15.4: the same, where its status is accepted.",
    None,
    moved(length(5)) + b"moved",
    status=302,
    body=b"moved",
    settings={"accept": "200..=299,302"},
)
sends("redirect-empty", "10.2.2; RFC 3986, 4.4: an empty Location, which leads to itself.", "redirect", _to(b""))


@plays("redirect")
def redirect_endless(conn: Connection, asked: Asked) -> None:
    """15.4: each hop leads to a new one, numbered by `hop`."""
    hop = int(asked.params.get("hop", "0"))
    conn.send(_to(b"/fault/redirect-endless?hop=%d" % (hop + 1)))


@plays(None, query="n=3", body=_OK, reusable=True)
def redirect_chain(conn: Connection, asked: Asked) -> None:
    """15.4: `n` redirects in all, the last of them to /ok."""
    left = int(asked.params.get("n", "3")) - 1
    conn.send(_to(b"/fault/redirect-chain?n=%d" % left if left > 0 else b"/ok"))


# --- Locations that are none --------------------------------------------------------------------------------------

_MALFORMED = {
    "brackets": b"http://[]@",
    "open-bracket": b"http://[::1",
    "ipv6": b"http://[::zz]/",
    "space-in-host": b"http://exa mple/",
    "no-host": b"//",
    "no-host-http": b"http://",
    "no-host-slashes": b"http:///",
    "port-too-high": b"http://host:99999/",
    "port-no-number": b"http://host:abc/",
    "port-negative": b"http://host:-1/",
    "percent-host": b"http://a%00b/",
}
for name, location in _MALFORMED.items():
    sends(f"redirect-bad-{name}", f"10.2.2: {location.decode()} is no URL.", "redirect", _to(location))
sends(
    "redirect-bad-empty-label",
    "10.2.2; RFC 1035, 2.3.1: http://a..b/ is a URL, but no name that DNS could hold.",
    ("redirect", "dns"),
    _to(b"http://a..b/"),
)
sends(
    "redirect-control",
    "10.2.2; 5.5: a control character in Location.",
    ("redirect", "protocol"),
    _to(b"/o\x01k"),
)
sends("redirect-nul", "5.5: NUL in Location.", "protocol", _to(b"/ok\x00x"))
sends(
    "redirect-two",
    "10.2.2; 5.3: two Locations that differ.",
    ("redirect", "protocol"),
    moved(b"Location: /ok", b"Location: /ok?n=2", _EMPTY),
)
sends(
    "redirect-twice-the-same",
    "10.2.2; 5.3: two Locations, both the same.",
    ("ok", "redirect", "protocol"),
    moved(b"Location: /ok", b"Location: /ok", _EMPTY),
    body=_OK,
)

_LONG = {
    "host": ("a host name of 60 kB", b"http://" + b"a" * 60_000 + b".example/"),
    "labels": ("a host name of 30,000 labels", b"http://" + b"a." * 30_000 + b"example/"),
    "international": ("an international host name of 60 kB", b"http://" + "\u00e4".encode() * 30_000 + b".example/"),
}
for name, (what, location) in _LONG.items():
    sends(f"redirect-long-{name}", f"10.2.2; RFC 1035, 2.3.4: Location with {what}.", "redirect", _to(location))
sends(
    "redirect-long-path",
    "10.2.2; RFC 9110, 4.1: Location with a path of 60 kB, more than a client need follow.",
    ("ok", "redirect", "status"),
    _to(b"/" + b"a" * 60_000),
    body=None,
)

# --- Locations that are to be followed ----------------------------------------------------------------------------

_GOOD = {
    "relative": ("a relative path", b"../ok?n=relative"),
    "dots": ("dot segments", b"/a/b/.././../ok?n=dots"),
    "fragment": ("a fragment, which is not sent", b"/ok?n=fragment#part"),
    "encoded-crlf": ("%0D%0A, which stays encoded", b"/ok?n=a%0D%0AX-Injected:%201"),
    "encoded": ("escapes, which stay as they are", b"/ok?n=a%2Fb%20c%2bd+e"),
    "utf8": ("UTF-8 bytes, to be percent-encoded", "/ok?n=caf\u00e9".encode()),
    "padded": ("whitespace around it", b" \t/ok?n=padded\t "),
    "backslashes": ("backslashes", b"\\fault\\..\\ok?n=backslashes"),
    "tab": ("a tab in it", b"/o\tk?n=tab"),
    "one-slash": ("the scheme of the URL, and one slash", b"http:/ok?n=slash"),
}
for name, (what, location) in _GOOD.items():
    sends(f"redirect-{name}", f"10.2.2: Location with {what}.", None, _to(location), body=_OK)
sends(
    "redirect-latin1",
    "10.2.2: Location with bytes that are not UTF-8, which no URL holds.",
    ("ok", "redirect"),
    _to(b"/ok?n=caf\xe9"),
    body=_OK,
)
sends(
    "redirect-space",
    "10.2.2: a space in Location, which no URL holds.",
    ("ok", "redirect"),
    _to(b"/ok?n=a b"),
    body=_OK,
)
sends(
    "location-on-200",
    "10.2.2: Location in a 200 is no redirect.",
    None,
    head(b"Location: /fault/redirect-loop", length(5)) + b"hello",
)
sends(
    "location-on-300",
    "15.4.1: a 300 lets the user choose; following its Location is allowed.",
    ("status", "ok"),
    moved(b"Location: /ok", _EMPTY, code=300),
    body=_OK,
)
sends(
    "location-on-304",
    "15.4.5: Location in a 304 is no redirect.",
    "status",
    moved(b"Location: /ok", code=304),
)


@plays(None, query="status=302", body=_OK, reusable=True)
def redirect_to(conn: Connection, asked: Asked) -> None:
    """15.4: to the URL `to` (an absolute one leads to another origin; else /ok), with any `status`."""
    code = int(asked.params.get("status", "302"))
    conn.send(moved(b"Location: " + asked.params.get("to", "/ok").encode(), _EMPTY, code=code))


@plays(None, body=_OK, reusable=True)
def redirect_upper_case(conn: Connection, asked: Asked) -> None:
    """RFC 3986, 3.1: an absolute Location whose scheme is in upper case."""
    conn.send(_to(f"HTTP://{asked.header('Host')}/ok".encode()))


@plays(None, query="slashes=///", body=_OK, reusable=True)
def redirect_slashes(conn: Connection, asked: Asked) -> None:
    """URL standard, 4.4: an absolute Location with any number of `slashes` from two on, of both kinds."""
    conn.send(_to(f"http:{asked.params.get('slashes', '///')}{asked.header('Host')}/ok".encode()))


@plays(None, body=_OK, reusable=True)
def redirect_no_scheme(conn: Connection, asked: Asked) -> None:
    """RFC 3986, 4.2: a network-path reference, //host/path."""
    conn.send(_to(f"//{asked.header('Host')}/ok".encode()))


sends(
    "redirect-set-cookie",
    "RFC 6265, 5: sets a cookie on the way to /ok; the log shows whether it is sent on.",
    None,
    _to(b"/ok", b"Set-Cookie: id=1; Path=/"),
    body=_OK,
)

# --- where they must not lead -------------------------------------------------------------------------------------

_BLOCKED = {
    "file": b"file:///etc/passwd",
    "file-relative": b"file:passwd",
    "ftp": b"ftp://127.0.0.1/",
    "data": b"data:text/plain,hello",
    "javascript": b"javascript:alert(1)",
    "javascript-upper-case": b"JavaScript:alert(1)",
    "mailto": b"mailto:a@example.org",
    "gopher": b"gopher://127.0.0.1/",
    "unknown-scheme": b"foo://127.0.0.1/",
}
for name, location in _BLOCKED.items():
    sends(f"redirect-{name}", f"17.1: to {location.decode()}, which is not HTTP.", "blocked", _to(location))

# --- redirects of a POST ------------------------------------------------------------------------------------------


def _after_post(code: int, method: str, sent: bytes) -> None:
    """A redirect of a POST to one that answers 418 unless it is asked with that method and body."""

    def play(conn: Connection, asked: Asked) -> None:
        if "hop" not in asked.params:
            conn.send(moved(b"Location: /fault/redirect-post-%d?hop=1" % code, _EMPTY, code=code))
        elif (asked.method, asked.body) == (method, sent):
            conn.send(head(length(2)) + _OK)
        else:
            conn.send(head(_EMPTY, status=_status(418)))

    play.__name__ = f"redirect-post-{code}"
    play.__doc__ = f"15.4: {code} after a POST, to be followed with {method} {'and the' if sent else 'without a'} body."
    plays(None, body=_OK, reusable=True, method="POST", settings={"data": b"a=1"})(play)


for code in (301, 302, 303):
    _after_post(code, "GET", b"")
for code in (307, 308):
    _after_post(code, "POST", b"a=1")

# --- redirects with a body ----------------------------------------------------------------------------------------

sends(
    "redirect-body",
    "15.4: a redirect with a body, which is not the answer.",
    None,
    moved(b"Location: /ok", length(5)) + b"moved",
    body=_OK,
)
sends(
    "redirect-short-body",
    "15.4: a redirect whose body ends early.",
    ("ok", "incomplete"),
    moved(b"Location: /ok", length(10)) + b"moved",
    Then.CLOSES,
    body=_OK,
)
sends(
    "redirect-damaged-gzip",
    "15.4: a redirect whose body, which nobody needs, does not decode.",
    ("ok", "decode"),
    moved(b"Location: /ok", b"Content-Encoding: gzip", length(5)) + b"moved",
    body=_OK,
)
sends(
    "redirect-stalled-body",
    "15.4: a redirect whose body never comes.",
    ("ok", "timeout"),
    moved(b"Location: /ok", length(10)),
    Then.HANGS,
    body=_OK,
    settings={"read_timeout": 0.3},
)


@plays(("ok", "redirect", "too_large"), query="mb=20", body=_OK)
def redirect_big_body(conn: Connection, asked: Asked) -> None:
    """15.4: a redirect with a body of `mb` MB."""
    mb = int(asked.params.get("mb", "20"))
    conn.send(moved(b"Location: /ok", length(mb * 1_000_000)))
    for _ in range(mb):
        conn.send(b"x" * 1_000_000)


@plays(("ok", "redirect", "too_large"), body=_OK)
def redirect_endless_body(conn: Connection, asked: Asked) -> None:
    """15.4: a redirect with a body without end."""
    conn.send(moved(b"Location: /ok", CHUNKED))
    conn.flood(chunk(b"x" * 8000))
