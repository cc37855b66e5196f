"""Redirects from one origin to another: what must not go along, and what may be wrong there (RFC 9110, 15.4)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from support.servers import Script, ScriptServer, answer, closed_port, ok

from faults.base import Theme
from faults.redirect import moved
from faults.site import Site
from faults.wire import Asked, Connection, length

theme = Theme("origins")
place = theme.place

_OK = b"ok"
_SECRETS = {"Authorization": "Bearer s3cret", "Cookie": "id=s3cret", "X-Api-Key": "s3cret"}
_WITH_SECRETS: dict[str, Any] = {"headers": [f"{name}: {value}" for name, value in _SECRETS.items()]}


def _to(url: str) -> Script:
    def play(conn: Connection, _: Asked) -> None:
        conn.send(moved(b"Location: " + url.encode(), length(0)))

    return play


def _without_secrets(conn: Connection, asked: Asked) -> None:
    """200, or 418 to whoever brings a secret along."""
    came = [name for name in _SECRETS if asked.header(name) is not None]
    answer(b"ok", status=b"418 A secret came" if came else b"200 OK")(conn, asked)


def _with_secrets(conn: Connection, asked: Asked) -> None:
    """302 to itself, and then 200, or 418 to whoever left a header behind."""
    if asked.path != "/next":
        conn.send(moved(b"Location: /next", length(0)))
        return
    came = [name for name in _SECRETS if asked.header(name) == _SECRETS[name]]
    answer(b"ok", status=b"200 OK" if len(came) == len(_SECRETS) else b"418 A header is missing")(conn, asked)


@place(None, body=_OK, settings=_WITH_SECRETS)
@contextmanager
def redirect_same_origin(_: Site) -> Iterator[str]:
    """15.4: to the same origin, where all headers go along; 418 if not."""
    with ScriptServer(_with_secrets) as server:
        yield server.url


@place(None, body=_OK, settings=_WITH_SECRETS)
@contextmanager
def redirect_other_port(_: Site) -> Iterator[str]:
    """15.4: to another port, where no secret may go along; 418 if one does."""
    with ScriptServer(_without_secrets) as other, ScriptServer(_to(other.url)) as server:
        yield server.url


@place(None, body=_OK, settings=_WITH_SECRETS)
@contextmanager
def redirect_other_host(_: Site) -> Iterator[str]:
    """15.4: to another host, where no secret may go along; 418 if one does."""
    with ScriptServer(_without_secrets) as other, ScriptServer(_to(other.at("localhost"))) as server:
        yield server.url


@place(None, body=_OK, settings=_WITH_SECRETS)
@contextmanager
def redirect_to_clear(site: Site) -> Iterator[str]:
    """15.4: from https to http, where no secret may go along; 418 if one does."""
    with (
        ScriptServer(_without_secrets) as other,
        ScriptServer(_to(other.url), tls=site.authority.server()) as server,
    ):
        yield server.url


@place(None, body=_OK)
@contextmanager
def redirect_to_tls(site: Site) -> Iterator[str]:
    """15.4: from http to https."""
    with ScriptServer(ok, tls=site.authority.server()) as other, ScriptServer(_to(other.url)) as server:
        yield server.url


@place("tls")
@contextmanager
def redirect_to_wrong_host(site: Site) -> Iterator[str]:
    """15.4; RFC 9110, 4.3.4: to a server with a certificate for another name."""
    with (
        ScriptServer(ok, tls=site.authority.server("other.example")) as other,
        ScriptServer(_to(other.url)) as server,
    ):
        yield server.url


@place("connect")
@contextmanager
def redirect_to_nobody(_: Site) -> Iterator[str]:
    """15.4: to a port where nobody listens."""
    with closed_port() as url, ScriptServer(_to(url)) as server:
        yield server.url


@place("dns")
@contextmanager
def redirect_to_unknown_name(_: Site) -> Iterator[str]:
    """15.4: to a name that is not there."""
    with ScriptServer(_to("http://nowhere.names.test/")) as server:
        yield server.url


@place("redirect")
@contextmanager
def redirect_ping_pong(_: Site) -> Iterator[str]:
    """15.4: between two servers, for ever."""
    with ScriptServer() as one, ScriptServer(_to(one.url)) as other:
        one.script = _to(other.url)
        yield one.url
