"""Certificates that are not to be trusted, handshakes that fail, and bodies that TLS tells to be cut (RFC 8446)."""

from __future__ import annotations

import datetime
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import trustme
from support.servers import ScriptServer, ok, silent_port
from support.waiting import PATIENCE

from faults.base import Theme
from faults.network import Greeter, greeting
from faults.site import Site
from faults.wire import CHUNKED, HELLO, LAST_CHUNK, Asked, Connection, chunk, head, length

theme = Theme("tls")
place = theme.place

_SOON = {"connect_timeout": 0.5}
_OK = b"ok"
_DAY = datetime.timedelta(days=1)


def _at(context: ssl.SSLContext, script: Callable[[Connection, Asked], None] = ok) -> ScriptServer:
    return ScriptServer(script, tls=context)


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)


# --- certificates -------------------------------------------------------------------------------------------------


@place(None, body=_OK)
@contextmanager
def tls_good(site: Site) -> Iterator[str]:
    """No rule broken: a certificate for the host, of an issuer that is trusted."""
    with _at(site.authority.server()) as server:
        yield server.url


@place("tls")
@contextmanager
def tls_expired(site: Site) -> Iterator[str]:
    """RFC 5280, 4.1.2.5: a certificate that ended yesterday."""
    with _at(site.authority.server(not_before=_now() - 2 * _DAY, not_after=_now() - _DAY)) as server:
        yield server.url


@place("tls")
@contextmanager
def tls_not_yet_valid(site: Site) -> Iterator[str]:
    """RFC 5280, 4.1.2.5: a certificate that begins tomorrow."""
    with _at(site.authority.server(not_before=_now() + _DAY, not_after=_now() + 2 * _DAY)) as server:
        yield server.url


@place("tls")
@contextmanager
def tls_wrong_host(site: Site) -> Iterator[str]:
    """RFC 9110, 4.3.4: a certificate for another name."""
    with _at(site.authority.server("other.example")) as server:
        yield server.url


@place("tls")
@contextmanager
def tls_common_name_only(site: Site) -> Iterator[str]:
    """RFC 9110, 4.3.4; RFC 9525, 2: the host is in the common name alone, where it does not count."""
    with _at(site.authority.server("other.example", common_name="127.0.0.1")) as server:
        yield server.url


@place("tls")
@contextmanager
def tls_unknown_issuer(site: Site) -> Iterator[str]:
    """RFC 5280, 6.1: a certificate of an issuer that nobody knows."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(context)
    with _at(context) as server:
        yield server.url


@place("tls")
@contextmanager
def tls_self_signed(site: Site) -> Iterator[str]:
    """RFC 5280, 6.1: a certificate that issued itself."""
    alone, context = trustme.CA(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with alone.private_key_pem.tempfile() as key, alone.cert_pem.tempfile() as cert:
        context.load_cert_chain(cert, key)
    with _at(context) as server:
        yield server.url


@place("tls")
@contextmanager
def tls_client_certificate(site: Site) -> Iterator[str]:
    """RFC 8446, 4.4.2: wants a certificate of the client, which has none."""
    with _at(site.authority.server(clients=True)) as server:
        yield server.url


# --- handshakes ---------------------------------------------------------------------------------------------------


@place("tls")
@contextmanager
def tls_plain_http(_: Site) -> Iterator[str]:
    """RFC 8446, 5.1: HTTP in clear where TLS is expected."""

    def greet(conn: Connection) -> None:
        conn.quiet_for(PATIENCE)
        conn.send(head(length(0), b"Connection: close", status=b"HTTP/1.1 400 Bad Request"))
        conn.hang()

    with Greeter(greet) as server:
        yield server.url.replace("http:", "https:")


@place("tls")
@contextmanager
def tls_banner(_: Site) -> Iterator[str]:
    """RFC 8446, 5.1: a server that speaks first, and not TLS."""
    with greeting(b"SSH-2.0-OpenSSH_9.2\r\n") as url:
        yield url.replace("http:", "https:")


@place("tls")
@contextmanager
def tls_alert(_: Site) -> Iterator[str]:
    """RFC 8446, 6.2: a handshake_failure alert in answer to the first message."""
    with greeting(b"\x15\x03\x03\x00\x02\x02\x28") as url:
        yield url.replace("http:", "https:")


@place("timeout", settings=_SOON)
@contextmanager
def tls_silent(_: Site) -> Iterator[str]:
    """RFC 8446, 2: accepts, and never answers the first message."""
    with silent_port() as address:
        yield f"https://{address}/"


@place("timeout", settings=_SOON)
@contextmanager
def tls_stalls(_: Site) -> Iterator[str]:
    """RFC 8446, 5.1: stops inside the first record of the handshake."""

    def greet(conn: Connection) -> None:
        conn.send(b"\x16\x03\x03\x00\x7a\x02\x00")
        conn.hang()

    with Greeter(greet) as server:
        yield server.url.replace("http:", "https:")


@place("connect")
@contextmanager
def tls_closed_in_handshake(_: Site) -> Iterator[str]:
    """RFC 8446, 2: closes as soon as it has accepted."""
    with Greeter(Connection.close) as server:
        yield server.url.replace("http:", "https:")


@place("connect")
@contextmanager
def tls_reset_in_handshake(_: Site) -> Iterator[str]:
    """RFC 8446, 2: RST as soon as it has accepted."""
    with Greeter(Connection.reset) as server:
        yield server.url.replace("http:", "https:")


@place(("connect", "protocol", "incomplete"))
@contextmanager
def tls_where_none_is_expected(site: Site) -> Iterator[str]:
    """RFC 8446, 2: speaks TLS where HTTP in clear is expected."""
    with _at(site.authority.server()) as server:
        yield server.url.replace("https:", "http:")


# --- bodies -------------------------------------------------------------------------------------------------------

_BODIES = {
    "until-close": ("a body without a length", head() + HELLO),
    "length": ("a body with Content-Length", head(length(5)) + HELLO),
    "chunked": ("a chunked body", head(CHUNKED) + chunk(HELLO) + LAST_CHUNK),
}
_SHORT = {
    "length": ("a body with Content-Length", head(length(10)) + HELLO),
    "chunked": ("a chunked body", head(CHUNKED) + chunk(HELLO)),
}


def _sends(wire: bytes, end: Callable[[Connection], None]) -> Callable[[Site], Iterator[str]]:
    def opens(site: Site) -> Iterator[str]:
        def play(conn: Connection, _: Asked) -> None:
            conn.send(wire)
            end(conn)

        with _at(site.authority.server(), play) as server:
            yield server.url

    return opens


def _body(name: str, rule: str, expect: str | None, wire: bytes, end: Callable[[Connection], None]) -> None:
    opens = _sends(wire, end)
    opens.__name__, opens.__doc__ = f"tls-{name}", rule
    complete = None if expect else "unverified" if "until" in name else "yes"
    place(expect, complete=complete)(contextmanager(opens))


for name, (what, wire) in _BODIES.items():
    _body(f"closed-{name}", f"9.8: close_notify after {what}.", None, wire, Connection.close)
    cut = "incomplete" if name == "until-close" else None
    _body(f"cut-{name}", f"9.8: {what}, and an end without close_notify.", cut, wire, Connection.cut)
for name, (what, wire) in _SHORT.items():
    _body(f"short-{name}", f"9.8: close_notify inside {what}.", "incomplete", wire, Connection.close)
    _body(f"cut-short-{name}", f"9.8: an end without close_notify inside {what}.", "incomplete", wire, Connection.cut)
    _body(f"reset-{name}", f"9.8: RST inside {what}.", "incomplete", wire, Connection.reset)
